"""Staircases that a fitted model foretells, noise included: what goodness of fit is held against.

The bench that the twin is opened on has its own kernels for this; these few lines stand on the physics alone,
so that fit and simulator do not share a mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from calibration.staircase import Noise

Floats = NDArray[np.float64]


class Model(Protocol):
    """Devices [devices] that answer pulses."""

    @property
    def low(self) -> Floats:
        """Low ends of the ranges, siemens."""
        ...

    @property
    def high(self) -> Floats:
        """High ends."""
        ...

    def pulsed(self, g: Floats, count: int, rng: np.random.Generator) -> Floats:
        """Conductances after ``count`` pulses (negative: depressing) from ``g``, siemens [..., devices]."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Exponential:
    """Devices whose step is affine in their conductance, between two ends; all but c2c [devices].

    ``step_up``, ``step_down``: sizes of a pulse's change in the middle of the range, siemens; ``bend_up``,
    ``bend_down``: tanh(b/2) of the curves, positive where the first pulses of a way are the largest. ``c2c``:
    spread of one pulse's change up and down, in units of the range.
    """

    low: Floats
    high: Floats
    step_up: Floats
    step_down: Floats
    bend_up: Floats
    bend_down: Floats
    c2c: tuple[float, float]

    def pulsed(self, g: Floats, count: int, rng: np.random.Generator) -> Floats:
        """In closed form, c2c sqrt(n) of the range as noise, cut off at the ends of the range."""
        n, up = abs(count), count > 0
        step, bend = (self.step_up, self.bend_up) if up else (self.step_down, self.bend_down)
        span = self.high - self.low
        fall = np.clip(2 * step * bend / span, -0.99, 0.99)
        straight = np.abs(fall) < 1e-9
        safe = np.where(straight, 0.5, fall)
        times = np.where(straight, n, -np.expm1(n * np.log1p(-safe)) / safe)
        sign = 1 if up else -1
        change = (sign * step - fall * (g - 0.5 * (self.low + self.high))) * times
        noise = self.c2c[0 if up else 1] * np.sqrt(n) * span * rng.standard_normal(g.shape)
        return np.clip(g + change + noise, self.low, self.high)


class Reader(NamedTuple):
    """How conductances are read: noise, and the step of the converter, siemens; 0: none."""

    noise: Noise
    resolution_s: float = 0.0

    def read(self, g: Floats, rng: np.random.Generator) -> Floats:
        """One reading of each device, siemens."""
        seen = g + np.sqrt(self.noise.variance(g)) * rng.standard_normal(g.shape)
        return self.converted(seen)

    def converted(self, siemens: Floats) -> Floats:
        """On the steps of the converter."""
        step = self.resolution_s
        return siemens if step == 0 else np.round(siemens / step) * step


def staircases(
    model: Model,
    ways: tuple[tuple[int, int], tuple[int, int]],
    cycles: int,
    reader: Reader,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Readings on staircases up and down, each [cycles, points + 1, devices], siemens.

    ``ways``: (stride, points) up and down. As the routine ``update-curve`` measures them: from the low end,
    down again after up, a reading after every stride; a staircase begins with the last of the one before.
    """
    g = model.low.copy()
    for _ in range(ways[1][1]):
        g = model.pulsed(g, -ways[1][0], rng)
    read: tuple[list[Floats], list[Floats]] = ([], [])

    turned = reader.read(g, rng)
    for _ in range(cycles):
        for way, (stride, points), sign in zip(read, ways, (1, -1), strict=True):
            levels = [turned]
            for _ in range(points):
                g = model.pulsed(g, sign * stride, rng)
                levels.append(reader.read(g, rng))
            turned = levels[-1]
            way.append(np.stack(levels))
    return np.stack(read[0]), np.stack(read[1])
