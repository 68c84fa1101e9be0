"""`hil calibrate`: say what will be measured, show how it goes, leave in good order, say what came of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from hil import plugins, setup
from hil.bench import ArrayInfo, Cost
from hil.calibrate.choose import notes, routines, targets
from hil.calibrate.conduct import About, Kept, calibrate
from hil.calibrate.contracts import Irreversible, Routine, Target
from hil.calibrate.file import read_record, record_paths
from hil.calibrate.journal import rescue
from hil.cli.calibrated import document, results, spent
from hil.cli.screen import Tough
from hil.cli.show import instruments, print_json, two_columns
from hil.cli.signals import AT_ONCE, Stop
from hil.config.bench import BenchSettings
from hil.errors import ConfigError, HilError, StoreError
from hil.opened import OpenedBench
from hil.units import duration

DEFAULT_SIZE = (32, 32)
_WIDTH_OF_FILES = 120


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for on the command line."""

    bench: Path
    routines: tuple[str, ...]
    every: bool
    devices: tuple[str, ...]
    overrides: tuple[str, ...]
    bench_overrides: tuple[str, ...]
    size: str | None
    seed: int
    notes: tuple[str, ...]
    out: Path
    yes: bool = False


def run_calibrations(asked: Asked, json: bool) -> int:
    """Calibrate as asked and return the exit code.

    Raises
    ------
    HilError
        What kept it from starting, or ended it; then its notes name the partial record.
    """
    stream = sys.stderr if json else sys.stdout
    width = None if stream.isatty() else _WIDTH_OF_FILES
    console = Console(file=cast(IO[str], Tough(stream)), highlight=False, width=width)
    chosen = routines(_names(asked), asked.overrides)
    conditions = notes(asked.notes)
    settings, given = setup.load_bench(asked.bench, asked.bench_overrides)
    for name, routine in chosen.items():
        if isinstance(routine, Irreversible) and not asked.yes:
            _ask(name, routine, asked, settings, json)
    about = About(
        settings.name,
        {
            "file": given.path.name,
            "given": given.text,
            "set": list(given.overrides),
            "resolved": settings.model_dump(mode="json"),
        },
        conditions,
    )
    rescued = rescue(asked.out)
    for path, record in rescued:
        told = f"an earlier {record.routine} of {record.array} was {record.partial}; it is kept as {path}"
        console.print(Text(told, "yellow"))
    kept: list[Kept] = []
    jobs: list[tuple[Target, str, Routine]] = []
    with Stop() as stop, _opened(asked, settings, console) as bench:
        try:
            stop.be_patient(
                lambda name: console.print(f"{name}: finishing this schedule; once more stops at once")
            )
            if bench.durable:
                chosen = {name: _informed(name, each, asked, settings.name) for name, each in chosen.items()}
            for whole in targets(bench.arrays, asked.devices):
                target = replace(whole, limits=bench.limits)
                jobs += [(target, name, routine) for name, routine in chosen.items()]
            for target, name, routine in jobs:
                if not stop():
                    _one(name, routine, bench, target, about, asked.out, console, stop, kept.append)
        except KeyboardInterrupt as error:
            for line in (AT_ONCE, *getattr(error, "__notes__", ())):
                console.print(Text(line, "yellow"))
        except HilError:
            if kept:
                _in_all(kept, jobs, console)
            raise
        if bench.lost_record:
            console.print(Text(bench.lost_record, "yellow"))
    total, left = _in_all(kept, jobs, console)
    if json:
        records = [{"record": str(each.path), **document(each.record)} for each in kept]
        rescues = [{"record": str(path), "partial": record.partial} for path, record in rescued]
        print_json({"records": records, "cost": asdict(total), "not_done": left, "rescued": rescues})
    return stop.exit_code


def _in_all(
    kept: Sequence[Kept], jobs: Sequence[tuple[Target, str, Routine]], console: Console
) -> tuple[Cost, list[str]]:
    """Say what was spent, pulses in doubt as given, and what has no record; both are returned."""
    total = sum((each.record.cost for each in kept), Cost())
    given = sum(int(each.record.pulses_spent.sum()) for each in kept)
    doubt = max(0, given - total.pulses)
    total.pulses += doubt
    pulses = f"{total.pulses:,} pulses" + (f" ({doubt:,} in doubt, counted as given)" if doubt else "")
    console.print(Text(f"in all: {duration(total.seconds)} on the bench, {total.reads:,} readings, "
                       f"{pulses}, {total.transactions:,} transactions"))  # fmt: skip
    several = len({target.info.name for target, _, _ in jobs}) > 1
    left = [name + (f" of {target.info.name}" if several else "") for target, name, _ in jobs[len(kept) :]]
    if left:
        console.print(Text(f"not done: {', '.join(left)}", "yellow"))
    return total, left


