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


class Shifted(NamedTuple):
    """variance = (relative (value - shift))^2 + floor^2; each as (value, low, high) of a 95 % interval [3].

    An offset is in what is read, not in the noise of a device: ``shift`` is where that noise would end.
    """

    relative: Floats
    floor: Floats
    shift: Floats


def fit_shifted(means: Floats, variances: Floats, freedom: int) -> Shifted:
    """A floor or a shift, whichever is likelier: two ends of a range tell two unknowns, and hardly a third.

    Parameters as of :func:`fit_noise`.
    """
    plain = fit_noise(means, variances, freedom)
    known = np.isfinite(means) & (variances > _DUST * means**2)
    value, variance = means[known], variances[known]
    unmoved = Shifted(plain.relative, plain.floor, np.zeros(3))
    if value.size < 3:
        return unmoved
    scale, usual = float(np.median(np.abs(value))), float(np.median(variance))
    x, y = np.stack([value / scale, -np.ones_like(value)], axis=1), variance / usual
    beta, hessian = _solve_shifted(x, y)
    if beta[0] <= 0 or (x @ beta <= 0).any():
        return unmoved
    of_plain = (plain.relative[0] * value) ** 2 + plain.floor[0] ** 2
    if _deviance(y, of_plain / usual) <= _deviance(y, (x @ beta) ** 2):
        return unmoved
    spread = np.linalg.pinv(hessian) / (2 * freedom)
    t, shift = t_factor(value.size * freedom), float(beta[1] / beta[0])
    slope = np.array([-shift, 1.0]) / beta[0]
    half = t * np.array([np.sqrt(spread[0, 0]), np.sqrt(slope @ spread @ slope)])
    relative = np.maximum(0.0, beta[0] + half[0] * np.array([0.0, -1.0, 1.0])) * np.sqrt(usual) / scale
    return Shifted(relative, np.zeros(3), scale * (shift + half[1] * np.array([0.0, -1.0, 1.0])))


def _deviance(y: Floats, fitted: Floats) -> float:
    """Of gamma regression, but for what all fits have in common."""
    fitted = np.maximum(fitted, _LEAST)
    return float((y / fitted + np.log(fitted)).sum())


def _solve_shifted(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Coefficients [2] of sqrt(variance) and their weights' matrix, by iterated weighted least squares."""
    root, fitted = np.sqrt(y), np.ones_like(y)
    beta: Floats = np.zeros(2)
    hessian: Floats = np.eye(2)
    for number in range(_ROUNDS):
        fitted = np.maximum(fitted, _LEAST)
        target = fitted + (y - fitted**2) / (2 * fitted) if number else root
        hessian = (x / fitted[:, np.newaxis] ** 2).T @ x
        new: Floats = np.linalg.pinv(hessian) @ ((x / fitted[:, np.newaxis] ** 2).T @ target)
        if np.allclose(new, beta, rtol=1e-9, atol=1e-12):
            break
        beta, fitted = new, x @ new
    return beta, hessian


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
