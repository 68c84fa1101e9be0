"""Compiled loops between a nudge's readings and the change of sums: some nanoseconds a weight and sample.

Where a reading was only a bound there is no change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.jit import kernel, lean
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


@lean
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


@lean
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


@lean
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
