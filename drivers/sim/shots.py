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

from hil.jit import kernel
from hil.schedule import Counts, Index, Places

Floats = NDArray[np.float64]


class Shots(NamedTuple):
    """Shots of each polarity, and sums over all of them of rows, columns and devices driven."""

    up: int
    down: int
    selected_rows: int
    selected_cols: int
    pulses: int


def count_shots(counts: Counts, starts: Index, places: Places) -> Shots:
    """Shots of a Program; ``counts`` int16 [rows, cols], C-contiguous, and where they are not 0."""
    return Shots(*_count(counts, starts, places, _WEIGHTS[: counts.shape[1]]))


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


@kernel
def _same(one: Counts, other: Counts, at: Places, other_at: Places) -> bool:
    """Whether two rows hold the same counts at the same places."""
    if at.size != other_at.size:
        return False
    differ = 0
    if at.size == one.size:
        for j in range(one.size):
            differ |= one[j] ^ other[j]
        return differ == 0
    for q in range(at.size):
        differ += at[q] != other_at[q] or one[at[q]] != other[at[q]]
    return differ == 0


@kernel
def _height(row: Counts, at: Places) -> tuple[Any, Any, Any]:
    """Shots of each polarity that a row takes, and its pulses."""
    up, down, driven = np.int32(0), np.int32(0), np.int64(0)
    if at.size == row.size:
        for j in range(row.size):
            up = max(up, np.int32(row[j]))
            down = max(down, -np.int32(row[j]))
        for j in range(row.size):
            driven += abs(np.int32(row[j]))
    else:
        for q in range(at.size):
            n = np.int32(row[at[q]])
            up = max(up, n)
            down = max(down, -n)
            driven += abs(n)
    return np.int64(up), np.int64(down), driven


@kernel
def _count(
    counts: Counts, starts: Index, places: Places, weights: NDArray[np.uint32]
) -> tuple[int, int, int, int, int]:
    rows = counts.shape[0]
    size = 4
    while size < 2 * rows:
        size *= 2
    slots = np.full(size, -1, np.int64)  # first row of each group, by hash
    members = np.zeros(rows, np.int64)
    for i in range(rows):
        row, at = counts[i], places[starts[i] : starts[i + 1]]
        if at.size == 0:
            continue
        code = np.uint32(0)
        if at.size == row.size:
            for j in range(row.size):
                code += np.uint32(np.uint32(row[j]) * weights[j])
        else:
            for q in range(at.size):
                code += np.uint32(np.uint32(row[at[q]]) * weights[at[q]])
        slot = np.int64(code >> np.uint32(7)) & (size - 1)
        while True:
            first = slots[slot]
            if first < 0:
                slots[slot] = i
                members[i] = 1
                break
            if _same(row, counts[first], at, places[starts[first] : starts[first + 1]]):
                members[first] += 1
                break
            slot = (slot + 1) & (size - 1)
    total = np.zeros(5, np.int64)
    for i in range(rows):
        if members[i] == 0:
            continue
        up, down, driven = _height(counts[i], places[starts[i] : starts[i + 1]])
        total[0] += up
        total[1] += down
        total[2] += members[i] * (up + down)
        total[3] += driven
        total[4] += members[i] * driven
    return total[0], total[1], total[2], total[3], total[4]
