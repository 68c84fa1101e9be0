"""Programming pulses to the devices of a region, all in one compiled call whose work follows the pulses asked for."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.sim.noise import bits, normal, uniform, words
from drivers.sim.state import Devices, TableDevices
from hil.jit import kernel
from hil.schedule import Counts, Index

Array = NDArray[np.float32]
_BLOCK = 256
_DENSE = 4
"""A block runs over all its devices when one in this many or more is pulsed, else over a list of those that are."""


class Programmed(NamedTuple):
    """What pulses did. Joules of one polarity are V² x width x its siemens.

    ``up_pulses``, ``down_pulses``: device-pulses; ``up_siemens``, ``down_siemens``: sum over the devices of pulses x mean
    of the conductance before and after.
    """

    up_pulses: int
    down_pulses: int
    up_siemens: float
    down_siemens: float


def program(
    devices: Devices | TableDevices, rows: Index, cols: Index, col_start: int, counts: Counts, key: int
) -> Programmed:
    """Change ``devices.g`` by the pulses of ``counts``; devices without pulses keep their bits.

    Parameters
    ----------
    devices
        The array's devices. Results stay within each device's own range.
    rows, cols, col_start
        Lines of the region, int64 [r] and [c], inside the array (not checked again), and its first column where they are
        contiguous, else -1.
    counts
        int16 [r, c]: positive for potentiating pulses, negative for depressing ones.
    key
        Of this operation's noise, 0 <= key < 2^63. A device's draw depends on the key and its place in the array alone.
    """
    counts = np.ascontiguousarray(counts)
    if isinstance(devices, Devices):
        d = devices
        return Programmed(
            *_program_affine(
                d.g, d.up_a, d.up_k, d.down_a, d.down_k, d.lo, d.hi,
                float(d.c2c_up), float(d.c2c_down), rows, cols, col_start, counts, key,
            )
        )  # fmt: skip
    t = devices
    return Programmed(
        *_program_table(
            t.g, t.lo, t.hi, t.kind, t.up, t.down, t.grid_lo, t.grid_hi, rows, cols, col_start, counts, key
        )
    )


@kernel
def _scan(counts: Counts) -> tuple[int, int]:
    """How many counts are not 0, and the largest magnitude among them."""
    some = np.int32(0)
    largest = np.int32(0)
    for j in range(counts.size):
        n = np.int32(counts[j])
        some += np.int32(n != 0)
        largest = max(largest, abs(n))
    return some, largest


@kernel
def _closed_form(n: Array, k: Array, largest: int, phi: Array, root: Array) -> None:
    """phi = (1 - (1 - k)^|n|) / k and root = sqrt(|n|).

    By doubling: phi(m + s) = phi(m) (1 - k)^s + phi(s), keeping k_s = 1 - (1 - k)^s rather than the power, so that
    nothing cancels however small k is and k = 0 gives phi = |n|.
    """
    size = n.size
    if largest <= 1:
        for j in range(size):
            phi[j] = abs(n[j])
            root[j] = abs(n[j])
        return
    for j in range(size):
        root[j] = np.float32(math.sqrt(abs(n[j])))
        phi[j] = np.float32(0)
    phi_s = np.ones(size, np.float32)
    k_s = k[:size].copy()
    bit = np.int32(1)
    while bit <= largest:
        for j in range(size):
            takes = (np.int32(abs(n[j])) & bit) != np.int32(0)
            joined = phi[j] * (np.float32(1) - k_s[j]) + phi_s[j]
            phi[j] = joined if takes else phi[j]
            rest = np.float32(2) - k_s[j]
            phi_s[j] = phi_s[j] * rest
            k_s[j] = k_s[j] * rest
        bit = np.int32(bit << 1)


@kernel
def _step(
    g: Array, lo: Array, hi: Array, a: Array, k: Array, n: Array, phi: Array, root: Array,
    counter: NDArray[np.uint32], c2c_up: Any, c2c_down: Any, low: Any, high: Any,
) -> tuple[float, float, float, float]:  # fmt: skip
    """n pulses to each device, in place; returns pulses and pulses x mean conductance, both by polarity."""
    up_n = np.float32(0)
    all_n = np.float32(0)
    up_s = np.float32(0)
    all_s = np.float32(0)
    zero = np.float32(0)
    noisy = c2c_up > zero or c2c_down > zero
    if noisy:
        for j in range(g.size):
            c2c = c2c_up if n[j] > zero else c2c_down
            root[j] = root[j] * c2c * normal(bits(low, high, counter[j]))
    for j in range(g.size):
        old = g[j]
        new = old + (a[j] - k[j] * old) * phi[j]
        if noisy:
            new += (hi[j] - lo[j]) * root[j]
        new = min(max(new, lo[j]), hi[j])
        new = new if n[j] != zero else old
        g[j] = new
        size = abs(n[j])
        both = (old + new) * size
        all_n += size
        all_s += both
        up_n += size if n[j] > zero else zero
        up_s += both if n[j] > zero else zero
    half = np.float32(0.5)
    return up_n, all_n - up_n, half * up_s, half * (all_s - up_s)


@kernel
def _program_affine(
    g: Array, up_a: Array, up_k: Array, down_a: Array, down_k: Array, lo: Array, hi: Array,
    c2c_up: float, c2c_down: float, rows: Index, cols: Index, col_start: int, counts: Counts, key: int,
) -> tuple[int, int, float, float]:  # fmt: skip
    low, high = words(key)
    up32 = np.float32(c2c_up)
    down32 = np.float32(c2c_down)
    s = np.empty((8, _BLOCK), np.float32)
    counter = np.empty(_BLOCK, np.uint32)
    place = np.empty(_BLOCK, np.int64)
    total = np.zeros(4)
    width = g.shape[1]
    for i in range(rows.size):
        r = rows[i]
        for first in range(0, cols.size, _BLOCK):
            given = counts[i, first : first + _BLOCK]
            size = given.size
            some, largest = _scan(given)
            if some == 0:
                continue
            if col_start >= 0 and some * _DENSE >= size:
                c = col_start + first
                m = size
                ua, uk, da, dk = (
                    up_a[r, c : c + m],
                    up_k[r, c : c + m],
                    down_a[r, c : c + m],
                    down_k[r, c : c + m],
                )
                a, k, n = s[0, :m], s[1, :m], s[2, :m]
                base = np.uint32(r * width + c)
                for j in range(m):
                    up = given[j] > 0
                    a[j] = ua[j] if up else da[j]
                    k[j] = uk[j] if up else dk[j]
                    n[j] = np.float32(given[j])
                    counter[j] = np.uint32(base + np.uint32(j))
                _closed_form(n, k, largest, s[3, :m], s[4, :m])
                got = _step(
                    g[r, c : c + m], lo[r, c : c + m], hi[r, c : c + m], a, k, n, s[3, :m], s[4, :m],
                    counter[:m], up32, down32, low, high,
                )  # fmt: skip
            else:
                m = 0
                for j in range(size):
                    place[m] = j
                    m += given[j] != 0
                gg, ll, hh = s[5], s[6], s[7]
                for q in range(m):
                    j = place[q]
                    c = col_start + first + j if col_start >= 0 else cols[first + j]
                    place[q] = c
                    up = given[j] > 0
                    s[0, q] = up_a[r, c] if up else down_a[r, c]
                    s[1, q] = up_k[r, c] if up else down_k[r, c]
                    s[2, q] = np.float32(given[j])
                    gg[q] = g[r, c]
                    ll[q] = lo[r, c]
                    hh[q] = hi[r, c]
                    counter[q] = np.uint32(r * width + c)
                _closed_form(s[2, :m], s[1, :m], largest, s[3, :m], s[4, :m])
                got = _step(
                    gg[:m], ll[:m], hh[:m], s[0, :m], s[1, :m], s[2, :m], s[3, :m], s[4, :m],
                    counter[:m], up32, down32, low, high,
                )  # fmt: skip
                for q in range(m):
                    g[r, place[q]] = gg[q]
            for p in range(4):
                total[p] += got[p]
    return int(total[0]), int(total[1]), total[2], total[3]


@kernel
def _program_table(
    g: Array, lo: Array, hi: Array, kind: NDArray[np.int16], up: Array, down: Array, grid_lo: Array, grid_hi: Array,
    rows: Index, cols: Index, col_start: int, counts: Counts, key: int,
) -> tuple[int, int, float, float]:  # fmt: skip
    low, high = words(key)
    total_n = np.zeros(2, np.int64)
    total_s = np.zeros(2)
    quantiles, points = up.shape[1], up.shape[2]
    for i in range(rows.size):
        r = rows[i]
        given = counts[i]
        for j in range(given.size):
            if given[j] == 0:
                continue
            c = cols[j]
            n = abs(np.int64(given[j]))
            kd = kind[r, c]
            table = up[kd] if given[j] > 0 else down[kd]
            per_siemens = np.float32((points - 1) / (grid_hi[kd] - grid_lo[kd]))
            counter = np.uint32(r * g.shape[1] + c)
            old = g[r, c]
            now = old
            for pulse in range(n):
                x = min(max((now - grid_lo[kd]) * per_siemens, np.float32(0)), np.float32(points - 1))
                x0 = min(int(x), points - 2)
                fx = x - np.float32(x0)
                step = table[0, x0] + fx * (table[0, x0 + 1] - table[0, x0])
                if quantiles > 1:
                    # The pulse's number scatters the second key word: each pulse of a device is a draw of its own.
                    word = np.uint32(high + np.uint32(np.uint32(pulse) * np.uint32(0x9E3779B9)))
                    y = uniform(bits(low, word, counter)) * np.float32(quantiles - 1)
                    y0 = min(int(y), quantiles - 2)
                    below = table[y0, x0] + fx * (table[y0, x0 + 1] - table[y0, x0])
                    above = table[y0 + 1, x0] + fx * (table[y0 + 1, x0 + 1] - table[y0 + 1, x0])
                    step = below + (y - np.float32(y0)) * (above - below)
                now = min(max(now + step, lo[r, c]), hi[r, c])
            g[r, c] = now
            side = 0 if given[j] > 0 else 1
            total_n[side] += n
            total_s[side] += 0.5 * n * (np.float64(old) + np.float64(now))
    return total_n[0], total_n[1], total_s[0], total_s[1]
