"""Noise of readings by the thousand: two normals from one draw, the directions of one radius.

A radius and its direction serve two readings whose variances differ, so that a reading takes half a draw and
one square root. Each loop stores to one array: with two stores LLVM leaves a loop out of SIMD.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.chance import bits, cosine, sine, squared_radius, turn
from hil.jit import lean

Array = NDArray[np.float32]


@lean
def draw(
    radii: Array, turns: Array, raw: NDArray[np.uint32], low: Any, high: Any, start: Any, scale: Any
) -> None:  # fmt: skip
    """Write squared radii times ``scale``, and directions, of pairs counted from ``start``; ``raw`` is room
    for as many.
    """
    for i in range(raw.size):
        raw[i] = bits(low, high, np.uint32(start + np.uint32(i)))
    for i in range(raw.size):
        radii[i] = scale * squared_radius(raw[i])
    for i in range(raw.size):
        turns[i] = turn(raw[i])


@lean
def add_noise(
    out: Array, var: Array, radii: Array, turns: Array, raw: NDArray[np.uint32], low: Any, high: Any,
    start: Any, scale: Any,
) -> None:  # fmt: skip
    """Add one normal of variance ``scale`` var to each value, one draw to two of them; a rounding below 0 is
    none. The rest as in :func:`draw`.
    """
    half = (out.size + 1) // 2
    draw(radii, turns, raw[:half], low, high, start, scale)
    _add_cosines(out[:half], var[:half], radii, turns)
    _add_sines(out[half:], var[half:], radii, turns)


@lean
def _add_cosines(out: Array, var: Array, radii: Array, turns: Array) -> None:
    for i in range(out.size):
        out[i] += np.float32(math.sqrt(radii[i] * max(var[i], np.float32(0)))) * cosine(turns[i])


@lean
def _add_sines(out: Array, var: Array, radii: Array, turns: Array) -> None:
    for i in range(out.size):
        out[i] += np.float32(math.sqrt(radii[i] * max(var[i], np.float32(0)))) * sine(turns[i])


@lean
def changed_by_cosines(
    out: Array, base: Array, var: Array, line: Array, more: Array, by: Any, radii: Array, turns: Array
) -> None:  # fmt: skip
    """Write base + by line and its noise, of variance (var + by^2 more) x the scale of the radii; a rounding
    below 0 is none.
    """
    squared = by * by
    for i in range(out.size):
        spread = np.float32(math.sqrt(radii[i] * max(var[i] + squared * more[i], np.float32(0))))
        out[i] = (base[i] + by * line[i]) + spread * cosine(turns[i])


@lean
def changed_by_sines(
    out: Array, base: Array, var: Array, line: Array, more: Array, by: Any, radii: Array, turns: Array
) -> None:  # fmt: skip
    """Like :func:`changed_by_cosines`, the other normals of the same draws."""
    squared = by * by
    for i in range(out.size):
        spread = np.float32(math.sqrt(radii[i] * max(var[i] + squared * more[i], np.float32(0))))
        out[i] = (base[i] + by * line[i]) + spread * sine(turns[i])
