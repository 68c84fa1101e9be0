"""The table model of abrupt devices: how one pulse's change is distributed at each conductance, of each
device alone, from its own staircases.

Such devices cross the range in a few pulses, each its own way, with a spread as large as the steps. A mean, a
spread and a shape pooled over devices do not tell them: quantiles are taken near each conductance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from calibration.twin.goodness import Staircases
from calibration.twin.walk import Reader

Floats = NDArray[np.float64]

MANY = 128
"""Cycles from which the distributions of most devices are known well enough (docs/twin.md)."""

_KNOTS = 33
_QUANTILES = 33
_NEAREST = 24
"""Steps that a distribution is taken from at least: those that begin nearest."""
_ABRUPT = 0.1
_FAR = 5.0
_STEEPEST = 2.5
_BLUR = 1e-3
_AT_END = 1e-4
_SHARP = 0.003
_BEYOND = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Jumps:
    """Devices by quantiles: ``low``, ``high`` [devices], siemens; ``up``, ``down`` [devices, quantiles,
    knots], the signed change of one pulse, siemens; quantiles evenly from 0 to 1, knots over the range.
    """

    low: Floats
    high: Floats
    up: Floats
    down: Floats

    def pulsed(self, g: Floats, count: int, rng: np.random.Generator) -> Floats:
        """Pulse after pulse, each a draw of its own; cut off at the ends of the range."""
        table = self.up if count > 0 else self.down
        device = np.arange(self.low.size)
        for _ in range(abs(count)):
            x = np.clip((g - self.low) / (self.high - self.low), 0, 1) * (_KNOTS - 1)
            drawn = rng.uniform(0, _QUANTILES - 1, g.shape)
            at, q = (np.minimum(part.astype(np.int64), part_most) for part, part_most in
                     ((x, _KNOTS - 2), (drawn, _QUANTILES - 2)))  # fmt: skip
            right, above = x - at, drawn - q
            below, over = (
                (1 - right) * table[device, n, at] + right * table[device, n, at + 1] for n in (q, q + 1)
            )
            g = np.clip(g + below + above * (over - below), self.low, self.high)
        return g

    def maps(self, which: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        """Maps of a bench file's measured devices: each of ``which`` [rows, cols] is a kind of its own."""
        kind = np.zeros(which.shape, np.int16)
        kind[which] = np.arange(self.low.size)
        return {
            "kind": kind,
            "table_min_s": self.low,
            "table_max_s": self.high,
            "table_up_s": self.up.astype(np.float32),
            "table_down_s": self.down.astype(np.float32),
        }


def abrupt(measured: Staircases, reader: Reader) -> bool:
    """Whether most devices [devices] take a tenth of their range with a pulse, far beyond the noise of a
    reading, and every pulse was followed by a reading.
    """
    if measured.strides != (1, 1):
        return False
    low, high = _ends(measured, reader)
    largest = np.max([np.abs(np.diff(way, axis=1)).mean(axis=0).max(axis=0) for way in measured[:2]], axis=0)
    noise = np.sqrt(reader.noise.variance(high))
    return float(np.median(largest / np.maximum(_ABRUPT * (high - low), _FAR * noise))) > 1


def fit_jumps(measured: Staircases, reader: Reader) -> Jumps:
    """Fit every device [devices] to its staircases, a reading after each pulse."""
    low, high = _ends(measured, reader)
    span = high - low
    knots = np.linspace(0, 1, _KNOTS)
    noise = (np.sqrt(reader.noise.variance(low + knots[:, np.newaxis] * span)) / span).T
    ways: list[Floats] = []
    for way in (measured.up, measured.down):
        y = (way - low) / span
        devices = [_quantiles(y[..., n], noise[n]) for n in range(low.size)]
        ways.append(np.stack(devices) * span[:, np.newaxis, np.newaxis])
    return Jumps(low, high, *ways)


