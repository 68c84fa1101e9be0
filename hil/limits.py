"""What may be asked of a bench, checked on whole schedules before the first volt; and every device's wear.

A limit refuses, it never clips: a lowered voltage is another experiment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType
from typing import Any, NoReturn, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from hil.bench import ArrayInfo, Bench, Execution
from hil.errors import ConfigError, LimitError, ScheduleError
from hil.schedule import (
    MAX_COUNT,
    Counts,
    Floats,
    Index,
    Multiply,
    Nudge,
    Op,
    Places,
    Program,
    Pulse,
    Read,
    Schedule,
    Wait,
)
from hil.units import counted

T = TypeVar("T", int, float)
Doses: TypeAlias = NDArray[np.integer[Any]]

MAX_DOSE = 2**31
"""The largest dose that is counted: a further pulse is refused, whatever the budget."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that may be asked; None leaves a quantity unbounded. ``&`` joins limits of different origin.

    Only what is exact before any output is here. A current depends on the conductances, so its bound is the
    instrument's compliance, not a limit.

    Parameters
    ----------
    read_v
        Magnitude of every voltage of Read, Multiply and Nudge; of arrays as :func:`largest_admitted` says.
    program_v
        Magnitude of every programming pulse, used or not.
    width_min_s, width_max_s
        Width of every programming pulse, used or not.
    pulses_per_op
        Pulses to one device in one operation. A pulse nudge gives its device twice its size.
    dose
        Pulses to one device over its life, as far as the doses given to `LimitedBench` tell.

    Raises
    ------
    ConfigError
        A bound is negative or NaN, or the shortest width is above the longest.
    """

    read_v: float | None = None
    program_v: float | None = None
    width_min_s: float | None = None
    width_max_s: float | None = None
    pulses_per_op: int | None = None
    dose: int | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            bound = getattr(self, item.name)
            if bound is not None and not bound >= 0:
                raise ConfigError(f"limit {item.name}: asked for {bound!r}; a number of 0 or more is needed")
        low, high = self.width_min_s, self.width_max_s
        if low is not None and high is not None and low > high:
            raise ConfigError(f"limits: width_min_s {low:g} s is above width_max_s {high:g} s")

    def __and__(self, other: Limits) -> Limits:
        """Allow only what both allow: hardware & bench & run."""
        return Limits(
            read_v=_tighter(self.read_v, other.read_v, min),
            program_v=_tighter(self.program_v, other.program_v, min),
            width_min_s=_tighter(self.width_min_s, other.width_min_s, max),
            width_max_s=_tighter(self.width_max_s, other.width_max_s, min),
            pulses_per_op=_tighter(self.pulses_per_op, other.pulses_per_op, min),
            dose=_tighter(self.dose, other.dose, min),
        )


@cache
def largest_admitted(bound_v: float, kind: str) -> float:
    """The largest magnitude of volts of a dtype ("f" float32, "d" float64) that is within a bound.

    The one rule, for limits and for converters. Float64 is held against the bound itself. Float32 values
    scaled to a peak, x (bound / max|x|), end up to one float32 step above the rounded bound, so that step is
    admitted: at most 1.8e-7 of the bound, 18 nV on 100 mV, where 24 bits resolve 12 nV.
    """
    if kind != "f":
        return bound_v
    largest = np.finfo(np.float32).max
    return float(np.nextafter(np.float32(min(bound_v, float(largest))), largest))


def _tighter(one: T | None, other: T | None, choose: Callable[[T, T], T]) -> T | None:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)


@dataclass(frozen=True, slots=True)
class Wear:
    """The most pulsed device: its array, row and column, and its pulses."""

    array: str
    row: int
    col: int
    pulses: int


class LimitedBench:
    """A bench that refuses what is over its limits, a whole schedule at a time, and counts every pulse.

    Parameters
    ----------
    bench
        The bench that is asked for everything else.
    limits
        The bounds.
    doses
        Pulses that devices had before, counts [rows, cols] by array name (copied); other arrays start at 0.
    where
        Tells the place of a field of `Limits`, e.g. "bench.yaml:3: limits.dose", for messages.

    Raises
    ------
    ConfigError
        Doses are for an array that the bench has not, or of another shape, or not counts.

    Notes
    -----
    Pulses are counted as asked for, before they are output. A schedule that fails or is interrupted half-way
    counts as spent in full, so a dose is never too low. A schedule refused with LimitError or ScheduleError,
    here or by the bench, put nothing out and counts nothing.
    """

    def __init__(
        self,
        bench: Bench,
        limits: Limits,
        doses: Mapping[str, Doses] | None = None,
        where: Callable[[str], str] = "limit {}".format,
    ) -> None:
        self.limits = limits
        self._where = where
        self._bench = bench
        self._read_v = None if limits.read_v is None else float(limits.read_v)
        most, dose = limits.pulses_per_op, limits.dose
        self._most = MAX_COUNT if most is None else most
        self._dose = MAX_DOSE if dose is None else min(dose, MAX_DOSE)
        self._doses = {name: np.zeros(info.shape, np.uint32) for name, info in bench.arrays.items()}
        for name, before in (doses or {}).items():
            self._doses[name] = _earlier(name, before, bench.arrays)

    @property
    def arrays(self) -> Mapping[str, ArrayInfo]:
        """The arrays by name."""
        return self._bench.arrays

    @property
    def durable(self) -> bool:
        """Whether device state outlives this process."""
        return self._bench.durable

    @property
    def identity(self) -> Mapping[str, str]:
        """Role to identity of everything that takes part."""
        return self._bench.identity

    @property
    def doses(self) -> Mapping[str, NDArray[np.uint32]]:
        """Pulses of every device [rows, cols] by array name: a live, read-only view; copy it to keep it."""
        views = {name: dose.view() for name, dose in self._doses.items()}
        for view in views.values():
            view.setflags(write=False)
        return MappingProxyType(views)

    @property
    def wear(self) -> Wear | None:
        """The most pulsed device, the first of equals; None on a bench without devices."""
        worst: Wear | None = None
        for name, dose in self._doses.items():
            if dose.size:
                row, col = divmod(int(dose.argmax()), dose.shape[1])
                if worst is None or dose[row, col] > worst.pulses:
                    worst = Wear(name, row, col, int(dose[row, col]))
        return worst

    def make_safe(self) -> None:
        """All outputs at 0 V and off. Never raises; may be called twice."""
        self._bench.make_safe()

    def close(self) -> None:
        """Make safe and let go of the instruments."""
        self._bench.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        arrays = ", ".join(f"{info.name} {info.rows} x {info.cols}" for info in self.arrays.values())
        bounds = [(item.name, getattr(self.limits, item.name)) for item in fields(self.limits)]
        limits = ", ".join(f"{name} {bound:g}" for name, bound in bounds if bound is not None)
        what = f"{type(self._bench).__name__} with {arrays or 'no array'}"
        return f"<LimitedBench: {what}; limits: {limits or 'none'}>"

    def execute(self, schedule: Schedule) -> Execution:
        """Check every operation, count its pulses, then have the bench run the schedule.

        Raises
        ------
        LimitError
            An operation asks for more than allowed or for a voltage that is not finite. Nothing was output.
        ScheduleError, BenchError
            As from any bench.
        """
        admitted = 0
        try:
            for op in schedule:
                self._admit(op, admitted)
                admitted += 1
            return self._bench.execute(schedule)
        except (LimitError, ScheduleError):
            for op in schedule[:admitted]:
                self._take_back(op)
            raise

    def _admit(self, op: Op, number: int) -> None:
        if isinstance(op, Multiply):
            self._check_volts(op.volts, op, number)
            if op.variants is not None:
                self._check_volts(op.variants.volts, op, number)
        elif isinstance(op, Program):
            self._check_pulse(op.potentiate, op, number)
            self._check_pulse(op.depress, op, number)
            self._count(op, number)
        elif isinstance(op, Nudge):
            self._check_volts(op.volts, op, number)
            if op.kind == "pulse":
                for pulse in (op.potentiate, op.depress):
                    if pulse is not None:
                        self._check_pulse(pulse, op, number)
                self._count_nudge(op, number)
        elif isinstance(op, Read):
            if self._read_v is not None and not abs(op.voltage_v) <= self._read_v:
                reason = f"asked to read at {op.voltage_v:g} V; {self._read_v:g} V is allowed"
                self._over(op, number, reason, "read_v")
        elif not isinstance(op, Wait):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ScheduleError(f"operation {number}: {op!r} is none of the five operations")

    def _check_volts(self, volts: Floats, op: Multiply | Nudge, number: int) -> None:
        if volts.dtype.char not in "fd":
            raise ScheduleError(f"operation {number}: volts are {volts.dtype}; float32 or float64 is needed")
        largest = _largest(volts)  # NaN stays NaN and compares False below
        bound = self._read_v
        most = math.inf if bound is None else largest_admitted(bound, volts.dtype.char)
        if largest < math.inf and largest <= most:
            return
        fits = np.isfinite(volts) & (np.abs(volts) <= most)
        place = np.argwhere(~fits)[0].tolist()
        allowed = "a finite voltage is needed" if bound is None else f"{bound:g} V is allowed"
        self._over(op, number, f"asked for {volts[tuple(place)]:.9g} V at volts{place}; {allowed}", "read_v")

    def _check_pulse(self, pulse: Pulse, op: Program | Nudge, number: int) -> None:
        most, shortest, longest = self.limits.program_v, self.limits.width_min_s, self.limits.width_max_s
        volts, width = pulse.amplitude_v, pulse.width_s
        if most is not None and not abs(volts) <= most:
            self._over(op, number, f"asked for a pulse of {volts:.9g} V; {most:g} V is allowed", "program_v")
        if shortest is not None and not width >= shortest:
            reason = f"asked for a pulse of {width:.9g} s; {shortest:g} s is the shortest allowed"
            self._over(op, number, reason, "width_min_s")
        if longest is not None and not width <= longest:
            reason = f"asked for a pulse of {width:.9g} s; {longest:g} s is the longest allowed"
            self._over(op, number, reason, "width_max_s")

    def _count(self, op: Program, number: int) -> None:
        region = op.region
        dose = self._dose_of(op, number)
        most, highest = _add_counts()(dose, region.rows, region.cols, region.col_start, *op.pulses)
        if most < 0:
            _outside(op, number, self.arrays)
        if most > self._most or highest > self._dose:
            self._take_back(op)
            self._refuse_pulses(op, number)

    def _count_nudge(self, op: Nudge, number: int) -> None:
        dose = self._dose_of(op, number)
        region = op.region
        if region.rows.max(initial=-1) >= dose.shape[0] or region.cols.max(initial=-1) >= dose.shape[1]:
            _outside(op, number, self.arrays)
        given = _given(op)
        devices = np.ix_(region.rows, region.cols)
        total = dose[devices] + given
        if np.any(given > self._most) or np.any((total > self._dose) & (given > 0)):
            self._refuse_pulses(op, number)
        dose[devices] = total

    def _dose_of(self, op: Program | Nudge, number: int) -> NDArray[np.uint32]:
        dose = self._doses.get(op.region.array)
        if dose is None:
            known = ", ".join(self._doses)
            raise ScheduleError(
                f"operation {number}: there is no array {op.region.array!r}; this bench has {known}"
            )
        return dose

    def _take_back(self, op: Op) -> None:
        if isinstance(op, Program) or (isinstance(op, Nudge) and op.kind == "pulse"):
            devices = np.ix_(op.region.rows, op.region.cols)
            self._doses[op.region.array][devices] -= _given(op).astype(np.uint32)

    def _refuse_pulses(self, op: Program | Nudge, number: int) -> NoReturn:
        region, given = op.region, _given(op)
        before = self._doses[region.array][np.ix_(region.rows, region.cols)]
        over = (given > self._most) | ((before + given > self._dose) & (given > 0))
        row, col = np.argwhere(over)[0]
        pulses, had, place = int(given[row, col]), before[row, col], (region.rows[row], region.cols[col])
        at = f"row {place[0]}, column {place[1]}"
        asked = f"asked for {counted(pulses, 'pulse')} to the device at {at}"
        if pulses > self._most:
            self._over(op, number, f"{asked}; {self._most} in one operation are allowed", "pulses_per_op")
        self._over(op, number, f"{asked}, which had {had} before; its dose is {self._dose}", "dose")

    def _over(self, op: Read | Multiply | Program | Nudge, number: int, reason: str, limit: str) -> NoReturn:
        key = "" if getattr(self.limits, limit) is None else f" ({self._where(limit)})"
        where = f"operation {number}, {type(op).__name__} on {op.region.array!r}"
        raise LimitError(f"{where}: {reason}{key}; nothing was output")


def _given(op: Program | Nudge) -> NDArray[np.int64]:
    """Pulses to each device of the region, int64 [rows, cols]."""
    if isinstance(op, Program):
        return np.abs(op.counts.astype(np.int64))
    given = np.zeros(op.region.shape, np.int64)
    np.add.at(given, (op.points[:, 0], op.points[:, 1]), 2 * abs(int(op.size)))
    return given


def _outside(op: Program | Nudge, number: int, arrays: Mapping[str, ArrayInfo]) -> NoReturn:
    rows, cols = arrays[op.region.array].shape
    asked = f"row {op.region.rows.max()} and column {op.region.cols.max()}"
    raise ScheduleError(
        f"operation {number}, {type(op).__name__} on {op.region.array!r}: asked for lines up to {asked}; "
        f"the array has {rows} x {cols}; nothing was output"
    )


def _earlier(name: str, before: Doses, arrays: Mapping[str, ArrayInfo]) -> NDArray[np.uint32]:
    """Doses of an earlier life, checked and copied."""
    if name not in arrays:
        raise ConfigError(f"doses: there is no array {name!r} on this bench; it has {', '.join(arrays)}")
    if before.shape != arrays[name].shape:
        raise ConfigError(f"doses of {name!r}: shape {before.shape}; the array has {arrays[name].shape}")
    if before.dtype.kind not in "iu" or np.any(before < 0) or np.any(before > MAX_DOSE):
        raise ConfigError(f"doses of {name!r}: whole numbers from 0 to {MAX_DOSE} are needed")
    return before.astype(np.uint32, order="C")


def _largest(volts: Floats) -> float:
    """Largest magnitude; the compiled way where training comes along."""
    if volts.dtype.char == "f" and volts.flags.c_contiguous:
        return _compiled_largest()(np.asarray(volts, np.float32))
    return float(np.abs(volts).max(initial=0))


@cache
def _compiled_largest() -> Callable[[NDArray[np.float32]], float]:
    from hil.kernels import largest

    return largest


@cache
def _add_counts() -> Callable[
    [NDArray[np.uint32], Index, Index, int, Index, Places, Counts], tuple[int, int]
]:
    """Import the compiled loop, and numba with it, at the first pulse."""
    from hil.kernels import add_counts

    return add_counts
