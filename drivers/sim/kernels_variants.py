"""Multiplications repeated with one thing changed each time: rank one, whatever the size of the array."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.sim.kernels_multiply import region_sums, total
from drivers.sim.state import Devices, TableDevices
from hil.chance import bits, normal, words
from hil.jit import kernel
from hil.schedule import Index

Array = NDArray[np.float32]


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
    low, high = words(key)
    sigma32 = np.float32(sigma)
    k = lines.size
    n, others = base.shape
    out = np.empty((k, n, others), np.float32)
    power = np.empty((k, n))
    line = np.empty(others, np.float32)
    for q in range(k):
        x = lines[q]
        for j in range(others):
            line[j] = g[rows[j], cols[x]] if transpose else g[rows[x], cols[j]]
        line_sum = total(line)
        for s in range(n):
            v, w = volts[s, x], line_volts[q, s]
            dv = w - v
            dv2 = w * w - v * v
            o, b = out[q, s], base[s]
            for j in range(others):
                o[j] = b[j] + dv * line[j]
            if base_var.size:
                bv = base_var[s]
                first = np.uint32((q * n + s) * others)
                for j in range(others):
                    squares = max(bv[j] + dv2 * line[j] * line[j], np.float32(0))
                    z = normal(bits(low, high, np.uint32(first + np.uint32(j))))
                    o[j] += sigma32 * np.float32(math.sqrt(squares)) * z
            power[q, s] = base_power[s] + np.float64(dv2) * line_sum
    return out, power


@kernel
def _nudged(
    g: Array, rows: Index, cols: Index, volts: Array, points: Index, change: Array,
    base: Array, base_var: Array, base_power: NDArray[np.float64], sigma: float, key: int,
) -> tuple[Array, NDArray[np.float64]]:  # fmt: skip
    low, high = words(key)
    sigma32 = np.float32(sigma)
    n = volts.shape[0]
    k = points.shape[0]
    out = np.empty((k, n), np.float32)
    power = np.empty((k, n))
    for q in range(k):
        i, j = points[q, 0], points[q, 1]
        was = g[rows[i], cols[j]]
        dg = change[q]
        dg2 = dg * (dg + np.float32(2) * was)
        for s in range(n):
            v = volts[s, i]
            out[q, s] = base[s, j] + v * dg
            if base_var.size:
                squares = max(base_var[s, j] + v * v * dg2, np.float32(0))
                z = normal(bits(low, high, np.uint32(q * n + s)))
                out[q, s] += sigma32 * np.float32(math.sqrt(squares)) * z
            power[q, s] = base_power[s] + np.float64(v) * v * dg
    return out, power
