"""Multiplications repeated with one thing changed each time: rank one, whatever the size of the array."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.sim.kernels_multiply import region_sums, total
from drivers.sim.state import Devices, TableDevices
from hil.chance import bits, normal, words
from hil.jit import kernel
from hil.schedule import Index

Array = NDArray[np.float32]
_POINTS = 256
"""Points whose noise is drawn in one loop: SIMD lanes are full at any number of vectors."""


class Sums(NamedTuple):
    """``amperes`` float32 before any amplifier; ``power_w`` float64, watts of each vector."""

    amperes: Array
    power_w: NDArray[np.float64]


def multiply_variants(
    devices: Devices | TableDevices, rows: Index, cols: Index, col_start: int, volts: Array,
    lines: Index, line_volts: Array, sigma_rel: float, key: int, *, transpose: bool = False,
) -> Sums:  # fmt: skip
    """Every vector k times, each time with one driven line replaced: amperes [k, n, others] and power_w [k,
    n].

    ``lines`` int64 [k] are positions in the driven lines, ``line_volts`` float32 [k, n] what that line is
    driven with; the rest as :func:`multiply`. The sums are rank one in the change; every reading has noise of
    its own.
    """
    volts = np.ascontiguousarray(volts)
    base = region_sums(devices.g, rows, cols, col_start, volts, sigma_rel > 0, transpose)
    amperes, power_w = _variants(
        devices.g, rows, cols, volts, lines, np.ascontiguousarray(line_volts), transpose,
        base[0], base[1], base[2], float(sigma_rel), key,
    )  # fmt: skip
    return Sums(amperes, power_w)


def multiply_nudged(
    devices: Devices | TableDevices, rows: Index, cols: Index, col_start: int, volts: Array,
    points: Index, change_s: Array, sigma_rel: float, key: int,
) -> Sums:  # fmt: skip
    """Sense each point's own column with that point's conductance changed alone: amperes, power_w [k, n].

    ``points`` int64 [k, 2] are positions (row, col) in the region's lines, ``change_s`` float32 [k] the
    change in siemens, ``volts`` float32 [n, r]; the rest as :func:`multiply`. Every reading has noise of its
    own.
    """
    volts = np.ascontiguousarray(volts)
    base = region_sums(devices.g, rows, cols, col_start, volts, sigma_rel > 0, False)
    amperes, power_w = _nudged(
        devices.g, rows, cols, volts, np.ascontiguousarray(points), np.ascontiguousarray(change_s),
        base[0], base[1], base[2], float(sigma_rel), key,
    )  # fmt: skip
    return Sums(amperes, power_w)


@kernel
def _variants(
    g: Array, rows: Index, cols: Index, volts: Array, lines: Index, line_volts: Array, transpose: bool,
    base: Array, base_var: Array, base_power: NDArray[np.float64], sigma: float, key: int,
) -> tuple[Array, NDArray[np.float64]]:  # fmt: skip
    k = lines.size
    n, others = base.shape
    m = n * others
    noisy = base_var.size > 0
    out = np.empty((k, n, others), np.float32)
    power = np.empty((k, n))
    # Everything is as long as one answer, so that the loops over it are long however few lines are sensed.
    line, held_v, dv = np.empty(m, np.float32), np.empty(m, np.float32), np.empty(m, np.float32)
    flat_base, flat_var = base.reshape(-1), base_var.reshape(-1)
    held = np.int64(-1)
    line_sum = np.float32(0)
    for q in range(k):
        x = lines[q]
        if x != held:
            held = x
            for j in range(others):
                line[j] = g[rows[j], cols[x]] if transpose else g[rows[x], cols[j]]
            line_sum = total(line[:others])
            for s in range(n):
                line[s * others : (s + 1) * others] = line[:others]
                held_v[s * others : (s + 1) * others] = volts[s, x]
        i = np.uint64(0)
        for s in range(n):
            v, w = volts[s, x], line_volts[q, s]
            power[q, s] = base_power[s] + np.float64(w * w - v * v) * line_sum
            by = w - v
            for _ in range(others):
                dv[i] = by
                i += np.uint64(1)
        answer = out[q].reshape(-1)
        if noisy:
            _changed_noisily(answer, flat_base, flat_var, line, held_v, dv, sigma, key, q * m)
        else:
            for j in range(m):
                answer[j] = flat_base[j] + dv[j] * line[j]
    return out, power


@kernel
def _changed_noisily(
    out: Array, base: Array, base_var: Array, line: Array, v: Array, dv: Array, sigma: float, key: int,
    first: int,
) -> None:  # fmt: skip
    """Write base + dv line and its noise, one normal for each value, counted from ``first``.

    Its square is that of base, with ((v + dv)^2 - v^2) line^2 more.
    """
    low, high = words(key)
    sigma32 = np.float32(sigma)
    start = np.uint32(first)
    for j in range(out.size):
        z = normal(bits(low, high, np.uint32(start + np.uint32(j))))
        more = dv[j] * (dv[j] + np.float32(2) * v[j]) * (line[j] * line[j])
        squares = max(base_var[j] + more, np.float32(0))
        out[j] = (base[j] + dv[j] * line[j]) + sigma32 * np.float32(math.sqrt(squares)) * z


@kernel
def _nudged(
    g: Array, rows: Index, cols: Index, volts: Array, points: Index, change: Array,
    base: Array, base_var: Array, base_power: NDArray[np.float64], sigma: float, key: int,
) -> tuple[Array, NDArray[np.float64]]:  # fmt: skip
    n = volts.shape[0]
    k = points.shape[0]
    noisy = base_var.size > 0
    out = np.empty((k, n), np.float32)
    power = np.empty((k, n))
    squares = np.empty((_POINTS, n), np.float32)
    sums, sums2 = base.T.copy(), base_var.T.copy()
    driven = volts.T.copy()
    for first in range(0, k, _POINTS):
        m = min(_POINTS, k - first)
        for q in range(m):
            i, j = points[first + q, 0], points[first + q, 1]
            dg, v = change[first + q], driven[i]
            _replaced(out[first + q], sums[j], v, dg)
            if noisy:
                _squared(squares[q], sums2[j], v, dg * (dg + np.float32(2) * g[rows[i], cols[j]]))
            watts = power[first + q]
            for s in range(n):
                watts[s] = base_power[s] + np.float64(v[s]) * v[s] * dg
        if noisy:
            part = out[first : first + m].reshape(-1)
            _add_noise_from(part, squares[:m].reshape(-1), sigma, key, first * n)
    return out, power


@kernel
def _replaced(out: Array, base: Array, line: Array, by: Any) -> None:
    """Write base + by line."""
    for j in range(out.size):
        out[j] = base[j] + by * line[j]


@kernel
def _squared(out: Array, base: Array, v: Array, more: Any) -> None:
    """Write base + more v^2."""
    for j in range(out.size):
        out[j] = base[j] + v[j] * v[j] * more


@kernel
def _add_noise_from(out: Array, squares: Array, sigma: float, key: int, first: int) -> None:
    """One normal for each value, counted from ``first``; a rounding below 0 in its square is none."""
    low, high = words(key)
    sigma32 = np.float32(sigma)
    start = np.uint32(first)
    for j in range(out.size):
        z = normal(bits(low, high, np.uint32(start + np.uint32(j))))
        out[j] += sigma32 * np.float32(math.sqrt(max(squares[j], np.float32(0)))) * z
