"""Many devices measured with errors: each is drawn towards the mean of all by as much as its error tells, so
that a twin's devices scatter as the array's do, and not by the noise of the measurement on top.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_OWN = 0.5
"""Part that a device's own error has in the one it is taken to have; the rest is of all: a jackknife over
few cycles does not know its error well.
"""
_EXACT = 1e-12
"""Least part of the largest variance that a device weighs by: one that is known exactly is not all."""


def shrunk(values: Floats, errors: Floats, centre: float | None = None) -> Floats:
    """Best linear guess of each device's true value (James and Stein, as empirical Bayes).

    Parameters
    ----------
    values, errors
        Of each device, of one shape; errors are standard deviations. Where either is NaN or an error is
        infinite nothing is known, and the guess is the centre.
    centre
        Of the array; none: the mean of the values, weighted by how well they are known.
    """
    known = np.isfinite(values) & np.isfinite(errors)
    if not known.any():
        return np.full(values.shape, np.nan if centre is None else centre)
    own = errors[known] ** 2
    pooled = float(np.median(own))
    variance = _OWN * own + (1 - _OWN) * pooled
    if centre is None:
        apart = variance + np.var(values[known])
        weights = 1 / np.maximum(apart / apart.max(), _EXACT) if apart.any() else None
        centre = float(np.average(values[known], weights=weights))
    good = variance <= 4 * pooled  # one device of no use must not hide the scatter of the others
    scatter = max(0.0, float(np.mean((values[known][good] - centre) ** 2 - variance[good])))
    guess = np.full(values.shape, centre)
    total = scatter + variance
    weight = np.divide(scatter, total, out=np.ones_like(total), where=total > 0)
    guess[known] = centre + weight * (values[known] - centre)
    return guess
