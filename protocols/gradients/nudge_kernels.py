"""Compiled loops between a nudge's readings and the change of the cost: some nanoseconds a weight and sample.

The difference of two costs is made of differences, so that small nudges keep their digits. Where a reading
was only a bound there is no change.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.jit import inline, kernel, reduction
from hil.kernels import alike, fill_by, neighbours, repeated, room
from hil.schedule import Index

F32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@kernel
def own_change(amperes: F32, base: F32, cols: Index, per_ampere: F32) -> F32:
    """Change of each nudged column's sum, float32 [k, n].

    ``amperes`` [k, n] with the nudge, ``base`` [n, columns] without; ``cols`` int64 [k] where each point's
    column is in base; ``per_ampere`` [n], signed: what an ampere of the column adds to the sum.
    """
    k, n = amperes.shape
    out = np.empty((k, n), np.float32)
    at_once = neighbours(n)
    share = repeated(per_ampere.reshape(n, 1), at_once)[0]
    held = room(1, at_once * n)[0]
    flat, now = out.reshape(-1), amperes.reshape(-1)
    q = 0
    while q < k:
        m = alike(cols, q, at_once)
        part, rest = slice(q * n, (q + m) * n), held[: m * n]
        for s in range(n):
            rest[s] = base[s, cols[q]]
        fill_by(rest, n)
        _apart(flat[part], now[part], rest, share)
        q += m
    return out


@kernel
def _apart(out: F32, now: F32, held: F32, share: F32) -> None:
    for i in range(out.size):
        out[i] = (now[i] - held[i]) * share[i]


@kernel
def add_sums(
    z: F32, first_sum: int, amperes: F32, per_ampere: F32, m: int, plus: int, minus: int
) -> None:  # fmt: skip
    """Add to the sums z [n, out] what a block's currents [n, columns] say; the rest as in
    :func:`add_changes`.
    """
    n, columns = amperes.shape
    for s in range(n):
        for j in range(m):
            more = amperes[s, plus + j] if plus >= 0 else np.float32(0)
            less = amperes[s, min(minus + j, columns - 1)] if minus >= 0 else np.float32(0)
            z[s, first_sum + j] += (more - less) * per_ampere[s]


@kernel
def add_slopes(
    products: Floats, squares: Floats, at: Index, cost: Floats, weight: Floats
) -> None:  # fmt: skip
    """Add cost x weight to ``products`` and weight^2 to ``squares`` at places ``at`` int64 [k]."""
    for q in range(at.size):
        products[at[q]] += cost[q] * weight[q]
        squares[at[q]] += weight[q] * weight[q]


@kernel
def add_changes(
    out: F32, first: int, first_sum: int, amperes: F32, base: F32, per_ampere: F32, m: int, plus: int,
    minus: int,
) -> None:  # fmt: skip
    """Add to the changes of all sums, out [sums, k, n], what a block's variants say.

    ``amperes`` [columns, q, n] of the nudges from ``first`` on, ``base`` [n, columns] without a nudge; the
    block serves m sums from ``first_sum`` on. ``plus`` and ``minus``: where its plus and minus columns begin,
    -1 where it has none. A minus that is its last column alone is shared by all m.
    """
    columns, k, n = amperes.shape
    at_once = neighbours(n)
    held, share = repeated(base, at_once), repeated(per_ampere.reshape(n, 1), at_once)[0]
    less = -share
    flat, now = out.reshape(out.shape[0], out.shape[1] * n), amperes.reshape(columns, k * n)
    for j in range(m):
        row = flat[first_sum + j, first * n : (first + k) * n]
        if plus >= 0:
            _add_change(row, now[plus + j], held[plus + j], share)
        if minus >= 0:
            at = min(minus + j, columns - 1)
            _add_change(row, now[at], held[at], less)


@kernel
def _add_change(out: F32, now: F32, held: F32, share: F32) -> None:
    for first in range(0, out.size, held.size):
        part, after = out[first : first + held.size], now[first : first + held.size]
        for i in range(part.size):
            part[i] += (after[i] - held[i]) * share[i]


@kernel
def leave_out(
    out: F32, first: int, first_sum: int, clipped: Flags, base_clipped: Flags, m: int, plus: int, minus: int
) -> None:  # fmt: skip
    """Put 0 in out [sums, k, n] where a reading behind a change was only a bound; arguments as in
    :func:`add_changes`.
    """
    columns, k, n = clipped.shape
    for j in range(m):
        at, other = plus + j, min(minus + j, columns - 1)
        for q in range(k):
            for s in range(n):
                bad = plus >= 0 and (clipped[at, q, s] or base_clipped[s, at])
                bad = bad or (minus >= 0 and (clipped[other, q, s] or base_clipped[s, other]))
                if bad:
                    out[first_sum + j, first + q, s] = 0


@inline
def _expm1(x: Any) -> Any:
    """e^x - 1, float32 in SIMD lanes: 2^i (e^r - 1) + (2^i - 1) with |r| <= ln(2) / 2; |x| up to 80."""
    x = min(max(x, np.float32(-80)), np.float32(80))
    turns = x * np.float32(1 / math.log(2))
    i = np.int32(turns + (np.float32(0.5) if turns >= 0 else np.float32(-0.5)))
    whole = np.float32(i)
    r = (x - whole * np.float32(0.693359375)) - whole * np.float32(math.log(2) - 0.693359375)
    power = np.int32((i + np.int32(127)) << np.int32(23)).view(np.float32)
    return power * _small_expm1(r) + (power - np.float32(1))


@inline
def _small_expm1(r: Any) -> Any:
    """e^r - 1, float32 in SIMD lanes, for |r| <= ln(2) / 2."""
    q = np.float32(1 / 5040)
    q = q * r + np.float32(1 / 720)
    q = q * r + np.float32(1 / 120)
    q = q * r + np.float32(1 / 24)
    q = q * r + np.float32(1 / 6)
    q = q * r + np.float32(0.5)
    return (q * r) * r + r


@inline
def _log1p(x: Any) -> Any:
    """ln(1 + x), float32 in SIMD lanes; what 1 + x loses of a small x is put back."""
    u = max(np.float32(1) + x, np.float32(1e-30))
    lost = x - (u - np.float32(1))
    raw = np.float32(u).view(np.int32)
    i = np.int32((raw - np.int32(0x3F3504F3)) >> np.int32(23))  # u / 2^i lies within sqrt(1/2) and sqrt(2)
    scaled = np.int32(raw - (i << np.int32(23))).view(np.float32)
    down = np.int32((np.int32(127) - i) << np.int32(23)).view(np.float32)
    f = (scaled - np.float32(1)) + lost * down
    s = f / (np.float32(2) + f)
    s2 = s * s
    q = np.float32(1 / 9)
    q = q * s2 + np.float32(1 / 7)
    q = q * s2 + np.float32(1 / 5)
    q = q * s2 + np.float32(1 / 3)
    q = (q * s2) * (s + s) + (s + s)
    return np.float32(i) * np.float32(math.log(2)) + q


@kernel
def softmax_cost_changes(
    amperes: F32, base: F32, per_ampere: F32, plus: int, minus: int, p: F32, gain: F32, labels: Index
) -> NDArray[np.float64]:  # fmt: skip
    """Change of the cross-entropy of softmax outputs, summed over the samples, float64 [k].

    C' - C = ln(sum_j p_j e^(d_j)) - d_true with d = gain x change of the sums: ``p`` [n, out] the outputs
    before, ``gain`` [out] of the neurons, ``labels`` int64 [n]; the rest as in :func:`add_changes`, of a
    block that serves all sums.
    """
    columns, k, n = amperes.shape
    m = gain.size
    at_once = neighbours(n)
    one_hot, rest = np.zeros((n, m), np.float32), np.zeros((n, m), np.float32)
    for s in range(n):
        one_hot[s, labels[s]] = 1
        for j in range(m):
            other = base[s, min(minus + j, columns - 1)]
            rest[s, j] = other if plus < 0 else base[s, plus + j] - (other if minus >= 0 else np.float32(0))
    odds, own, held = repeated(p, at_once), repeated(one_hot, at_once), repeated(rest, at_once)
    share = repeated(per_ampere.reshape(n, 1), at_once)[0]
    if plus < 0:
        share *= np.float32(-1)
    work = room(3, at_once * n)
    flat = amperes.reshape(columns, k * n)
    out = np.empty(k)
    for first in range(0, k, at_once):
        rows = min(at_once, k - first)
        part = slice(first * n, (first + rows) * n)
        grown, true, d = work[0, : rows * n], work[1, : rows * n], work[2, : rows * n]
        grown[:] = 0
        true[:] = 0
        for j in range(m):
            other = flat[min(minus + j, columns - 1), part]
            if plus >= 0 and minus >= 0:
                _between(d, flat[plus + j, part], other, held[j], share, gain[j])
            else:
                _scaled(d, other if plus < 0 else flat[plus + j, part], held[j], share, gain[j])
            if _all_within(d, np.float32(0.34)):
                _add_small_odds(grown, odds[j], d)
            else:
                _add_odds(grown, odds[j], d)
            _add_product(true, own[j], d)
        for i in range(grown.size):
            grown[i] = _log1p(grown[i]) - true[i]
        i = np.uint64(0)
        for q in range(first, first + rows):
            total = 0.0
            for _ in range(n):
                total += np.float64(grown[i])
                i += np.uint64(1)
            out[q] = total
    return out


@kernel
def _between(out: F32, plus: F32, minus: F32, held: F32, share: F32, gain: Any) -> None:
    for i in range(out.size):
        out[i] = ((plus[i] - minus[i]) - held[i]) * (gain * share[i])


@kernel
def _scaled(out: F32, now: F32, held: F32, share: F32, gain: Any) -> None:
    for i in range(out.size):
        out[i] = (now[i] - held[i]) * (gain * share[i])


@reduction
def _all_within(values: F32, most: Any) -> bool:
    """Whether no magnitude is above a bound; NaN is."""
    outside = np.int32(0)
    for i in range(values.size):
        outside += np.int32(0) if abs(values[i]) <= most else np.int32(1)
    return outside == 0


@kernel
def _add_odds(out: F32, p: F32, d: F32) -> None:
    for i in range(out.size):
        out[i] += p[i] * _expm1(d[i])


@kernel
def _add_small_odds(out: F32, p: F32, d: F32) -> None:
    for i in range(out.size):
        out[i] += p[i] * _small_expm1(d[i])


@kernel
def _add_product(out: F32, a: F32, b: F32) -> None:
    for i in range(out.size):
        out[i] += a[i] * b[i]


@kernel
def nudged_sums(sums: F32, outs: Index, changes: F32, gain: F32, offset: F32) -> F32:
    """What the nudged neurons see, gain (z + change) + offset, [k, n]: ``sums`` [n, out], ``outs`` int64 [k]
    which neuron each is, ``changes`` [k, n].
    """
    k, n = changes.shape
    out = np.empty((k, n), np.float32)
    at_once = neighbours(n)
    held = room(1, at_once * n)[0]
    flat, by = out.reshape(-1), changes.reshape(-1)
    q = 0
    while q < k:
        j, m = outs[q], alike(outs, q, at_once)
        part, before = slice(q * n, (q + m) * n), held[: m * n]
        for s in range(n):
            before[s] = sums[s, j]
        fill_by(before, n)
        _seen(flat[part], before, by[part], gain[j], offset[j])
        q += m
    return out


@kernel
def _seen(out: F32, before: F32, by: F32, gain: Any, offset: Any) -> None:
    for i in range(out.size):
        out[i] = gain * (before[i] + by[i]) + offset


@kernel
def with_lines(held: F32, values: F32, first: Index, which: Index) -> F32:
    """Vectors ``held`` [n, in] again and again, each time with some neighbouring lines put anew, [t n, in].

    ``which`` int64 [t]: whose ``values`` [k, n, lines] they get, from line ``first`` [k] on; -1: none.
    """
    n, m = held.shape
    out = np.empty((which.size * n, m), np.float32)
    for t in range(which.size):
        q = which[t]
        for s in range(n):
            row = out[t * n + s]
            row[:] = held[s]
            if q >= 0:
                row[first[q] : first[q] + values.shape[2]] = values[q, s]
    return out
