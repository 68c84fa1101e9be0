"""Coincident pulse trains, compiled: a train is the bits of one word, and the coincidences of a row's and a
column's train are the bits that both have. So a whole step keeps the rank-one correlations of real trains.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.chance import bits, uniform, words
from hil.jit import inline, kernel, lean
from hil.kernels import append_row, begun, with_room
from hil.network.tile import F32
from hil.schedule import MAX_COUNT, Counts, Index, Places
from protocols.updates.kernels import write_row

Trains: TypeAlias = NDArray[np.uint64]


@kernel
def bernoulli_trains(p: F32, length: int, key: int) -> Trains:
    """Trains of ``length`` <= 64 slots, uint64 [n, lines], for probabilities p [n, lines] of a pulse in a
    slot.

    A probability of 1 or more is a pulse in each slot.
    """
    n, lines = p.shape
    low, high = words(key)
    trains = np.zeros((n, lines), np.uint64)
    for s in range(n):
        for i in range(lines):
            if p[s, i] <= 0:
                continue
            first = np.uint32(np.uint32(s * lines + i) * np.uint32(64))
            train = np.uint64(0)
            for b in range(length):
                slot = bits(low, high, np.uint32(first + np.uint32(b)))
                train |= np.uint64(uniform(slot) < p[s, i]) << np.uint64(b)
            trains[s, i] = train
    return trains


@inline
def _ones(x: Any) -> Any:
    """How many bits are set (the compiler knows this form and makes one instruction of it)."""
    x = np.uint64(x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555)))
    x = np.uint64((x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333)))
    x = np.uint64((x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F))
    return np.int32(np.uint64(x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@kernel
def coincidences(
    of_rows: Trains,
    of_cols: Trains,
    inputs: F32,
    delta: F32,
    against: int,
    rows: Index,
    first: int,
    m: int,
    plus: bool,
    minus: bool,
) -> tuple[Index, Places, Counts, int]:
    """Signed coincidences of trains, summed over samples: what cancels is not given.

    Parameters
    ----------
    of_rows, of_cols
        Trains of the active inputs, uint64 [n, r], and of all outputs, uint64 [n, out].
    inputs, delta
        Their signs, float32 [n, in] and [n, out].
    against
        Sign of the factor of the wanted change.
    rows
        Active inputs of the block, int64, which ``of_rows`` has in the same order.
    first, m, plus, minus
        The block's outputs, and which devices of its weights it holds; a minus device gets the opposite.

    Returns
    -------
    The counts that are not 0 (hil.schedule.Pulses), and how many were beyond what a count holds.
    """
    r = rows.size
    width = m * (int(plus) + int(minus))
    starts, places, numbers, row = begun(r, width)
    net = np.empty(m, np.int32)
    signs = np.empty((delta.shape[0], m), np.int32)
    for s in range(delta.shape[0]):
        d = delta[s, first : first + m]
        for j in range(m):
            signs[s, j] = np.int32(d[j] > 0) - np.int32(d[j] < 0)
    k = n = held = 0
    while k < r:
        places, numbers = with_room(places, numbers, n, width)
        k, n, over = _coincident_rows(
            of_rows, of_cols, inputs, against, rows, first, plus, minus, k, starts, places, numbers, n, row,
            net, signs,
        )  # fmt: skip
        held += over
    starts[r] = n
    return starts, places[:n], numbers[:n], held


@lean
def _coincident_rows(
    of_rows: Trains, of_cols: Trains, inputs: F32, against: int, rows: Index, first: int, plus: bool,
    minus: bool, k: int, starts: Index, places: Places, numbers: Counts, n: int, row: Counts,
    net: NDArray[np.int32], signs: NDArray[np.int32],
) -> tuple[int, int, int]:  # fmt: skip
    """Rows of :func:`coincidences` from k on, as long as there is room: the next row, how many devices there
    are, and how many counts were held. ``signs`` [n, m] of the errors; ``row`` and ``net`` are room.
    """
    samples, m = signs.shape
    held = 0
    while k < rows.size and n + row.size <= places.size:
        starts[k] = n
        net[:] = 0
        some = False
        for s in range(samples):
            train = of_rows[s, k]
            if train == 0:
                continue
            some = True
            way = np.int32(against) if inputs[s, rows[k]] > 0 else np.int32(-against)
            crossing, of = of_cols[s, first : first + m], signs[s]
            for j in range(m):
                net[j] += way * of[j] * _ones(train & crossing[j])
        if some:
            held += write_row(net, plus, minus, False, MAX_COUNT, row)
            n = append_row(row, places, numbers, n)
        k += 1
    return k, n, held


@kernel
def binomial_pulses(
    matrix: F32,
    factor: np.float32,
    per_slot: np.float32,
    length: int,
    rows: Index,
    first: int,
    m: int,
    plus: bool,
    minus: bool,
    key: int,
) -> tuple[Index, Places, Counts, int]:
    """What trains would give each weight by itself, for a change without factors: binomial counts of
    ``length`` slots with probability |factor matrix| ``per_slot``; and how many probabilities exceeded 1.
    """
    r = rows.size
    width = m * (int(plus) + int(minus))
    starts, places, numbers, row = begun(r, width)
    net = np.empty(m, np.int32)
    k = n = held = 0
    while k < r:
        places, numbers = with_room(places, numbers, n, width)
        k, n, over = _binomial_rows(
            matrix, factor, per_slot, length, rows, first, plus, minus, key, k, starts, places, numbers, n,
            row, net,
        )  # fmt: skip
        held += over
    starts[r] = n
    return starts, places[:n], numbers[:n], held


@lean
def _binomial_rows(
    matrix: F32, factor: np.float32, per_slot: np.float32, length: int, rows: Index, first: int, plus: bool,
    minus: bool, key: int, k: int, starts: Index, places: Places, numbers: Counts, n: int, row: Counts,
    net: NDArray[np.int32],
) -> tuple[int, int, int]:  # fmt: skip
    """Rows of :func:`binomial_pulses` from k on, as :func:`_coincident_rows`."""
    low, high = words(key)
    m = net.size
    held = 0
    while k < rows.size and n + row.size <= places.size:
        starts[k] = n
        g = matrix[rows[k], first : first + m]
        for j in range(m):
            wanted = np.float64(factor * g[j])
            p = abs(wanted) * per_slot
            held += int(p > 1)
            u = np.float64(uniform(bits(low, high, np.uint32(rows[k] * matrix.shape[1] + first + j))))
            count = _binomial(u, length, p)
            net[j] = count if wanted > 0 else -count
        write_row(net, plus, minus, False, MAX_COUNT, row)
        n = append_row(row, places, numbers, n)
        k += 1
    return k, n, held


@inline
def _binomial(u: Any, trials: int, p: Any) -> Any:
    """The binomial count whose cumulative probability first exceeds u."""
    if p >= 1:
        return np.int32(trials)
    likely = (1 - p) ** trials
    below = likely
    count = np.int32(0)
    while u >= below and count < trials:
        likely *= (trials - count) * p / ((count + 1) * (1 - p))
        below += likely
        count += np.int32(1)
    return count
