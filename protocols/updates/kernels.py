"""Wanted weight changes to signed pulses, compiled; work is proportional to active inputs times outputs.

A row of counts is laid out as a block's columns are: all plus devices, then all minus devices, or one of the
two kinds. It lives in the first cache, and only what is not 0 leaves it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.chance import bits
from hil.jit import inline, kernel
from hil.kernels import begun, with_row
from hil.network.tile import F32
from hil.schedule import Counts, Index, Places


@inline
def wanted_row(
    delta: F32, inputs: F32, matrix: F32, row: int, factor: np.float32, first: int, out: F32
) -> None:  # fmt: skip
    """DW of one input, for the outputs from ``first`` on."""
    m = out.size
    if matrix.size > 0:
        measured = matrix[row, first : first + m]
        for j in range(m):
            out[j] = factor * measured[j]
    else:
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


@inline
def write_row(net: Any, plus: bool, minus: bool, one_way: bool, most: int, row: Counts) -> Any:
    """A row of counts from those of its weights, ``net`` int32 [m]; how many were held at ``most``.

    A minus device gets the opposite of a plus device; ``one_way``: what would depress is left out.
    """
    m = net.size
    over = np.int32(0)
    for j in range(m):
        over += np.int32(abs(net[j]) > most)
        net[j] = min(max(net[j], -most), most)
    if plus:
        side = row[:m]
        for j in range(m):
            side[j] = np.int16(net[j] if net[j] > 0 or not one_way else 0)
    if minus:
        other = row[row.size - m :]
        for j in range(m):
            other[j] = np.int16(-net[j] if net[j] < 0 or not one_way else 0)
    return over


@inline
def _round(
    wanted: F32, rise: F32, fall: F32, chance: NDArray[np.uint32], shift: Any, most: np.float32, sign: Any,
    out: Counts,
) -> Any:  # fmt: skip
    """Counts of one side of a row, each rounded with 16 bits of chance; how many were held at ``most``.

    ``sign``: 1 where a wanted rise potentiates a device of this side, -1 where it depresses it.
    """
    beyond = np.float32(most + np.float32(1))
    over = np.int32(0)
    for j in range(out.size):
        w = wanted[j]
        half = np.uint32(np.uint32(chance[j] >> shift) & np.uint32(0xFFFF))
        part = np.float32(np.int32(half)) * np.float32(1 / 65536)
        one, other = rise[j], fall[j]
        pulses = abs(w) * (one if w > 0 else other) + part
        over += np.int32(pulses >= beyond)
        held = sign * (pulses if pulses < most else most)
        out[j] = np.int16(np.int32(held if w > 0 else -held))
    return over


@kernel
def graded_pulses(
    delta: F32,
    inputs: F32,
    matrix: F32,
    factor: np.float32,
    rows: Index,
    first: int,
    m: int,
    plus: bool,
    minus: bool,
    up_per_w: F32,
    down_per_w: F32,
    most: np.float32,
    key: np.uint32,
) -> tuple[Index, Places, Counts, int]:
    """Stochastically rounded counts that are not 0 (hil.schedule.Pulses), and how many were held at ``most``.

    Parameters
    ----------
    delta, inputs, matrix, factor
        The wanted change, as :class:`hil.network.Wanted` holds it.
    rows
        Active inputs, int64 [r].
    first, m
        The block's outputs.
    plus, minus
        Which devices of its weights the block holds.
    up_per_w, down_per_w
        Pulses per unit of weight for each device, its share of the change included, float32 [1 or in, m] of
        all plus devices and then, where weights have them, [.., m] of all minus ones; one row serves all
        inputs. The expectation of a count is exactly the wanted number of pulses.
    """
    r = rows.size
    width = m * (int(plus) + int(minus))
    starts, places, numbers, row = begun(r, width)
    wanted = np.empty(m, np.float32)
    chance = np.empty(m, np.uint32)
    zero = np.uint32(0)
    per_device = up_per_w.shape[0] > 1
    other = up_per_w.shape[1] - m
    held = 0
    n = 0
    for k in range(r):
        starts[k] = n
        wanted_row(delta, inputs, matrix, rows[k], factor, first, wanted)
        source = rows[k] if per_device else 0
        up, down = up_per_w[source], down_per_w[source]
        base = bits(zero, zero, np.uint32(key + np.uint32(rows[k])))
        for j in range(m):
            chance[j] = bits(zero, zero, np.uint32(base + np.uint32(j)))
        if plus:
            held += _round(wanted, up[:m], down[:m], chance, np.uint32(0), most, np.float32(1), row[:m])
        if minus:
            held += _round(
                wanted, down[other:], up[other:], chance, np.uint32(16), most, -1, row[width - m :]
            )
        places, numbers, n = with_row(row, places, numbers, n)
    starts[r] = n
    return starts, places[:n], numbers[:n], held


@kernel
def sign_pulses(
    delta: F32,
    inputs: F32,
    matrix: F32,
    factor: np.float32,
    rows: Index,
    first: int,
    m: int,
    plus: bool,
    minus: bool,
    threshold: np.float32,
) -> tuple[Index, Places, Counts]:
    """One pulse by the sign of the wanted change where |dW| exceeds ``threshold``; the rest as
    :func:`graded_pulses`.
    """
    r = rows.size
    width = m * (int(plus) + int(minus))
    starts, places, numbers, row = begun(r, width)
    wanted = np.empty(m, np.float32)
    n = 0
    for k in range(r):
        starts[k] = n
        wanted_row(delta, inputs, matrix, rows[k], factor, first, wanted)
        side = row[:m]
        for j in range(m):
            side[j] = np.int16(wanted[j] > threshold) - np.int16(wanted[j] < -threshold)
        if minus:
            other = row[width - m :]
            for j in range(m):
                other[j] = np.int16(wanted[j] < -threshold) - np.int16(wanted[j] > threshold)
        places, numbers, n = with_row(row, places, numbers, n)
    starts[r] = n
    return starts, places[:n], numbers[:n]
