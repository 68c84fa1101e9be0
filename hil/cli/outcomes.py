"""What became of each routine of a calibration: done, refused, stopped; told at the end whatever ended it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hil.bench import Bench, Cost
from hil.calibrate.conduct import Kept
from hil.calibrate.contracts import Target
from hil.errors import LimitError
from hil.schedule import Read, ReadAnswer
from hil.units import counted, duration

How: TypeAlias = Literal["done", "stopped", "refused", "ended", "skipped", "not done"]

SOME_REFUSED = 6
"""Exit code: what is not refused is kept."""
_OPEN_BELOW = 0.1
_MANY = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a routine on an array, and why; on all arrays: ""."""

    routine: str
    array: str
    how: How
    why: str = ""


@dataclass(slots=True)
class Course:
    """What has been kept, what became of the routines so far, and which are to come."""

    kept: list[Kept] = field(default_factory=list[Kept])
    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    jobs: list[tuple[Target, str]] = field(default_factory=list[tuple[Target, str]])
    looked: Cost = field(default_factory=Cost)
    """What the look took that no record has."""

    def note(self, how: How, why: str = "") -> None:
        """What became of the next job."""
        target, name = self.jobs[len(self.outcomes)]
        self.outcomes.append(Outcome(name, target.info.name, how, why))

    @property
    def left(self) -> list[str]:
        """Those that were not begun, or have no record of what they did."""
        several = len({target.info.name for target, _ in self.jobs}) > 1
        return [
            name + (f" of {target.info.name}" if several else "")
            for target, name in self.jobs[len(self.outcomes) :]
        ]

    @property
    def total(self) -> tuple[Cost, int]:
        """What was spent, and how many of its pulses are in doubt, which are counted as given."""
        total = sum((each.record.cost for each in self.kept), self.looked)
        given = sum(int(each.record.pulses_spent.sum()) for each in self.kept)
        doubt = max(0, given - total.pulses)
        total.pulses += doubt
        return total, doubt

    def tell(self, console: Console, skipped: Sequence[Outcome] = (), *, every: bool) -> None:
        """Say what was spent; of all routines each outcome, else those that are not done."""
        total, doubt = self.total
        pulses = counted(total.pulses, "pulse") + (
            f" ({doubt:,} in doubt, counted as given)" if doubt else ""
        )
        if every:
            console.print(_table(self.all(skipped)))
        console.print(Text(f"in all: {duration(total.seconds)} on the bench, "
                           f"{counted(total.reads, 'reading')}, {pulses}, "
                           f"{counted(total.transactions, 'transaction')}"))  # fmt: skip
        if self.left:
            console.print(Text(f"not done: {', '.join(self.left)}", "yellow"))

    def all(self, skipped: Sequence[Outcome] = ()) -> list[Outcome]:
        """Of every job, and what was left out from the first."""
        to_come = self.jobs[len(self.outcomes) :]
        left = [Outcome(name, target.info.name, "not done") for target, name in to_come]
        return [*self.outcomes, *left, *skipped]


def look(bench: Bench, target: Target, course: Course) -> str:
    """A sentence if most devices conduct as open ones do, by one reading; "" if not, or it is not allowed."""
    sheet = target.info.device
    try:
        found = bench.execute((Read(target.region, sheet.read_voltage_v, sheet.integration_s),))
    except LimitError:
        return ""
    course.looked += found.cost
    (answer,) = found.answers
    if not isinstance(answer, ReadAnswer):
        return ""
    siemens = np.abs(answer.amperes / answer.voltage_v)
    dark = int(np.count_nonzero((siemens < _OPEN_BELOW * sheet.g_min_s) & ~answer.clipped))
    if dark <= _MANY * siemens.size:
        return ""
    devices = counted(siemens.size, "device conducts", "devices conduct")
    return (
        f"{target.info.name}: {dark:,} of {devices} as open ones do. New ones may "
        "have to be formed first: hil calibrate BENCH.yaml --routine forming. Is the array connected?"
    )


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("routine", no_wrap=True)
    several = len({each.array for each in outcomes if each.array}) > 1
    if several:
        table.add_column("array", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("")
    for each in outcomes:
        style = "" if each.how in ("done", "skipped") else "yellow"
        cells = [each.routine, *([each.array] if several else []), each.how, each.why]
        table.add_row(*(Text(cell, style) for cell in cells))
    return table


def plain(outcome: Outcome) -> dict[str, Any]:
    """For `--json`."""
    return {
        "routine": outcome.routine,
        "array": outcome.array or None,
        "outcome": outcome.how,
        "why": outcome.why or None,
    }
