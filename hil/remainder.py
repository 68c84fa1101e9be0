"""Goes on with a run whose process has ended, from what the devices hold: no step is given twice.

A new run is recorded, beside the one that it continues. It takes the steps that are left, with the same data
in the same order and the chance of their numbers. A step of which a pulse may have been given counts as over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from hil.errors import ConfigError, IdentityError
from hil.session import Prepared, prepare
from hil.store import Run, list_runs, open_run
from hil.training.contracts import Continuation, Resumable

_MAY_CHANGE = "transport, resource, serial, reconnect, limits, dose and virtual"


@dataclass(frozen=True, slots=True)
class Remainder:
    """What is left of a run, and the files that it goes on with.

    ``in_doubt``: pulses of which nobody knows whether they were given.
    """

    run: Run
    behind: Continuation
    in_doubt: int
    experiment: Path
    bench: Path
    overrides: tuple[str, ...]
    bench_overrides: tuple[str, ...]

    @property
    def files(self) -> tuple[Path, Path, tuple[str, ...], tuple[str, ...]]:
        """Experiment and bench, and the keys that were changed of each."""
        return self.experiment, self.bench, self.overrides, self.bench_overrides

    def prepare(self, data_dir: Path | None = None) -> Prepared:
        """Check files and data, open the bench, and hold all of it against the run; nothing is output.

        Raises
        ------
        ConfigError, DataError, BenchError
            As from :func:`hil.session.prepare`; other data, arrays or places than those of the run; an update
            that cannot go on.
        IdentityError
            Other instruments answer than in the run.
        """
        prepared = prepare(*self.files, data_dir)
        try:
            self._require_same(prepared)
        except BaseException:
            prepared.bench.close()
            raise
        before = {
            "run": self.run.path.name,
            "folder": str(self.run.path.resolve()),
            **asdict(self.behind),
            "accuracies": list(self.behind.accuracies),
            "in_doubt": self.in_doubt,
            "spent": asdict(self.run.cost_in_all),
            "changed": [f"{key} was {was}, is {now}" for key, was, now in self._changed(prepared)],
        }
        training = replace(prepared.training, continues=self.behind)
        return replace(prepared, training=training, header={**prepared.header, "continues": before})

    def _require_same(self, prepared: Prepared) -> None:
        then, now = self.run.header, prepared.header
        place = self.run.path
        for role in {**then["identity"], **now["identity"]}:
            was, there = then["identity"].get(role), now["identity"].get(role)
            if was != there:
                raise IdentityError(f"{place}: {role} was {was}; {there} answers; nothing was output")
        for what, keys in (
            ("data", ("data", "sha256")),
            ("sizes of the arrays", ("arrays",)),
            ("places of the layers", ("network", "placement")),
        ):
            if _at(then, keys) != _at(now, keys):
                raise ConfigError(
                    f"{place}: the {what} are others now; a run goes on with what it began with"
                )
        for key, was, there in self._changed(prepared):
            if not _harmless(key.split(".")):
                raise ConfigError(
                    f"{self.bench}: {key} was {was}, is {there}; a run goes on with the arrays, devices and "
                    f"readings that it began with: only {_MAY_CHANGE} may be others"
                )
        if not isinstance(prepared.experiment.update, Resumable):
            raise ConfigError(
                f"{place}: update {then['experiment']['resolved']['update']['name']!r} cannot go on: it has "
                "no at_step (hil.training.contracts.Resumable)"
            )

    def _changed(self, prepared: Prepared) -> list[tuple[str, Any, Any]]:
        """Keys of the bench that are others now: before, now."""
        then, now = self.run.header["bench"]["resolved"], prepared.header["bench"]["resolved"]
        return list(_differences(then, now))


def remainder(path: Path, experiment: Path | None = None, bench: Path | None = None) -> Remainder:
    """What is left of a run; the newest of a folder of runs.

    Parameters
    ----------
    path
        Its folder.
    experiment, bench
        Where its files are now; None: where they were. Their text must be what it was, but for a bench that
        is given here: a time-out may have had to be changed.

    Raises
    ------
    StoreError
        It cannot be read.
    ConfigError
        It is at work or was finished, it has nothing that lasts, another run goes on from it, or a file is
        not what it was.
    """
    run = open_run(path)
    behind = _behind(run)
    _require_untouched(run)
    files = _file(run, "experiment", experiment), _file(run, "bench", bench)
    changed = tuple(run.header["experiment"]["set"]), tuple(run.header["bench"]["set"])
    doubt = sum(intent.pulses for intent in run.intents if intent.in_doubt)
    return Remainder(run, behind, doubt, *files, *changed)


def _behind(run: Run) -> Continuation:
    """The steps that are over: those with a pulse that went out or may have, and those recorded as over."""
    before: Mapping[str, Any] | None = run.header.get("continues")
    status, intents, where = run.status, run.intents, run.path
    if status in ("running", "finished"):
        more = "still at work" if status == "running" else "finished; to train on, use initial: keep"
        raise ConfigError(f"{where}: this run is {more}")
    if (by := run.continued_by) is not None:
        raise ConfigError(f"{where}: {by} goes on from it already (hil show {by})")
    if before is None and not intents:
        raise ConfigError(
            f"{where}: it gave no pulse to devices that outlive a process: simulated ones end with it, and "
            "hil train with the same files and seed makes the same run again"
        )
    if before is None and "initial" not in run.moments:
        raise ConfigError(
            f"{where}: it ended while its initial weights were written: nothing was trained; begin anew with "
            "hil train"
        )
    step, evaluated, accuracies = (0, -1, ()) if before is None else _read(before)
    rows = run.evaluations
    over = [step, run.summary.get("steps", 0)]
    over += [int(table["step"][-1]) for table in (run.training, rows) if table.size]
    over += [intents[-1].step + 1] if intents else []
    if rows.size:
        evaluated = int(rows["step"][-1])
    return Continuation(max(over), evaluated, (*accuracies, *rows["accuracy"].tolist()))


def _read(before: Mapping[str, Any]) -> tuple[int, int, tuple[float, ...]]:
    return int(before["step"]), int(before["evaluated"]), tuple(map(float, before["accuracies"]))


def _file(run: Run, name: str, given: Path | None) -> Path:
    """The file of a run, with the text that it had; a bench may be another where it is named."""
    header = run.header[name]
    path = Path(header.get("path", header["file"])) if given is None else given
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{run.path}: its {name} file cannot be read: {path}; --{name} says where it is now"
        ) from error
    if text != header["given"] and (given is None or name != "bench"):
        anew = f"; --bench {path} goes on with it all the same" if name == "bench" else ""
        raise ConfigError(
            f"{path}: it is not what it was when {run.path} began (run.yaml there has its text){anew}"
        )
    return path


def _require_untouched(run: Run) -> None:
    """Refuse where another run beside it has pulsed the same arrays since."""
    wiring = run.header["bench"]["resolved"].get("arrays", {})
    for other in list_runs(run.path.parent):
        header = other.header
        arrays: dict[str, Any] = header.get("bench", {}).get("resolved", {}).get("arrays") or {}
        same = [name for name in wiring if arrays.get(name) == wiring[name]]
        since = header.get("created", "") >= run.header["created"] and other.path != run.path
        if since and same and header.get("identity") == run.header["identity"] and other.pulsed:
            raise ConfigError(
                f"{run.path}: {other.path} has pulsed {', '.join(same)} since: the devices do not hold what "
                "this run left in them"
            )


def _differences(then: Any, now: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(then, dict) and isinstance(now, dict):
        before, after = cast(dict[str, Any], then), cast(dict[str, Any], now)
        for name in {**before, **after}:
            yield from _differences(before.get(name), after.get(name), f"{key}.{name}" if key else name)
    elif then != now:
        yield key, then, now


def _harmless(keys: Sequence[str]) -> bool:
    """Whether a key of a bench leaves arrays, devices and readings as they are."""
    return (
        "transport" in keys
        or keys[0] in ("limits", "reconnect", "virtual")
        or keys[-1] in ("resource", "serial", "dose")
    )


def _at(header: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    found: Any = header
    for key in keys:
        found = found[key]
    return found
