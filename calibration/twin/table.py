"""The table model of every device: mean and spread of one pulse's change against conductance, with no form
taken for granted; for devices whose steps are not affine in their conductance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from calibration.twin.goodness import Staircases
from calibration.twin.shrink import shrunk
from calibration.twin.walk import Reader

Floats = NDArray[np.float64]

MOST_KINDS = 32_767
"""Most tables that a file of maps holds, one a device: their numbers are 16 bits."""

_KNOTS = 17
_QUANTILES = 33
_PLATEAU = 0.25
_ENOUGH = 200
_CHUNKS = 4
_FAR = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Devices by tables over their own ranges; ``low``, ``high`` [devices], siemens.

    ``mean_up``, ``mean_down``: signed change of one pulse, siemens [devices, knots], knots evenly over the
    range; ``sigma_up``, ``sigma_down`` its spread; ``shape_up``, ``shape_down`` its standard quantiles
    [quantiles, knots], mean 0 and variance 1, evenly from 0 to 1.
    """

    low: Floats
    high: Floats
    mean_up: Floats
    mean_down: Floats
    sigma_up: Floats
    sigma_down: Floats
    shape_up: Floats
    shape_down: Floats

    def pulsed(self, g: Floats, count: int, rng: np.random.Generator) -> Floats:
        """In a few steps, each with the mean change where it begins; cut off at the ends of the range."""
        n, up = abs(count), count > 0
        mean, sigma = (self.mean_up, self.sigma_up) if up else (self.mean_down, self.sigma_down)
        shape = self.shape_up if up else self.shape_down
        parts = min(n, _CHUNKS)
        device = np.arange(self.low.size)
        for _ in range(parts):
            x = np.clip((g - self.low) / (self.high - self.low), 0, 1) * (_KNOTS - 1)
            at = np.minimum(x.astype(np.int64), _KNOTS - 2)
            part = x - at
            change = mean[device, at] + part * (mean[device, at + 1] - mean[device, at])
            spread = sigma[device, at] + part * (sigma[device, at + 1] - sigma[device, at])
            drawn = rng.uniform(0, _QUANTILES - 1, g.shape)
            q = np.minimum(drawn.astype(np.int64), _QUANTILES - 2)
            here = (at + (part > 0.5)).astype(np.int64)
            z = shape[q, here] + (drawn - q) * (shape[q + 1, here] - shape[q, here])
            worth = n / parts
            g = np.clip(g + worth * change + np.sqrt(worth) * spread * z, self.low, self.high)
        return g

    def maps(self, which: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        """Maps of a bench file's measured devices: each of ``which`` [rows, cols] is a kind of its own."""
        kind = np.zeros(which.shape, np.int16)
        kind[which] = np.arange(self.low.size)
        up, down = (
            mean[:, np.newaxis] + sigma[:, np.newaxis] * form
            for mean, sigma, form in (
                (self.mean_up, self.sigma_up, self.shape_up),
                (self.mean_down, self.sigma_down, self.shape_down),
            )
        )
        return {
            "kind": kind,
            "table_min_s": self.low,
            "table_max_s": self.high,
            "table_up_s": up.astype(np.float32),
            "table_down_s": down.astype(np.float32),
        }


class _Way(NamedTuple):
    mean: Floats
    sigma: Floats
    shape: Floats


def fit_table(measured: Staircases, reader: Reader, ends: tuple[Floats, Floats] | None = None) -> Table:
    """Fit every device [devices] to its staircases; ``ends`` of the ranges where they are known."""
    low, high = _ends(measured, reader) if ends is None else ends
    ways = [
        _fit_way(way, low, high, stride, sign, reader)
        for way, stride, sign in (
            (measured.up, measured.strides[0], 1),
            (measured.down, measured.strides[1], -1),
        )
    ]
    up, down = ways
    return Table(low, high, up.mean, down.mean, up.sigma, down.sigma, up.shape, down.shape)


def _ends(measured: Staircases, reader: Reader) -> tuple[Floats, Floats]:
    """Ends of the range: where staircases end, and further by the scatter there that is not of reading: what
    noise keeps off an end is about as far from it as it scatters.
    """
    ends: list[Floats] = []
    for way, sign in ((measured.down, -1), (measured.up, 1)):
        last = way[:, -max(1, int(_PLATEAU * way.shape[1])) :].reshape(-1, way.shape[2])
        level = last.mean(axis=0)
        beyond = last.var(axis=0) - reader.noise.variance(level)
        ends.append(level + sign * np.sqrt(np.maximum(beyond, 0.0)))
    low, high = ends
    return np.maximum(low, 0.0), np.maximum(high, low + 1e-3 * np.abs(low) + np.finfo(float).tiny)


class Steps(NamedTuple):
    """Steps of one device in units of its range [n]: where each is thought to begin, its size."""

    place: Floats
    size: Floats


def _fit_way(way: Floats, low: Floats, high: Floats, stride: int, sign: int, reader: Reader) -> _Way:
    """Local means and spread of the change of all devices."""
    span = high - low
    knots = np.linspace(0, 1, _KNOTS)
    read: Floats = (reader.noise.variance(low + knots[:, np.newaxis] * span) / span**2).T
    y = (way - low) / span
    count, mean, variance = (np.full((low.size, _KNOTS), np.nan) for _ in range(3))
    standard: list[list[Floats]] = [[] for _ in range(_KNOTS)]
    for device in range(low.size):
        steps = steps_of(y[..., device], sign, float(np.sqrt(read[device].max())))
        if steps.size.size < 4:
            continue
        weights = _hats(steps.place)
        count[device] = weights.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean[device] = weights.T @ steps.size / count[device]
            away: Floats = steps.size - np.sum(weights * np.nan_to_num(mean[device]), axis=1)
            own: Floats = weights.T @ away**2 / np.maximum(count[device] - 1, 1)
            variance[device] = own - 2 * read[device]
        nearest: NDArray[np.int64] = np.round(steps.place * (_KNOTS - 1)).astype(int)
        scale = float(np.sqrt(np.mean(away**2))) or 1.0
        for knot in range(_KNOTS):
            standard[knot].append(away[nearest == knot] / scale)
    mean, variance = _smoothed(mean, variance, count, read)
    sigma = np.sqrt(np.maximum(variance, 0.0) / stride)
    quiet = float(np.median(2 * read)) < 0.3 * float(np.median(variance + 2 * read))
    shape = _shapes(standard if stride == 1 and quiet else [[] for _ in range(_KNOTS)])
    return _Way(mean * span[:, np.newaxis] / stride, sigma * span[:, np.newaxis], shape)


def steps_of(y: Floats, sign: int, noise: float) -> Steps:
    """Steps of one device's staircases [cycles, points] that do not begin at the end they lead to; NaN is
    left out.

    Where steps are far beyond the noise of a reading they begin where is read. Else a reading would be held
    against its own noise, and they begin where the reading before foretells.
    """
    x, size = y[:, :-1], np.diff(y, axis=1)
    left = 1 - x if sign > 0 else x
    on_the_way = (left > np.clip(3 * noise, 0.01, 0.3)) & np.isfinite(size)
    if on_the_way.any() and float(np.mean(np.abs(size[on_the_way]))) > _FAR * noise:
        return Steps(np.clip(x[on_the_way], 0, 1), size[on_the_way])
    z, x, size, use = y[:, :-2], y[:, 1:-1], size[:, 1:], on_the_way[:, :-1] & np.isfinite(size[:, 1:])
    if not use.any():
        return Steps(np.zeros(0), np.zeros(0))
    return Steps(_foretold(z[use], x[use]), size[use])


def _foretold(z: Floats, x: Floats) -> Floats:
    """Where a device is, by the reading before: local means of x against z."""
    weights = _hats(z)
    count: Floats = weights.sum(axis=0)
    known = count > 0.5
    local: Floats = (weights.T @ (x - z))[known] / count[known]
    there: Floats = z + np.interp(z, np.linspace(0, 1, _KNOTS)[known], local)
    return np.clip(there, 0, 1)


def _hats(place: Floats) -> Floats:
    """Weights [n, knots] of places in 0..1 on the knots, linear between two."""
    at = np.clip(place, 0, 1)[:, np.newaxis] * (_KNOTS - 1) - np.arange(_KNOTS)
    return np.maximum(0.0, 1 - np.abs(at))


def _smoothed(mean: Floats, variance: Floats, count: Floats, read: Floats) -> tuple[Floats, Floats]:
    """Each device's course, drawn to that of the array as far as its own is not known; gaps filled."""
    weight = np.nan_to_num(count)
    known = weight > 0.5
    course, spread = (_filled(_average(part, weight)) for part in (mean, variance))
    full = np.where(known, mean, 0.0)
    error = np.sqrt((np.maximum(spread, 0.0) + 2 * read) / np.maximum(weight, 0.5))
    square = (weight * course**2).sum(axis=1)
    scale = np.divide((weight * full * course).sum(axis=1), square, out=np.ones(len(mean)), where=square > 0)
    unsure = np.sqrt(np.maximum(spread, 0.0) @ (weight * course**2).T)
    unsure = np.divide(unsure, square, out=np.full(len(mean), np.inf), where=square > 0)
    alike = shrunk(scale, unsure, 1.0)[:, np.newaxis] * course
    off = np.where(known, mean - alike, np.nan)
    own = np.stack([shrunk(off[:, k], error[:, k], 0.0) for k in range(_KNOTS)], axis=1)
    seen, usual = (weight * np.nan_to_num(variance)).sum(axis=1), (weight * spread).sum(axis=1)
    louder = np.divide(seen, usual, out=np.ones(len(mean)), where=usual > 0)
    freedom = np.maximum(weight.sum(axis=1), 0.5)
    louder = np.maximum(shrunk(louder, np.sqrt(2 / freedom), 1.0), 0.0)[:, np.newaxis]
    return alike + own, louder * np.maximum(spread, 0.0)


def _average(values: Floats, weight: Floats) -> Floats:
    total = weight.sum(axis=0)
    sums = (weight * np.nan_to_num(values)).sum(axis=0)
    return np.divide(sums, total, out=np.full(_KNOTS, np.nan), where=total > 1)


def _filled(values: Floats) -> Floats:
    known = np.flatnonzero(np.isfinite(values))
    if known.size == 0:
        return np.zeros(_KNOTS)
    return np.interp(np.arange(_KNOTS), known, values[known])


def _shapes(standard: list[list[Floats]]) -> Floats:
    """Standard quantiles [quantiles, knots] of the spread: as seen where enough was, else normal."""
    at = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    inverse: Any = special.ndtri
    found = np.repeat(np.asarray(inverse(at), np.float64)[:, np.newaxis], _KNOTS, axis=1)
    for knot, parts in enumerate(standard):
        values = np.concatenate(parts) if parts else np.zeros(0)
        if values.size >= _ENOUGH:
            found[:, knot] = np.quantile(values, at)
    middle = 0.5 * (found[1:] + found[:-1])
    found -= middle.mean(axis=0)
    a, b = found[1:], found[:-1]
    square = ((a**2 + a * b + b**2) / 3).mean(axis=0)  # of what is linear between quantiles
    return found / np.sqrt(np.where(square > 0, square, 1.0))
