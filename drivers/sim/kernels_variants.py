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
from hil.kernels import neighbours, repeated
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
    its own. They lie in memory column after column, [others, k, n].
    """
    volts = np.ascontiguousarray(volts)
    base = region_sums(devices.g, rows, cols, col_start, volts, sigma_rel > 0, transpose)
    amperes, power_w = _variants(
        devices.g, rows, cols, volts, lines, np.ascontiguousarray(line_volts), transpose,
        base[0], base[1], base[2], float(sigma_rel), key,
    )  # fmt: skip
    return Sums(amperes.transpose(1, 2, 0), power_w)


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
    noisy = base_var.size > 0
    out = np.empty((others, k, n), np.float32)
    power = np.empty((k, n))
    low, high = words(key)
    at_once = neighbours(n)
    held, held_var = repeated(base, at_once), repeated(base_var, at_once if noisy else 0)
    held_power = repeated(base_power.reshape(n, 1), at_once)[0]
    work = np.empty((3, at_once * n), np.float32)
    v, dv, more = work[0], work[1], work[2]
    line = np.empty(others, np.float32)
    flat, flat_volts, flat_power = out.reshape(others, k * n), line_volts.reshape(-1), power.reshape(-1)
    q = 0
    while q < k:
        x = lines[q]
        m = 1  # as many neighbours as replace the same line
        while m < at_once and q + m < k and lines[q + m] == x:
            m += 1
        for j in range(others):
            line[j] = g[rows[j], cols[x]] if transpose else g[rows[x], cols[j]]
        first, size = q * n, m * n
        for i in range(m):
            v[i * n : (i + 1) * n] = volts[:, x]
        _changes(dv[:size], more[:size], flat_volts[first : first + size], v)
        _add_to(flat_power[first : first + size], held_power, more, np.float64(total(line)))
        for j in range(others):
            part = flat[j, first : first + size]
            if noisy:
                start = np.uint32(j * k * n + first)
                _replaced_noisily(
                    part, held[j], held_var[j], dv, more, line[j], np.float32(sigma), low, high, start
                )
            else:
                _replaced(part, held[j], dv, line[j])
        q += m
    return out, power


@kernel
def _changes(dv: Array, more: Array, new: Array, v: Array) -> None:
    """Write the change of volts and that of their squares."""
    for i in range(dv.size):
        dv[i] = new[i] - v[i]
    for i in range(dv.size):
        more[i] = dv[i] * (dv[i] + np.float32(2) * v[i])


@kernel
def _replaced(out: Array, base: Array, line: Array, by: Any) -> None:
    """Write base + by line."""
    for j in range(out.size):
        out[j] = base[j] + by * line[j]


@kernel
def _add_to(out: NDArray[np.float64], base: NDArray[np.float64], line: Array, by: Any) -> None:
    """Write base + by line, in double precision."""
    for j in range(out.size):
        out[j] = base[j] + by * np.float64(line[j])


@kernel
def _replaced_noisily(
    out: Array, base: Array, var: Array, line: Array, more: Array, by: Any, sigma: Any, low: Any, high: Any,
    start: Any,
) -> None:  # fmt: skip
    """Write base + by line and its noise, one normal for each value, counted from ``start``, of variance var
    + by^2 more; a rounding below 0 is none.
    """
    squared = by * by
    for j in range(out.size):
        z = normal(bits(low, high, np.uint32(start + np.uint32(j))))
        spread = sigma * np.float32(math.sqrt(max(var[j] + squared * more[j], np.float32(0))))
        out[j] = (base[j] + by * line[j]) + spread * z


@kernel
def _add_noise_of(
    out: Array, var: Array, more: Array, by: Any, sigma: Any, low: Any, high: Any, start: Any
) -> None:  # fmt: skip
    """One normal for each value, counted from ``start``, of variance var + by more; a rounding below 0 is
    none.
    """
    for j in range(out.size):
        z = normal(bits(low, high, np.uint32(start + np.uint32(j))))
        out[j] += sigma * np.float32(math.sqrt(max(var[j] + by * more[j], np.float32(0)))) * z


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
    low, high = words(key)
    at_once = neighbours(n)
    sums, sums2, driven = base.T.copy(), base_var.T.copy(), volts.T.copy()
    held_power = repeated(base_power.reshape(n, 1), at_once)[0]
    work = np.empty((4, at_once * n), np.float32)
    v, var, by, more = work[0], work[1], work[2], work[3]
    flat, flat_power = out.reshape(-1), power.reshape(-1)
    for q in range(0, k, at_once):
        m = min(at_once, k - q)
        part = flat[q * n : (q + m) * n]
        to = np.uint64(0)
        for p in range(q, q + m):
            i, j, dg = points[p, 0], points[p, 1], change[p]
            square = dg * (dg + np.float32(2) * g[rows[i], cols[j]])
            for s in range(n):
                part[to], v[to], by[to] = sums[j, s], driven[i, s], dg
                if noisy:
                    var[to], more[to] = sums2[j, s], square
                to += np.uint64(1)
        _add_product(part, v, by)
        if noisy:
            for i in range(part.size):
                more[i] *= v[i] * v[i]
            _add_noise_of(part, var, more, np.float32(1), np.float32(sigma), low, high, np.uint32(q * n))
        for i in range(part.size):
            v[i] *= v[i] * by[i]
        _add_to(flat_power[q * n : (q + m) * n], held_power, v, 1.0)
    return out, power


@kernel
def _add_product(out: Array, a: Array, b: Array) -> None:
    for j in range(out.size):
        out[j] += a[j] * b[j]
