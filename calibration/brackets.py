"""A log-normal quantity that is known of each device only to lie between two values, and below a third."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy import special

from calibration.intervals import t_factor

Floats = NDArray[np.float64]

_special: Any = special  # scipy comes without types
_POINTS = 80
_RAREST = 1e-12  # fewer of all devices than this were not seen: logarithms of differences end there
_WIDEST, _NARROWEST = 2.0, 1e-3


class Bracketed(NamedTuple):
    """Mean, and standard deviation in units of it, each as (value, low, high) of a 95 % interval [3]."""

    mean: Floats
    spread: Floats


def fit_brackets(low: Floats, high: Floats, most: float) -> Bracketed:
    """Maximum likelihood with intervals by the likelihood ratio, at Student's factor for so few devices.

    Parameters
    ----------
    low, high
        [devices]: each device's value is above ``low`` (0: nothing is known below) and not above ``high``.
    most
        Devices with a value above this are not among them.
    """
    pairs, numbers = np.unique(np.stack([low, high], axis=1), axis=0, return_counts=True)
    if low.size < 3:
        unknown = np.array([np.nan, 0.0, np.inf])
        return Bracketed(unknown, unknown)
    if len(pairs) == 1:  # narrower than can be told
        mean = np.array([pairs.mean(), *pairs[0]])
        return Bracketed(mean, np.array([np.nan, 0.0, np.inf]))
    middle = np.log(np.where(pairs[:, 0] > 0, pairs.mean(axis=1), pairs[:, 1]))
    centre = float(np.average(middle, weights=numbers))
    reach = 4 * float(np.sqrt(np.average((middle - centre) ** 2, weights=numbers)))
    mu = np.linspace(centre - reach, centre + reach, _POINTS)
    sigma = np.geomspace(_NARROWEST, _WIDEST, _POINTS)
    allowed = 0.5 * t_factor(low.size) ** 2
    inside = np.zeros(0, np.bool_)
    for _ in range(3):  # each time on a finer grid around what is likely
        chance = _log_likelihood(mu, sigma, pairs, numbers, most)
        inside = chance >= chance.max() - allowed
        mu, sigma = (
            _around(mu, inside.any(axis=1), np.linspace),
            _around(sigma, inside.any(axis=0), np.geomspace),
        )
    chance = _log_likelihood(mu, sigma, pairs, numbers, most)
    inside = chance >= chance.max() - allowed
    best = np.unravel_index(int(chance.argmax()), chance.shape)
    means = np.exp(mu[:, np.newaxis] + 0.5 * sigma**2)
    spreads = np.broadcast_to(np.sqrt(np.expm1(sigma**2)), means.shape)
    mean = np.array([means[best], means[inside].min(), means[inside].max()])
    spread = np.array([spreads[best], spreads[inside].min(), spreads[inside].max()])
    if sigma[0] <= 1.01 * _NARROWEST:
        spread[1] = 0.0
    return Bracketed(mean, spread)


def _around(grid: Floats, likely: NDArray[np.bool_], spaced: Any) -> Floats:
    """A grid over what is likely of another, and one point more at each end."""
    at = np.flatnonzero(likely)
    ends = grid[max(at[0] - 1, 0)], grid[min(at[-1] + 1, grid.size - 1)]
    return cast("Floats", spaced(*ends, _POINTS))


def _log_likelihood(mu: Floats, sigma: Floats, pairs: Floats, numbers: NDArray[Any], most: float) -> Floats:
    """[mu, sigma]; values above ``most`` cannot be among those that were seen."""
    edges, at = np.unique(np.append(pairs.ravel(), most), return_inverse=True)
    with np.errstate(divide="ignore"):
        away = (np.log(edges)[:, np.newaxis, np.newaxis] - mu[:, np.newaxis]) / sigma
    below = cast("Floats", _special.ndtr(away))
    first, last = at[:-1].reshape(-1, 2).T
    chances = np.log(np.maximum(below[last] - below[first], 1e-300))
    seen = below[at[-1]]
    chances -= np.log(np.maximum(seen, _RAREST))
    return np.where(seen > _RAREST, np.tensordot(numbers, chances, axes=1), -np.inf)
