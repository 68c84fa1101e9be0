"""From the five operations to what an array controller does: half-select shots, vectors on lines, readings.

Pure: positions in, orders out. Rows that want the same pulses are driven together, so a sign update of rank
one is four shots at most, and any matrix of counts still comes out exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.line.orders import Bias, MultiplyOrder, ReadOrder, Result, ShotOrder
from hil.errors import LimitError
from hil.region import Floats, Index
from hil.schedule import Counts, Multiply, Nudge, NudgeAnswer, Program, Pulse
from hil.units import format_quantity


class Group(NamedTuple):
    """Shots of one polarity to some rows: shot s = 1, 2, … drives the columns whose ``counts`` are s or more.

    ``rows`` [r] and ``cols`` [c] are positions in the region; ``counts`` int64 [c], 1 or more.
    """

    rows: Index
    cols: Index
    counts: NDArray[np.int64]
    rising: bool

    @property
    def shots(self) -> int:
        """How many."""
        return int(self.counts.max())

    @property
    def pulses(self) -> int:
        """Device-pulses."""
        return self.rows.size * int(self.counts.sum())

    def half_selects(self, rows: int, cols: int, bias: Bias) -> int:
        """Pulses seen by devices that were not the target, in an array of rows x cols.

        V/2: those that share a line with a target. V/3: every other device of the array.
        """
        if bias == "V/3":
            return self.shots * rows * cols - self.pulses
        return self.shots * self.rows.size * cols + int(self.counts.sum()) * rows - 2 * self.pulses


def groups(counts: Counts) -> Iterator[Group]:
    """Groups of shots that add up to ``counts`` [rows, cols]: equal rows together, potentiating first."""
    wanted, which = np.unique(counts, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(which.ravel(), minlength=len(wanted)))
    for pattern, rows in zip(wanted, np.split(order, ends[:-1]), strict=True):
        for rising in (True, False):
            pulses = pattern.astype(np.int64) if rising else -pattern.astype(np.int64)
            cols = np.flatnonzero(pulses > 0)
            if cols.size:
                yield Group(rows.astype(np.int64), cols, pulses[cols], rising)


@dataclass(frozen=True, slots=True, eq=False)
class Wires:
    """Channels of a region's lines, and how long the amplifiers settle before each reading, ns."""

    rows: Index
    cols: Index
    settle: int


class Reading(NamedTuple):
    """How a device is read for its own sake."""

    volts: float
    ns: int


@dataclass(frozen=True, slots=True)
class Ticks:
    """Times as a board makes them: whole multiples of ``tick`` ns; others are refused, not rounded."""

    tick: int

    def of(self, what: str, seconds: float) -> int:
        """Nanoseconds. Raises LimitError where the board has no such time."""
        exact = seconds * 1e9
        ns = round(exact)
        if abs(exact - ns) > 1e-9 * max(1.0, exact) or ns % self.tick or (ns == 0 and seconds > 0):
            raise LimitError(
                f"{what}: asked for {format_quantity(seconds, 's', None)}; the board makes times in steps of "
                f"{self.tick} ns; nothing was output"
            )
        return ns

    def at_least(self, seconds: float) -> int:
        """Nanoseconds of a wait, which may be longer by less than a tick."""
        ns = math.ceil(seconds * 1e9 * (1 - 1e-12))
        return -(-ns // self.tick) * self.tick


def shoot(op: Program, wires: Wires, bias: Bias, tick: Ticks) -> list[tuple[ShotOrder, Group]]:
    """The shots of a Program."""
    found: list[tuple[ShotOrder, Group]] = []
    for group in groups(op.counts) if op.counts.size else ():
        pulse = op.potentiate if group.rising else op.depress
        found.append((_shot(group, wires, pulse, bias, tick), group))
    return found


def _shot(group: Group, wires: Wires, pulse: Pulse, bias: Bias, tick: Ticks) -> ShotOrder:
    return ShotOrder(
        wires.rows[group.rows],
        wires.cols[group.cols],
        group.counts,
        pulse.amplitude_v,
        tick.of("pulse width", pulse.width_s),
        tick.of("pulse gap", pulse.gap_s),
        bias,
    )


def multiply(op: Multiply, wires: Wires, ns: int, room: int) -> list[tuple[MultiplyOrder, slice, slice]]:
    """A Multiply in parts whose text fits into ``room`` bytes; with each which variants and vectors it is.

    Without variants the first slice means nothing.
    """
    lines = (op.region.cols if op.transpose else op.region.rows).size
    vectors = max(1, _values(room // (2 if op.variants else 1)) // max(1, lines))
    parts: list[tuple[MultiplyOrder, slice, slice]] = []
    for first in range(0, len(op.volts), vectors):
        some = slice(first, first + vectors)
        volts = op.volts[some]
        if op.variants is None:
            order = MultiplyOrder(wires.rows, wires.cols, volts, ns, wires.settle, op.transpose)
            parts.append((order, slice(0), some))
            continue
        each = max(1, _values(room // 3) // len(volts))
        for start in range(0, op.variants.lines.size, each):
            varied = slice(start, start + each)
            which, other = op.variants.lines[varied], op.variants.volts[varied, some]
            order = MultiplyOrder(wires.rows, wires.cols, volts, ns, wires.settle, op.transpose, which, other)
            parts.append((order, varied, some))
    return parts


def _values(room: int) -> int:
    """How many float32 fit into so many characters of base64."""
    return max(1, (room - 4) * 3 // 16)


def nudge(
    op: Nudge, potentiate: Pulse, depress: Pulse, wires: Wires, read: Reading, bias: Bias, tick: Ticks
) -> list[ReadOrder | ShotOrder | MultiplyOrder]:
    """Five orders a point: read it, pulse it, read it again, drive the vectors, pulse it back."""
    count, ns = int(op.size), tick.of("nudge integration", op.integration_s)
    there, back = (potentiate, depress) if count > 0 else (depress, potentiate)
    orders: list[ReadOrder | ShotOrder | MultiplyOrder] = []
    for row, col in op.points.tolist():
        r, c = wires.rows[row : row + 1], wires.cols[col : col + 1]
        group = Group(np.array([row]), np.array([col]), np.array([abs(count)]), count > 0)
        own = ReadOrder(r, c, read.volts, read.ns, wires.settle)
        orders += [own, _shot(group, wires, there, bias, tick), own]
        orders.append(MultiplyOrder(wires.rows, c, op.volts, ns, wires.settle))
        orders.append(_shot(group, wires, back, bias, tick))
    return orders


def nudged(op: Nudge, results: list[Result], read_v: float) -> NudgeAnswer:
    """The answer of a Nudge from its results, five a point."""
    n = len(op.volts)
    amperes: Floats = np.zeros((len(op.points), n), np.float32)
    clipped = np.zeros((len(op.points), n), np.bool_)
    siemens: Floats = np.zeros(len(op.points), np.float64)
    for k in range(len(op.points)):
        before, _, after, driven, _ = results[5 * k : 5 * k + 5]
        amperes[k], clipped[k] = driven.amperes, driven.clipped
        change = (float(after.amperes[0]) - float(before.amperes[0])) / read_v
        siemens[k] = np.nan if before.clipped[0] or after.clipped[0] else change
    return NudgeAnswer(amperes, clipped, siemens)
