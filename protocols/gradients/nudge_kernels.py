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
    for q in range(k):
        now, before, flags, known = amperes[q], rest[cols[q]], clipped[q], bounds[cols[q]]
        row = out[q]
        for s in range(n):
            change = (now[s] - before[s]) * per_ampere[s]
            row[s] = np.float32(0) if flags[s] | known[s] else change
    return out


@kernel
def add_changes(
    out: F32, which: Index, first: int, amperes: F32, base: F32, per_ampere: F32, m: int, plus: int,
    minus: int,
) -> None:  # fmt: skip
    """Add to the changes of all sums, out [k, n, sums], what a block's variants say.

    ``which`` int64 [q]: the rows of out that ``amperes`` [q, n, columns] are for, ``base`` [n, columns]
    without a nudge; the block serves m sums from ``first`` on. ``plus`` and ``minus``: where its plus and
    minus columns begin, -1 where it has none. A minus that is its last column alone is shared by all m.
    """
    n, columns = base.shape
    alone = minus if columns - minus < m else 0
    share = np.empty(n * columns, np.float32)
    for s in range(n):
        share[s * columns : (s + 1) * columns] = per_ampere[s]
    change = np.empty(n * columns, np.float32)
    before = base.reshape(-1)
    for q in range(which.size):
        now, row = amperes[q].reshape(-1), out[which[q]].reshape(-1)
        for i in range(change.size):
            change[i] = (now[i] - before[i]) * share[i]
        to, source = np.uint64(first), np.uint64(0)
        for _ in range(n):
            if plus >= 0 and minus >= 0 and alone == 0:
                for j in range(m):
                    up, down = source + np.uint64(plus + j), source + np.uint64(minus + j)
                    row[to + np.uint64(j)] += change[up] - change[down]
            else:
                for j in range(m):
                    place = to + np.uint64(j)
                    if plus >= 0:
                        row[place] += change[source + np.uint64(plus + j)]
                    if minus >= 0:
                        row[place] -= change[source + np.uint64(alone if alone else minus + j)]
            to += np.uint64(out.shape[2])
            source += np.uint64(columns)


@kernel
def leave_out(
    out: F32, which: Index, first: int, clipped: Flags, base_clipped: Flags, m: int, plus: int, minus: int
) -> None:  # fmt: skip
    """Put 0 in out [k, n, sums] where a reading behind a change was only a bound; arguments as in
    :func:`add_changes`.
    """
    n, columns = base_clipped.shape
    for q in range(which.size):
        for s in range(n):
            for j in range(m):
                at, other = plus + j, min(minus + j, columns - 1)
                bad = plus >= 0 and (clipped[q, s, at] or base_clipped[s, at])
                bad = bad or (minus >= 0 and (clipped[q, s, other] or base_clipped[s, other]))
                if bad:
                    out[which[q], s, first + j] = 0


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
def _odds(changes: F32, p: F32, gain: F32, labels: Index) -> tuple[F32, F32]:
    k, n, m = changes.shape
    grown, own = np.empty((k, n), np.float32), np.empty((k, n), np.float32)
    weighted = np.empty((n, m), np.float32)
    gains = np.empty((n, m), np.float32)
    gains[:] = gain
    flat, flat_p, flat_gains = weighted.reshape(-1), p.reshape(-1), gains.reshape(-1)
    for q in range(k):
        row = changes[q].reshape(-1)
        for i in range(flat.size):
            flat[i] = flat_p[i] * _expm1(flat_gains[i] * row[i])
        total, true = grown[q], own[q]
        i = np.uint64(0)
        for s in range(n):
            grows = np.float32(0)
            for j in range(m):
                grows += flat[i + np.uint64(j)]
            total[s] = grows
            at = i + np.uint64(labels[s])
            true[s] = flat_gains[at] * row[at]
            i += np.uint64(m)
    return grown, own


@kernel
def softmax_cost_changes(changes: F32, p: F32, gain: F32, labels: Index) -> NDArray[np.float64]:
    """Change of the cross-entropy of softmax outputs, summed over the samples, float64 [k].

    C' - C = ln(sum_j p_j e^(d_j)) - d_true with d = gain x change: ``changes`` float32 [k, n, out] of the
    sums, ``p`` [n, out] the outputs before, ``gain`` [out] of the neurons, ``labels`` int64 [n].
    """
    k, n = changes.shape[0], changes.shape[1]
    grown, own = _odds(changes, p, gain, labels)
    flat, flat_own = grown.reshape(-1), own.reshape(-1)
    for i in range(flat.size):
        flat[i] = _log1p(flat[i]) - flat_own[i]
    out = np.empty(k)
    for q in range(k):
        total = 0.0
        for s in range(n):
            total += np.float64(grown[q, s])
        out[q] = total
    return out


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
