"""Multiplications repeated with one thing changed each time: rank one, whatever the size of the array."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.sim.kernels_multiply import region_sums, total
from drivers.sim.kernels_noise import add_noise, changed_by_cosines, changed_by_sines, draw
from drivers.sim.state import Devices, TableDevices
from hil.chance import words
from hil.jit import kernel, lean, reduction
from hil.kernels import alike, fill_by, neighbours, repeated, room
from hil.schedule import Index

Array = NDArray[np.float32]


class Sums(NamedTuple):
    """``amperes`` float32 before any amplifier; ``power_w``, watts of all vectors together."""

    amperes: Array
    power_w: float


def multiply_variants(
    devices: Devices | TableDevices, rows: Index, cols: Index, col_start: int, volts: Array,
    lines: Index, line_volts: Array, sigma_rel: float, key: int, *, transpose: bool = False,
) -> Sums:  # fmt: skip
    """Every vector k times, each time with one driven line replaced: amperes [k, n, others] and power_w.

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
    """Sense each point's own column with that point's conductance changed alone: amperes [k, n] and power_w.

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
) -> tuple[Array, float]:  # fmt: skip
    k = lines.size
    n, others = base.shape
    noisy = base_var.size > 0
    out = room(others, k * n)
    at_once = neighbours(n)
    held, held_var = repeated(base, at_once), repeated(base_var, at_once if noisy else 0)
    work, raw = room(6, at_once * n), room(1, at_once * n)[0].view(np.uint32)
    more_watts = _replace_lines(
        out, g, rows, cols, volts, lines, line_volts.reshape(-1), transpose, held, held_var, work, raw,
        room(1, others)[0], noisy, sigma, key,
    )  # fmt: skip
    return out.reshape(others, k, n), k * base_power.sum() + more_watts


@lean
def _replace_lines(
    out: Array, g: Array, rows: Index, cols: Index, volts: Array, lines: Index, new: Array, transpose: bool,
    held: Array, held_var: Array, work: Array, raw: NDArray[np.uint32], line: Array, noisy: bool,
    sigma: float, key: int,
) -> float:  # fmt: skip
    """Write out [others, k n]; returns the watts above those without a variant."""
    n, others, k = volts.shape[0], line.size, lines.size
    at_once = work.shape[1] // n
    low, high = words(key)
    scale = np.float32(sigma * sigma)
    watts = 0.0
    q = 0
    while q < k:
        x = lines[q]
        m = alike(lines, q, at_once)
        for j in range(others):
            line[j] = g[rows[j], cols[x]] if transpose else g[rows[x], cols[j]]
        first, size = q * n, m * n
        v, dv, more = work[0, :size], work[1, :size], work[2, :size]
        radii, turns, var = work[3, :size], work[4, :size], work[5, :size]
        for s in range(n):
            v[s] = volts[s, x]
        fill_by(v, n)
        _changes(dv, more, new[first : first + size], v)
        watts += np.float64(total(more)) * np.float64(total(line))
        for j in range(0, others if noisy else 0, 2):
            one = out[j, first : first + size]
            start = np.uint32((j // 2) * k * n + first)
            if j + 1 == others:
                _replaced(one, held[j], dv, line[j])
                _replaced(var, held_var[j], more, line[j] * line[j])
                add_noise(one, var, radii, turns, raw, low, high, start, scale)
                continue
            two = out[j + 1, first : first + size]
            draw(radii, turns, raw[:size], low, high, start, scale)
            changed_by_cosines(one, held[j], held_var[j], dv, more, line[j], radii, turns)
            changed_by_sines(two, held[j + 1], held_var[j + 1], dv, more, line[j + 1], radii, turns)
        for j in range(0 if noisy else others):
            _replaced(out[j, first : first + size], held[j], dv, line[j])
        q += m
    return watts


@lean
def _changes(dv: Array, more: Array, new: Array, v: Array) -> None:
    """Write the change of volts and that of their squares."""
    for i in range(dv.size):
        dv[i] = new[i] - v[i]
    for i in range(dv.size):
        more[i] = dv[i] * (dv[i] + np.float32(2) * v[i])


@lean
def _replaced(out: Array, base: Array, line: Array, by: Any) -> None:
    """Write base + by line."""
    for j in range(out.size):
        out[j] = base[j] + by * line[j]


@kernel
def _nudged(
    g: Array, rows: Index, cols: Index, volts: Array, points: Index, change: Array,
    base: Array, base_var: Array, base_power: NDArray[np.float64], sigma: float, key: int,
) -> tuple[Array, float]:  # fmt: skip
    n, r = volts.shape
    k = points.shape[0]
    out, driven = room(k, n), room(r, n)
    driven[:] = volts.T
    size = neighbours(n) * n
    more_watts = _nudge_points(
        out.reshape(-1), g, rows, cols, driven.reshape(-1), points, change, base, base_var,
        room(7, size), room(1, size)[0].view(np.uint32), sigma, key,
    )  # fmt: skip
    return out, k * base_power.sum() + more_watts


@lean
def _nudge_points(
    out: Array, g: Array, rows: Index, cols: Index, driven: Array, points: Index, change: Array,
    base: Array, base_var: Array, work: Array, raw: NDArray[np.uint32], sigma: float, key: int,
) -> float:  # fmt: skip
    """Write out [k n], of ``driven`` [r n] volts; returns the watts above those without a nudge."""
    n, k, at = base.shape[0], points.shape[0], points[:, 1]
    at_once = work.shape[1] // n
    low, high = words(key)
    scale = np.float32(sigma * sigma)
    watts = 0.0
    q = 0
    while q < k:
        j, m = at[q], alike(at, q, at_once)
        first, size = q * n, m * n
        part, lines = out[first : first + size], points[q : q + m, 0]
        held, v, by = work[0, :size], work[1, :size], work[2, :size]
        var, more = work[3, :size], work[4, :size]
        for s in range(n):
            held[s] = base[s, j]
        fill_by(held, n)
        if _rising(lines):
            v = driven[lines[0] * n :][:size]
        else:
            _gather(v, driven, lines, n)
        to = np.uint64(0)
        for p in range(q, q + m):
            i, dg = points[p, 0], change[p]
            square = dg * (dg + np.float32(2) * g[rows[i], cols[j]])
            for _ in range(n):
                by[to], more[to] = dg, square
                to += np.uint64(1)
        _plus_product(part, held, v, by)
        watts += np.float64(_work(v, by))
        if base_var.size > 0:
            for s in range(n):
                held[s] = base_var[s, j]
            fill_by(held, n)
            _plus_square(var, held, v, more)
            add_noise(part, var, work[5], work[6], raw, low, high, np.uint32(first), scale)
        q += m
    return watts


@lean
def _rising(lines: Index) -> bool:
    """Whether each line is the one after the last."""
    others = 0
    for q in range(1, lines.size):
        others += lines[q] != lines[q - 1] + 1
    return others == 0


@lean
def _gather(out: Array, driven: Array, lines: Index, n: int) -> None:
    """Write the n volts of each line."""
    to = np.uint64(0)
    for q in range(lines.size):
        first = np.uint64(lines[q] * n)
        for s in range(n):
            out[to] = driven[first + np.uint64(s)]
            to += np.uint64(1)


@lean
def _plus_product(out: Array, base: Array, a: Array, b: Array) -> None:
    for i in range(out.size):
        out[i] = base[i] + a[i] * b[i]


@lean
def _plus_square(out: Array, base: Array, v: Array, by: Array) -> None:
    for i in range(out.size):
        out[i] = base[i] + by[i] * (v[i] * v[i])


@reduction
def _work(v: Array, by: Array) -> Any:
    """Sum of by v^2 in SIMD lanes."""
    result = np.float32(0)
    for i in range(v.size):
        result += by[i] * (v[i] * v[i])
    return result