def _ends(measured: Staircases, reader: Reader) -> tuple[Floats, Floats]:
    """How far a device ever went, less what is expected of the largest error among so many readings."""
    every = measured.readings()
    surely: Any = special.ndtri  # the normal distribution's quantile
    ends: list[Floats] = []
    for way, sign in ((measured.down, -1), (measured.up, 1)):
        plateau = way[:, -max(1, way.shape[1] // 4) :].reshape(-1, way.shape[2])
        extreme = sign * np.max(sign * every, axis=0)
        error = float(surely(1 - 1 / max(2, len(plateau)))) * np.sqrt(reader.noise.variance(extreme))
        ends.append(sign * np.maximum(sign * plateau.mean(axis=0), sign * extreme - error))
    low, high = ends
    return np.maximum(low, 0.0), np.maximum(high, low + 1e-3 * np.abs(low) + np.finfo(float).tiny)


def _quantiles(y: Floats, noise: Floats) -> Floats:
    """Quantiles [quantiles, knots] of the change in staircases [cycles, points], in units of the range.

    Near each knot the change is taken as linear in where it begins (local regression; Cleveland,
    doi:10.1080/01621459.1979.10481038), and what scatters about the line as the distribution there, narrowed
    by what ``noise`` [knots] of two readings put into it.
    """
    knots, levels = np.linspace(0, 1, _KNOTS), np.linspace(0, 1, _QUANTILES)
    begins, lands = np.clip(y[:, :-1].ravel(), 0, 1), y[:, 1:].ravel()
    known = np.isfinite(begins) & np.isfinite(lands)
    begins, lands = begins[known], lands[known]
    off = begins[:, np.newaxis] - knots
    distance = np.abs(off)
    enough = min(_NEAREST, len(begins) - 1)
    reach = np.maximum(np.partition(distance, enough, axis=0)[enough], 1 / (_KNOTS - 1))
    weight = np.maximum(0.0, 1 - distance / (1.0001 * reach))
    total = weight.sum(axis=0)
    size = (lands - begins)[:, np.newaxis]
    mean, centre = ((weight * part).sum(axis=0) / total for part in (size, off))
    square = (weight * (off - centre) ** 2).sum(axis=0) / total
    slope = (weight * (off - centre) * (size - mean)).sum(axis=0) / total / (square + _BLUR)
    slope = np.clip(slope, -_STEEPEST, 1.0)
    left = size - mean - slope * (off - centre)
    number = total**2 / (weight**2).sum(axis=0)
    variance = (weight * left**2).sum(axis=0) / total * number / np.maximum(number - 1, 1)
    narrow = np.sqrt(np.maximum(variance - 2 * noise**2, 0.0) / np.maximum(variance, np.finfo(float).tiny))
    order = np.argsort(left, axis=0)
    ranked, share = (np.take_along_axis(part, order, axis=0) for part in (left, weight / total))
    place = np.cumsum(share, axis=0) - 0.5 * share
    found = np.empty((_QUANTILES, _KNOTS))
    for k in range(_KNOTS):
        near = share[:, k] > 0
        about = narrow[k] * np.interp(levels, place[near, k], ranked[near, k])
        found[:, k] = mean[k] - slope[k] * centre[k] + about
    for sign, there, quiet in ((-1, lands < _AT_END, noise[0]), (1, lands > 1 - _AT_END, noise[-1])):
        if quiet < _SHARP:  # a reading tells what stands at an end from what lies just before it
            found = _held(found, (weight * there[:, np.newaxis]).sum(axis=0) / total, sign)
    return found


def _held(found: Floats, share: Floats, sign: int) -> Floats:
    """Quantiles [quantiles, knots], the outermost ``share`` [knots] of them led beyond an end."""
    knots, levels = np.linspace(0, 1, _KNOTS), np.linspace(0, 1, _QUANTILES)[:, np.newaxis]
    beyond = (1 + _BEYOND - knots) if sign > 0 else (-_BEYOND - knots)
    outermost = levels > 1 - share if sign > 0 else levels < share
    return np.where(outermost, sign * np.maximum(sign * found, sign * beyond), found)
