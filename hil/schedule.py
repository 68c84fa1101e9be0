"""What may be asked of an array: five operations on a region, each a frozen value, and nothing else.

A schedule is a tuple of operations with no decision of the host in between, so that a bench with a command
buffer runs it in one transaction. Quantities are SI floats; arrays are [row, col].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.errors import ScheduleError
from hil.region import Counts, Floats, Index, Places, Region

NudgeKind: TypeAlias = Literal["gate", "current", "pulse"]

__all__ = [
    "MAX_COUNT",
    "Answer",
    "Counts",
    "Floats",
    "Index",
    "Multiply",
    "MultiplyAnswer",
    "Nudge",
    "NudgeAnswer",
    "NudgeKind",
    "Op",
    "Places",
    "Program",
    "Pulse",
    "Pulses",
    "Read",
    "ReadAnswer",
    "Region",
    "Schedule",
    "Variants",
    "Wait",
    "merge",
]

MAX_COUNT = int(np.iinfo(np.int16).max)


@dataclass(frozen=True, slots=True)
class Pulse:
    """One rectangular programming pulse: amplitude in volts (its sign included), width and following gap in
    seconds.
    """

    amplitude_v: float
    width_s: float
    gap_s: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.amplitude_v) and self.amplitude_v != 0):
            raise ScheduleError(
                f"pulse amplitude: asked for {self.amplitude_v!r} V; a finite voltage other than 0 is needed"
            )
        if not (math.isfinite(self.width_s) and self.width_s > 0):
            raise ScheduleError(f"pulse width: asked for {self.width_s!r} s; a finite time above 0 is needed")
        if not (math.isfinite(self.gap_s) and self.gap_s >= 0):
            raise ScheduleError(
                f"pulse gap: asked for {self.gap_s!r} s; a finite time of 0 or more is needed"
            )


def _positive_time(name: str, seconds: float) -> None:
    if not (math.isfinite(seconds) and seconds > 0):
        raise ScheduleError(f"{name}: asked for {seconds!r} s; a finite time above 0 is needed")


def _array(name: str, values: object) -> None:
    """Lists are refused by name: what an operation checks of its arrays is their shape and type."""
    if not isinstance(values, np.ndarray):
        raise ScheduleError(
            f"{name}: asked for {type(values).__name__}; a numpy array is needed: np.array(...)"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Measure the crosspoints of a region one by one (or as the bench can).
    Answered by :class:`ReadAnswer`.
    """

    region: Region
    voltage_v: float
    integration_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.voltage_v) and self.voltage_v != 0):
            raise ScheduleError(
                f"read voltage: asked for {self.voltage_v!r} V; a finite voltage other than 0 is needed"
            )
        _positive_time("read integration", self.integration_s)


