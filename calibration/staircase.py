"""What staircases of identical pulses tell of each device: range, steps against conductance, noise of steps.

One pulse is taken as affine in the conductance it meets, dG = a - k G, between two ends (the exponential
device, and the first order of any other). Readings are noisy, so a reading is never regressed on itself: the
one before it stands in for it (instrumental variable), which no read noise biases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.barrier import Held, Walk, held
from calibration.intervals import jackknife, ratio_within, t_factor
from calibration.labels import rate

Floats = NDArray[np.float64]

_PARTS = ("step", "bend", "rate", "variance", "read", "tanh")
FIGURES = (
    *("low", "high"),
    *(f"{way}.{part}" for way in ("up", "down") for part in _PARTS),
)
"""Names of all that `intervals` gives."""

PLATEAU = 1 / 12
"""Last part of a staircase that is taken to be at the end of the range."""
_MARGIN_SIGMA = 3.0
_MOST_FALL = 2.0
"""A pulse that went further would carry a device from any place to beyond the other end."""


@dataclass(frozen=True, slots=True)
class Way:
    """One direction: all [devices], or with a leading axis of repeats.

    ``step``: in the middle of the range, siemens a pulse, positive when it goes the way it should; ``bend``:
    half of what steps fall by on the way from end to end, siemens; ``rate``: 1 / pulses from end to end;
    ``variance``: of one pulse's change, siemens squared; ``read``: what read noise had added to it, which is
    taken off. bend / step is tanh(b/2).
    """

    step: Floats
    bend: Floats
    rate: Floats
    variance: Floats
    read: Floats


@dataclass(frozen=True, slots=True)
class Fit:
    """What staircases tell: ends of the range, siemens, and both ways."""

    low: Floats
    high: Floats
    up: Way
    down: Way


class Interval(NamedTuple):
    """A value per device and its 95 % interval."""

    value: Floats
    low: Floats
    high: Floats


class Noise(NamedTuple):
    """Read noise of a conductance: variance (relative (g - offset))^2 + floor^2, known to the part ``unsure``
    of it; an offset is in readings, and not in the noise of a device.
    """

    relative: float
    floor_s: float
    unsure: float = 0.0
    offset_s: float = 0.0

    def variance(self, siemens: Floats) -> Floats:
        """Of readings of these conductances, siemens squared."""
        return (self.relative * (siemens - self.offset_s)) ** 2 + self.floor_s**2


class _Sums(NamedTuple):
    """Sums over the steps of one cycle that are within the window, [cycles, devices]; x: conductance less
    ``centre``; z: the reading before; d: the change; v: variance that read noise gives the residual.
    """

    n: Floats
    z: Floats
    x: Floats
    d: Floats
    zx: Floats
    zd: Floats
    xx: Floats
    xd: Floats
    dd: Floats
    v_next: Floats
    v_here: Floats

    def without_one(self) -> _Sums:
        """[cycles, devices]: of all cycles but one."""
        return _Sums(*(each.sum(axis=0) - each for each in self))

    def all(self) -> _Sums:
        """[devices]: of all cycles."""
        return _Sums(*(each.sum(axis=0) for each in self))


class _Line(NamedTuple):
    change: Floats  # at the centre
    fall: Floats  # less change for more conductance
    variance: Floats  # of a step, read noise taken off
    read: Floats  # variance that it had added


class Ends(NamedTuple):
    """How far noise held the readings off the low and the high end, which is in the ends already."""

    low: Held
    high: Held


def fit(up: Floats, down: Floats, strides: tuple[int, int], noise: Noise) -> tuple[Fit, Fit, Ends]:
    """Fit every device.

    Parameters
    ----------
    up, down
        Conductances [cycles, points, devices] of staircases from one end of the range to the other, siemens.
    strides
        Pulses between two points, up and down.
    noise
        Of one reading.

    Returns
    -------
    tuple
        The fit of all cycles [devices], the fits without one cycle each [cycles, devices], and how far from
        the ends readings were held.
    """
    plateaus = _plateau(down), _plateau(up)  # [cycles, devices]
    low, high = (end.mean(axis=0) for end in plateaus)
    lows, highs = (_leave_one(end) for end in plateaus)
    sums: list[_Sums] = []
    for way, sign in ((up, 1), (down, -1)):
        first = _sums(way, low, high, sign, noise, np.zeros_like(low))
        variance = np.maximum(np.nan_to_num(_line(first.all()).variance), 0.0)
        sums.append(_sums(way, low, high, sign, noise, variance))
    centre = 0.5 * (low + high)
    whole = [_pulse(_line(each.all()), stride) for each, stride in zip(sums, strides, strict=True)]
    parts = [_pulse(_line(each.without_one()), stride) for each, stride in zip(sums, strides, strict=True)]
    held_low, off_low = _held(whole[1], parts[1], low, lows, centre, high - low, noise.unsure, -1)
    held_high, off_high = _held(whole[0], parts[0], high, highs, centre, high - low, noise.unsure, 1)
    one = _physics(whole, low - held_low.distance, high + held_high.distance, centre)
    many = _physics(parts, lows - off_low, highs + off_high, centre)
    return one, many, Ends(held_low, held_high)


def intervals(whole: Fit, parts: Fit, ends: Ends) -> dict[str, Interval]:
    """Figures of a fit with 95 % intervals over cycles [devices]: low, high, up.step, ..., up.tanh."""
    found: dict[str, Interval] = {}
    for name, value, off in (("low", whole.low, ends.low), ("high", whole.high, ends.high)):
        _, low, high = jackknife(value, getattr(parts, name))
        half = np.hypot(0.5 * (high - low), t_factor(len(parts.low)) * off.hidden)
        found[name] = Interval(value, value - half, value + half)
    span = found["high"].value - found["low"].value
    for name, one, many in (("up", whole.up, parts.up), ("down", whole.down, parts.down)):
        for item in fields(Way):
            value, left_out = getattr(one, item.name), getattr(many, item.name)
            found[f"{name}.{item.name}"] = Interval(*jackknife(value, left_out))
        tanh = Interval(*ratio_within(one.bend, many.bend, one.step, many.step))
        found[f"{name}.tanh"] = tanh
        found[f"{name}.rate"] = _rate(found[f"{name}.rate"], found[f"{name}.step"], tanh, span)
    return found


def _rate(jackknifed: Interval, step: Interval, tanh: Interval, span: Floats) -> Interval:
    """1 / pulses from end to end. Where the bend is hardly known, from the ends of the intervals of step and
    bend: step / span is lowered by the factor x / atanh(x), which falls with |x|.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        known = tanh.high - tanh.low < 0.5
        most = np.maximum(np.abs(tanh.low), np.abs(tanh.high))
        least = np.where(tanh.low * tanh.high < 0, 0.0, np.minimum(np.abs(tanh.low), np.abs(tanh.high)))
        wide = Interval(
            step.value / span * _lowered(np.abs(tanh.value)),
            step.low / span * _lowered(most),
            step.high / span * _lowered(least),
        )
    return Interval(*(np.where(known, one, other) for one, other in zip(jackknifed, wide, strict=True)))


