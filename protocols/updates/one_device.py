"""Kernels of the rules that pulse one device of a pair for one wanted change, or ask only for signs.

Rows of counts are laid out, and leave, as in protocols/updates/kernels.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.chance import bits, uniform
from hil.jit import inline, kernel, lean
from hil.kernels import append_row, begun, with_room
from hil.network.tile import F32
from hil.schedule import Counts, Index, Places
from protocols.updates.kernels import wanted_row, write_row


@kernel
def directed_pulses(
    delta: F32,
    inputs: F32,
    matrix: F32,
    factor: np.float32,
    rows: Index,
    first: int,
    m: int,
    plus: bool,
    minus: bool,
    rise: F32,
    fall: F32,
    most: np.float32,
    key: np.uint32,
) -> tuple[Index, Places, Counts, int]:
    """Stochastically rounded counts for one device of each pair (hil.schedule.Pulses), and how many were held
    at ``most``.

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
    rise, fall
        Pulses per unit of weight for a wanted rise and for a wanted fall, float32 [1 or in, out]; one row
        serves all inputs. Above 0 they potentiate (the plus device for a rise, the minus device for a fall);
        below 0 they depress the other device of the pair.
    """
    r = rows.size
    width = m * (int(plus) + int(minus))
    starts, places, numbers, row = begun(r, width)
    wanted, signed = np.empty(m, np.float32), np.empty(m, np.int32)
    k = n = held = 0
    while k < r:
        places, numbers = with_room(places, numbers, n, width)
        k, n, over = _directed_rows(
            delta, inputs, matrix, factor, rows, first, plus, minus, rise, fall, most, key, k, starts, places,
            numbers, n, row, wanted, signed,
        )  # fmt: skip
        held += over
    starts[r] = n
    return starts, places[:n], numbers[:n], held


@lean
def _directed_rows(
    delta: F32, inputs: F32, matrix: F32, factor: np.float32, rows: Index, first: int, plus: bool,
    minus: bool, rise: F32, fall: F32, most: np.float32, key: np.uint32, k: int, starts: Index,
    places: Places, numbers: Counts, n: int, row: Counts, wanted: F32, signed: NDArray[np.int32],
) -> tuple[int, int, int]:  # fmt: skip
    """Rows of :func:`directed_pulses` from k on, as long as there is room: the next row, how many devices
    there are, and how many counts were held. The last three arrays are room to work in.
    """
    m, width = wanted.size, row.size
    per_weight = rise.shape[0] > 1
    zero = np.uint32(0)
    held = 0
    while k < rows.size and n + width <= places.size:
        starts[k] = n
        wanted_row(delta, inputs, matrix, rows[k], factor, first, wanted)
        source = rows[k] if per_weight else 0
        base = bits(zero, zero, np.uint32(key + np.uint32(rows[k])))
        up, down = rise[source, first : first + m], fall[source, first : first + m]
        held += _directed(wanted, up, down, most, base, signed)
        # A rise that potentiates and a fall that depresses are for the plus device, the others for the minus.
        if plus:
            side = row[:m]
            for j in range(m):
                side[j] = np.int16(signed[j] if (wanted[j] > 0) == (signed[j] > 0) else 0)
        if minus:
            other = row[width - m :]
            for j in range(m):
                other[j] = np.int16(signed[j] if (wanted[j] > 0) != (signed[j] > 0) else 0)
        n = append_row(row, places, numbers, n)
        k += 1
    return k, n, held


@inline
def _directed(
    wanted: F32, rise: F32, fall: F32, most: np.float32, base: Any, out: Any
) -> Any:  # fmt: skip
    """Signed counts of a row of weights; how many were held at ``most``."""
    beyond = np.float32(most + np.float32(1))
    zero = np.uint32(0)
    over = np.int32(0)
    for j in range(out.size):
        w = wanted[j]
        one, other = rise[j], fall[j]
        ratio = one if w > 0 else other
        part = uniform(bits(zero, zero, np.uint32(base + np.uint32(j))))
        pulses = np.float32(abs(w * ratio)) + part
        over += np.int32(pulses >= beyond)
        count = np.int32(pulses if pulses < most else most)
        out[j] = count if ratio > 0 else -count
    return over


@kernel
def threshold_pulses(
    delta: F32,
    inputs: F32,
    matrix: F32,
    factor: np.float32,
    rows: Index,
    first: int,
    m: int,
    plus: bool,
    minus: bool,
    smallest_input: np.float32,
    smallest_error: np.float32,
    one_way: bool,
    most: int,
) -> tuple[Index, Places, Counts, int]:
    """One pulse for each sample whose input and error both exceed their thresholds in magnitude, by the sign
    of the change that they ask for; the samples' pulses are added, and what cancels is not given.

    ``one_way``: a rise potentiates the plus device, a fall the minus device, and nothing depresses; else both
    devices move, in opposite directions. A measured gradient is compared with the product of the thresholds.
    The rest, and what comes back, as of :func:`directed_pulses`.
    """
    r = rows.size
    samples = delta.shape[0]
    width = m * (int(plus) + int(minus))
    starts, places, numbers, row = begun(r, width)
    net = np.empty(m, np.int32)
    signs = np.empty((samples, m), np.int32)
    for s in range(samples):
        d, of = delta[s, first : first + m], signs[s]
        for j in range(m):
            of[j] = np.int32(d[j] > smallest_error) - np.int32(d[j] < -smallest_error)
    k = n = held = 0
    while k < r:
        places, numbers = with_room(places, numbers, n, width)
        k, n, over = _threshold_rows(
            inputs, matrix, factor, rows, first, plus, minus, smallest_input, smallest_error, one_way, most,
            k, starts, places, numbers, n, row, net, signs,
        )  # fmt: skip
        held += over
    starts[r] = n
    return starts, places[:n], numbers[:n], held


@lean
def _threshold_rows(
    inputs: F32, matrix: F32, factor: np.float32, rows: Index, first: int, plus: bool, minus: bool,
    smallest_input: np.float32, smallest_error: np.float32, one_way: bool, most: int, k: int, starts: Index,
    places: Places, numbers: Counts, n: int, row: Counts, net: NDArray[np.int32], signs: NDArray[np.int32],
) -> tuple[int, int, int]:  # fmt: skip
    """Rows of :func:`threshold_pulses` from k on, as :func:`_directed_rows`; ``signs`` [n, m] of the errors
    above their threshold.
    """
    m, samples = signs.shape[1], signs.shape[0]
    against = np.int32(1) if factor > 0 else np.int32(-1)
    held = 0
    while k < rows.size and n + row.size <= places.size:
        starts[k] = n
        some = False
        net[:] = 0
        if matrix.size > 0:
            some = True
            threshold = np.float32(smallest_input * smallest_error)
            g = matrix[rows[k], first : first + m]
            for j in range(m):
                net[j] = against * (np.int32(g[j] > threshold) - np.int32(g[j] < -threshold))
        for s in range(samples):
            x = inputs[s, rows[k]]
            if abs(x) > smallest_input:
                some = True
                way = against if x > 0 else -against
                of = signs[s]
                for j in range(m):
                    net[j] += way * of[j]
        if some:
            held += int(write_row(net, plus, minus, one_way, most, row))
            n = append_row(row, places, numbers, n)
        k += 1
    return k, n, held
