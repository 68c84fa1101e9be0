"""How far noise keeps what is driven against a barrier away from it: a random walk that cannot go beyond.

Of one walk, and of many devices at once, each of which tells its own drift and noise only so well.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, special

Floats = NDArray[np.float64]

_interpolate: Any = interpolate  # scipy comes without types
_special: Any = special
_LEAST, _MOST = 0.05, 6.0
_KNOTS = 24
_FEW = 4


def held_off(drift: float, fall: float) -> float:
    """Mean distance from the barrier in the long run, in units of the noise of one step.

    The distance walks as d' = max(0, (1 - fall) d - drift + z), z standard normal. What is at the barrier and
    the density beyond it solve an integral equation, here at Gauss-Legendre nodes (to 1e-6). Without
    ``fall`` it is Spitzer's (doi:10.1090/S0002-9947-1956-0079851-X), the sum over n of E[max(S_n, 0)] / n. A
    drift below 0.05 counts as 0.05, where nothing would be stationary in any staircase; a negative ``fall``
    counts as 0; from a drift of 6 on the distance is 0.
    """
    if not drift < _MOST:
        return 0.0
    drift, kept = max(drift, _LEAST), 1 - max(0.0, min(fall, 1.0))
    far = 6 + 8 / drift  # the density falls as exp(-2 drift d)
    nodes, weights = _special.roots_legendre(int(4 * far) + 8)
    at, weight = 0.5 * far * (nodes + 1), 0.5 * far * weights
    density: Any = _normal
    from_barrier: Floats = density(at + drift)
    onward: Floats = (density(at[:, np.newaxis] - kept * at + drift) - from_barrier[:, np.newaxis]) * weight
    linalg: Any = np.linalg
    return float((weight * at) @ linalg.solve(np.eye(at.size) - onward, from_barrier))


def _normal(x: Floats) -> Floats:
    return np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)


class Walk(NamedTuple):
    """Devices driven against an end [..., devices]: drift of one pulse at that end, variance of one pulse
    (siemens, siemens squared), and how much the drift falls per siemens.
    """

    drift: Floats
    variance: Floats
    fall: Floats


class Held(NamedTuple):
    """Distance from the end [devices], siemens; ``hidden``: standard deviation of what of a device's own
    distance is not in it [devices]; ``common``: that of the mean over devices, of what all of them have in
    common; ``lag``: part of a device's departure from the typical drift that is not believed.
    """

    distance: Floats
    hidden: Floats
    common: float
    lag: float


class _Shrunk(NamedTuple):
    """How far devices differ: typical value, variance between devices and of the measurement of one, and
    what part of a difference that was measured is one of devices.
    """

    typical: float
    between: float
    noise: float
    part: float

    def of(self, values: Floats) -> Floats:
        """Best values by what each device and all devices tell."""
        return self.typical + self.part * (values - self.typical)


def held(whole: Walk, parts: Walk, span: Floats, unsure: Floats) -> tuple[Held, Floats]:
    """How far noise holds each device off its end, siemens, of all repeats and without one of them.

    A device's own drift and noise are taken for as far as they stand out of the scatter of their measurement
    (empirical Bayes, doi:10.1080/01621459.1973.10481350), the rest is that of all devices.

    Parameters
    ----------
    whole, parts
        Of all repeats [devices], and without one of them each [repeats, devices].
    span
        Ranges [devices], in units of which devices are compared.
    unsure
        Standard deviation of ``whole.variance`` that all devices have in common [devices].
    """
    speed, speeds_left = _freed(whole.drift / span, parts.drift / span)
    square, squares_left = _freed(whole.variance / span**2, parts.variance / span**2)
    told = np.isfinite(speed) & np.isfinite(square)
    told &= np.isfinite(speeds_left).all(axis=0) & np.isfinite(squares_left).all(axis=0)
    if not told.any():
        nothing = np.zeros(speed.size)
        return Held(nothing, nothing, 0.0, 0.0), np.zeros(speeds_left.shape)
    speeds, squares = _shrunk(speed, speeds_left, told), _shrunk(square, squares_left, told)
    root, at = _places(speeds.of(speed), squares.of(square), told)
    roots, without = _places(speeds.of(speeds_left), squares.of(squares_left), told)
    spread = float(np.sqrt((1 - speeds.part) * speeds.between))
    asked = np.concatenate([at[root > 0], without[roots > 0], [_MOST]])
    away = _Distances(asked, float(whole.fall[told].mean()))
    distance, slope = away.around(at, spread / np.where(root > 0, root, np.inf))
    distances, _ = away.around(without, spread / np.where(roots > 0, roots, np.inf))
    per_square = np.zeros(speed.size)
    np.divide(distance - at * slope, 2 * root, out=per_square, where=root > 0)
    felt = ((np.where(told, span * slope, 0.0), speeds), (np.where(told, span * per_square, 0.0), squares))
    hidden = np.hypot(*(by * (1 - each.part) * np.sqrt(each.between) for by, each in felt))
    number = int(told.sum())
    shares = [by.sum() / number * np.sqrt((1 - each.part**2) * each.noise / number) for by, each in felt]
    shares.append((felt[1][0] * np.where(told, unsure / span**2, 0.0)).sum() / number)
    common = float(np.sqrt(np.square(shares).sum()))
    size = np.where(told, span, 0.0)
    return Held(root * distance * size, hidden, common, 1 - speeds.part), roots * distances * size


def _freed(values: Floats, without: Floats) -> tuple[Floats, Floats]:
    """Values [devices], and those without one repeat [repeats, devices], freed of bias of order 1 / repeats:
    lines through walks of finite length are too flat by as much.
    """
    bias = (len(without) - 1) * (without.mean(axis=0) - values)
    return values - bias, without - bias * len(without) / max(len(without) - 1, 1)


def _places(speed: Floats, square: Floats, told: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Noise of a pulse in units of the range, 0 where there is none, and drift in units of that noise."""
    root = np.sqrt(np.where(told, np.maximum(square, 0.0), 0.0))
    return root, np.divide(speed, root, out=np.full(root.shape, _MOST), where=root > 0)


