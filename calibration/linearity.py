"""Currents against voltage: what flows at 0 V, and whether a device is ohmic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.intervals import of_mean, t_factor, undetermined, widened
from hil.calibrate.contracts import Estimate

Floats = NDArray[np.float64]

_CLEAR = 10.0
_ABOUT = "conductance at the smallest voltage against that at the largest, less 1"


def fit_line(volts: Floats, means: Floats, variances: Floats) -> tuple[Estimate, Estimate, Floats]:
    """Straight lines through the currents of all devices, weighted by their noise.

    Parameters
    ----------
    volts, means, variances
        Voltages [n]; mean currents and the variances of these means [n, devices]. NaN is left out.

    Returns
    -------
    tuple
        Offset: the current at 0 V that all devices have in common. Nonlinearity: how far the conductance at
        the smallest voltage is from that at the largest, mean over devices that are read well at both.
        Conductance against voltage [n], relative to that at the largest, median over them.
    """
    order = np.argsort(volts)
    volts, means, variances = volts[order], means[order], variances[order]
    finite = np.isfinite(means).all(axis=0)
    noisy = finite & (variances > 0).all(axis=0)
    used = noisy if noisy.any() else finite
    means, variances = means[:, used], variances[:, used]
    if means.shape[1] < 2:
        return undetermined("A", "current at 0 V"), undetermined("", _ABOUT), np.full(volts.size, np.nan)
    offset = _offset(volts, means, np.where(variances > 0, variances, 1.0))
    siemens: Floats = (means - offset.value) / volts[:, np.newaxis]
    clear = np.all(np.abs(means - offset.value) > _CLEAR * np.sqrt(variances), axis=0) & (siemens[-1] != 0)
    if clear.sum() < 2:
        return offset, undetermined("", _ABOUT), np.full(volts.size, np.nan)
    relative: Floats = siemens[:, clear] / siemens[-1, clear]
    common = 0.5 * (offset.high - offset.low) * (1 / volts[0] - 1 / volts[-1])
    unsure = abs(common) * float((1 / np.abs(siemens[-1, clear])).mean())
    return offset, widened(of_mean("", _ABOUT, relative[0] - 1), unsure), _medians(relative)


def _medians(rows: Floats) -> Floats:
    return np.array([float(np.median(row)) for row in rows])


def _offset(volts: Floats, means: Floats, variances: Floats) -> Estimate:
    """Intercept of all lines together; its interval is from how those of the devices scatter."""
    weight = 1 / variances
    total = weight.sum(axis=0)
    centre = (weight * volts[:, np.newaxis]).sum(axis=0) / total
    away = volts[:, np.newaxis] - centre
    square = (weight * away**2).sum(axis=0)
    intercept = (weight * means).sum(axis=0) / total - centre * (weight * away * means).sum(axis=0) / square
    worth = 1 / (1 / total + centre**2 / square)
    value = float((worth * intercept).sum() / worth.sum())
    scatter = float((worth * (intercept - value) ** 2).sum() / worth.sum()) / (intercept.size - 1)
    half = t_factor(intercept.size) * float(np.sqrt(scatter))
    return Estimate(value, value - half, value + half, "A", "current at 0 V")
