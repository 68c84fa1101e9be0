"""Wanted weight changes to signed pulse counts, compiled; work is proportional to active inputs times
outputs.

Counts of one row are laid out as a block's columns are: all plus devices, then all minus devices. A wanted
change +d asks the plus device for +d/2 and the minus device for -d/2.
"""

from __future__ import annotations

import numpy as np

from hil.chance import bits
from hil.jit import inline, kernel
from hil.network.tile import F32
from hil.schedule import Counts, Index


@inline
def _wanted_row(delta: F32, inputs: F32, row: int, factor: np.float32, first: int, out: F32) -> None:
    """DW of one input, for the outputs from ``first`` on."""
    m = out.size
    x = factor * inputs[0, row]
    d = delta[0, first : first + m]
    for j in range(m):
        out[j] = x * d[j]
    for s in range(1, delta.shape[0]):
        x = factor * inputs[s, row]
        if x != 0:
            d = delta[s, first : first + m]
            for j in range(m):
                out[j] += x * d[j]


@kernel
def graded_counts(
    delta: F32,
    inputs: F32,
    factor: np.float32,
    rows: Index,
    first: int,
    m: int,
    up_per_w: F32,
    down_per_w: F32,
    most: np.float32,
    key: np.uint32,
) -> tuple[Counts, int]:
    """Stochastically rounded counts for a pair block, int16 [r, 2m], and how many were held at ``most``
    pulses.

    ``rows`` int64 [r]: active inputs; ``first``, ``m``: the block's outputs; ``up_per_w``, ``down_per_w``
    float32 [1 or in, 2m]: pulses per unit of weight for each device, half the change each; one row serves all
    inputs. The expectation of a count is exactly the wanted number of pulses.
    """
    r = rows.size
    counts = np.empty((r, 2 * m), np.int16)
    wanted = np.empty(m, np.float32)
    held = 0
    zero = np.uint32(0)
    beyond = np.float32(most + np.float32(1))
    per_device = up_per_w.shape[0] > 1
    for k in range(r):
        row = rows[k]
        _wanted_row(delta, inputs, row, factor, first, wanted)
        source = row if per_device else 0
        up, down = up_per_w[source], down_per_w[source]
        base = bits(zero, zero, np.uint32(key + np.uint32(row)))
        out = counts[k]
        over = np.int32(0)
        for j in range(m):
            w = wanted[j]
            chance = bits(zero, zero, np.uint32(base + np.uint32(j)))
            low = np.float32(np.int32(chance & np.uint32(0xFFFF))) * np.float32(1 / 65536)
            high = np.float32(np.int32(chance >> np.uint32(16))) * np.float32(1 / 65536)
            up_plus, down_plus, up_minus, down_minus = up[j], down[j], up[j + m], down[j + m]
            rises = w > 0
            a = abs(w) * (up_plus if rises else down_plus) + low
            b = abs(w) * (down_minus if rises else up_minus) + high
            over += np.int32(a >= beyond) + np.int32(b >= beyond)
            plus = np.int32(a if a < most else most)
            minus = np.int32(b if b < most else most)
            out[j] = np.int16(plus if rises else -plus)
            out[j + m] = np.int16(-minus if rises else minus)
        held += over
    return counts, int(held)


@kernel
def sign_counts(
    delta: F32, inputs: F32, factor: np.float32, rows: Index, first: int, m: int, threshold: np.float32
) -> Counts:
    """One pulse by the sign of the wanted change where |dW| exceeds ``threshold``; int16 [r, 2m]."""
    r = rows.size
    counts = np.empty((r, 2 * m), np.int16)
    wanted = np.empty(m, np.float32)
    for k in range(r):
        _wanted_row(delta, inputs, rows[k], factor, first, wanted)
        out = counts[k]
        for j in range(m):
            w = wanted[j]
            sign = np.int16(w > threshold) - np.int16(w < -threshold)
            out[j] = sign
            out[j + m] = -sign
    return counts