def _shrunk(values: Floats, without: Floats, known: NDArray[np.bool_]) -> _Shrunk:
    """By values [devices] and those without one repeat [repeats, devices]."""
    values, n = values[known], len(without)
    noise = float(((n - 1) * without[:, known].var(axis=0)).mean())
    if values.size < _FEW:
        return _Shrunk(float(values.mean()), 0.0, noise, 1.0)
    seen = float(values.var(ddof=1))
    between = max(0.0, seen - noise)
    return _Shrunk(float(values.mean()), between, noise, between / seen if seen > 0 else 0.0)


class _Distances:
    """`held_off` between the least and the largest drift that is asked for, by a spline of its logarithm."""

    def __init__(self, drifts: Floats, fall: float) -> None:
        low, high = (
            float(np.clip(end, _LEAST, 0.99 * _MOST)) for end in (0.5 * drifts.min(), 2 * drifts.max())
        )
        high = max(high, 1.5 * low)
        knots: list[float] = np.geomspace(low, high, _KNOTS).tolist()
        self._ends = low, high
        self._of: Any = _interpolate.CubicSpline(np.log(knots), np.log([held_off(k, fall) for k in knots]))

    def around(self, drift: Floats, spread: Floats) -> tuple[Floats, Floats]:
        """Distance, mean over drifts that are spread normally about each (Gauss-Hermite, three points), and
        its slope there.
        """
        within = np.log(np.clip(drift, *self._ends))
        moves = (drift > self._ends[0]) & (drift < self._ends[1])
        slope = np.where(moves, np.exp(self._of(within) - within) * self._of(within, 1), 0.0)
        beside = np.sqrt(3) * spread
        low, middle, high = (self._at(each) for each in (drift - beside, drift, drift + beside))
        return (low + 4 * middle + high) / 6, slope

    def _at(self, drift: Floats) -> Floats:
        inside = np.exp(self._of(np.log(np.clip(drift, *self._ends))))
        return np.where(drift < _MOST, inside, 0.0)
