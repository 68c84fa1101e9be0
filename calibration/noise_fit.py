"""Read noise from repeated readings: a part that scales with the current and a floor that does not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.intervals import t_factor

Floats = NDArray[np.float64]

_ROUNDS = 50
_LEAST = 1e-6
_DUST = 1e-28
"""Part of a square that the rounding of a mean may leave of a variance of 0."""


class NoiseFit(NamedTuple):
    """variance = (relative value)^2 + floor^2; each part as (value, low, high) of a 95 % interval [3]."""

    relative: Floats
    floor: Floats


def fit_noise(means: Floats, variances: Floats, freedom: int) -> NoiseFit:
    """Gamma regression of variances on squared means, both parts kept at 0 or more.

    Parameters
    ----------
    means, variances
        Of the repeated readings of each device, of one shape; NaN is left out.
    freedom
        Degrees of freedom of each variance. A variance of normal readings is known to sqrt(2 / freedom) of
        itself, which is the weight of each device and gives the intervals.
    """
    known = np.isfinite(means) & np.isfinite(variances)
    square, variance = means[known] ** 2, variances[known]
    if square.size < 2:
        unknown = np.array([np.nan, 0.0, np.inf])
        return NoiseFit(unknown, unknown)
    if not (variance > _DUST * square).any():  # as repeats of one number leave it
        return NoiseFit(np.zeros(3), np.zeros(3))
    # Those of most devices: a shorted one conducts 10,000 times as much, and would leave no digits for them.
    scale, usual = (float(np.median(each[each > 0])) for each in (square, variance))
    x = np.stack([square / scale, np.ones_like(square)], axis=1)
    beta, hessian = _solve(x, variance / usual)
    half = t_factor(square.size * freedom) * np.sqrt(np.diag(np.linalg.pinv(hessian)) * 2 / freedom)
    units = np.array([usual / scale, usual])
    ends = np.sqrt(np.maximum(0.0, np.stack([beta, beta - half, beta + half])) * units)
    return NoiseFit(ends[:, 0], ends[:, 1])


def _solve(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Coefficients [2] and their Fisher matrix, by iterated weighted least squares."""
    beta: Floats = np.array([1.0, 0.0])
    hessian: Floats = np.eye(2)
    for _ in range(_ROUNDS):
        weight = 1 / np.maximum(x @ beta, _LEAST) ** 2
        hessian = (x * weight[:, np.newaxis]).T @ x
        moment = (x * weight[:, np.newaxis]).T @ y
        new: Floats = np.linalg.pinv(hessian) @ moment
        if np.any(new < 0):  # one of the two alone
            alone = int(np.argmax(new))
            new = np.zeros(2)
            new[alone] = moment[alone] / hessian[alone, alone]
        if np.allclose(new, beta, rtol=1e-9, atol=1e-12):
            break
        beta = new
    return beta, hessian
