"""How a matrix of pulse counts is put out on lines, and what that costs in time and half-selected devices.

A shot is one pulse on some rows and some columns at once. Rows that want the same are driven together, first
their potentiating pulses, then their depressing ones; a column takes part until it has had its count. So a
group of equal rows takes (largest positive + largest negative count) shots, and a sign update of rank one at
most four groups of one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hil.jit import kernel, lean
from hil.schedule import Counts, Index, Places, Pulses

Floats = NDArray[np.float64]


class Shots(NamedTuple):
    """Shots of each polarity, sums over all of them of rows and columns driven, device-pulses by polarity."""

    up: int
    down: int
    selected_rows: int
    selected_cols: int
    up_pulses: int
    down_pulses: int

    @property
    def pulses(self) -> int:
        """Device-pulses of both polarities."""
        return self.up_pulses + self.down_pulses


def count_shots(pulses: Pulses, cols: int) -> Shots:
    """Shots of a Program on a region of so many columns."""
    return Shots(*_count(*pulses, cols, _WEIGHTS[:cols]))


def half_selects(shots: Shots, rows: int, cols: int, scheme: str) -> int:
    """Pulses seen by devices that were not their target, in an array of rows x cols.

    V/2: those that share a line with a target. V/3: every other device of the array.
    """
    if scheme == "V/3":
        return (shots.up + shots.down) * rows * cols - shots.pulses
    return shots.selected_rows * cols + shots.selected_cols * rows - 2 * shots.pulses


class Train(NamedTuple):
    """Shots of one polarity as the lines of a region saw them.

    ``own`` [r, c]: pulses to each target; ``rows`` [r], ``cols`` [c]: shots that drove it; ``shots``: all.
    """

    own: Floats
    rows: Floats
    cols: Floats
    shots: float


def grouped(pulses: Counts) -> Train:
    """The train of a Program; ``pulses`` of one polarity, 0 or more [r, c]."""
    groups = np.unique(pulses, axis=0).astype(np.float64)
    own = pulses.astype(np.float64)
    return Train(own, own.max(axis=1), groups.sum(axis=0), float(groups.max(axis=1).sum()))


def one_by_one(pulses: Floats) -> Train:
    """The train of devices pulsed each alone; ``pulses`` of one polarity, 0 or more [r, c]."""
    return Train(pulses, pulses.sum(axis=1), pulses.sum(axis=0), float(pulses.sum()))


_WEIGHTS = np.random.default_rng(20_260_101).integers(1, 1 << 32, 1 << 14, dtype=np.uint32) | np.uint32(1)


@lean
def _same(one: Counts, other: Counts, at: Places, other_at: Places, full: int) -> bool:
    """Whether two rows hold the same counts at the same places."""
    if at.size != other_at.size:
        return False
    differ = 0
    for q in range(one.size):
        differ |= one[q] ^ other[q]
    if differ != 0 or at.size == full:
        return differ == 0
    for q in range(at.size):
        differ |= at[q] ^ other_at[q]
    return differ == 0


@lean
def _height(numbers: Counts) -> tuple[Any, Any, Any, Any]:
    """Shots of each polarity that a row takes, and its pulses of each."""
    up, down, ups, all_pulses = np.int32(0), np.int32(0), np.int64(0), np.int64(0)
    for q in range(numbers.size):
        up = max(up, np.int32(numbers[q]))
        down = max(down, -np.int32(numbers[q]))
    for q in range(numbers.size):
        ups += max(np.int32(numbers[q]), np.int32(0))
        all_pulses += abs(np.int32(numbers[q]))
    return np.int64(up), np.int64(down), ups, all_pulses - ups


@lean
def _code(numbers: Counts, at: Places, full: int, weights: NDArray[np.uint32]) -> Any:
    """Hash of a row: equal rows have equal codes."""
    code = np.uint32(0)
    if at.size == full:
        for q in range(full):
            code = np.uint32(code + np.uint32(np.uint32(numbers[q]) * weights[q]))
    else:
        for q in range(at.size):
            code = np.uint32(code + np.uint32(np.uint32(numbers[q]) * weights[at[q]]))
    return code


@lean
def _group(
    starts: Index, places: Places, numbers: Counts, cols: int, weights: NDArray[np.uint32], slots: Index,
    codes: NDArray[np.uint32], members: Index,
) -> None:  # fmt: skip
    """Count the ``members`` of each group of equal rows at its first row; 0 at the others and at empty rows.

    ``slots`` are -1, a power of two of them and twice as many as rows at least.
    """
    last = slots.size - 1
    for i in range(members.size):
        a, b = starts[i], starts[i + 1]
        members[i] = 0
        if a == b:
            continue
        row, at = numbers[a:b], places[a:b]
        code = _code(row, at, cols, weights)
        codes[i] = code
        slot = np.int64(code >> np.uint32(7)) & last
        while True:
            first = slots[slot]
            if first < 0:
                slots[slot] = i
                members[i] = 1
                break
            c, d = starts[first], starts[first + 1]
            if codes[first] == code and _same(row, numbers[c:d], at, places[c:d], cols):
                members[first] += 1
                break
            slot = (slot + 1) & last


@lean
def _sums(starts: Index, numbers: Counts, members: Index, total: Index) -> None:
    """Add what :class:`Shots` holds of all groups to ``total``."""
    for i in range(members.size):
        if members[i] == 0:
            continue
        up, down, ups, downs = _height(numbers[starts[i] : starts[i + 1]])
        total[0] += up
        total[1] += down
        total[2] += members[i] * (up + down)
        total[3] += ups + downs
        total[4] += members[i] * ups
        total[5] += members[i] * downs


@kernel
def _count(
    starts: Index, places: Places, numbers: Counts, cols: int, weights: NDArray[np.uint32]
) -> tuple[int, int, int, int, int, int]:
    rows = starts.size - 1
    size = 4
    while size < 2 * rows:
        size *= 2
    members = np.empty(rows, np.int64)
    total = np.zeros(6, np.int64)
    _group(
        starts,
        places,
        numbers,
        cols,
        weights,
        np.full(size, -1, np.int64),
        np.empty(rows, np.uint32),
        members,
    )
    _sums(starts, numbers, members, total)
    return total[0], total[1], total[2], total[3], total[4], total[5]
