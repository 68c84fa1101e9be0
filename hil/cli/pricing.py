"""`hil price`: rehearse a run, and say what it will take; and the question that `hil train` asks before it
begins on a bench whose devices stay as it leaves them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from rich.console import Console, Group, RenderableType
from rich.text import Text

from hil import setup
from hil.calibrate import FOLDER
from hil.cli.bars import bar_on, rehearsals
from hil.cli.present import require_present
from hil.cli.screen import CompilerOnce, Tough
from hil.cli.show import print_json, two_columns
from hil.cli.signals import Stop
from hil.cli.words import energy, percent
from hil.config.bench import BenchSettings
from hil.errors import ConfigError, HilError
from hil.interrupt import unwrapped_interrupts
from hil.jit import watching_compiler
from hil.price.exchange import Exchange, exchange_of, recorded_exchange
from hil.price.price import Asked, Price, Range, price
from hil.price.rehearse import Extent
from hil.units import counted, duration, format_quantity, parse_quantity

MINUTE = Extent(budget_s=20.0)
"""Of each of three rehearsals: the price of any run is known within a minute or two."""
_MOMENT = Extent(budget_s=3.0)
_WIDTH_OF_FILES = 120
_DECLINED = 2
"""Exit code: nothing was started."""


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Where the time of an exchange is from: told, or records in a folder, by default beside the bench."""

    told: float | None = None
    records: Path | None = None

    def __call__(self, settings: BenchSettings) -> Exchange:
        """For a bench."""
        if self.told is not None:
            return Exchange(self.told, "as told by --exchange")
        now = datetime.now(UTC)
        if self.records is None:
            folders = (Path(settings.file).parent / FOLDER,)
            return exchange_of(
                settings, folders, now, "--exchange says another, `hil check` shows a round trip"
            )
        found = recorded_exchange(settings, self.records, now)
        if found is None:
            raise ConfigError(
                f"--records {self.records}: no valid record in it tells how long an exchange of bench "
                f"{settings.name} takes; hil calibration list {self.records} lists them, --exchange TIME "
                "says it without"
            )
        return found

    def require_folder(self) -> None:
        """Refuse a folder of records that is not there."""
        if self.records is not None and not self.records.is_dir():
            raise ConfigError(f"--records {self.records}: there is no such folder")


def extent(share: float | None, *, full: bool) -> Extent:
    """How much is rehearsed. Raises ConfigError for a share that is none."""
    if share is None:
        return Extent() if full else MINUTE
    if full:
        raise ConfigError("--share and --full: one of them")
    if not 0 < share <= 1:
        raise ConfigError(f"--share {share:g}: above 0 and at most 1 is needed")
    return Extent(share)


def seconds(option: str, text: str | None) -> float | None:
    """A time given on the command line. Raises ConfigError that names the option."""
    if text is None:
        return None
    try:
        found = parse_quantity(text, "s")
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from error
    if found < 0:
        raise ConfigError(f"{option} {text}: a time of 0 or more is needed")
    return found


def run_price(asked: Asked, exchanges: Exchanges, json: bool) -> int:
    """Price as asked, say it, and return the exit code.

    Raises
    ------
    HilError
        What kept it from being rehearsed, or would end the run.
    """
    exchanges.require_folder()
    console = _console(sys.stderr if json else sys.stdout)
    with Stop() as stop:
        try:
            compiler = watching_compiler(CompilerOnce(console))
            with unwrapped_interrupts(), compiler, bar_on(console) as shown:
                found = price(asked, exchanges, rehearsals(shown, asked.seeds))
        except KeyboardInterrupt:
            console.print(Text("stopped; nothing was output", "yellow"))
            return stop.exit_code
    if json:
        print_json(document(found))
    else:
        console.print(told_in_full(found))
    return 0


def declined(asked: Asked, stream: IO[str]) -> int:
    """Say in short what a run on instruments will take, and ask whether to go on.

    0: yes, or there are no instruments to ask about; else the exit code.

    Raises
    ------
    ConfigError
        The files are wrong; or there is no terminal to ask at.
    BenchError
        An instrument does not answer, or is not as the file says.
    """
    _, (settings, given) = setup.load_both(
        asked.experiment, asked.bench, asked.overrides, asked.bench_overrides
    )
    if not settings.resources:
        return 0
    if not (sys.stdin.isatty() and stream.isatty()):
        raise ConfigError(
            f"{given.path}: this bench has devices that stay as a run leaves them, and there is no terminal "
            "to ask at; say --yes to train without a question (hil price tells what the run will take)"
        )
    console = _console(stream)
    with Stop() as stop:
        try:
            require_present(settings, console)
            console.print(_estimate(asked, console))
            console.print("go on? [y/N] ", end="", markup=False)
            if sys.stdin.readline().strip().lower() in ("y", "yes"):
                return 0
        except KeyboardInterrupt:
            console.print()
    console.print("not begun; nothing was output")
    return stop.exit_code or _DECLINED


