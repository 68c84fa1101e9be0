"""Volts in, currents out: i = v G with white read noise, forward and transposed, with variants and with
nudges.

Every reading v_i g_ij carries its own relative noise, so a sum of readings carries one Gaussian of variance
sigma² sum (v_i g_ij)²: one draw for each answer is exact. Rows at 0 V are never looked at.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.sim.kernels_convert import convert
from drivers.sim.kernels_lanes import finite, lane_sums, lanes_pay
from drivers.sim.state import Devices, TableDevices
from hil.chance import bits, normal, words
from hil.jit import kernel, lean, reduction
from hil.schedule import Index

Array = NDArray[np.float32]
_ROWS = 64
_COLS = 512
_NARROW = 32
"""A region of no more columns, and more rows, is turned first for several vectors: loops along its rows would
be too short.
"""


class Converters(NamedTuple):
    """What stands between numbers and an array: bits 0 is exact, an ADC range of inf is always enough."""

    dac_bits: int = 0
    dac_range_v: float = 1.0
    offset_a: float = 0.0
    adc_bits: int = 0
    adc_range_a: float = math.inf


EXACT = Converters()


class Multiplied(NamedTuple):
    """``amperes`` float32; ``clipped``, where one is only a bound; ``power_w`` float64, watts of a vector."""

    amperes: Array
    clipped: NDArray[np.bool_]
    power_w: NDArray[np.float64]


def multiply(
    devices: Devices | TableDevices, rows: Index, cols: Index, col_start: int, volts: Array,
    sigma_rel: float, key: int, *, transpose: bool = False, converters: Converters = EXACT,
) -> Multiplied:  # fmt: skip
    """Drive one side of a region with n vectors and sense the other: amperes, clipped [n, c], power_w [n].

    Parameters
    ----------
    devices
        The array's devices; not changed.
    rows, cols, col_start
        Lines of the region, int64 [r] and [c], inside the array (not checked again), and its first column
        where they are contiguous, else -1.
    volts
        float32 [n, r], or [n, c] when ``transpose``, which drives the columns and answers amperes [n, r].
    sigma_rel
        Standard deviation of one reading relative to itself.
    key
        Of this operation's noise, 0 <= key < 2^63.
    """
    return Multiplied(
        *_multiply(
            devices.g, rows, cols, col_start, np.ascontiguousarray(volts), float(sigma_rel),
            key, transpose, *converters,
        )
    )  # fmt: skip


@kernel
def _multiply(
    g: Array, rows: Index, cols: Index, col_start: int, volts: Array, sigma: float, key: int, transpose: bool,
    dac_bits: int, dac_range: float, offset: float, adc_bits: int, adc_range: float,
) -> tuple[Array, NDArray[np.bool_], NDArray[np.float64]]:  # fmt: skip
    driven = volts
    if dac_bits > 0:
        driven = volts.copy()
        convert(driven.reshape(-1), np.empty(driven.size, np.bool_), dac_bits, dac_range)
    out, var, power = region_sums(g, rows, cols, col_start, driven, sigma > 0, transpose)
    _add_noise(out, var, sigma, key)
    flat = out.reshape(-1)
    if offset != 0:
        for j in range(flat.size):
            flat[j] += np.float32(offset)
    clipped = np.zeros(out.shape, np.bool_)
    full = adc_range
    if adc_bits > 0 and math.isinf(full):
        largest = np.float32(0)
        for j in range(flat.size):
            largest = max(largest, abs(flat[j]))
        full = np.float64(largest) if largest > 0 else 1.0
    if not math.isinf(full):
        convert(flat, clipped.reshape(-1), adc_bits, full)
    return out, clipped, power


@reduction
def total(values: Array) -> Any:
    """Sum in SIMD lanes."""
    result = np.float32(0)
    for j in range(values.size):
        result += values[j]
    return result


@lean
def _axpy4(out: Array, var: Array, g0: Array, g1: Array, g2: Array, g3: Array, v: Array, noisy: bool) -> None:
    """Add four rows, each times its volts, to the sums of currents and, when noisy, of their squares."""
    v0, v1, v2, v3 = v[0], v[1], v[2], v[3]
    if noisy:
        for j in range(out.size):
            t0 = v0 * g0[j]
            t1 = v1 * g1[j]
            t2 = v2 * g2[j]
            t3 = v3 * g3[j]
            out[j] += (t0 + t1) + (t2 + t3)
            var[j] += (t0 * t0 + t1 * t1) + (t2 * t2 + t3 * t3)
    else:
        for j in range(out.size):
            out[j] += (v0 * g0[j] + v1 * g1[j]) + (v2 * g2[j] + v3 * g3[j])


@kernel
def _forward(
    g: Array, rows: Index, c0: Any, c: int, volts: Array, noisy: bool, out: Array, var: Array,
    power: NDArray[np.float64],
) -> None:  # fmt: skip
    """Add to the sums of n vectors."""
    n = volts.shape[0]
    _forward_blocks(
        g, rows, c0, c, volts, noisy, out, var, power, np.zeros((n, _ROWS + 4), np.int64),
        np.zeros((n, _ROWS + 4), np.float32), np.zeros((n,), np.int64), np.zeros(_ROWS),
    )  # fmt: skip


@lean
def _forward_blocks(
    g: Array, rows: Index, c0: Any, c: int, volts: Array, noisy: bool, out: Array, var: Array,
    power: NDArray[np.float64], line: NDArray[np.int64], volt: Array, driven: Index,
    row_sum: NDArray[np.float64],
) -> None:  # fmt: skip
    """Blocks of rows by blocks of columns stay in the cache while all n vectors pass over them. The last four
    arrays are room to work in.
    """
    n, r = volts.shape
    width = c // (1 + max(c - 1, 0) // _COLS) + 1  # no narrow block is left over
    for first in range(0, r, _ROWS):
        size = min(_ROWS, r - first)
        row_sum[:] = -1.0
        for s in range(n):
            m = 0
            for i in range(size):
                v = volts[s, first + i]
                line[s, m] = i
                volt[s, m] = v
                m += v != 0
            for q in range(m):
                i = line[s, q]
                if row_sum[i] < 0:
                    row_sum[i] = total(g[rows[first + i], c0 : c0 + c])
                power[s] += np.float64(volt[s, q]) * volt[s, q] * row_sum[i]
                line[s, q] = rows[first + i]
            for q in range(m, m + 4):  # whole groups of four: the rest at 0 V
                volt[s, q] = 0
                line[s, q] = line[s, 0]
            driven[s] = m
        for left in range(0, c, width):
            right = min(left + width, c)
            a, b = c0 + left, c0 + right
            for s in range(n):
                o = out[s, left:right]
                w = var[s, left:right] if noisy else o
                for q in range(0, driven[s], 4):
                    _axpy4(
                        o, w, g[line[s, q], a:b], g[line[s, q + 1], a:b], g[line[s, q + 2], a:b],
                        g[line[s, q + 3], a:b], volt[s, q : q + 4], noisy,
                    )  # fmt: skip


@reduction
def _dot(row: Array, volts: Array, noisy: bool) -> tuple[Any, Any]:
    """Sum of the currents and, when noisy, of their squares."""
    total = np.float32(0)
    squares = np.float32(0)
    if noisy:
        for j in range(row.size):
            t = row[j] * volts[j]
            total += t
            squares += t * t
    else:
        for j in range(row.size):
            total += row[j] * volts[j]
    return total, squares


@kernel
def _transposed(
    g: Array, rows: Index, cols: Index, col_start: int, volts: Array, noisy: bool, out: Array, var: Array,
    power: NDArray[np.float64],
) -> None:  # fmt: skip
    n, c = volts.shape
    live = np.empty(c, np.int64)
    m = _driven_lines(volts, live)
    gathers = col_start < 0 or 4 * m < c
    driven = volts
    if gathers:
        driven = np.empty((n, m), np.float32)
        for s in range(n):
            for q in range(m):
                driven[s, q] = volts[s, live[q]]
    else:
        m = c
    _transposed_rows(
        g, rows, cols, live, -1 if gathers else col_start, driven, noisy, out, var, power,
        np.empty(m, np.float32), np.zeros(m, np.float32),
    )  # fmt: skip


@lean
def _driven_lines(volts: Array, live: Index) -> int:
    """List the lines that any vector drives in ``live``; how many there are."""
    m = 0
    for j in range(volts.shape[1]):
        some = False
        for s in range(volts.shape[0]):
            some = some or volts[s, j] != 0
        if some:
            live[m] = j
            m += 1
    return m


@lean
def _transposed_rows(
    g: Array, rows: Index, cols: Index, live: Index, first: int, driven: Array, noisy: bool, out: Array,
    var: Array, power: NDArray[np.float64], gathered: Array, col_sum: Array,
) -> None:  # fmt: skip
    """Row after row of the columns from ``first`` on, or gathered from those listed in ``live`` (-1)."""
    n, m = driven.shape
    for i in range(rows.size):
        row = gathered if first < 0 else g[rows[i], first : first + m]
        if first < 0:
            for q in range(m):
                row[q] = g[rows[i], cols[live[q]]]
        for q in range(m):
            col_sum[q] += row[q]
        for s in range(n):
            total, squares = _dot(row, driven[s], noisy)
            out[s, i] = total
            if noisy:
                var[s, i] = squares
    for s in range(n):
        for q in range(m):
            power[s] += np.float64(driven[s, q]) * driven[s, q] * col_sum[q]


@kernel
def _turned(g: Array, rows: Index, cols: Index) -> Array:
    """The region's conductances [c, r]."""
    tile = np.empty((cols.size, rows.size), np.float32)
    for i in range(rows.size):
        for j in range(cols.size):
            tile[j, i] = g[rows[i], cols[j]]
    return tile


