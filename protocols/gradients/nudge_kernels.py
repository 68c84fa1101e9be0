"""Compiled loops between a nudge's readings and the change of the cost: some nanoseconds a weight and sample.

The difference of two costs is made of differences, so that small nudges keep their digits. Where a reading
was only a bound there is no change.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.jit import inline, kernel
from hil.kernels import neighbours, repeated
from hil.schedule import Index

F32 = NDArray[np.float32]
Flags = NDArray[np.bool_]


@kernel
def own_change(
    amperes: F32, clipped: Flags, base: F32, base_clipped: Flags, cols: Index, per_ampere: F32
) -> F32:  # fmt: skip
    """Change of each nudged column's sum, float32 [k, n].

    ``amperes`` [k, n] with the nudge, ``base`` [n, columns] without; ``cols`` int64 [k] where each point's
    column is in base; ``per_ampere`` [n], signed: what an ampere of the column adds to the sum.
    """
    k, n = amperes.shape
    out = np.empty((k, n), np.float32)
    rest, bounds = base.T.copy(), base_clipped.T.copy()
    at_once = neighbours(n)
    share = repeated(per_ampere.reshape(n, 1), at_once)[0]
    held, known = np.empty(at_once * n, np.float32), np.empty(at_once * n, np.bool_)
    flat, now, flags = out.reshape(-1), amperes.reshape(-1), clipped.reshape(-1)
    for first in range(0, k, at_once):
        m = min(at_once, k - first)
        to = np.uint64(0)
        for q in range(first, first + m):
            for s in range(n):
                held[to] = rest[cols[q], s]
                known[to] = bounds[cols[q], s]
                to += np.uint64(1)
        part = slice(first * n, (first + m) * n)
        _own(flat[part], now[part], held, share, flags[part], known)
    return out


@kernel
def _own(out: F32, now: F32, held: F32, share: F32, flags: Flags, known: Flags) -> None:
    for i in range(out.size):
        change = (now[i] - held[i]) * share[i]
        out[i] = np.float32(0) if flags[i] | known[i] else change


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
    q = np.float32(1 / 5040)
    q = q * r + np.float32(1 / 720)
    q = q * r + np.float32(1 / 120)
    q = q * r + np.float32(1 / 24)
    q = q * r + np.float32(1 / 6)
    q = q * r + np.float32(0.5)
    q = (q * r) * r + r
    power = np.int32((i + np.int32(127)) << np.int32(23)).view(np.float32)
    return power * q + (power - np.float32(1))


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
def softmax_cost_changes(changes: F32, p: F32, gain: F32, labels: Index) -> NDArray[np.float64]:
    """Change of the cross-entropy of softmax outputs, summed over the samples, float64 [k].

    C' - C = ln(sum_j p_j e^(d_j)) - d_true with d = gain x change: ``changes`` float32 [out, k, n] of the
    sums, ``p`` [n, out] the outputs before, ``gain`` [out] of the neurons, ``labels`` int64 [n].
    """
    m, k, n = changes.shape
    at_once = neighbours(n)
    true_gain = np.zeros((n, m), np.float32)
    for s in range(n):
        true_gain[s, labels[s]] = gain[labels[s]]
    odds, own = repeated(p, at_once), repeated(true_gain, at_once)
    work = np.empty((2, at_once * n), np.float32)
    flat = changes.reshape(m, k * n)
    out = np.empty(k)
    for first in range(0, k, at_once):
        rows = min(at_once, k - first)
        grown, true = work[0, : rows * n], work[1, : rows * n]
        grown[:] = 0
        true[:] = 0
        for j in range(m):
            part = flat[j, first * n : (first + rows) * n]
            _add_odds(grown, odds[j], gain[j], part)
            _add_product(true, own[j], part)
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
def _add_odds(out: F32, p: F32, gain: Any, change: F32) -> None:
    for i in range(out.size):
        out[i] += p[i] * _expm1(gain * change[i])


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
    held = sums.T.copy()
    for q in range(k):
        j = outs[q]
        row, before, by = out[q], held[j], changes[q]
        g, o = gain[j], offset[j]
        for s in range(n):
            row[s] = g * (before[s] + by[s]) + o
    return out


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
