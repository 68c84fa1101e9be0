"""Fits one typical device to ramps of its conductance: from data that a lab already has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.intervals import of_mean, t_factor
from calibration.labels import label_of_tanh, rate
from calibration.staircase import Noise
from calibration.twin.goodness import Staircases
from calibration.twin.table import Table, fit_table, steps_of
from calibration.twin.walk import Exponential, Reader
from hil.calibrate.contracts import RESOLVED, Estimate, resolved

Floats = NDArray[np.float64]

_FEW = 3
_OFF = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Device:
    """A device [1] by two models, ``noise_s`` of a reading, what the models miss of mean ramps (rms, in units
    of the range), and the ramps [n, points], siemens, NaN beyond the end of each.
    """

    exponential: Exponential
    table: Table
    noise_s: float
    misfit: dict[str, float]
    ups: Floats
    downs: Floats


def fit_ramps(ups: Sequence[Floats], downs: Sequence[Floats]) -> Device:
    """Fit ramps up and down, siemens, one pulse between two values."""
    low, high = ends(ups, downs)
    up, down = padded(ups), padded(downs)
    noise = float(np.mean([_read_noise(way) for way in (up, down)]))
    reader = Reader(Noise(0.0, noise))
    exponential = _exponential(up, down, low, high, reader)
    measured = Staircases(up[..., np.newaxis], down[..., np.newaxis], (1, 1))
    table = fit_table(measured, reader, (np.array([low]), np.array([high])))
    device = Device(exponential, table, noise, {}, up, down)
    for name, model in (("exponential", exponential), ("table", table)):
        device.misfit[name] = _misfit(model, up, down)
    return device


def estimates(ups: Sequence[Floats], downs: Sequence[Floats]) -> dict[str, Estimate]:
    """Figures of the exponential model with intervals by leaving out one ramp of each way (jackknife)."""
    whole = figures(ups, downs)
    n = min(len(ups), len(downs))
    found: dict[str, Estimate] = {}
    parts = [figures(_without(ups, k), _without(downs, k)) for k in range(n)] if n > 2 else []
    for name, (value, unit, about) in whole.items():
        if not parts:
            found[name] = _alone(value, unit, about)
            continue
        left_out = np.array([part[name][0] for part in parts])
        half = t_factor(n) * float(left_out.std(ddof=1)) * (n - 1) / np.sqrt(n)
        low = value - half if name.startswith(("nl", "levels")) else max(0.0, value - half)  # else a spread
        found[name] = resolved(Estimate(value, low, value + half, unit, about), RESOLVED)
    for name, about, take in (
        ("g_min", "low end of the ramps", np.min),
        ("g_max", "high end of the ramps", np.max),
    ):
        reached = [float(take(each)) for each in (*ups, *downs)]
        found[name] = of_mean("S", about, reached) if parts else _alone(float(np.mean(reached)), "S", about)
    return found


def _alone(value: float, unit: str, about: str) -> Estimate:
    """A figure of too few ramps for an interval."""
    return Estimate(value, np.nan, np.nan, unit, about, "an interval takes 3 ramps each way")


def figures(ups: Sequence[Floats], downs: Sequence[Floats]) -> dict[str, tuple[float, str, str]]:
    """Values, units and meaning of the exponential model's figures."""
    low, high = ends(ups, downs)
    up, down = padded(ups), padded(downs)
    noise = float(np.mean([_read_noise(way) for way in (up, down)]))
    model = _exponential(up, down, low, high, Reader(Noise(0.0, noise)))
    found: dict[str, tuple[float, str, str]] = {}
    for way, sign, step, bend, c2c in (
        ("up", 1, model.step_up, model.bend_up, model.c2c[0]),
        ("down", -1, model.step_down, model.bend_down, model.c2c[1]),
    ):
        found[f"nl_{way}"] = sign * float(label_of_tanh(bend)[0]), "", f"nonlinearity label, {way}"
        pulses = 1 / float(rate(bend * step, step, model.high - model.low)[0])
        found[f"levels_{way}"] = pulses, "", f"pulses {way}, end to end"
        found[f"c2c_{way}"] = c2c, "", f"spread of one pulse's change {way}, in units of the range"
    found["noise"] = (
        noise / (0.5 * (low + high)),
        "",
        "relative read noise in the middle, as the ramps show it",
    )
    return found


def ends(ups: Sequence[Floats], downs: Sequence[Floats]) -> tuple[float, float]:
    """Mean ends of the ramps, siemens; of a few noisy ones those of the courses nearest to them."""
    if min(len(ups), len(downs)) < _FEW:
        ups, downs = ([_course(mean_ramp(padded(ramps)), held=False).fitted] for ramps in (ups, downs))
    low = np.mean([each[0] for each in ups] + [each[-1] for each in downs])
    high = np.mean([each[-1] for each in ups] + [each[0] for each in downs])
    return float(low), float(high)


def padded(ramps: Sequence[Floats]) -> Floats:
    """Ramps [n, points], NaN beyond the end of each."""
    found = np.full((len(ramps), max(each.size for each in ramps)), np.nan)
    for row, each in zip(found, ramps, strict=True):
        row[: each.size] = each
    return found


def mean_ramp(way: Floats) -> Floats:
    """Mean of ramps [points], as far as half of them go."""
    enough = np.isfinite(way).sum(axis=0) >= 0.5 * len(way)
    return np.nanmean(way[:, enough], axis=0)