@dataclass(frozen=True, slots=True, eq=False)
class Variants:
    """k times the vectors of a Multiply, each with the volts of one driven line replaced.

    ``lines`` int64 [k]: positions in the driven lines of the region; ``volts`` [k, n]: what that line is
    driven with instead, for each of the n vectors.
    """

    lines: Index
    volts: Floats

    def __post_init__(self) -> None:
        _array("variants: lines", self.lines)
        _array("variants: volts", self.volts)
        if self.lines.ndim != 1 or self.volts.ndim != 2 or self.volts.shape[0] != self.lines.shape[0]:
            raise ScheduleError(
                f"variants: lines {self.lines.shape} and volts {self.volts.shape} do not fit; [k] and "
                "[k, n] are needed"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Multiply:
    """Drive all lines of one side with each of n voltage vectors and sense the other side: i = v G.

    Parameters
    ----------
    region
        The crosspoints that take part; other columns are not sensed and other rows stay at 0 V.
    volts
        [n, rows], or [n, cols] when ``transpose``; volts.
    integration_s
        Integration time of one vector.
    transpose
        Drive the columns and sense the rows instead.
    variants
        With variants the answer is that of every vector with one line replaced, [k, n, others], instead of
        [n, others].
    """

    region: Region
    volts: Floats
    integration_s: float
    transpose: bool = False
    variants: Variants | None = None

    def __post_init__(self) -> None:
        driven = self.region.cols if self.transpose else self.region.rows
        _array("multiply: volts", self.volts)
        if self.volts.ndim != 2 or self.volts.shape[1] != driven.size:
            raise ScheduleError(
                f"multiply on {self.region.array}: volts have shape {self.volts.shape}; [n, "
                f"{driven.size}] is needed, "
                f"one value for each driven {'column' if self.transpose else 'row'}"
            )
        if self.variants is not None and self.variants.volts.shape[1] != self.volts.shape[0]:
            raise ScheduleError(
                f"multiply on {self.region.array}: variants are for {self.variants.volts.shape[1]} vectors, "
                f"{self.volts.shape[0]} are driven"
            )
        if self.variants is not None and self.variants.lines.size:
            low, high = int(self.variants.lines.min()), int(self.variants.lines.max())
            if low < 0 or high >= driven.size:
                raise ScheduleError(
                    f"multiply on {self.region.array}: variant of line {low if low < 0 else high}; "
                    f"the driven lines are 0 to {driven.size - 1}"
                )
        _positive_time("multiply integration", self.integration_s)


class Pulses(NamedTuple):
    """Counts that are not 0, row by row as in a CSR matrix.

    ``starts`` int64 [rows + 1]: where each row begins; ``places`` int32 [k]: columns in the region, rising in
    each row; ``numbers`` int16 [k]: the counts there.
    """

    starts: Index
    places: Places
    numbers: Counts


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Identical pulses to the crosspoints of a region: +n is n potentiating pulses, -n is n depressing ones.

    ``counts`` int16 [rows, cols]; other integer types are taken when they fit. Answered by None.

    The same counts are there as ``pulses``, without the zeros: limits, doses and a simulator follow the
    pulses, not the region. Whichever of the two was not given is made when first asked for, and kept.
    """

    region: Region
    counts: Counts
    potentiate: Pulse
    depress: Pulse
    pulses: Pulses = field(init=False, repr=False)

    @classmethod
    def of(cls, region: Region, pulses: Pulses, potentiate: Pulse, depress: Pulse) -> Program:
        """Of the counts that are not 0, as a compiled rule makes them; they are not checked again."""
        made = object.__new__(cls)
        set_ = object.__setattr__
        set_(made, "region", region)
        set_(made, "pulses", pulses)
        set_(made, "potentiate", potentiate)
        set_(made, "depress", depress)
        return made

    def __getattr__(self, name: str) -> Any:
        """Only what was not given comes here: its slot is empty."""
        from hil import kernels

        if name == "pulses":
            made: Any = Pulses(*kernels.sparse(self.counts))
        elif name == "counts":
            made = kernels.dense(*self.pulses, self.region.cols.size)
        else:
            raise AttributeError(name)
        object.__setattr__(self, name, made)
        return made

    def __post_init__(self) -> None:
        counts = self.counts
        _array("program: counts", counts)
        if counts.shape != self.region.shape:
            raise ScheduleError(
                f"program on {self.region.array}: counts have shape {counts.shape}; "
                f"{self.region.shape} is needed, "
                "one signed pulse count for each crosspoint"
            )
        if counts.dtype.kind not in "iu":
            raise ScheduleError(
                f"program on {self.region.array}: counts are {counts.dtype}; whole numbers of "
                "pulses are needed"
            )
        largest = max(int(counts.max(initial=0)), -int(counts.min(initial=0)))
        if largest > MAX_COUNT:
            raise ScheduleError(
                f"program on {self.region.array}: {largest} pulses for one device in one operation; "
                f"{MAX_COUNT} is the most"
            )
        # A copy: what was checked and counted is what will be put out, whatever becomes of the original.
        object.__setattr__(self, "counts", np.array(counts, dtype=np.int16, order="C"))


@dataclass(frozen=True, slots=True, eq=False)
class Nudge:
    """One crosspoint after the other: change it temporarily, drive the vectors, sense its own column, undo.

    Parameters
    ----------
    points
        int64 [k, 2]: positions (row, col) within the region's lines.
    kind, size
        ``gate``: relative shift of the device's conductance (0.05 is +5 %); ``current``: extra conductance in
        siemens, as a current at the column; ``pulse``: number of potentiating pulses (depressing when
        negative), put back with as many of the other kind. Answers carry the true change in siemens.
    volts
        [n, rows]; volts.
    potentiate, depress
        The pulses of kind ``pulse``.
    """

    region: Region
    points: Index
    kind: NudgeKind
    size: float
    volts: Floats
    integration_s: float
    potentiate: Pulse | None = None
    depress: Pulse | None = None

    def __post_init__(self) -> None:
        rows, cols = self.region.shape
        _array("nudge: points", self.points)
        _array("nudge: volts", self.volts)
        if self.points.ndim != 2 or self.points.shape[1] != 2:
            raise ScheduleError(
                f"nudge on {self.region.array}: points have shape {self.points.shape}; [k, 2] is needed"
            )
        if self.points.size and (
            self.points.min() < 0 or self.points[:, 0].max() >= rows or self.points[:, 1].max() >= cols
        ):
            raise ScheduleError(
                f"nudge on {self.region.array}: a point lies outside the region of {rows} x {cols}"
            )
        if self.volts.ndim != 2 or self.volts.shape[1] != rows:
            raise ScheduleError(
                f"nudge on {self.region.array}: volts have shape {self.volts.shape}; [n, {rows}] is needed"
            )
        if not (math.isfinite(self.size) and self.size != 0):
            raise ScheduleError(f"nudge size: asked for {self.size!r}; a finite value other than 0 is needed")
        if self.kind == "pulse":
            if self.potentiate is None or self.depress is None:
                raise ScheduleError("nudge of kind pulse: both pulses, potentiate and depress, are needed")
            if self.size != round(self.size) or abs(self.size) > MAX_COUNT:
                raise ScheduleError(
                    f"nudge of kind pulse: {self.size!r} pulses asked for; a whole number is needed"
                )
        _positive_time("nudge integration", self.integration_s)


@dataclass(frozen=True, slots=True)
class Wait:
    """Leave the arrays alone for a while (retention, relaxation)."""

    seconds: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise ScheduleError(f"wait: asked for {self.seconds!r} s; a finite time of 0 or more is needed")


Op: TypeAlias = Read | Multiply | Program | Nudge | Wait
Schedule: TypeAlias = tuple[Op, ...]


@dataclass(slots=True, eq=False)
class ReadAnswer:
    """Raw currents of a Read.

    ``amperes`` [rows, cols]; ``clipped`` bool [rows, cols], True where the value is only a bound (compliance,
    overflow); ``voltage_v`` the voltage they were read at.
    """

    amperes: Floats
    clipped: NDArray[np.bool_]
    voltage_v: float

    @property
    def siemens(self) -> Floats:
        """Conductances [rows, cols]; NaN where the reading is only a bound, so that none enters a mean
        unseen.
        """
        siemens = self.amperes / self.voltage_v
        siemens[self.clipped] = np.nan
        return siemens


@dataclass(slots=True, eq=False)
class MultiplyAnswer:
    """Raw currents of a Multiply: ``amperes`` and ``clipped`` [n, others], or [k, n, others] with variants.

    ``emulated`` says that the bench put the sums together from single readings.
    """

    amperes: Floats
    clipped: NDArray[np.bool_]
    emulated: bool = False


@dataclass(slots=True, eq=False)
class NudgeAnswer:
    """Raw currents of a Nudge: ``amperes`` and ``clipped`` [k, n], and the true change ``siemens`` [k]."""

    amperes: Floats
    clipped: NDArray[np.bool_]
    siemens: Floats


Answer: TypeAlias = ReadAnswer | MultiplyAnswer | NudgeAnswer | None


def merge(schedules: Sequence[Schedule]) -> Schedule:
    """Several schedules as one, in their order."""
    return tuple(op for schedule in schedules for op in schedule)