def _lowered(x: Floats) -> Floats:
    x = np.clip(x, 1e-6, 1 - 1e-12)
    return x / np.arctanh(x)


def _plateau(way: Floats) -> Floats:
    """Mean of the last points of each cycle [cycles, devices]."""
    last = max(1, int(PLATEAU * way.shape[1]))
    return way[:, -last:].mean(axis=1)


def _leave_one(per_cycle: Floats) -> Floats:
    n = per_cycle.shape[0]
    return (per_cycle.sum(axis=0) - per_cycle) / (n - 1) if n > 1 else np.full_like(per_cycle, np.nan)


def _sums(way: Floats, low: Floats, high: Floats, sign: int, noise: Noise, variance: Floats) -> _Sums:
    """Sums over steps whose reading before last is within the window.

    Near an end of the range a step is cut off there, by its noise too: the window keeps away from both ends
    by the noise of two steps, and from the one that is walked to by two steps.
    """
    span = high - low
    z, x, following = way[:, :-2], way[:, 1:-1], way[:, 2:]
    d = following - x
    two_steps = np.abs((way[:, 2:] - way[:, :-2]).mean(axis=0)).max(axis=0)
    near = np.minimum(_MARGIN_SIGMA * np.sqrt(2 * variance + noise.variance(high)) + 0.02 * span, 0.3 * span)
    far = np.minimum(near + two_steps, 0.45 * span)
    below, above = (near, far) if sign > 0 else (far, near)
    inside = ((z > low + below) & (z < high - above)).astype(np.float64)
    centre = 0.5 * (low + high)
    z0, x0 = z - centre, x - centre
    parts = (
        np.ones_like(d), z0, x0, d, z0 * x0, z0 * d, x0 * x0, x0 * d, d * d,
        noise.variance(following), noise.variance(x),
    )  # fmt: skip
    return _Sums(*((inside * part).sum(axis=1) for part in parts))


