"""Compiled loops of the contracts themselves.

Importing this imports numba, so it is done when the first pulse is asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.jit import kernel
from hil.schedule import Counts, Index


@kernel
def add_counts(
    doses: NDArray[np.uint32], rows: Index, cols: Index, col_start: int, counts: Counts
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

    Returns
    -------
    The most pulses that one device was given, and the most that a device given any has had by now; (-1, -1),
    and nothing is added, when a line lies outside the array.
    """
    n = cols.size
    for i in range(rows.size):
        if rows[i] < 0 or rows[i] >= doses.shape[0]:
            return -1, -1
    for j in range(n):
        if cols[j] < 0 or cols[j] >= doses.shape[1]:
            return -1, -1
    most = np.int32(0)
    highest = np.uint32(0)
    for i in range(rows.size):
        given = counts[i]
        some = np.int16(0)
        for j in range(n):
            some |= given[j]
        if some == 0:
            continue
        if col_start >= 0:  # a slice of neighbours, so that the loop below runs in SIMD lanes
            row = doses[rows[i], col_start : col_start + n]
            for j in range(n):
                pulses = np.int32(abs(np.int32(given[j])))
                total = np.uint32(row[j] + np.uint32(pulses))
                row[j] = total
                most = max(most, pulses)
                highest = max(highest, total if pulses != 0 else np.uint32(0))
        else:
            row = doses[rows[i]]
            for j in range(n):
                pulses = np.int32(abs(np.int32(given[j])))
                if pulses != 0:
                    total = np.uint32(row[cols[j]] + np.uint32(pulses))
                    row[cols[j]] = total
                    most = max(most, pulses)
                    highest = max(highest, total)
    return most, highest  # pyright: ignore[reportReturnType] - Python ints once they leave compiled code