def _estimate(asked: Asked, console: Console) -> RenderableType:
    try:
        with console.status("rehearsing the first steps ..."), unwrapped_interrupts():
            return _in_short(price(replace(asked, seeds=1, extent=_MOMENT), Exchanges()))
    except HilError as error:
        return Text(f"no estimate of what it will take: {error}", "yellow")


def _in_short(found: Price) -> RenderableType:
    run = found.runs[0]
    cost, about = run.cost, "" if run.whole else "about "
    told = (
        f"{about}{duration(cost.seconds)} on the bench, {counted(cost.transactions, 'transaction')}, "
        f"{counted(cost.pulses, 'pulse')}, {counted(cost.reads, 'reading')}; "
        f"{counted(run.wear, 'pulse')} to the most pulsed device"
    )
    part = (
        "" if run.whole else f" (from {run.steps:,} of {counted(run.of_steps, 'step')}; hil price tells more)"
    )
    records = [Text(f"calibrations: {found.calibrations}")] if found.calibrations else []
    return Group(
        Text(told + part), *records, *(Text(f"warning: {each}", "yellow") for each in found.warnings)
    )


def told_in_full(found: Price) -> RenderableType:
    """A price as people read it."""
    about = [("devices", found.devices)]
    if found.exchange is not None:
        time = format_quantity(found.exchange.seconds, "s", digits=3)
        about.append(("an exchange", f"{time}, {found.exchange.source}"))
    if found.calibrations:
        about.append(("calibrations", found.calibrations))
    about.append(("rehearsed", _rehearsed(found)))
    most = "" if found.dose is None else f" of {found.dose:,} (limits.dose)"
    rows = [
        ("time on the bench", _range(found.range(lambda run: run.cost.seconds), duration)),
        ("transactions", _range(found.range(lambda run: run.cost.transactions), _whole)),
        ("pulses", _range(found.range(lambda run: run.cost.pulses), _whole)),
        ("readings", _range(found.range(lambda run: run.cost.reads), _whole)),
        ("energy", _energy(found)),
        ("most pulsed device", _range(found.range(lambda run: run.wear), _whole) + most),
        (
            "test accuracy",
            "only from whole runs: --full" if found.accuracy is None else _range(found.accuracy, percent),
        ),
    ]
    return Group(
        Text(f"{found.experiment} on {found.bench}", "bold"),
        two_columns(about),
        Text(),
        two_columns(rows),
        *(Text(f"warning: {each}", "yellow") for each in found.warnings),
    )


def _rehearsed(found: Price) -> str:
    first = min(run.seed for run in found.runs)
    seeds = f"{counted(len(found.runs), 'seed')} from {first}"
    if len(found.runs) > 1:
        seeds += " (the range in brackets is theirs, and tells nothing of how far this is from your devices)"
    if found.whole:
        return f"{seeds}, whole runs"
    fewest = min(found.runs, key=lambda run: run.steps)
    return (
        f"{seeds}, the first {fewest.steps:,} of {counted(fewest.of_steps, 'step')}; the others are counted "
        "like them, though later steps give fewer pulses as a rule"
    )


def document(found: Price) -> dict[str, Any]:
    """A price as plain data, SI units."""
    figures: dict[str, Callable[[Any], float]] = {
        "seconds": lambda run: run.cost.seconds,
        "transactions": lambda run: run.cost.transactions,
        "pulses": lambda run: run.cost.pulses,
        "half_selects": lambda run: run.cost.half_selects,
        "reads": lambda run: run.cost.reads,
        "joules": lambda run: run.cost.joules,
        "wear": lambda run: run.wear,
    }
    return {
        "experiment": found.experiment,
        "bench": found.bench,
        "devices": found.devices,
        "exchange": None if found.exchange is None else found.exchange._asdict(),
        "whole": found.whole,
        **{name: found.range(value)._asdict() for name, value in figures.items()},
        "accuracy": None if found.accuracy is None else found.accuracy._asdict(),
        "dose": found.dose,
        "warnings": list(found.warnings),
        "calibrations": found.calibrations or None,
        "runs": [
            {
                "seed": run.seed,
                "steps": run.steps,
                "of_steps": run.of_steps,
                "cost": asdict(run.cost),
                "wear": run.wear,
                "accuracy": run.accuracy,
            }
            for run in found.runs
        ],
    }


def _range(found: Range, written: Callable[[float], str]) -> str:
    mean, low, high = (written(value) for value in found)
    return mean if low == high else f"{mean}  ({low} to {high})"


def _whole(value: float) -> str:
    return f"{round(value):,}"


def _energy(found: Price) -> str:
    asked = sum(run.cost.pulses + run.cost.reads for run in found.runs)
    return _range(found.range(lambda run: run.cost.joules), lambda joules: energy(joules, asked))


def _console(stream: IO[str]) -> Console:
    width = None if stream.isatty() else _WIDTH_OF_FILES
    return Console(file=cast(IO[str], Tough(stream)), highlight=False, width=width, force_jupyter=False)
