"""The law by which a pulse moves a device, fitted to steps of several devices: threshold, powers, and what
the typical device needs for a step; intervals by leaving out one device after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from calibration.intervals import jackknife, t_factor

Floats = NDArray[np.float64]

_optimize: Any = optimize  # scipy comes without types
_P_LEAST, _P_MOST = 0.25, 8.0
_Q_LEAST, _Q_MOST = 0.0, 3.0
_BEYOND_NOISE = 5.0
"""What does not move fits a law by so many standard errors of its readings once in 3 million."""
_BEYOND_SCATTER = 3.0
"""A device answers if its steps also stand out of their own scatter by that much: else it moves, but not by
what it is given."""
_SCATTERS = 4.0
"""Of 36 steps of a dead device, none in a million times has so much more variance than its readings."""
_CLEAR = 10.0
"""There is a law if half of those that answer do so by that many: else weak ones would be missing in it."""


class Steps(NamedTuple):
    """Single pulses to devices [n, devices]: amplitudes in units of the nominal one, widths likewise, the
    steps that were measured, in units of the range, at the middle of it; and the standard deviation that the
    noise of readings alone gives each of these, NaN where single readings do not tell it.
    """

    volts: Floats
    widths: Floats
    steps: Floats
    noise: Floats


@dataclass(frozen=True, slots=True)
class Law:
    """step = typical ((x - threshold) / (1 - threshold))^p r^q for a pulse of amplitude x and width r, both
    in units of the nominal ones: `typical` is the step of the nominal pulse, mean over devices.
    """

    threshold: float
    p: float
    q: float
    typical: float

    @property
    def inside(self) -> bool:
        """Whether threshold and power are apart from the bounds within which they were looked for."""
        return 1.01 * _P_LEAST < self.p < 0.99 * _P_MOST and self.threshold > 0

    def of(self, typical: float) -> Law:
        """The same law for a device whose nominal step is another."""
        return Law(self.threshold, self.p, self.q, typical)

    def amplitude(self, step: float, width: float = 1.0) -> float:
        """Amplitude for a step at a width."""
        worth = step / (self.typical * width**self.q)
        return self.threshold + (1 - self.threshold) * worth ** (1 / self.p)

    def step(self, amplitude: float, width: float) -> float:
        """What a pulse of an amplitude and a width moves the typical device by."""
        return self.typical * float(_worth(np.array(amplitude), self.threshold, self.p)) * width**self.q

    def width(self, step: float, amplitude: float) -> float:
        """Width for a step at an amplitude; infinite if none is long enough."""
        worth = _worth(np.array(amplitude), self.threshold, self.p)
        if not (worth > 0 and self.q > 0):
            return np.inf
        return float((step / (self.typical * worth)) ** (1 / self.q))


class Fitted(NamedTuple):
    """The law of all devices, that without each of them, between what values its threshold and its p may be
    [2, 2]; which devices answer, and of which it is undecided whether they do, bool [devices]; and the
    nominal step of each [devices].
    """

    whole: Law | None
    without: list[Law]
    ranges: Floats
    answers: NDArray[np.bool_]
    undecided: NDArray[np.bool_]
    sizes: Floats

    @property
    def determined(self) -> bool:
        """Whether the interval of p ends within the bounds that p was looked for in."""
        return self.whole is not None and self.whole.inside and bool(np.isfinite(self.ranges[1]).all())

    def interval(self, of: Callable[[Law], float]) -> Floats:
        """(value, low, high) of a positive function of the law, by the jackknife over devices of its
        logarithm; NaN without bounds where it is not determined.
        """
        if self.whole is None or len(self.without) < 2:
            return np.array([np.nan, -np.inf, np.inf])
        value, values = np.log(of(self.whole)), np.log([of(law) for law in self.without])
        if not (np.isfinite(values).all() and np.isfinite(value)):
            return np.array([np.nan, -np.inf, np.inf])
        _, low, high = jackknife(np.asarray(value), values)
        half = 0.5 * (high - low)
        return np.exp([value, value - half, value + half])


def fit_law(seen: Steps) -> Fitted:
    """Least squares: threshold and powers are those of all devices, sizes of steps those of each.

    Devices that do not answer are left out first. Without any that answer clearly there is no law.
    """
    nothing = np.full((2, 2), np.nan)
    if not seen.steps.size:
        none = np.zeros(0, np.bool_)
        return Fitted(None, [], nothing, none, none, np.zeros(0))
    everything = _fit(seen)
    sizes, errors = _sizes(seen, everything)
    answers, undecided = _called(seen, everything)
    number = int(answers.sum())
    if number == 0 or np.median(sizes[answers] / np.maximum(errors[answers], 1e-300)) < _CLEAR:
        return Fitted(None, [], nothing, answers, undecided, sizes)
    chosen = _some(seen, np.flatnonzero(answers))
    shape = _fit(chosen, everything)
    without: list[Law] = []
    for left_out in range(number if number > 1 else 0):
        others = _some(chosen, np.delete(np.arange(number), left_out))
        without.append(_law(others, _fit(others, shape)))
    ranges = np.array([_range(chosen, shape, part) for part in (0, 1)])
    return Fitted(_law(chosen, shape), without, ranges, answers, undecided, _sizes(seen, shape)[0])


def _called(seen: Steps, shape: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which devices answer, and of which it is undecided [devices].

    A dead device's steps are the noise of its readings. The steps of a live one scatter by themselves, often
    by more than they are, which is no reason to call it dead; nor is it that its pulses were so weak, since
    one of them seemed enough, that half of the usual step would not show.
    """
    sizes, errors = _sizes(seen, shape)
    model = _shapes(seen, shape)
    square = np.maximum((model**2).sum(axis=0), 1e-300)
    still = np.sqrt(((model * seen.noise) ** 2).sum(axis=0)) / square
    read_once = np.isnan(still)
    still = np.where(read_once, errors, still)
    moves = sizes > _BEYOND_NOISE * still
    answers = moves & (sizes > _BEYOND_SCATTER * errors)
    scatters = ~read_once & ((seen.steps**2).mean(axis=0) > _SCATTERS * (seen.noise**2).mean(axis=0))
    usual = float(np.median(sizes[answers])) if answers.any() else np.inf
    return answers, ~answers & (moves | scatters | (sizes + _BEYOND_NOISE * still > 0.5 * usual))


