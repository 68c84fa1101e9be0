"""What calibration routines will take before anything is powered: plans are driven on simulated devices."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.bench import Bench, Cost, Execution
from hil.calibrate.contracts import Irreversible, Routine, Target, cautions_of
from hil.config.bench import BenchSettings, LimitSettings
from hil.errors import ConfigError, LimitError, ScheduleError
from hil.limits import LimitedBench
from hil.plan import run, watched
from hil.price.exchange import Exchange
from hil.price.opening import rehearsal_of
from hil.price.sketch import Sketch
from hil.price.working import scaled
from hil.schedule import Program, Schedule
from hil.units import counted

Pulses: TypeAlias = NDArray[np.int64]
_FEWEST = 8
"""Schedules: those that look and prepare come first, and are not like the others."""


@dataclass(frozen=True, slots=True, eq=False)
class Foreseen:
    """What one routine on one array comes to.

    ``pulses`` to each device of the array [rows, cols]. ``share`` of its schedules was driven, so many
    ``schedules``, the others are counted like them. ``at_most``: it ends sooner where devices answer sooner.
    ``refused``: why it would be; then the cost is of what comes before that. ``cautions``: what the routine
    warns of.
    """

    routine: str
    array: str
    cost: Cost
    pulses: Pulses
    share: float = 1.0
    at_most: bool = False
    refused: str = ""
    cautions: tuple[str, ...] = ()
    schedules: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """What all routines come to, one after the other; ``exchange`` is None on a simulated bench."""

    routines: tuple[Foreseen, ...]
    exchange: Exchange | None
    warnings: tuple[str, ...]

    @property
    def cost(self) -> Cost:
        """Of all of them."""
        return sum((each.cost for each in self.routines), Cost())

    @property
    def wear(self) -> int:
        """Pulses to the most pulsed device of all arrays."""
        return max((int(each.max(initial=0)) for each in _by_array(self.routines).values()), default=0)

    def pulses(self, routine: str, array: str) -> int:
        """Of a routine on an array."""
        return sum(
            each.cost.pulses for each in self.routines if (each.routine, each.array) == (routine, array)
        )

    @property
    def whole(self) -> bool:
        """Whether every plan was driven to its end."""
        return all(each.share == 1 for each in self.routines)


@dataclass(slots=True)
class _Meter:
    """A recorder that adds up costs and pulses, and counts schedules."""

    pulses: Pulses
    cost: Cost = field(default_factory=Cost)
    schedules: int = 0

    def before(self, schedule: Schedule, *, durable: bool) -> None:
        """Nothing is kept."""

    def after(self, schedule: Schedule, execution: Execution) -> None:
        """Add what was done."""
        self.cost += execution.cost
        self.schedules += 1
        for op in schedule:
            if isinstance(op, Program):
                self.pulses[np.ix_(op.region.rows, op.region.cols)] += np.abs(op.counts.astype(np.int64))


@contextmanager
def sketched(
    settings: BenchSettings, exchange: Exchange, seed: int = 0
) -> Generator[tuple[LimitedBench, Sketch]]:
    """A bench file's instruments in sketch, and that within its limits; none is opened.

    Raises
    ------
    ConfigError
        The driver cannot be rehearsed, or not with these settings.
    """
    free = settings.model_copy(update={"limits": LimitSettings()})
    with rehearsal_of(settings, None, exchange)(free, {}, seed) as rehearsed:
        sketch = Sketch(rehearsed, settings, seed)
        yield LimitedBench(sketch, settings.limits.limits(), where=settings.where_limit), sketch


def foresee(name: str, routine: Routine, bench: Bench, target: Target, budget_s: float) -> Foreseen:
    """Drive a routine's plan for at most ``budget_s`` of real time and count the rest like it."""
    meter = _Meter(np.zeros(target.info.shape, np.int64))
    finished, refused, expected, cautions = True, "", 0, ()
    until = time.monotonic() + budget_s

    def over() -> bool:
        return meter.schedules >= _FEWEST and time.monotonic() > until

    try:
        cautions = cautions_of(routine, target)
        expected = routine.rounds(target)
        finished = run(watched(routine.plan(target), over), bench, meter)
    except (ConfigError, LimitError, ScheduleError) as error:
        refused = str(error)
    share = 1.0 if finished else meter.schedules / max(expected, meter.schedules + 1)
    return Foreseen(
        name,
        target.info.name,
        scaled(meter.cost, 1 / share),
        np.round(meter.pulses / share).astype(np.int64),
        share,
        isinstance(routine, Irreversible),
        refused,
        cautions,
        meter.schedules,
    )


def warnings_of(found: Sequence[Foreseen], settings: BenchSettings) -> tuple[str, ...]:
    """Budgets that the pulses to a device would exceed: limits.dose, and that of its life.

    Raises
    ------
    ConfigError
        The counters of a device's life cannot be read.
    """
    given = _by_array(found)
    told: list[str] = []
    dose, life = settings.limits.dose, settings.life
    most = max((int(each.max(initial=0)) for each in given.values()), default=0)
    if dose is not None and most > dose:
        told.append(f"a device would get {counted(most, 'pulse')}; limits.dose allows {dose:,}")
    if life is not None and most:
        told += life.warnings(given)
    return tuple(told)


def _by_array(found: Sequence[Foreseen]) -> Mapping[str, Pulses]:
    given: dict[str, Pulses] = {}
    for each in found:
        given[each.array] = given.get(each.array, 0) + each.pulses
    return given
