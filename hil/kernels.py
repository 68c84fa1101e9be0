"""Compiled loops of the contracts themselves.

Importing this imports numba, so it is done when the first pulse is asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.jit import inline, kernel, lean, lowest_bit, nonzero_bits
from hil.schedule import Counts, Index, Places

_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@lean
def append_row(row: Counts, places: Places, numbers: Counts, m: int) -> int:
    """Append the counts of a row that are not 0, and their places, to those of m devices before; how many
    now. Zeros cost almost nothing: 64 of them are one word that is 0.
    """
    whole = row.size & ~63
    for first in range(0, whole, 64):
        word = nonzero_bits(row, first)
        if word == _ALL:
            at, given, some = places[m : m + 64], numbers[m : m + 64], row[first : first + 64]
            for j in range(64):
                at[j] = first + j
            for j in range(64):
                given[j] = some[j]
            m += 64
            continue
        while word != np.uint64(0):
            j = first + lowest_bit(word)
            places[m] = j
            numbers[m] = row[j]
            m += 1
            word &= word - np.uint64(1)
    for j in range(whole, row.size):
        if row[j] != 0:
            places[m] = j
            numbers[m] = row[j]
            m += 1
    return m


@kernel
def with_room(places: Places, numbers: Counts, m: int, more: int) -> tuple[Places, Counts]:
    """Both arrays with the m of them that are used, and room for more."""
    if m + more <= places.size:
        return places, numbers
    size = 4 * (m + more)
    new_places, new_numbers = np.empty(size, np.int32), np.empty(size, np.int16)
    new_places[:m] = places[:m]
    new_numbers[:m] = numbers[:m]
    return new_places, new_numbers


@inline
def begun(rows: int, width: int) -> tuple[Index, Places, Counts, Counts]:
    """What a kernel begins with that lists pulses row by row: ``starts`` [rows + 1], ``places`` and
    ``numbers`` with room for some, and a row [width] of counts.

    It appends rows as long as there is room, in a function that makes no array (:func:`hil.jit.lean`), then
    makes room and goes on.
    """
    places, numbers = np.empty(1024 + width, np.int32), np.empty(1024 + width, np.int16)
    return np.empty(rows + 1, np.int64), places, numbers, np.empty(width, np.int16)


@kernel
def sparse(counts: Counts) -> tuple[Index, Places, Counts]:
    """Counts [r, c] without their zeros, as :class:`hil.schedule.Pulses` holds them."""
    r, width = counts.shape
    starts, places, numbers, _ = begun(r, width)
    i = m = 0
    while i < r:
        places, numbers = with_room(places, numbers, m, width)
        i, m = _sparse_rows(counts, i, starts, places, numbers, m)
    starts[r] = m
    return starts, places[:m], numbers[:m]


@lean
def _sparse_rows(
    counts: Counts, i: int, starts: Index, places: Places, numbers: Counts, m: int
) -> tuple[int, int]:
    """Rows of counts from i on, as long as there is room; the next row, and how many devices there are."""
    while i < counts.shape[0] and m + counts.shape[1] <= places.size:
        starts[i] = m
        m = append_row(counts[i], places, numbers, m)
        i += 1
    return i, m


@kernel
def dense(starts: Index, places: Places, numbers: Counts, cols: int) -> Counts:
    """Counts int16 [r, cols], zeros included."""
    counts = np.zeros((starts.size - 1, cols), np.int16)
    for i in range(starts.size - 1):
        for q in range(starts[i], starts[i + 1]):
            counts[i, places[q]] = numbers[q]
    return counts


@lean
def neighbours(n: int) -> int:
    """How many rows of n numbers one loop takes: some thousand numbers, so that it is worth it and its arrays
    stay in the first cache, and whole SIMD lanes unrolled, for what is left over runs one by one.
    """
    most = max(1, 1280 // n)
    whole = 64
    while whole > 1 and (whole // 2) * n % 64 == 0:
        whole //= 2
    return most // whole * whole if most > whole else most


@lean
def alike(numbers: Index, q: int, at_once: int) -> int:
    """How many neighbours from q on are the same number, ``at_once`` at most; half of them where they are not
    twice as many, so that no short loop is left over.
    """
    m = 1
    while m < 2 * at_once and q + m < numbers.size and numbers[q + m] == numbers[q]:
        m += 1
    return m if m <= at_once else min(at_once, (m + 1) // 2)


@kernel
def room(rows: int, size: int) -> NDArray[np.float32]:
    """Float32 [rows, size] that begins with a line of the cache: SIMD lanes that lie across two of them take
    twice as long.
    """
    flat = np.empty(rows * size + 16, np.float32)
    first = (-flat.ctypes.data & 63) >> 2
    return flat[first : first + rows * size].reshape(rows, size)


@kernel
def repeated(values: NDArray[np.float32], times: int) -> NDArray[np.float32]:
    """Values [n, m] one column after the other, each that often: [m, times n]."""
    n, m = values.shape
    out = room(m, times * n)
    for j in range(m):
        row = out[j]
        for s in range(n):
            row[s] = values[s, j]
        fill_by(row, n)
    return out


@lean
def fill_by(row: Any, n: int) -> None:
    """Fill a row [m] by its first n numbers, again and again; m is at least n."""
    done = n
    while done < row.size:  # twice as long each time
        _copy(row[done:], row[: min(done, row.size - done)])
        done *= 2


@lean
def _copy(out: Any, values: Any) -> None:
    for i in range(values.size):
        out[i] = values[i]


@lean
def largest(volts: NDArray[np.float32]) -> float:
    """Largest magnitude in volts [n, lines], C-contiguous, 0 of none; NaN when any is NaN."""
    highest = np.int32(0)  # of magnitudes above 0 the bits rise with the value; those of NaN are above all
    flat = volts.reshape(-1).view(np.int32)
    for j in range(flat.size):
        highest = max(highest, np.int32(flat[j] & np.int32(0x7FFFFFFF)))
    return np.float64(np.int32(highest).view(np.float32))


@lean
def add_counts(
    doses: NDArray[np.uint32],
    rows: Index,
    cols: Index,
    col_start: int,
    starts: Index,
    places: Places,
    numbers: Counts,
) -> tuple[int, int]:
    """Add the magnitudes of counts to the doses of a region's devices.

    Parameters
    ----------
    doses
        Pulses so far, uint32 [array rows, array cols]; changed in place.
    rows, cols, col_start
        The region's lines, int64 [r] and [c], and its first column where they are contiguous, else -1.
    starts, places, numbers
        The counts that are not 0 (:class:`hil.schedule.Pulses`).

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
        row = doses[rows[i]]
        at, given = places[starts[i] : starts[i + 1]], numbers[starts[i] : starts[i + 1]]
        if col_start >= 0 and at.size == n:  # all of them, in SIMD lanes
            part = row[col_start : col_start + n]
            for j in range(n):
                pulses = abs(np.int32(given[j]))
                total = np.uint32(part[j] + np.uint32(pulses))
                part[j] = total
                most = max(most, pulses)
                highest = max(highest, total)
            continue
        for q in range(at.size):
            pulses = abs(np.int32(given[q]))
            total = np.uint32(row[cols[at[q]]] + np.uint32(pulses))
            row[cols[at[q]]] = total
            most = max(most, pulses)
            highest = max(highest, total)
    return most, highest  # pyright: ignore[reportReturnType] - Python ints once they leave compiled code
