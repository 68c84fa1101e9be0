"""Wanted weight changes to signed pulses, compiled; work is proportional to active inputs times outputs.

A row of counts is laid out as a block's columns are: all plus devices, then all minus devices, or one of the
two kinds. It lives in the first cache, and only what is not 0 leaves it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.chance import bits
from hil.jit import inline, kernel, lean
from hil.kernels import append_row, begun, with_room
from hil.network.tile import F32
from hil.schedule import Counts, Index, Places

_NARROW = 32
"""Rows of no more devices are turned: loops along them would be too short."""


@inline
def wanted_row(
    delta: F32, inputs: F32, matrix: F32, row: int, factor: np.float32, first: int, out: F32
) -> None:  # fmt: skip
    """DW of one input, for the outputs from ``first`` on."""
    m = out.size
    if matrix.size > 0:
        measured = matrix[row, first : first + m]
        for j in range(m):
            out[j] = factor * measured[j]
    else:
        x = factor * inputs[0, row]
        d = delta[0, first : first + m]
        for j in range(m):
            out[j] = x * d[j]
        for s in range(1, delta.shape[0]):
            x = factor * inputs[s, row]
            if x != 0:
                d = delta[s, first : first + m]
                for j in range(m):
                    out[j] += x * d[j]


@inline
def write_row(net: Any, plus: bool, minus: bool, one_way: bool, most: int, row: Counts) -> Any:
    """A row of counts from those of its weights, ``net`` int32 [m]; how many were held at ``most``.

    A minus device gets the opposite of a plus device; ``one_way``: what would depress is left out.
    """
    m = net.size
    over = np.int32(0)
    for j in range(m):
        over += np.int32(abs(net[j]) > most)
        net[j] = min(max(net[j], -most), most)
    if plus:
        side = row[:m]
        for j in range(m):
            side[j] = np.int16(net[j] if net[j] > 0 or not one_way else 0)
    if minus:
        other = row[row.size - m :]
        for j in range(m):
            other[j] = np.int16(-net[j] if net[j] < 0 or not one_way else 0)
    return over


@inline
def _round(
    wanted: F32, rise: F32, fall: F32, chance: NDArray[np.uint32], shift: Any, most: np.float32, sign: Any,
    out: Counts,
) -> Any:  # fmt: skip
    """Counts of one side of a row, each rounded with 16 bits of chance; how many were held at ``most``.

    ``sign``: 1 where a wanted rise potentiates a device of this side, -1 where it depresses it.
    """
    beyond = np.float32(most + np.float32(1))
    over = np.int32(0)
    for j in range(out.size):
        w = wanted[j]
        half = np.uint32(np.uint32(chance[j] >> shift) & np.uint32(0xFFFF))
        part = np.float32(np.int32(half)) * np.float32(1 / 65536)
        one, other = rise[j], fall[j]
        pulses = abs(w) * (one if w > 0 else other) + part
        over += np.int32(pulses >= beyond)
        held = sign * (pulses if pulses < most else most)
        out[j] = np.int16(np.int32(held if w > 0 else -held))
    return over


@kernel
def _turned(
    delta: F32, inputs: F32, matrix: F32, factor: np.float32, rows: Index, first: int, m: int,
    plus: bool, minus: bool, up_per_w: F32, down_per_w: F32, most: np.float32, key: np.uint32,
) -> tuple[Index, Places, Counts, int]:  # fmt: skip
    """What :func:`graded_pulses` answers, found for one output after the other, each along all rows."""
    r, samples = rows.size, delta.shape[0]
    counts = np.empty((m * (int(plus) + int(minus)), r), np.int16)
    held = _turned_counts(
        delta, inputs, matrix, factor, rows, first, m, plus, minus, up_per_w, down_per_w, most, key, counts,
        np.empty((samples, r), np.float32), np.empty((3, r), np.float32), np.empty((2, r), np.uint32),
    )  # fmt: skip
    starts, some = np.empty(r + 1, np.int64), np.zeros(r, np.int64)
    total = _row_starts(counts, starts, some)
    places, numbers = np.empty(total, np.int32), np.empty(total, np.int16)
    _turn_back(counts, some, places, numbers, np.empty(r, np.int32), np.empty(r, np.int16))
    return starts, places, numbers, held


@lean
def _turned_counts(
    delta: F32, inputs: F32, matrix: F32, factor: np.float32, rows: Index, first: int, m: int,
    plus: bool, minus: bool, up_per_w: F32, down_per_w: F32, most: np.float32, key: np.uint32,
    counts: Counts, x: F32, floats: F32, random: NDArray[np.uint32],
) -> int:  # fmt: skip
    """Write ``counts`` [devices of a row, r]; how many were held. The last three are room to work in."""
    r, samples = rows.size, delta.shape[0]
    base, chance = random[0], random[1]
    wanted, rise, fall = floats[0], floats[1], floats[2]
    zero = np.uint32(0)
    other = up_per_w.size - m
    held = 0
    for s in range(samples):
        for k in range(r):
            x[s, k] = factor * inputs[s, rows[k]]
    for k in range(r):
        base[k] = bits(zero, zero, np.uint32(key + np.uint32(rows[k])))
    for j in range(m):
        wanted[:] = 0
        for s in range(samples):
            d, of = delta[s, first + j], x[s]
            for k in range(r):
                wanted[k] += of[k] * d
        if matrix.size > 0:
            for k in range(r):
                wanted[k] = factor * matrix[rows[k], first + j]
        for k in range(r):
            chance[k] = bits(zero, zero, np.uint32(base[k] + np.uint32(j)))
        if plus:
            rise[:], fall[:] = up_per_w[j], down_per_w[j]
            held += _round(wanted, rise, fall, chance, np.uint32(0), most, np.float32(1), counts[j])
        if minus:
            rise[:], fall[:] = down_per_w[other + j], up_per_w[other + j]
            part = counts[counts.shape[0] - m + j]
            held += _round(wanted, rise, fall, chance, np.uint32(16), most, np.float32(-1), part)
    return held


@lean
def _row_starts(counts: Counts, starts: Index, some: Index) -> int:
    """Write where each row of the r begins among the counts [c, r] that are not 0; how many these are.
    ``some`` are zeros [r], and hold the starts of the r afterwards.
    """
    for j in range(counts.shape[0]):
        of = counts[j]
        for k in range(some.size):
            some[k] += np.int64(of[k] != 0)
    total = 0
    for k in range(some.size):
        more = some[k]
        starts[k] = some[k] = total
        total += more
    starts[some.size] = total
    return total


@lean
def _turn_back(
    counts: Counts, next_: Index, places: Places, numbers: Counts, at: Places, found: Counts
) -> None:
    """List counts [c, r] that are not 0 row by row of the r; ``next_`` begins as the starts."""
    for j in range(counts.shape[0]):
        for q in range(append_row(counts[j], at, found, 0)):
            k = at[q]
            places[next_[k]] = j
            numbers[next_[k]] = found[q]
            next_[k] += 1


@kernel
def graded_pulses(
    delta: F32,
    inputs: F32,
    matrix: F32,
    factor: np.float32,
    rows: Index,
    first: int,
    m: int,
    plus: bool,
    minus: bool,
    up_per_w: F32,
    down_per_w: F32,
    most: np.float32,
    key: np.uint32,
) -> tuple[Index, Places, Counts, int]:
    """Stochastically rounded counts that are not 0 (hil.schedule.Pulses), and how many were held at ``most``.

    Parameters
    ----------
    delta, inputs, matrix, factor
        The wanted change, as :class:`hil.network.Wanted` holds it.
    rows
        Active inputs, int64 [r].
    first, m
        The block's outputs.
    plus, minus
        Which devices of its weights the block holds.
    up_per_w, down_per_w
        Pulses per unit of weight for each device, its share of the change included, float32 [1 or in, m] of
        all plus devices and then, where weights have them, [.., m] of all minus ones; one row serves all
        inputs. The expectation of a count is exactly the wanted number of pulses.
    """
    r = rows.size
    width = m * (int(plus) + int(minus))
    per_device = up_per_w.shape[0] > 1
    if width <= _NARROW and not per_device:
        return _turned(
            delta, inputs, matrix, factor, rows, first, m, plus, minus, up_per_w[0], down_per_w[0], most, key
        )
    starts, places, numbers, row = begun(r, width)
    wanted, chance = np.empty(m, np.float32), np.empty(m, np.uint32)
    k = n = held = 0
    while k < r:
        places, numbers = with_room(places, numbers, n, width)
        k, n, over = _graded_rows(
            delta, inputs, matrix, factor, rows, first, plus, minus, up_per_w, down_per_w, most, key,
            k, starts, places, numbers, n, row, wanted, chance,
        )  # fmt: skip
        held += over
    starts[r] = n
    return starts, places[:n], numbers[:n], held


@lean
def _graded_rows(
    delta: F32, inputs: F32, matrix: F32, factor: np.float32, rows: Index, first: int, plus: bool,
    minus: bool, up_per_w: F32, down_per_w: F32, most: np.float32, key: np.uint32, k: int, starts: Index,
    places: Places, numbers: Counts, n: int, row: Counts, wanted: F32, chance: NDArray[np.uint32],
) -> tuple[int, int, int]:  # fmt: skip
    """Rows of :func:`graded_pulses` from k on, as long as there is room: the next row, how many devices
    there are, and how many counts were held. The last three arrays are room to work in.
    """
    zero = np.uint32(0)
    m = wanted.size
    other = up_per_w.shape[1] - m
    held = 0
    while k < rows.size and n + row.size <= places.size:
        starts[k] = n
        wanted_row(delta, inputs, matrix, rows[k], factor, first, wanted)
        source = rows[k] if up_per_w.shape[0] > 1 else 0
        up, down = up_per_w[source], down_per_w[source]
        base = bits(zero, zero, np.uint32(key + np.uint32(rows[k])))
        for j in range(m):
            chance[j] = bits(zero, zero, np.uint32(base + np.uint32(j)))
        if plus:
            held += _round(wanted, up[:m], down[:m], chance, np.uint32(0), most, np.float32(1), row[:m])
        if minus:
            part = row[row.size - m :]
            held += _round(wanted, down[other:], up[other:], chance, np.uint32(16), most, -1, part)
        n = append_row(row, places, numbers, n)
        k += 1
    return k, n, held


@kernel
def sign_pulses(
    delta: F32,
    inputs: F32,
    matrix: F32,
    factor: np.float32,
    rows: Index,
    first: int,
    m: int,
    plus: bool,
    minus: bool,
    threshold: np.float32,
) -> tuple[Index, Places, Counts]:
    """One pulse by the sign of the wanted change where |dW| exceeds ``threshold``; the rest as
    :func:`graded_pulses`.
    """
    r = rows.size
    width = m * (int(plus) + int(minus))
    starts, places, numbers, row = begun(r, width)
    wanted = np.empty(m, np.float32)
    k = n = 0
    while k < r:
        places, numbers = with_room(places, numbers, n, width)
        k, n = _sign_rows(
            delta, inputs, matrix, factor, rows, first, minus, threshold, k, starts, places, numbers, n, row,
            wanted,
        )  # fmt: skip
    starts[r] = n
    return starts, places[:n], numbers[:n]


@lean
def _sign_rows(
    delta: F32, inputs: F32, matrix: F32, factor: np.float32, rows: Index, first: int, minus: bool,
    threshold: np.float32, k: int, starts: Index, places: Places, numbers: Counts, n: int, row: Counts,
    wanted: F32,
) -> tuple[int, int]:  # fmt: skip
    """Rows of :func:`sign_pulses` from k on, as :func:`_graded_rows`."""
    m = wanted.size
    while k < rows.size and n + row.size <= places.size:
        starts[k] = n
        wanted_row(delta, inputs, matrix, rows[k], factor, first, wanted)
        side = row[:m]
        for j in range(m):
            side[j] = np.int16(wanted[j] > threshold) - np.int16(wanted[j] < -threshold)
        if minus:
            other = row[row.size - m :]
            for j in range(m):
                other[j] = np.int16(wanted[j] < -threshold) - np.int16(wanted[j] > threshold)
        n = append_row(row, places, numbers, n)
        k += 1
    return k, n
