"""Interval arithmetic of the routines: 95 % intervals from few repeats, pooled and per device.

All take and give arrays, repeats along axis 0; no distribution is assumed but that of the method named.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from hil.calibrate.contracts import Estimate

Floats = NDArray[np.float64]

LEVEL = 0.95
SIGMAS = 1.96
"""Half-width of such an interval in standard deviations, where these are known."""
LEAST_SPREAD = 4
"""Fewest devices that tell how they differ."""
_MOST_POWER = 300.0
"""Of e in a factor that still tells something of a variance; a double ends at 709."""
_special: Any = special  # scipy comes without types


def t_factor(repeats: int) -> float:
    """Half-width of a 95 % interval in standard errors, for a mean of ``repeats`` values (Student)."""
    return float(_special.stdtrit(repeats - 1, 0.5 + LEVEL / 2)) if repeats > 1 else float("nan")


def of_mean(name_unit: str, about: str, values: ArrayLike) -> Estimate:
    """Mean of independent values with its interval (Student); NaN values are left out."""
    known = np.asarray(values, np.float64).ravel()
    known = known[np.isfinite(known)]
    if known.size < 2:
        return undetermined(name_unit, about, few(known.size, 2))
    mean = float(known.mean())
    half = t_factor(known.size) * float(known.std(ddof=1)) / np.sqrt(known.size)
    return Estimate(mean, mean - half, mean + half, name_unit, about)


def undetermined(unit: str, about: str, why: str) -> Estimate:
    """What these data do not tell, and why."""
    return Estimate(np.nan, -np.inf, np.inf, unit, about, why)


def few(there: int, least: int) -> str:
    """Why nothing is said over so few devices."""
    return f"takes {least} devices or more, {there or 'none'} told"


def widened(one: Estimate, half: float) -> Estimate:
    """An estimate with a further uncertainty that is the same for all devices, in squares."""
    low, high = (float(np.hypot(each, half)) for each in (one.value - one.low, one.high - one.value))
    return replace(one, low=one.value - low, high=one.value + high)


def within(one: Estimate, least: float, most: float) -> Estimate:
    """An estimate of what lies between ``least`` and ``most`` whatever is measured: no figure where its
    interval spans all of that, nor where its value is at an end of it. What is known of the interval stays.
    """
    spans = one.low <= least and one.high >= most
    if least < one.value < most and not spans:
        return one
    low = one.low if one.low > least else -np.inf
    high = one.high if one.high < most else np.inf
    why = "its interval spans all that it can be" if spans else "it is at the end of what it can be"
    return replace(one, value=np.nan, low=low, high=high, why=one.why or why)


def of_share(about: str, hits: int, of: int) -> Estimate:
    """A share with the interval of Clopper and Pearson (doi:10.1093/biomet/26.4.404)."""
    if of == 0:
        return Estimate(np.nan, 0.0, 1.0, "", about, "there are none to take a share of")
    tail = (1 - LEVEL) / 2
    low = 0.0 if hits == 0 else float(_special.betaincinv(hits, of - hits + 1, tail))
    high = 1.0 if hits == of else float(_special.betaincinv(hits + 1, of - hits, 1 - tail))
    return Estimate(hits / of, low, high, "", about)


def of_sigma(unit: str, about: str, variance: float, freedom: float) -> Estimate:
    """Square root of a variance that was found with ``freedom`` degrees of freedom (chi-squared)."""
    if not (freedom >= 1 and variance >= 0):
        return undetermined(unit, about, "takes more devices or repeats")
    tail = (1 - LEVEL) / 2
    ends = [np.sqrt(variance * freedom / float(_special.chdtri(freedom, p))) for p in (tail, 1 - tail)]
    return Estimate(float(np.sqrt(variance)), float(ends[0]), float(ends[1]), unit, about)


def jackknife(whole: Floats, without: Floats) -> tuple[Floats, Floats, Floats]:
    """Value and 95 % interval of any statistic from its values without each repeat (Tukey's jackknife).

    Parameters
    ----------
    whole
        The statistic of all n repeats, of any shape.
    without
        [n, *shape]: the statistic with one repeat left out.

    Returns
    -------
    tuple
        The value freed of its bias of order 1/n, and the ends of its interval (Student, n - 1).
    """
    n = without.shape[0]
    pseudo = n * whole - (n - 1) * without
    value = pseudo.mean(axis=0)
    half = t_factor(n) * pseudo.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.full(whole.shape, np.inf)
    return value, value - half, value + half


def ratio_within(top: Floats, tops: Floats, bottom: Floats, bottoms: Floats) -> tuple[Floats, Floats, Floats]:
    """A ratio that must lie within -1 and 1, and its 95 % interval by Fieller's theorem
    (doi:10.1111/j.2517-6161.1954.tb00159.x) on the jackknife's pseudo-values: where the denominator may be 0
    nothing is known, and the interval is -1 to 1.

    Parameters are as those of `jackknife`, for numerator and denominator.
    """
    n = tops.shape[0]
    one, other = (n * whole - (n - 1) * parts for whole, parts in ((top, tops), (bottom, bottoms)))
    a, b = one.mean(axis=0), other.mean(axis=0)
    factor = t_factor(n) ** 2 / n / (n - 1)
    away, beside = one - a, other - b
    aa, ab, bb = (factor * (x * y).sum(axis=0) for x, y in ((away, away), (away, beside), (beside, beside)))
    square, middle = b**2 - bb, a * b - ab
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(np.maximum(middle**2 - square * (a**2 - aa), 0.0))
        known = square > 0
        low = np.where(known, (middle - root) / square, -1.0)
        high = np.where(known, (middle + root) / square, 1.0)
        value = np.where(known, np.clip(a / b, -1, 1), np.nan)
    return value, np.clip(low, -1, 1), np.clip(high, -1, 1)


def of_ratio(unit: str, about: str, tops: ArrayLike, bottoms: ArrayLike) -> Estimate:
    """Ratio of two sums over devices with the jackknife's interval; what is unknown in either is left out."""
    top, bottom = np.asarray(tops, np.float64).ravel(), np.asarray(bottoms, np.float64).ravel()
    known = np.isfinite(top) & np.isfinite(bottom)
    top, bottom = top[known], bottom[known]
    if top.size < 3:
        return undetermined(unit, about, few(top.size, 3))
    if not abs(bottom.sum()) > 0:
        return undetermined(unit, about, "what it is a part of is 0")
    without = (top.sum() - top) / (bottom.sum() - bottom)
    value, low, high = jackknife(np.asarray(top.sum() / bottom.sum()), without)
    return Estimate(float(value), float(low), float(high), unit, about)


def spread_between(about: str, values: ArrayLike, low: ArrayLike, high: ArrayLike, repeats: int) -> Estimate:
    """Standard deviation from device to device of what was measured with known intervals, each of
    ``repeats`` values: what the measurement itself scatters is taken off.

    Interval by jackknife over devices; in the logarithm of the variance that is seen, whose error is in
    proportion to it.
    """
    value = np.asarray(values, np.float64).ravel()
    error = (np.asarray(high, np.float64).ravel() - np.asarray(low, np.float64).ravel()) / (
        2 * t_factor(repeats)
    )
    known = np.isfinite(value) & np.isfinite(error)
    value, noise = value[known], error[known] ** 2
    n = value.size
    if n < LEAST_SPREAD:
        return undetermined("", about, few(n, LEAST_SPREAD))
    mean = (value.sum() - value) / (n - 1)
    seen = float(value.var(ddof=1))
    own = float(noise.mean())
    square = cast("Floats", (value**2).sum() - value**2)
    without = (square - (n - 1) * mean**2) / (n - 2) - (noise.sum() - noise) / (n - 1)
    _, low_v, high_v = jackknife(np.asarray(seen - own), without)
    wide = 0.5 * (high_v - low_v) / seen if seen > 0 else 0.0
    factor = float(np.exp(wide)) if wide < _MOST_POWER else np.inf
    # Devices that scatter by less than their measurement does may still differ by what that leaves unknown.
    squares = seen - own, seen / factor - own, seen * factor - min(own, seen)
    return Estimate.of([float(np.sqrt(max(0.0, each))) for each in squares], "", about)