def _line(s: _Sums) -> _Line:
    """Change at the centre, its fall, and the noise of a step, from sums."""
    with np.errstate(invalid="ignore", divide="ignore"):
        fall = -(s.n * s.zd - s.z * s.d) / (s.n * s.zx - s.z * s.x)
        # Steps that all begin in one place tell none: abrupt devices cross the range at once.
        fall = np.where(np.abs(fall) <= _MOST_FALL, fall, np.nan)
        change = (s.d + fall * s.x) / s.n
        left = (
            s.dd + s.n * change**2 + fall**2 * s.xx
            - 2 * change * s.d + 2 * fall * s.xd - 2 * change * fall * s.x
        )  # fmt: skip
        known = s.n > 3
        read = (s.v_next + (1 - fall) ** 2 * s.v_here) / s.n
        variance = left / np.where(known, s.n - 2, 1) - read
    return _Line(
        np.where(known, change, np.nan),
        np.where(known, fall, np.nan),
        np.where(known, variance, np.nan),
        np.where(known, read, np.nan),
    )


def _pulse(line: _Line, stride: int) -> _Line:
    """Of one pulse, by what is fitted to ``stride`` of them."""
    with np.errstate(invalid="ignore", divide="ignore"):
        fall = -np.expm1(np.log1p(-np.minimum(line.fall, 1 - 1e-9)) / stride)
        scale = np.where(np.abs(line.fall) > 1e-9, fall / line.fall, 1 / stride)
    return _Line(scale * line.change, fall, line.variance / stride, line.read / stride)


def _physics(pulses: Sequence[_Line], low: Floats, high: Floats, centre: Floats) -> Fit:
    ways: list[Way] = []
    for pulse, sign in zip(pulses, (1, -1), strict=True):
        step = sign * (pulse.change - pulse.fall * (0.5 * (low + high) - centre))
        bend = 0.5 * pulse.fall * (high - low)
        ways.append(Way(step, bend, rate(bend, step, high - low), pulse.variance, pulse.read))
    return Fit(low, high, ways[0], ways[1])


def _held(
    whole: _Line, parts: _Line, end: Floats, ends: Floats, centre: Floats, span: Floats, unsure: float,
    sign: int,
) -> tuple[Held, Floats]:  # fmt: skip
    """How far, on average, the noise of the steps keeps devices from where plateaus are, siemens.

    Pulses drive a device to the end, the noise of steps takes it back, and beyond the end it cannot go.
    """

    def walk(line: _Line, at: Floats) -> Walk:
        return Walk(sign * (line.change - line.fall * (at - centre)), line.variance, line.fall)

    first, firsts = held(walk(whole, end), walk(parts, ends), span, unsure * whole.read)
    # The end itself is further than the plateau, and drift there is another.
    at, ats = end + sign * first.distance, ends + sign * firsts
    return held(walk(whole, at), walk(parts, ats), span, unsure * whole.read)
