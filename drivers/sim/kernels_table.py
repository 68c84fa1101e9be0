"""Pulses to devices that follow measured tables: one nominal pulse after another, each a draw of its own, and
of the last as much as is left.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hil.chance import bits, uniform, words
from hil.jit import kernel, lean
from hil.schedule import Counts, Index, Places

Array = NDArray[np.float32]


@lean
def _walk(
    g: Array, lo: Array, hi: Array, kind: NDArray[np.int16], up: Array, down: Array, grid_lo: Array,
    grid_hi: Array, rows: Index, cols: Index, starts: Index, places: Places, numbers: Counts,
    factors: Array, key: int, total: NDArray[np.float64],
) -> None:  # fmt: skip
    """Device after device of a region."""
    low, high = words(key)
    quantiles, points = up.shape[1], up.shape[2]
    for i in range(rows.size):
        r = rows[i]
        for q in range(starts[i], starts[i + 1]):
            c = cols[places[q]]
            n = abs(np.int64(numbers[q]))
            kd = kind[r, c]
            table = up[kd] if numbers[q] > 0 else down[kd]
            per_siemens = np.float32((points - 1) / (grid_hi[kd] - grid_lo[kd]))
            counter = np.uint32(r * g.shape[1] + c)
            old = g[r, c]
            now = old
            worth = np.float64(n) * np.float64(factors[0] if numbers[q] > 0 else factors[1])
            for pulse in range(np.int64(math.ceil(worth))):
                part = np.float32(min(worth - np.float64(pulse), 1.0))
                x = min(max((now - grid_lo[kd]) * per_siemens, np.float32(0)), np.float32(points - 1))
                x0 = min(int(x), points - 2)
                fx = x - np.float32(x0)
                step = table[0, x0] + fx * (table[0, x0 + 1] - table[0, x0])
                if quantiles > 1:
                    # The pulse's number scatters the second key word: each pulse of a device is a draw of its
                    # own.
                    word = np.uint32(high + np.uint32(np.uint32(pulse) * np.uint32(0x9E3779B9)))
                    y = uniform(bits(low, word, counter)) * np.float32(quantiles - 1)
                    y0 = min(int(y), quantiles - 2)
                    below = table[y0, x0] + fx * (table[y0, x0 + 1] - table[y0, x0])
                    above = table[y0 + 1, x0] + fx * (table[y0 + 1, x0 + 1] - table[y0 + 1, x0])
                    step = below + (y - np.float32(y0)) * (above - below)
                now = min(max(now + part * step, lo[r, c]), hi[r, c])
            g[r, c] = now
            total[0 if numbers[q] > 0 else 1] += 0.5 * n * (np.float64(old) + np.float64(now))


@kernel
def program_table(
    g: Array, lo: Array, hi: Array, kind: NDArray[np.int16], up: Array, down: Array, grid_lo: Array,
    grid_hi: Array, rows: Index, cols: Index, starts: Index, places: Places, numbers: Counts,
    factors: Array, key: int,
) -> tuple[float, float]:  # fmt: skip
    """Pulse the devices of a region; arguments and answer as :func:`drivers.sim.kernels_program.program`."""
    total = np.zeros(2)
    _walk(
        g, lo, hi, kind, up, down, grid_lo, grid_hi, rows, cols, starts, places, numbers, factors, key, total
    )  # fmt: skip
    return total[0], total[1]
