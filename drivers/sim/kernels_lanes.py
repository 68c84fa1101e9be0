"""Currents of many vectors at once: blocks of them lie side by side, so that SIMD lanes are full however few
columns are sensed.

The positions of a kernel are vectors by the thousand on a dozen columns; row by row that would be a fraction
of the arithmetic a core can do.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hil.jit import kernel
from hil.schedule import Index

Array = NDArray[np.float32]
_LANES = 128
_PITCH = 144
"""Floats from one line's volts to the next line's: with a power of two they would all want one part of the
first cache."""
_ROWS = 8


@kernel
def finite(g: Array, rows: Index, cols: Index) -> bool:
    """Whether every conductance of a region is a number."""
    unknown = 0
    for i in range(rows.size):
        row = g[rows[i]]
        for j in range(cols.size):
            unknown += 0 if math.isfinite(row[cols[j]]) else 1
    return unknown == 0


@kernel
def lanes_pay(g: Array, rows: Index, cols: Index, volts: Array) -> bool:
    """Whether vectors [n, r] are better taken side by side: there are many, and not so many of their volts
    are 0, which row by row cost nothing.

    Never where a conductance is no number: a row at 0 V must not be looked at then.
    """
    n, r = volts.shape
    if 2 * n < _LANES:
        return False
    driven = 0
    for s in range(n):
        row = volts[s]
        for i in range(r):
            driven += row[i] != 0
    if driven * (1 + 300 / cols.size) < n * r:
        return False
    return finite(g, rows, cols)


@kernel
def lane_sums(
    g: Array, rows: Index, cols: Index, volts: Array, noisy: bool, out: Array, var: Array,
    power: NDArray[np.float64],
) -> None:  # fmt: skip
    """Write sums of currents to out [n, c], of their squares to var [n, c] when noisy, watts to power [n]."""
    n, r = volts.shape
    c = cols.size
    last = (c + 1) // 2 * 2
    height = (r + _ROWS - 1) // _ROWS * _ROWS
    tile = np.zeros((last, height), np.float32)
    squares = np.zeros((last + 2, height), np.float32)
    for i in range(r):
        line = np.float32(0)
        for j in range(c):
            each = g[rows[i], cols[j]]
            tile[j, i], squares[j, i] = each, each * each
            line += each
        squares[last, i] = line  # so that this sum of squared volts is the power
    v, v2 = np.zeros((height, _PITCH), np.float32), np.zeros((height, _PITCH), np.float32)
    sums = np.empty((last + 2, _LANES), np.float32)
    for first in range(0, n, _LANES):
        m = min(_LANES, n - first)
        for s in range(m):
            for i in range(r):
                v[i, s] = volts[first + s, i]
        for i in range(r):
            _squared(v2[i], v[i])
        _summed(sums, tile, v, 0, last)
        _put(out[first : first + m], sums)
        _summed(sums, squares, v2, 0 if noisy else last, last + 2)
        if noisy:
            _put(var[first : first + m], sums)
        for s in range(m):
            power[first + s] = sums[last, s]


@kernel
def _summed(sums: Array, tile: Array, v: Array, first: int, end: int) -> None:
    """Write tile[j] v for every lane to sums [j, lanes], j from first to end; both are even."""
    sums[first:end] = 0
    for i in range(0, v.shape[0], _ROWS):
        for j in range(first, end, 2):
            _add_rows(
                sums[j], sums[j + 1], tile[j, i : i + _ROWS], tile[j + 1, i : i + _ROWS], v[i : i + _ROWS]
            )


@kernel
def _add_rows(one: Array, two: Array, g: Array, h: Array, v: Array) -> None:
    """Add eight rows of volts to two sums, each times its conductance: a volt is loaded once for both."""
    g0, g1, g2, g3, g4, g5, g6, g7 = g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7]
    h0, h1, h2, h3, h4, h5, h6, h7 = h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]
    v0, v1, v2, v3, v4, v5, v6, v7 = v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]
    for s in range(_LANES):
        x0, x1, x2, x3, x4, x5, x6, x7 = v0[s], v1[s], v2[s], v3[s], v4[s], v5[s], v6[s], v7[s]
        low = (((one[s] + g0 * x0) + g1 * x1) + g2 * x2) + g3 * x3
        one[s] = (((low + g4 * x4) + g5 * x5) + g6 * x6) + g7 * x7
        low = (((two[s] + h0 * x0) + h1 * x1) + h2 * x2) + h3 * x3
        two[s] = (((low + h4 * x4) + h5 * x5) + h6 * x6) + h7 * x7


@kernel
def _squared(out: Array, v: Array) -> None:
    for s in range(_LANES):
        out[s] = v[s] * v[s]


@kernel
def _put(out: Array, sums: Array) -> None:
    """Write out [vectors, sums] of sums [sums, lanes]."""
    for s in range(out.shape[0]):
        row = out[s]
        for j in range(row.size):
            row[j] = sums[j, s]
