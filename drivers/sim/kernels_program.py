"""Programming pulses to the devices of a region, all in one compiled call whose work follows the pulses asked
for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.sim.kernels_step import closed_form, closed_form_worth, step, step_single
from drivers.sim.kernels_table import program_table
from drivers.sim.state import Devices, TableDevices
from hil.chance import words
from hil.jit import kernel, lean
from hil.kernels import sparse
from hil.schedule import Counts, Index, Places, Pulses

Array = NDArray[np.float32]
_NOMINAL = np.ones(2, np.float32)
_BLOCK = 512
_DENSE = 3
_WIDE = 64
"""A row of at least this many devices runs over all of them when one in three is pulsed; else those that are
pulsed join a list.
"""


class Programmed(NamedTuple):
    """What pulses did: sum over the devices of pulses x mean of the conductance before and after, siemens.

    Joules of one polarity are V² x width x its siemens.
    """

    up_siemens: float
    down_siemens: float


def program(
    devices: Devices | TableDevices,
    rows: Index,
    cols: Index,
    col_start: int,
    counts: Counts | Pulses,
    key: int,
    factors: tuple[float, float] = (1.0, 1.0),
) -> Programmed:
    """Change ``devices.g`` by the pulses of ``counts``; devices without pulses keep their bits.

    Parameters
    ----------
    devices
        The array's devices. Results stay within each device's own range.
    rows, cols, col_start
        Lines of the region, int64 [r] and [c], inside the array (not checked again), and its first column
        where they are contiguous, else -1.
    counts
        int16 [r, c], or those of them that are not 0: positive for potentiating pulses, negative for
        depressing ones.
    key
        Of this operation's noise, 0 <= key < 2^63. A device's draw depends on the key and its place in the
        array alone.
    factors
        How many nominal pulses one potentiating and one depressing pulse are worth, whole or not.
    """
    worth = _NOMINAL if factors == (1.0, 1.0) else np.array(factors, np.float32)
    pulses = counts if isinstance(counts, Pulses) else Pulses(*sparse(np.ascontiguousarray(counts)))
    if isinstance(devices, Devices):
        d = devices
        return Programmed(
            *_program_affine(d.g, d.packed, d.c2c_up, d.c2c_down, rows, cols, col_start, *pulses, worth, key)
        )
    t = devices
    return Programmed(
        *program_table(
            t.g, t.lo, t.hi, t.kind, t.up, t.down, t.grid_lo, t.grid_hi, rows, cols, *pulses, worth, key
        )
    )


@lean
def _nominal(factors: Array) -> Any:
    """Whether pulses of both kinds are worth one nominal pulse each."""
    return factors[0] == np.float32(1) and factors[1] == np.float32(1)


@lean
def _extremes(counts: Counts) -> tuple[Any, Any]:
    """Most pulses of each polarity."""
    up, down = np.int32(0), np.int32(0)
    for j in range(counts.size):
        up = max(up, np.int32(counts[j]))
        down = max(down, -np.int32(counts[j]))
    return np.float32(up), np.float32(down)


@lean
def _both(up: Array, down: Array, counts: Counts, out: Array) -> None:
    """The parameter of each device's polarity."""
    for j in range(out.size):
        x, y = up[j], down[j]
        out[j] = x if counts[j] > 0 else y


@lean
def _step_dense(
    g: Array, packed: Array, r: int, c: int, counts: Counts, s: Array,
    counter: NDArray[np.uint32], c2c: Array, factors: Array, low: Any, high: Any, total: NDArray[np.float64],
) -> None:  # fmt: skip
    """Neighbours: devices of row r from column c on, ``counts`` [m]."""
    m = counts.size
    most_up, most_down = _extremes(counts)
    largest = max(most_up, most_down)
    if largest == 0:
        return
    now, lo, hi = g[r, c : c + m], packed[r, 4, c : c + m], packed[r, 5, c : c + m]
    up_a, up_k = packed[r, 0, c : c + m], packed[r, 1, c : c + m]
    down_a, down_k = packed[r, 2, c : c + m], packed[r, 3, c : c + m]
    if most_down == 0:  # what no pulse asks for is not fetched from memory
        down_a, down_k = up_a, up_k
    elif most_up == 0:
        up_a, up_k = down_a, down_k
    first = np.uint32(r * g.shape[1] + c)
    if largest == 1 and _nominal(factors):
        step_single(
            now, up_a, up_k, down_a, down_k, lo, hi, counts, s[4, :m], s[7, :m], first, c2c, low, high, total
        )
        return
    a, k, n = s[0, :m], s[1, :m], s[2, :m]
    _both(up_a, down_a, counts, a)
    _both(up_k, down_k, counts, k)
    for j in range(m):
        n[j] = np.float32(counts[j])
    for j in range(m):
        counter[j] = np.uint32(first + np.uint32(j))
    if _nominal(factors):
        closed_form(n, k, largest, s[3, :m], s[4, :m], s[5, :m], s[6, :m])
    else:
        closed_form_worth(n, k, factors, s[3, :m], s[4, :m])
    step(now, lo, hi, a, k, n, s[3, :m], s[4, :m], s[7, :m], counter[:m], c2c, low, high, total)


