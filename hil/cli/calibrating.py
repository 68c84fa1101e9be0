"""`hil calibrate`: say what will be measured, show how it goes, leave in good order, say what came of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import typer
from rich.console import Console
from rich.text import Text

from hil import plugins, setup
from hil.calibrate.choose import notes, routines, within
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Irreversible, Routine, Target
from hil.calibrate.journal import rescue
from hil.calibrate.prepare import DEFAULT_SIZE, about_of, informed
from hil.calibrate.words import in_short
from hil.cli.bars import bar_on
from hil.cli.calibrated import document, results, spent
from hil.cli.estimating import (
    Wanted,
    ahead_of,
    declined,
    foreseen_wrong,
    refuse_foreseen,
    refuse_unasked,
)
from hil.cli.estimating import document as planned
from hil.cli.outcomes import SOME_REFUSED, Course, Outcome, look, plain
from hil.cli.present import require_present
from hil.cli.screen import CompilerOnce, Tough
from hil.cli.show import instruments, print_json, two_columns
from hil.cli.signals import AT_ONCE, Stop
from hil.config.bench import BenchSettings
from hil.errors import ConfigError, HilError, LimitError, ScheduleError
from hil.jit import watching_compiler
from hil.opened import OpenedBench
from hil.price.routines import Ahead

_WIDTH_OF_FILES = 120
_DECLINED = 2
"""Exit code: nothing was started."""


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
    with watching_compiler(CompilerOnce(console)):
        return _calibrated(asked, json, console)


def _calibrated(asked: Asked, json: bool, console: Console) -> int:
    names, skipped = _names(asked)
    chosen = routines(names, asked.overrides)
    conditions = notes(asked.notes)
    settings, given = setup.load_bench(asked.bench, asked.bench_overrides)
    size = _size_of(asked, settings)
    wanted = Wanted(settings, chosen, asked.devices, size, asked.seed, asked.out)
    if not asked.every:
        refuse_foreseen(chosen, settings, size)
    if not asked.yes:
        _ask(wanted, asked, console, json)
    with Stop() as stop:
        try:
            if settings.resources and not asked.yes:
                require_present(settings, console)
            ahead = ahead_of(wanted, console)
            if settings.resources and not asked.yes and declined(wanted, ahead, console):
                return stop.exit_code or _DECLINED
        except KeyboardInterrupt:
            console.print("not begun; nothing was output")
            return stop.exit_code
    rescued = rescue(asked.out)
    for path, record in rescued:
        told = f"an earlier {record.routine} of {record.array} was {record.partial}; it is kept as {path}"
        console.print(Text(told, "yellow"))
    course = Course()
    with Stop() as stop, _opened(asked, wanted, given, console) as bench:
        try:
            stop.be_patient(
                lambda name: console.print(f"{name}: finishing this schedule; once more stops at once")
            )
            chosen = {name: informed(name, each, bench, asked.out) for name, each in chosen.items()}
            about = about_of(bench, conditions)
            wholes = within(bench, asked.devices)
            course.jobs = [(target, name) for target in wholes for name in chosen]
            dark = _dark(bench, wholes, course, console) if asked.every else ()
            for target, name in course.jobs:
                if why := _left_out(name, target.info.name, dark, ahead):
                    course.note("skipped", why)
                elif not stop():
                    _one(name, chosen[name], bench, target, about, asked, console, stop, course)
        except KeyboardInterrupt as error:
            for line in (AT_ONCE, *getattr(error, "__notes__", ())):
                console.print(Text(line, "yellow"))
        except HilError:
            if course.kept:
                course.tell(console, skipped, every=asked.every)
            raise
        if bench.lost_record:
            console.print(Text(bench.lost_record, "yellow"))
    course.tell(console, skipped, every=asked.every)
    if json:
        records = [{"record": str(each.path), **document(each.record)} for each in course.kept]
        rescues = [{"record": str(path), "partial": record.partial} for path, record in rescued]
        print_json(
            {
                "records": records,
                "estimate": None if ahead is None else planned(ahead),
                "outcomes": [plain(each) for each in course.all(skipped)],
                "cost": asdict(course.total[0]),
                "not_done": course.left,
                "rescued": rescues,
            }
        )
    refused = any(each.how == "refused" for each in course.outcomes)
    return stop.exit_code or (SOME_REFUSED if refused else 0)


def _dark(bench: OpenedBench, wholes: Sequence[Target], course: Course, console: Console) -> set[str]:
    """Arrays whose devices hardly conduct, which is told."""
    found = {target.info.name: look(bench, target, course) for target in wholes}
    for told in filter(None, found.values()):
        console.print(Text(told, "yellow"), Text(), sep="\n")
    return {name for name, told in found.items() if told}


def _left_out(name: str, array: str, dark: Collection[str], ahead: Ahead | None) -> str:
    """Why a routine is not begun on an array that looks open; "" if it is begun."""
    if array not in dark:
        return ""
    if ahead is None:
        return f"most of {array} look open, and without an estimate nothing tells whether it pulses them"
    return f"it pulses devices, and most of {array} look open" if ahead.pulses(name, array) else ""


def _ask(wanted: Wanted, asked: Asked, console: Console, json: bool) -> None:
    """Refuse where a person is needed and there is none; on a simulated bench have one confirm what changes
    its devices for good. On instruments the question comes with the estimate.
    """
    settings = wanted.settings
    for name, routine in wanted.routines.items():
        if not isinstance(routine, Irreversible):
            continue
        what, wrong = f"{name} {routine.warning}", foreseen_wrong(routine, settings, DEFAULT_SIZE)
        if not settings.resources and (json or not sys.stdin.isatty()):
            raise ConfigError(f"{wrong}{what}; say so with --yes if that is meant")
        if wrong:
            raise ConfigError(f"{wrong}{what}; nothing was done")
        devices = ", ".join(asked.devices) or "all devices"
        if not settings.resources and not typer.confirm(f"{what}. Bench {settings.name}, {devices}: go on?"):
            raise ConfigError(f"{what}: not confirmed; nothing was done")
    if settings.resources:
        refuse_unasked(wanted, console)


def _one(
    name: str,
    routine: Routine,
    bench: OpenedBench,
    target: Target,
    about: About,
    asked: Asked,
    console: Console,
    stop: Stop,
    course: Course,
) -> None:
    """One routine, told and noted; of all, one that is refused does not keep the others from it."""
    rows, cols = target.shape
    title = f"{name} of {target.info.name} {rows} x {cols}"
    before = len(course.kept)
    try:
        with bar_on(console) as shown:
            told = shown.begin(title, routine.rounds(target))
            kept = calibrate(
                name, routine, bench, target, about, asked.out, told, stop,
                begun=bench.record_beside, written=course.kept.append,
                analysing=stop.prompt, keeping=stop.held, reconnect_s=bench.reconnect_s,
                happened=lambda kind, text: shown.say(f"{kind}: {in_short(text)}"),
            )  # fmt: skip
    except (ConfigError, LimitError, ScheduleError) as error:
        if not asked.every:
            if len(course.kept) > before:
                course.note("ended", str(error))
            raise
        course.note("refused", str(error))
        lines = (f"{title}: refused: {error}", *getattr(error, "__notes__", ()))
        console.print(*(Text(line, "yellow") for line in lines), Text(), sep="\n")
        return
    except BaseException as error:
        if len(course.kept) > before:
            course.note("ended", str(error))
        raise
    estimates = kept.record.result.estimates.values()
    nothing = bool(estimates) and all(np.isnan(each.value) for each in estimates)
    if kept.record.partial is None:
        course.note("done", "nothing was determined" if nothing else "")
    else:
        course.note("stopped", kept.record.partial)
    facts = [("took", spent(kept.record)), ("record", str(kept.path))]
    console.print(Text(title, "bold"), results(kept.record), two_columns(facts), Text(), sep="\n")


@contextmanager
def _opened(asked: Asked, wanted: Wanted, given: setup.Given, console: Console) -> Generator[OpenedBench]:
    settings = wanted.settings
    with setup.open_bench(settings, {"main": wanted.size}, asked.seed, given=given) as bench:
        arrays = ", ".join(f"{info.name} {info.rows} x {info.cols}" for info in bench.arrays.values())
        if _sizeless(settings) and asked.size is None:
            arrays += " (the bench file names none; --size asks for another)"
        rows = [("bench", f"{settings.name}: {instruments(bench.identity)}"), ("arrays", arrays)]
        console.print(two_columns(rows), *(Text(each, "yellow") for each in bench.doubts), Text(), sep="\n")
        yield bench


def _sizeless(settings: BenchSettings) -> bool:
    resolved: dict[str, Any] = settings.model_dump(mode="json")
    return "arrays" in resolved and resolved["arrays"] is None


def _size_of(asked: Asked, settings: BenchSettings) -> tuple[int, int]:
    size = DEFAULT_SIZE if asked.size is None else _size(asked.size)
    if asked.size is not None and not _sizeless(settings):
        raise ConfigError(f"--size {asked.size}: {asked.bench} names its arrays; leave --size out")
    return size


def _names(asked: Asked) -> tuple[tuple[str, ...], list[Outcome]]:
    """What is asked for, and what --all leaves out."""
    installed = plugins.names("calibrations")
    if asked.every and asked.routines:
        raise ConfigError("--routine and --all: give one of them")
    if not (asked.every or asked.routines):
        raise ConfigError(
            "what shall be measured? give --routine NAME, or --all; installed: "
            + (", ".join(installed) or "none")
        )
    if not asked.every:
        return tuple(dict.fromkeys(asked.routines)), []
    left = [name for name in installed if _for_good(plugins.load("calibrations", name))]
    why = "it changes devices for good: only by name"
    chosen = tuple(name for name in installed if name not in left)
    return chosen, [Outcome(name, "", "skipped", why) for name in left]


def _for_good(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Irreversible)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    if match is None:
        raise ConfigError(f"--size {text}: not of the form ROWSxCOLS; write e.g. 32x32")
    return int(match[1]), int(match[2])