def _ask(name: str, routine: Irreversible, asked: Asked, settings: BenchSettings, json: bool) -> None:
    """Have a person confirm it; refuse where there is none to ask, or something else is wrong beside."""
    what, wrong = f"{name} {routine.warning}", _foreseen(routine, settings)
    if json or not sys.stdin.isatty():
        raise ConfigError(f"{wrong}{what}; say so with --yes if that is meant")
    if wrong:
        raise ConfigError(f"{wrong}{what}; nothing was done")
    devices = ", ".join(asked.devices) or "all devices"
    if not typer.confirm(f"{what}. Bench {settings.name}, {devices}: go on?"):
        raise ConfigError(f"{what}: not confirmed; nothing was done")


def _foreseen(routine: Irreversible, settings: BenchSettings) -> str:
    """A line with what a routine will refuse of its settings, as far as the bench file tells; or ""."""
    sheet = settings.typical
    if sheet is None:
        return ""
    target = replace(Target.whole(ArrayInfo("main", *DEFAULT_SIZE, sheet)), limits=settings.limits.limits())
    try:
        cast(Routine, routine).rounds(target)
    except ConfigError as error:
        return f"{error}\n"
    return ""


def _informed(name: str, routine: Routine, asked: Asked, bench: str) -> Routine:
    """A routine that changes devices for good, told what its records in the folder say of this bench."""
    if not isinstance(routine, Irreversible):
        return routine
    try:
        records = [read_record(path) for path in record_paths(asked.out)]
    except StoreError as error:
        error.add_note(f"{name} has to know what was done to these devices before; nothing was output")
        raise
    return routine.after([each for each in records if (each.routine, each.bench) == (name, bench)])


def _one(
    name: str,
    routine: Routine,
    bench: OpenedBench,
    target: Target,
    about: About,
    out: Path,
    console: Console,
    stop: Stop,
    written: Callable[[Kept], None],
) -> None:
    rows, cols = target.shape
    title = f"{name} of {target.info.name} {rows} x {cols}"
    with _progress(console, title, routine.rounds(target)) as told:
        kept = calibrate(
            name, routine, bench, target, about, out, told, stop,
            begun=bench.record_beside, written=written, analysing=stop.prompt, keeping=stop.held,
        )  # fmt: skip
    facts = [("took", spent(kept.record)), ("record", str(kept.path))]
    console.print(Text(title, "bold"), results(kept.record), two_columns(facts), Text(), sep="\n")


@contextmanager
def _progress(console: Console, title: str, rounds: int) -> Generator[Callable[[int], None]]:
    """A bar on a terminal; a line at the start elsewhere."""
    if not console.is_terminal:
        console.print(f"{title} ...")
        yield lambda done: None
        return
    columns = TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=rounds)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def _opened(asked: Asked, settings: BenchSettings, console: Console) -> Generator[OpenedBench]:
    size = DEFAULT_SIZE if asked.size is None else _size(asked.size)
    resolved: dict[str, Any] = settings.model_dump(mode="json")
    free = "arrays" in resolved and resolved["arrays"] is None
    if asked.size is not None and not free:
        raise ConfigError(f"--size {asked.size}: {asked.bench} names its arrays; leave --size out")
    with setup.open_bench(settings, {"main": size}, asked.seed) as bench:
        arrays = ", ".join(f"{info.name} {info.rows} x {info.cols}" for info in bench.arrays.values())
        if free and asked.size is None:
            arrays += " (the bench file names none; --size asks for another)"
        rows = [("bench", f"{settings.name}: {instruments(bench.identity)}"), ("arrays", arrays)]
        console.print(two_columns(rows), *(Text(each, "yellow") for each in bench.doubts), Text(), sep="\n")
        yield bench


def _names(asked: Asked) -> tuple[str, ...]:
    installed = plugins.names("calibrations")
    if asked.every and asked.routines:
        raise ConfigError("--routine and --all: give one of them")
    if not (asked.every or asked.routines):
        raise ConfigError(
            "what shall be measured? give --routine NAME, or --all; installed: "
            + (", ".join(installed) or "none")
        )
    if not asked.every:
        return tuple(dict.fromkeys(asked.routines))
    return tuple(name for name in installed if not _for_good(plugins.load("calibrations", name)))


def _for_good(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Irreversible)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    if match is None:
        raise ConfigError(f"--size {text}: not of the form ROWSxCOLS; write e.g. 32x32")
    return int(match[1]), int(match[2])
