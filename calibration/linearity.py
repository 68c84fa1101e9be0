"""Currents against voltage: what flows at 0 V, and whether a device is ohmic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calibration.intervals import few, jackknife, t_factor, undetermined
from hil.calibrate.contracts import RESOLVED, Estimate

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
        why, unknown = few(means.shape[1], 2), np.full(volts.size, np.nan)
        return undetermined("A", "current at 0 V", why), undetermined("", _ABOUT, why), unknown
    offset, without = _offset(volts, means, np.where(variances > 0, variances, 1.0))
    value = offset.value
    siemens: Floats = (means - value) / volts[:, np.newaxis]
    least = RESOLVED * float(np.median(np.abs(means)))  # an open device leaves nothing but rounding
    clear = np.all(np.abs(means - value) > np.maximum(_CLEAR * np.sqrt(variances), least), axis=0)
    if clear.sum() < 2:
        why = f"of devices that are read well at all voltages it {few(int(clear.sum()), 2)}"
        return offset, undetermined("", _ABOUT, why), np.full(volts.size, np.nan)
    relative: Floats = siemens[:, clear] / siemens[-1, clear]
    changed = Estimate.of(_change(volts, relative[0], siemens[-1, clear], without[clear] - value), "", _ABOUT)
    return offset, changed, _medians(relative)


def _change(volts: Floats, ratios: Floats, siemens: Floats, offsets: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean of ``ratios`` less 1 with its interval; without a device the offset, too, is another by
    ``offsets``.
    """
    n = ratios.size
    felt = ((1 / volts[0] - 1 / volts[-1]) / siemens).mean()
    return jackknife(np.asarray(ratios.mean() - 1), (ratios.sum() - ratios) / (n - 1) - 1 - felt * offsets)


def _medians(rows: Floats) -> Floats:
    return np.array([float(np.median(row)) for row in rows])


def _offset(volts: Floats, means: Floats, variances: Floats) -> tuple[Estimate, Floats]:
    """Intercept of all lines together, with its interval from how those of the devices scatter; and without
    each of the devices [devices].
    """
    weight = 1 / variances
    total = weight.sum(axis=0)
    centre = (weight * volts[:, np.newaxis]).sum(axis=0) / total
    away = volts[:, np.newaxis] - centre
    square = (weight * away**2).sum(axis=0)
    intercept = (weight * means).sum(axis=0) / total - centre * (weight * away * means).sum(axis=0) / square
    worth = 1 / (1 / total + centre**2 / square)
    part, whole = worth * intercept, float(worth.sum())
    value = float(part.sum()) / whole
    scatter = float((worth * (intercept - value) ** 2).sum()) / whole / (intercept.size - 1)
    half = t_factor(intercept.size) * float(np.sqrt(scatter))
    without = (part.sum() - part) / (whole - worth)
    return Estimate(value, value - half, value + half, "A", "current at 0 V"), without
