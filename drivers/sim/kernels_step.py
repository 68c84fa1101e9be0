"""What pulses do to devices whose step is affine in their conductance, in SIMD lanes.

Each loop stores to one array or adds up, never both: with two stores LLVM leaves a loop out of SIMD, and sums
beside a store would depend on where arrays lie (hil.jit).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.chance import bits, normal
from hil.jit import lean, reduction

Array = NDArray[np.float32]

_BEYOND = np.float32(1e15)
"""Steps that grow on the way (k < 0) are at the end of any range by then; kept from overflow."""


@lean
def closed_form(n: Array, k: Array, largest: Any, phi: Array, root: Array, phi_s: Array, k_s: Array) -> None:
    """Compute phi = (1 - (1 - k)^|n|) / k and root = sqrt(|n|).

    By doubling: phi(m + s) = phi(m) (1 - k)^s + phi(s), keeping k_s = 1 - (1 - k)^s rather than the power, so
    that nothing cancels however small k is and k = 0 gives phi = |n|.
    """
    size = n.size
    if largest <= 1:
        for j in range(size):
            phi[j] = abs(n[j])
        for j in range(size):
            root[j] = abs(n[j])
        return
    for j in range(size):
        root[j] = np.float32(math.sqrt(abs(n[j])))
    phi[:] = 0
    phi_s[:] = 1
    for j in range(size):
        k_s[j] = k[j]
    for place in range(np.int32(math.log2(largest)) + 1):
        for j in range(size):
            takes = np.float32(np.int32(np.int32(abs(n[j])) >> place) & np.int32(1))
            phi[j] = min(phi[j] + takes * (phi_s[j] - phi[j] * k_s[j]), _BEYOND)
        for j in range(size):
            phi_s[j] = min(phi_s[j] * (np.float32(2) - k_s[j]), _BEYOND)
        for j in range(size):
            k_s[j] = max(k_s[j] * (np.float32(2) - k_s[j]), -_BEYOND)


@lean
def closed_form_worth(n: Array, k: Array, factors: Array, phi: Array, root: Array) -> None:
    """Like :func:`closed_form` for pulses that are worth ``factors`` nominal ones (potentiating, depressing):
    |n| times as many nominal pulses, whole or not.
    """
    for j in range(n.size):
        pulses = np.float64(abs(n[j])) * np.float64(factors[0] if n[j] > 0 else factors[1])
        slope = np.float64(k[j])
        grown = pulses if slope == 0 else -math.expm1(pulses * math.log1p(-slope)) / slope
        phi[j] = np.float32(min(grown, np.float64(_BEYOND)))
    for j in range(n.size):
        root[j] = np.float32(math.sqrt(abs(n[j]) * (factors[0] if n[j] > 0 else factors[1])))


@reduction
def _tally(n: Any, before: Array, after: Array) -> tuple[Any, Any]:
    """Potentiating pulses, and all, each times twice the mean conductance."""
    up = np.float32(0)
    both = np.float32(0)
    for j in range(n.size):
        of_device = (before[j] + after[j]) * np.float32(abs(np.int32(n[j])))
        both += of_device
        up += of_device if n[j] > 0 else np.float32(0)
    return up, both


@lean
def _settle(g: Array, after: Array, n: Any, total: NDArray[np.float64]) -> None:
    """Put new conductances in place and add pulses x mean conductance, by polarity, to ``total``."""
    up, both = _tally(n, g, after)
    for j in range(g.size):  # as a slice it would be copied four times slower
        g[j] = after[j]
    total[0] += np.float32(0.5) * up
    total[1] += np.float32(0.5) * (both - up)


@lean
def step(
    g: Array, lo: Array, hi: Array, a: Array, k: Array, n: Array, phi: Array, root: Array, after: Array,
    counter: NDArray[np.uint32], c2c: Array, low: Any, high: Any, total: NDArray[np.float64],
) -> None:  # fmt: skip
    """Give n pulses to each device, in place; add pulses x mean conductance, by polarity, to ``total``."""
    zero = np.float32(0)
    c2c_up, c2c_down = c2c[0], c2c[1]
    if c2c_up == zero and c2c_down == zero:
        root[:] = zero
    else:
        for j in range(g.size):
            scale = c2c_up if n[j] > zero else c2c_down
            root[j] = root[j] * scale * normal(bits(low, high, counter[j]))
    for j in range(g.size):
        new = g[j] + (a[j] - k[j] * g[j]) * phi[j] + (hi[j] - lo[j]) * root[j]
        after[j] = min(max(new, lo[j]), hi[j])
    _settle(g, after, n, total)


@lean
def step_single(
    g: Array, up_a: Array, up_k: Array, down_a: Array, down_k: Array, lo: Array, hi: Array,
    n: NDArray[np.int16], noise: Array, after: Array, first: Any, c2c: Array, low: Any, high: Any,
    total: NDArray[np.float64],
) -> None:  # fmt: skip
    """Like :func:`step` for one pulse at most to each of some neighbours, straight from the counts."""
    c2c_up, c2c_down = c2c[0], c2c[1]
    if c2c_up == 0 and c2c_down == 0:
        noise[:] = 0
    else:
        for j in range(n.size):
            scale = c2c_up if n[j] > 0 else c2c_down
            noise[j] = scale * normal(bits(low, high, np.uint32(first + np.uint32(j))))
    for j in range(n.size):
        ua, da, uk, dk = up_a[j], down_a[j], up_k[j], down_k[j]
        a = ua if n[j] > 0 else da
        k = uk if n[j] > 0 else dk
        old = g[j]
        new = old + (a - k * old + (hi[j] - lo[j]) * noise[j]) * np.float32(abs(np.int32(n[j])))
        after[j] = min(max(new, lo[j]), hi[j])
    _settle(g, after, n, total)