def foretold(model: Exponential | Table, mean: Floats, sign: int) -> Floats:
    """The ramp [points] of the model without any noise that is nearest to a mean one, siemens: it may begin a
    little off the first reading, which is no better than the others.
    """
    if isinstance(model, Exponential):
        quiet = replace(model, c2c=(0.0, 0.0))
    else:
        quiet = replace(model, sigma_up=0 * model.sigma_up, sigma_down=0 * model.sigma_down)
    starts = float(mean[0]) + _OFF * np.linspace(-1, 1, 21) * (model.high - model.low)
    many = {each.name: getattr(quiet, each.name) for each in fields(quiet)}
    several = replace(quiet, **{
        name: np.repeat(part, starts.size, axis=0) if name not in ("c2c", "shape_up", "shape_down") else part
        for name, part in many.items()
    })  # fmt: skip
    g, rng = [np.clip(starts, several.low, several.high)], np.random.default_rng(0)
    for _ in range(mean.size - 1):
        g.append(several.pulsed(g[-1], sign, rng))
    courses = np.stack(g)
    nearest = int(np.argmin(np.sum((courses - mean[:, np.newaxis]) ** 2, axis=0)))
    return courses[:, nearest]


def _misfit(model: Exponential | Table, up: Floats, down: Floats) -> float:
    span = float(model.high[0] - model.low[0])
    means = [(mean_ramp(way), sign) for way, sign in ((up, 1), (down, -1))]
    squares = [(mean - foretold(model, mean, sign)) ** 2 for mean, sign in means]
    return float(np.sqrt(np.mean(np.concatenate(squares)))) / span


def _read_noise(way: Floats) -> float:
    """Standard deviation of a reading: what one reading has too much the next change has too little, so that
    neighbouring changes about the mean course are correlated by -variance.
    """
    change = np.diff(way, axis=1)
    if len(way) < _FEW:  # about the nearest course instead
        fitted = _course(mean_ramp(way), held=False).fitted
        change = change[:, : fitted.size - 1] - np.diff(fitted)
    else:
        change = change - np.nanmean(change, axis=0)
    product = change[:, 1:] * change[:, :-1]
    known = np.isfinite(product)
    return float(np.sqrt(max(0.0, -float(product[known].sum()) / max(1, int(known.sum())))))


class _Course(NamedTuple):
    """A ramp that changes by ``first`` - ``fall`` (g - start) with each pulse; ``fitted`` [points]."""

    fitted: Floats
    first: float
    fall: float


def _course(mean: Floats, held: bool) -> _Course:
    """The exponential course that is nearest to a mean ramp: least squares over its points. ``held`` to the
    first, which is well known where many ramps begin.
    """
    n = np.arange(mean.size, dtype=np.float64)
    best, width = 0.0, 12.0
    for _ in range(5):  # ever finer around the best
        bends = [best + width * part / 16 for part in range(-16, 17)]
        best = min(bends, key=lambda b: _bent(mean, n, b, held)[1])
        width /= 8
    fitted, _ = _bent(mean, n, best, held)
    ratio = float(np.exp(-best / mean.size))
    return _Course(fitted, float(fitted[1] - fitted[0]), 1 - ratio)


def _bent(mean: Floats, n: Floats, b: float, held: bool) -> tuple[Floats, float]:
    """The best of all ramps of a bend b, and the sum of squares it leaves."""
    curve: Floats = n / n.size if abs(b) < 1e-6 else np.expm1(-b * n / n.size) / np.expm1(-b)
    begin, level = (0.0, float(mean[0])) if held else (float(curve.mean()), float(mean.mean()))
    away, off = curve - begin, mean - level
    fitted: Floats = level + away * float(away @ off) / float(away @ away)
    return fitted, float(np.sum((mean - fitted) ** 2))


def _exponential(up: Floats, down: Floats, low: float, high: float, reader: Reader) -> Exponential:
    """The courses nearest to the mean ramps; what single steps scatter about them beyond reading is c2c."""
    span, middle = high - low, 0.5 * (low + high)
    parts: list[tuple[float, float, float]] = []
    for way, sign in ((up, 1), (down, -1)):
        noise = reader.noise.floor_s / span
        course = _course(mean_ramp(way), len(way) >= _FEW)
        step = (course.first - course.fall * (middle - float(course.fitted[0]))) / span
        size = max(sign * step, 1e-6)
        steps = steps_of((way - low) / span, sign, noise)
        left = steps.size - step + course.fall * (steps.place - 0.5)
        c2c = float(np.sqrt(max(0.0, float(np.mean(left**2)) - 2 * noise**2))) if left.size else 0.0
        bend = float(np.clip(course.fall / (2 * size), -0.999, 0.999))
        parts.append((size, bend, c2c if c2c > RESOLVED else 0.0))
    (step_up, bend_up, c2c_up), (step_down, bend_down, c2c_down) = parts
    one = [np.array([value]) for value in (low, high, step_up * span, step_down * span, bend_up, bend_down)]
    return Exponential(one[0], one[1], one[2], one[3], one[4], one[5], (c2c_up, c2c_down))


def _without(ramps: Sequence[Floats], k: int) -> list[Floats]:
    return [each for n, each in enumerate(ramps) if n != k]
