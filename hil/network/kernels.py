"""The host's arithmetic between two transactions, compiled: at one sample a step numpy's calls cost more."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.jit import kernel, lean
from hil.schedule import Index

F32 = NDArray[np.float32]
Flags = NDArray[np.bool_]


@kernel
def with_bias(a: F32) -> F32:
    """Inputs [n, in] with a last line of ones, [n, in + 1]."""
    n, m = a.shape
    out = np.empty((n, m + 1), np.float32)
    for s in range(n):
        _copy(a[s], out[s])
        out[s, m] = 1
    return out


@lean
def _copy(values: F32, out: F32) -> None:
    """Copy values [m] to the first m of ``out``; a slice would be set four times slower."""
    for j in range(values.size):
        out[j] = values[j]


@kernel
def active(inputs: F32) -> Index:
    """Columns of inputs [n, in] that are not zero everywhere, rising, int64 [k]."""
    n, m = inputs.shape
    lines, some = np.empty(m, np.int64), np.zeros(m, np.int8)
    for s in range(n):
        _mark(inputs[s], some)
    k = 0
    for j in range(m):
        lines[k] = j
        k += some[j]
    return lines[:k].copy()


@lean
def _mark(values: F32, some: NDArray[np.int8]) -> None:
    """Set ``some`` [m] to 1 where values [m] are not 0."""
    for j in range(some.size):
        some[j] |= np.int8(values[j] != 0)


@kernel
def difference(amperes: F32, clipped: Flags, scale: Any, m: int) -> tuple[F32, Flags]:
    """(plus - minus) x scale [n, m], and where one of both is clipped, of currents that are m of plus, then
    either m of minus or one that all share.
    """
    n = amperes.shape[0]
    values = np.empty((n, m), np.float32)
    bounds = np.empty((n, m), np.bool_)
    factor = np.float32(scale)
    for s in range(n):
        if amperes.shape[1] == m + 1:
            minus, flag = amperes[s, m], clipped[s, m]
            for j in range(m):
                values[s, j] = (amperes[s, j] - minus) * factor
            for j in range(m):
                bounds[s, j] = clipped[s, j] | flag
            continue
        for j in range(m):
            values[s, j] = (amperes[s, j] - amperes[s, j + m]) * factor
            bounds[s, j] = clipped[s, j] | clipped[s, j + m]
    return values, bounds


@kernel
def signed_pair(delta: F32) -> F32:
    """+delta for the plus columns, -delta for the minus ones: [n, m] to [n, 2 m]."""
    n, m = delta.shape
    out = np.empty((n, 2 * m), np.float32)
    for s in range(n):
        for j in range(m):
            out[s, j] = delta[s, j]
            out[s, j + m] = -delta[s, j]
    return out


@kernel
def signed_reference(delta: F32) -> F32:
    """+delta for the plus columns, minus their sum for the reference: [n, m] to [n, m + 1]."""
    n, m = delta.shape
    out = np.empty((n, m + 1), np.float32)
    for s in range(n):
        _copy(delta[s], out[s])
        total = np.float32(0)
        for j in range(m):
            total += delta[s, j]
        out[s, m] = -total
    return out


@kernel
def peaks(values: F32, at_least: F32) -> F32:
    """Largest magnitude of each vector, [n, 1], and no less than ``at_least`` [n or 1, 1]; 1 where all are
    zero, or so small that a voltage over them is beyond float32.
    """
    n = values.shape[0]
    out = np.empty((n, 1), np.float32)
    for s in range(n):
        peak = at_least[s if at_least.shape[0] > 1 else 0, 0]
        for j in range(values.shape[1]):
            peak = max(peak, abs(values[s, j]))
        out[s, 0] = peak if peak > np.float32(1e-30) else np.float32(1)
    return out


@kernel
def softmax(z: F32) -> F32:
    """exp(z) over its sum along each row, [n, out]."""
    n, m = z.shape
    out = np.empty((n, m), np.float32)
    for s in range(n):
        top = z[s, 0]
        for j in range(m):
            top = max(top, z[s, j])
        total = np.float32(0)
        for j in range(m):
            out[s, j] = np.float32(np.exp(z[s, j] - top))
            total += out[s, j]
        for j in range(m):
            out[s, j] /= total
    return out


@kernel
def softmax_error(p: F32, labels: Index) -> tuple[F32, NDArray[np.float64]]:
    """Compute delta = p - one-hot [n, out] and the cross-entropy -ln p of each sample's class [n]."""
    n = labels.size
    delta = p.copy()
    cost = np.empty(n)
    for s in range(n):
        true = labels[s]
        delta[s, true] -= np.float32(1)
        cost[s] = -np.log(max(np.float64(p[s, true]), 1e-30))
    return delta, cost


@lean
def correct(a: F32, labels: Index) -> int:
    """In how many rows of a [n, out] the largest value is that of the label; ties count for the first."""
    right = 0
    for s in range(labels.size):
        best = 0
        for j in range(1, a.shape[1]):
            if a[s, j] > a[s, best]:
                best = j
        right += best == labels[s]
    return right