@lean
def _step_listed(
    g: Array, packed: Array, place: Index, base: Index, n: Array, largest: Any, s: Array,
    counter: NDArray[np.uint32], c2c: Array, factors: Array, low: Any, high: Any, total: NDArray[np.float64],
) -> None:  # fmt: skip
    """Devices anywhere: ``place`` in the flat g, ``base`` in the flat packed, ``n`` pulses, all [m]."""
    m = place.size
    a, k, old, lo, hi = s[0, :m], s[1, :m], s[7, :m], s[8, :m], s[9, :m]
    flat = packed.reshape(-1)
    now = g.reshape(-1)
    stride = np.uint64(g.shape[1])
    for q in range(m):
        b = np.uint64(base[q])
        side = b + np.uint64(n[q] < 0) * np.uint64(2) * stride
        a[q] = flat[side]
        k[q] = flat[side + stride]
        lo[q] = flat[b + np.uint64(4) * stride]
        hi[q] = flat[b + np.uint64(5) * stride]
        old[q] = now[np.uint64(place[q])]
    for q in range(m):
        counter[q] = np.uint32(place[q])
    if _nominal(factors):
        closed_form(n, k, largest, s[3, :m], s[4, :m], s[5, :m], s[6, :m])
    else:
        closed_form_worth(n, k, factors, s[3, :m], s[4, :m])
    step(old, lo, hi, a, k, n, s[3, :m], s[4, :m], s[10, :m], counter[:m], c2c, low, high, total)
    for q in range(m):
        now[np.uint64(place[q])] = old[q]


@lean
def _walk(
    g: Array, packed: Array, c2c: Array, rows: Index, cols: Index, col_start: int, starts: Index,
    places: Places, numbers: Counts, factors: Array, low: Any, high: Any, s: Array, pulses: Array,
    counter: NDArray[np.uint32], place: Index, base: Index, line: Counts, total: NDArray[np.float64],
) -> None:  # fmt: skip
    """Row after row of a region; the arrays from ``s`` on are room to work in."""
    width = g.shape[1]
    m = 0
    most = np.float32(0)
    for i in range(rows.size):
        r, a, b = rows[i], starts[i], starts[i + 1]
        if col_start >= 0 and cols.size >= _WIDE and (b - a) * _DENSE >= cols.size:
            row = numbers[a:b]
            if row.size < cols.size:
                line[:] = 0
                for q in range(a, b):
                    line[places[q]] = numbers[q]
                row = line
            for first in range(0, cols.size, _BLOCK):
                some = row[first : first + _BLOCK]
                _step_dense(g, packed, r, col_start + first, some, s, counter, c2c, factors, low, high, total)
            continue
        for q in range(a, b):
            c = cols[places[q]]
            n = np.float32(numbers[q])
            pulses[m] = n
            place[m] = r * width + c
            base[m] = 6 * r * width + c
            most = max(most, abs(n))
            m += 1
            if m == _BLOCK:
                _step_listed(g, packed, place, base, pulses, most, s, counter, c2c, factors, low, high, total)
                m = 0
                most = np.float32(0)
    if m:
        _step_listed(
            g, packed, place[:m], base[:m], pulses[:m], most, s, counter, c2c, factors, low, high, total
        )


@kernel
def _program_affine(
    g: Array, packed: Array, c2c_up: float, c2c_down: float,
    rows: Index, cols: Index, col_start: int, starts: Index, places: Places, numbers: Counts,
    factors: Array, key: int,
) -> tuple[float, float]:  # fmt: skip
    low, high = words(key)
    total = np.zeros(2)
    _walk(
        g, packed, np.array([c2c_up, c2c_down], np.float32), rows, cols, col_start, starts, places, numbers,
        factors, low, high, np.empty((11, _BLOCK), np.float32), np.empty(_BLOCK, np.float32),
        np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.int64),
        np.empty(cols.size, np.int16), total,
    )  # fmt: skip
    return total[0], total[1]
