"""Before `hil calibrate` begins: what its routines will take, and on instruments whether to go on."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from hil import setup
from hil.bench import ArrayInfo
from hil.calibrate import FOLDER
from hil.calibrate.choose import within
from hil.calibrate.contracts import Irreversible, Routine, Target
from hil.config.bench import BenchSettings
from hil.errors import ConfigError, HilError
from hil.interrupt import unwrapped_interrupts
from hil.limits import LimitedBench
from hil.price.exchange import exchange_of
from hil.price.routines import Ahead, Foreseen, foresee, sketched, warnings_of
from hil.price.sketch import Sketch
from hil.units import counted, duration, format_quantity

_MOMENT_S = 3.0
"""Real time for each routine's plan; what is left then is counted like what was driven."""
_MOMENT_SIMULATED_S = 0.5
_LONG_S = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be measured: routines by name, on lines of arrays as on the command line; ``size`` and
    ``seed`` of a simulated bench; ``out``: where records are.
    """

    settings: BenchSettings
    routines: Mapping[str, Routine]
    devices: tuple[str, ...]
    size: tuple[int, int]
    seed: int
    out: Path


def ahead_of(wanted: Wanted, console: Console) -> Ahead | None:
    """What it will take, said; None, and why, where that cannot be found out.

    Raises
    ------
    ConfigError
        Lines that the arrays have not; counters of a device's life that cannot be read.
    """
    settings = wanted.settings
    if not settings.resources:
        found = _simulated(wanted)
        if long := [each for each in found.routines if each.cost.seconds >= _LONG_S]:
            times = ", ".join(f"{each.routine} about {duration(each.cost.seconds)}" for each in long)
            told = f"long on the bench's own time, which is simulated and not waited for: {times}"
            console.print(Text(told), Text(), sep="\n")
        for caution in dict.fromkeys(each for one in found.routines for each in one.cautions):
            console.print(Text(f"warning: {caution}", "yellow"))
        return found
    try:
        with console.status("rehearsing the routines ..."), unwrapped_interrupts():
            found = _instruments(wanted)
    except _NotRehearsedError as error:
        console.print(Text(f"no estimate of what it will take: {error}", "yellow"), Text(), sep="\n")
        return None
    console.print(_told(found, settings), Text(), sep="\n")
    return found


class _NotRehearsedError(Exception):
    """Why there is no estimate."""


def _instruments(wanted: Wanted) -> Ahead:
    settings, now = wanted.settings, datetime.now(UTC)
    exchange = exchange_of(settings, (wanted.out, Path(settings.file).parent / FOLDER), now)
    with ExitStack() as opened:
        try:
            bench, sketch = opened.enter_context(sketched(settings, exchange))
        except HilError as error:
            raise _NotRehearsedError(str(error)) from error
        wholes = within(bench, wanted.devices)
        try:
            found = _all(wanted, bench, wholes, _MOMENT_S, sketch)
        except HilError as error:
            raise _NotRehearsedError(str(error)) from error
    return Ahead(found, exchange, warnings_of(found, settings))


def _simulated(wanted: Wanted) -> Ahead:
    with setup.open_bench(wanted.settings.unworn, {"main": wanted.size}, wanted.seed) as bench:
        found = _all(wanted, bench, within(bench, wanted.devices), _MOMENT_SIMULATED_S)
    return Ahead(found, None, warnings_of(found, wanted.settings))


def _all(
    wanted: Wanted,
    bench: LimitedBench,
    wholes: Sequence[Target],
    budget_s: float,
    sketch: Sketch | None = None,
) -> tuple[Foreseen, ...]:
    found: list[Foreseen] = []
    for target in wholes:
        for name, routine in wanted.routines.items():
            if sketch is not None:
                sketch.unformed = isinstance(routine, Irreversible)
            found.append(foresee(name, routine, bench, target, budget_s))
    return tuple(found)


def declined(wanted: Wanted, found: Ahead | None, console: Console) -> bool:
    """Ask whether to go on; say so if not."""
    pulses = None if found is None else found.cost.pulses
    for name, routine in wanted.routines.items():
        if isinstance(routine, Irreversible):
            console.print(f"{name} {routine.warning}", markup=False)
    if pulses:
        told = f"{counted(pulses, 'pulse changes', 'pulses change')} what devices hold and wear"
        told += f"{'s' * (pulses == 1)} them: neither can be taken back"
        console.print(told, markup=False)
    elif pulses == 0 and found is not None and not any(each.refused for each in found.routines):
        driven = sum(each.schedules for each in found.routines)
        part = (
            ""
            if found.whole
            else f" in the {counted(driven, 'schedule')} that were rehearsed; later ones may pulse"
        )
        console.print(f"nothing is pulsed{part}", markup=False)
    console.print("go on? [y/N] ", end="", markup=False)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return False
    console.print("not begun; nothing was output")
    return True


def refuse_unasked(wanted: Wanted, console: Console) -> None:
    """Raise ConfigError where there is no terminal to ask at."""
    if sys.stdin.isatty() and console.is_terminal:
        return
    settings = wanted.settings
    what = "".join(
        f"{name} {routine.warning}; "
        for name, routine in wanted.routines.items()
        if isinstance(routine, Irreversible)
    )
    raise ConfigError(
        f"{settings.file}: {what}this bench has devices that stay as a calibration leaves them, and there is "
        "no terminal to ask at; say --yes to calibrate without a question"
    )


def foreseen_wrong(routine: Irreversible, settings: BenchSettings, size: tuple[int, int]) -> str:
    """A line with what a routine will refuse of its settings, as far as the bench file tells; or ""."""
    target = _typical(settings, size)
    if target is None:
        return ""
    try:
        cast(Routine, routine).rounds(target)
    except ConfigError as error:
        return f"{error}\n"
    return ""


def refuse_foreseen(chosen: Mapping[str, Routine], settings: BenchSettings, size: tuple[int, int]) -> None:
    """Refuse with ConfigError, before the bench is opened, what a routine's plan refuses of its settings as
    far as the bench file tells.
    """
    target = _typical(settings, size)
    for name, routine in chosen.items():
        if target is None or isinstance(routine, Irreversible):
            continue
        try:
            with closing(routine.plan(target)) as plan:
                next(plan, None)
        except ConfigError as error:
            raise ConfigError(f"{name}.{error}") from error


def _typical(settings: BenchSettings, size: tuple[int, int]) -> Target | None:
    """An array as the bench file has it; None if that tells no data sheet."""
    if (sheet := settings.typical) is None:
        return None
    return replace(Target.whole(ArrayInfo("main", *size, sheet)), limits=settings.limits.limits())


def _told(found: Ahead, settings: BenchSettings) -> Group:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("expected", "time", "readings", "pulses", "to one device"):
        table.add_column(heading, justify="left" if heading == "expected" else "right", no_wrap=True)
    several = len({each.array for each in found.routines}) > 1
    notes = [Text()]
    if found.exchange is not None:
        time = format_quantity(found.exchange.seconds, "s", digits=3)
        notes.append(Text(f"of typical devices; an exchange takes {time}, {found.exchange.source}"))
    for each in found.routines:
        name = each.routine + (f" of {each.array}" if several else "")
        table.add_row(name, *_figures(each))
        notes += [Text(f"{name}: {caution}", "yellow") for caution in each.cautions]
        if each.refused:
            notes.append(Text(f"{name} will be refused: {each.refused}", "yellow"))
    if len(found.routines) > 1:
        cost = found.cost
        table.add_row(
            "in all", duration(cost.seconds), f"{cost.reads:,}", f"{cost.pulses:,}", f"{found.wear:,}"
        )
    if settings.limits.dose is not None:
        notes.append(
            Text(
                f"limits.dose allows {counted(settings.limits.dose, 'pulse')} to a device in this calibration"
            )
        )
    notes += [Text(f"warning: {each}", "yellow") for each in found.warnings]
    return Group(table, *notes)


def _figures(each: Foreseen) -> tuple[str, ...]:
    cost = each.cost
    about = "at most " if each.at_most else "" if each.share == 1 else "about "
    most = int(each.pulses.max(initial=0))
    return about + duration(cost.seconds), f"{cost.reads:,}", f"{cost.pulses:,}", f"{most:,}"


def document(found: Ahead) -> dict[str, Any]:
    """What it will take as plain data, SI units."""
    return {
        "exchange": None if found.exchange is None else found.exchange._asdict(),
        "whole": found.whole,
        "cost": asdict(found.cost),
        "most_pulses": found.wear,
        "warnings": list(found.warnings),
        "routines": [
            {
                "routine": each.routine,
                "array": each.array,
                "cost": asdict(each.cost),
                "most_pulses": int(each.pulses.max(initial=0)),
                "share": each.share,
                "at_most": each.at_most,
                "refused": each.refused or None,
                "cautions": list(each.cautions),
            }
            for each in found.routines
        ],
    }