@kernel
def region_sums(
    g: Array, rows: Index, cols: Index, col_start: int, volts: Array, noisy: bool, transpose: bool
) -> tuple[Array, Array, NDArray[np.float64]]:
    """Sum the currents [n, others] and their squares (empty unless noisy); watts [n]."""
    n = volts.shape[0]
    others = rows.size if transpose else cols.size
    out = np.zeros((n, others), np.float32)
    var = np.zeros((n if noisy else 0, others), np.float32)
    power = np.zeros(n)
    narrow = n > 1 and 0 < cols.size <= _NARROW and cols.size < rows.size
    if narrow and transpose:
        turned = _turned(g, rows, cols)
        _forward(turned, np.arange(cols.size), np.int64(0), rows.size, volts, noisy, out, var, power)
    elif transpose:
        _transposed(g, rows, cols, col_start, volts, noisy, out, var, power)
    elif lanes_pay(g, rows, cols, volts):
        lane_sums(g, rows, cols, volts, noisy, out, var, power)
    elif narrow and finite(g, rows, cols):
        turned = _turned(g, rows, cols)
        lines, across = np.arange(cols.size), np.arange(rows.size)
        _transposed(turned, lines, across, 0, volts, noisy, out, var, power)
    elif col_start >= 0:
        _forward(g, rows, col_start, cols.size, volts, noisy, out, var, power)
    else:
        tile = np.empty((rows.size, cols.size), np.float32)
        for i in range(rows.size):
            some = False
            for s in range(n):
                some = some or volts[s, i] != 0
            if some:
                for j in range(cols.size):
                    tile[i, j] = g[rows[i], cols[j]]
        _forward(tile, np.arange(rows.size), np.int64(0), cols.size, volts, noisy, out, var, power)
    return out, var, power


@lean
def _add_noise(amperes: Array, var: Array, sigma: float, key: int) -> None:
    """One normal for each answer, counted along the answers. ``var`` empty: no noise."""
    if var.size == 0:
        return
    low, high = words(key)
    sigma32 = np.float32(sigma)
    out = amperes.reshape(-1)
    squares = var.reshape(-1)
    for j in range(out.size):
        out[j] += sigma32 * np.float32(math.sqrt(squares[j])) * normal(bits(low, high, np.uint32(j)))