def _some(seen: Steps, devices: NDArray[Any]) -> Steps:
    return Steps(*(part[:, devices] for part in seen))


def _worth(volts: Floats, threshold: float, p: float) -> Floats:
    return (np.maximum(volts - threshold, 0.0) / (1 - threshold)) ** p


def _shapes(seen: Steps, shape: Floats) -> Floats:
    threshold, p, q = shape
    return _worth(seen.volts, float(threshold), float(p)) * seen.widths**q


def _sizes(seen: Steps, shape: Floats) -> tuple[Floats, Floats]:
    """Size of each device's nominal step by least squares, and its standard error [devices]."""
    model = _shapes(seen, shape)
    square = np.maximum((model**2).sum(axis=0), 1e-300)
    size = (seen.steps * model).sum(axis=0) / square
    left = seen.steps - size * model
    variance = (left**2).sum(axis=0) / max(1, len(left) - 1)
    return size, np.sqrt(variance / square)


def _law(seen: Steps, shape: Floats) -> Law:
    size, _ = _sizes(seen, shape)
    threshold, p, q = (float(each) for each in shape)
    return Law(threshold, p, q, float(size.mean()))


def _fit(seen: Steps, start: Floats | None = None) -> Floats:
    """(threshold, p, q) with the least sum of squares, each device's size at its own best."""
    highest = float(_bounds(seen)[1][0])
    starts = [np.array([f * highest, p, 1.0]) for f in (0.1, 0.4, 0.7) for p in (1.0, 2.0)]
    found = [_solved(seen, first) for first in (starts if start is None else [start])]
    return min(found, key=lambda each: each[1])[0]


def _bounds(seen: Steps) -> tuple[Floats, Floats]:
    highest = 0.98 * min(float(seen.volts.max()), 1.0)
    return np.array([0.0, _P_LEAST, _Q_LEAST]), np.array([highest, _P_MOST, _Q_MOST])


def _solved(seen: Steps, start: Floats, held: int | None = None) -> tuple[Floats, float]:
    """The shape with the least sum of squares near a start, one part of it held where it is; and that sum."""
    free = np.array([part for part in range(3) if part != held])
    lows, highs = _bounds(seen)
    scale = max(float(np.abs(seen.steps).max()), 1e-300)
    shape = np.clip(start, lows, highs)

    def left(values: Floats) -> Floats:
        shape[free] = values
        size, _ = _sizes(seen, shape)
        return ((seen.steps - size * _shapes(seen, shape)) / scale).ravel()

    found = _optimize.least_squares(
        left,
        shape[free],
        bounds=(lows[free], highs[free]),
        x_scale=np.array([0.1, 0.5, 0.5])[free],
        ftol=1e-6,
        xtol=1e-6,
    )
    shape[free] = found.x
    return shape, 2 * scale**2 * float(found.cost)


def _range(seen: Steps, best: Floats, part: int) -> tuple[float, float]:
    """Values of a part of the shape between which it may be, by the rise of the sum of squares (95 %); an end
    that would be beyond the bounds of the fit is not known, infinite, but a threshold's at 0 V.

    The threshold trades for the power, and the sum is no parabola: there the jackknife is too sure.
    """
    shape, least = _solved(seen, best)
    freedom = max(1, seen.steps.size - seen.steps.shape[1] - 3)
    most = least * t_factor(freedom + 1) ** 2 / freedom

    def beyond(value: float) -> float:
        trial = shape.copy()
        trial[part] = value
        rise = _solved(seen, trial, part)[1] - least
        return float(np.sqrt(max(rise, 0.0) / most)) - 1 if most > 0 else float(rise > 0) - 0.5

    ends: list[float] = []
    for bounds, unknown in zip(_bounds(seen), (-np.inf, np.inf), strict=True):
        limit, inside = float(bounds[part]), float(shape[part])
        outside = abs(limit - inside) > 1e-6 and beyond(limit) > 0
        away = 1e-3 * abs(limit - inside)
        met = 0.0 if part == 0 and limit == 0 else unknown
        ends.append(float(_optimize.brentq(beyond, inside, limit, xtol=away)) if outside else met)
    return ends[0], ends[1]
