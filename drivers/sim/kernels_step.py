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
from hil.jit import kernel, reduction

Array = NDArray[np.float32]

_BEYOND = np.float32(1e15)
"""Steps that grow on the way (k < 0) are at the end of any range by then; kept from overflow."""


@kernel
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
    k_s[:] = k
    for place in range(np.int32(math.log2(largest)) + 1):
        for j in range(size):
            takes = np.float32(np.int32(np.int32(abs(n[j])) >> place) & np.int32(1))
            phi[j] = min(phi[j] + takes * (phi_s[j] - phi[j] * k_s[j]), _BEYOND)
        for j in range(size):
            phi_s[j] = min(phi_s[j] * (np.float32(2) - k_s[j]), _BEYOND)
        for j in range(size):
            k_s[j] = max(k_s[j] * (np.float32(2) - k_s[j]), -_BEYOND)


@reduction
def _tally(n: Array, before: Array, after: Array) -> tuple[Any, Any, Any, Any]:
    """Potentiating pulses, all pulses, and the same times twice the mean conductance."""
    up_n = np.float32(0)
    all_n = np.float32(0)
    up_s = np.float32(0)
    all_s = np.float32(0)
    for j in range(n.size):
        both = before[j] + after[j]
        size, up = abs(n[j]), max(n[j], np.float32(0))
        all_n += size
        all_s += both * size
        up_n += up
        up_s += both * up
    return up_n, all_n, up_s, all_s


@kernel
def _add_tally(n: Array, before: Array, after: Array, total: NDArray[np.float64]) -> None:
    up_n, all_n, up_s, all_s = _tally(n, before, after)
    half = np.float32(0.5)
    total[0] += up_n
    total[1] += all_n - up_n
    total[2] += half * up_s
    total[3] += half * (all_s - up_s)


@kernel
def step(
    g: Array, lo: Array, hi: Array, a: Array, k: Array, n: Array, phi: Array, root: Array, before: Array,
    counter: NDArray[np.uint32], c2c: Array, low: Any, high: Any, total: NDArray[np.float64],
) -> None:  # fmt: skip
    """Give n pulses to each device, in place; add pulses and pulses x mean conductance, by polarity, to
    ``total``.
    """
    zero = np.float32(0)
    c2c_up, c2c_down = c2c[0], c2c[1]
    if c2c_up == zero and c2c_down == zero:
        root[:] = zero
    else:
        for j in range(g.size):
            scale = c2c_up if n[j] > zero else c2c_down
            root[j] = root[j] * scale * normal(bits(low, high, counter[j]))
    before[:] = g
    for j in range(g.size):
        new = g[j] + (a[j] - k[j] * g[j]) * phi[j] + (hi[j] - lo[j]) * root[j]
        g[j] = min(max(new, lo[j]), hi[j])
    _add_tally(n, before, g, total)


@kernel
def step_single(
    g: Array, up_a: Array, up_k: Array, down_a: Array, down_k: Array, lo: Array, hi: Array, n: Array,
    before: Array, first: Any, c2c: Array, low: Any, high: Any, total: NDArray[np.float64],
) -> None:  # fmt: skip
    """Like :func:`step` for one pulse at most to each of some neighbours, in one pass over memory."""
    zero = np.float32(0)
    c2c_up, c2c_down = c2c[0], c2c[1]
    before[:] = g
    for j in range(g.size):
        ua, da, uk, dk = up_a[j], down_a[j], up_k[j], down_k[j]
        a = ua if n[j] > zero else da
        k = uk if n[j] > zero else dk
        scale = c2c_up if n[j] > zero else c2c_down
        noise = scale * normal(bits(low, high, np.uint32(first + np.uint32(j))))
        old = g[j]
        new = old + (a - k * old + (hi[j] - lo[j]) * noise) * abs(n[j])
        g[j] = min(max(new, lo[j]), hi[j])
    _add_tally(n, before, g, total)
