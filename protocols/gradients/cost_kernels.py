"""Compiled loops from the changes of the last sums to those of the cost: nanoseconds a weight and sample.

The difference of two costs is made of differences, so that small nudges keep their digits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.jit import inline, kernel, lean, reduction
from hil.kernels import neighbours, repeated, room
from hil.schedule import Index

F32 = NDArray[np.float32]
Floats = NDArray[np.float64]


@inline
def _expm1(x: Any) -> Any:
    """e^x - 1, float32 in SIMD lanes: 2^i (e^r - 1) + (2^i - 1) with |r| <= ln(2) / 2; |x| up to 80."""
    turns = x * np.float32(1 / math.log(2))
    i = np.int32(turns + (np.float32(0.5) if turns >= 0 else np.float32(-0.5)))
    whole = np.float32(i)
    r = (x - whole * np.float32(0.693359375)) - whole * np.float32(math.log(2) - 0.693359375)
    power = np.int32((i + np.int32(127)) << np.int32(23)).view(np.float32)
    return power * _small_expm1(r) + (power - np.float32(1))


@inline
def _bounded(x: Any) -> Any:
    """A change of what an output sees; beyond 80, where e^x leaves float32, it counts as 80. NaN stays."""
    x = np.float32(80) if x > np.float32(80) else x
    return np.float32(-80) if x < np.float32(-80) else x


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
    before, ``gain`` [out] of the neurons, ``labels`` int64 [n]; the rest as in
    :func:`protocols.gradients.nudge_kernels.add_changes`, of a block that serves all sums.
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
    out = np.empty(k)
    _cost_changes(
        out,
        amperes.reshape(columns, k * n),
        plus,
        minus,
        odds,
        own,
        held,
        share,
        gain,
        room(4, at_once * n),
        n,
    )
    return out


@lean
def _cost_changes(
    out: Floats, amperes: F32, plus: int, minus: int, odds: F32, own: F32, held: F32, share: F32, gain: F32,
    work: F32, n: int,
) -> None:  # fmt: skip
    """Write out [k], of ``amperes`` [columns, k n] and what repeats itself in some neighbours."""
    k, at_once = out.size, work.shape[1] // n
    for first in range(0, k, at_once):
        rows = min(at_once, k - first)
        grown, true = work[0, : rows * n], work[1, : rows * n]
        d, e = work[2, : rows * n], work[3, : rows * n]
        grown[:] = 0
        true[:] = 0
        for j in range(0, gain.size, 2):
            _output_change(d, amperes, first * n, plus, minus, j, held, share, gain[j])
            if j + 1 == gain.size:
                _add_odds(grown, odds[j], d)
                _add_product(true, own[j], d)
                continue
            _output_change(e, amperes, first * n, plus, minus, j + 1, held, share, gain[j + 1])
            if _all_within(d, e, np.float32(0.34)):
                _add_small_odds(grown, odds[j], d, odds[j + 1], e)
            else:
                _add_odds(grown, odds[j], d)
                _add_odds(grown, odds[j + 1], e)
            _add_products(true, own[j], d, own[j + 1], e)
        for i in range(grown.size):
            grown[i] = _log1p(grown[i]) - true[i]
        i = np.uint64(0)
        for q in range(first, first + rows):
            total = 0.0
            for _ in range(n):
                total += np.float64(grown[i])
                i += np.uint64(1)
            out[q] = total


@lean
def _output_change(
    out: F32, amperes: F32, first: int, plus: int, minus: int, j: int, held: F32, share: F32, gain: Any
) -> None:  # fmt: skip
    """Write the change of what output j sees, of some currents of its columns from the first on."""
    part = slice(first, first + out.size)
    other = amperes[min(minus + j, amperes.shape[0] - 1), part]
    if plus >= 0 and minus >= 0:
        _between(out, amperes[plus + j, part], other, held[j], share, gain)
    else:
        _scaled(out, other if plus < 0 else amperes[plus + j, part], held[j], share, gain)


@lean
def _between(out: F32, plus: F32, minus: F32, held: F32, share: F32, gain: Any) -> None:
    for i in range(out.size):
        out[i] = _bounded(((plus[i] - minus[i]) - held[i]) * (gain * share[i]))


@lean
def _scaled(out: F32, now: F32, held: F32, share: F32, gain: Any) -> None:
    for i in range(out.size):
        out[i] = _bounded((now[i] - held[i]) * (gain * share[i]))


@reduction
def _all_within(one: F32, two: F32, most: Any) -> bool:
    """Whether no magnitude is above a bound; NaN is."""
    outside = np.int32(0)
    for i in range(one.size):
        within = (abs(one[i]) <= most) & (abs(two[i]) <= most)
        outside += np.int32(0) if within else np.int32(1)
    return outside == 0


@lean
def _add_odds(out: F32, p: F32, d: F32) -> None:
    for i in range(out.size):
        out[i] += p[i] * _expm1(d[i])


@lean
def _add_small_odds(out: F32, p: F32, d: F32, q: F32, e: F32) -> None:
    for i in range(out.size):
        out[i] += p[i] * _small_expm1(d[i]) + q[i] * _small_expm1(e[i])


@lean
def _add_products(out: F32, a: F32, b: F32, c: F32, d: F32) -> None:
    for i in range(out.size):
        out[i] += a[i] * b[i] + c[i] * d[i]


@lean
def _add_product(out: F32, a: F32, b: F32) -> None:
    for i in range(out.size):
        out[i] += a[i] * b[i]
