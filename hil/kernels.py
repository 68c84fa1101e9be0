"""Compiled loops of the contracts themselves.

Importing this imports numba, so it is done when the first pulse is asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.jit import kernel
from hil.schedule import Counts, Index, Places


@kernel
def nonzero(counts: Counts) -> tuple[Index, Places]:
    """Where counts [r, c] are not 0, as in a CSR matrix: ``starts`` int64 [r + 1], ``places`` int32 [k].

    64 counts at a time become the bits of one word, which SIMD lanes build; then only the set bits are
    visited, each found as the exponent of its float. So zeros cost almost nothing.
    """
    r, c = counts.shape
    starts = np.empty(r + 1, np.int64)
    places = np.empty(1024, np.int32)
    m = 0
    for i in range(r):
        starts[i] = m
        for first in range(0, c, 64):
            some = counts[i, first : min(first + 64, c)]
            mask = np.int64(0)
            for j in range(some.size):
                mask |= np.int64(some[j] != 0) << np.int64(j)
            if m + 64 > places.size:
                more = np.empty(4 * places.size, np.int32)
                more[:m] = places[:m]
                places = more
            if mask == -1:  # all 64
                for j in range(64):
                    places[m + j] = first + j
                m += 64
                continue
            while mask != 0:
                lowest = np.int64(mask & -mask)
                places[m] = first + (((np.float64(lowest).view(np.int64) >> np.int64(52)) + 1) & 63)
                m += 1
                mask ^= lowest
    starts[r] = m
    return starts, places[:m]


@kernel
def largest(volts: NDArray[np.float32]) -> float:
    """Largest magnitude in volts [n, lines], 0 of none; NaN when any is NaN."""
    high = np.float32(0)
    unknown = False
    for s in range(volts.shape[0]):
        row = volts[s]
        for j in range(row.size):
            high = max(high, abs(row[j]))
            unknown |= row[j] != row[j]
    return np.nan if unknown else np.float64(high)


@kernel
def add_counts(
    doses: NDArray[np.uint32],
    rows: Index,
    cols: Index,
    col_start: int,
    counts: Counts,
    starts: Index,
    places: Places,
) -> tuple[int, int]:
    """Add |counts| to the doses of a region's devices.

    Parameters
    ----------
    doses
        Pulses so far, uint32 [array rows, array cols]; changed in place.
    rows, cols, col_start
        The region's lines, int64 [r] and [c], and its first column where they are contiguous, else -1.
    counts
        Signed pulses, int16 [r, c], C-contiguous.
    starts, places
        Where they are not 0, as :func:`nonzero` says.

    Returns
    -------
    The most pulses that one device was given, and the most that a device given any has had by now; (-1, -1),
    and nothing is added, when a line lies outside the array.
    """
    for i in range(rows.size):
        if rows[i] < 0 or rows[i] >= doses.shape[0]:
            return -1, -1
    for j in range(cols.size):
        if cols[j] < 0 or cols[j] >= doses.shape[1]:
            return -1, -1
    most = np.int32(0)
    highest = np.uint32(0)
    n = cols.size
    for i in range(rows.size):
        row, given = doses[rows[i]], counts[i]
        if col_start >= 0 and starts[i + 1] - starts[i] == n:  # all of them, in SIMD lanes
            part = row[col_start : col_start + n]
            for j in range(n):
                pulses = abs(np.int32(given[j]))
                total = np.uint32(part[j] + np.uint32(pulses))
                part[j] = total
                most = max(most, pulses)
                highest = max(highest, total)
            continue
        for q in range(starts[i], starts[i + 1]):
            pulses = abs(np.int32(given[places[q]]))
            total = np.uint32(row[cols[places[q]]] + np.uint32(pulses))
            row[cols[places[q]]] = total
            most = max(most, pulses)
            highest = max(highest, total)
    return most, highest  # pyright: ignore[reportReturnType] - Python ints once they leave compiled code
