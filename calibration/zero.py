"""Currents at 0 V from readings at other voltages, device by device, and what of them columns, voltage and
devices bring in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.common import Floats
from calibration.intervals import of_mean, t_factor, undetermined
from calibration.noise_fit import fit_noise
from hil.calibrate.contracts import Estimate
from hil.calibrate.tape import Step
from hil.schedule import Read, ReadAnswer

_TOLD_APART = 1e-6
_AMPS = "part of it that does not scale with conductance"
_VOLTS = "part of it that does, as a voltage"


@dataclass(frozen=True, slots=True, eq=False)
class Intercepts:
    """Of every device: current at 0 V and its standard error, conductance at the largest voltage, both
    [rows, cols]; even part of the current [voltages, rows, cols] at ``volts``; what rectifies.
    """

    value: Floats
    error: Floats
    siemens: Floats
    even: Floats
    volts: Floats
    rectification: Estimate
    repeats: int


@dataclass(frozen=True, slots=True, eq=False)
class Ends:
    """Values [n] with the ends of their 95 % intervals."""

    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Offset of all readings; its parts that do not scale (amperes) and do scale (volts) with conductance;
    the offset of each column, and the degrees of freedom of all of it.
    """

    offset: Estimate
    amplifier: Estimate
    volts: Estimate
    column: Ends
    freedom: int


def intercepts(steps: Sequence[Step]) -> Intercepts:
    """Current of each device at 0 V, repeat by repeat, from its readings.

    With readings at both signs it is the even part (I(V) + I(-V)) / 2, as a + q V² where there are two
    voltages or more: conduction may be nonlinear in any odd way, and q is what rectifies. With one sign it is
    the intercept of a straight line. Voltages weigh by the noise of all devices there. NaN where a reading
    was only a bound.
    """
    at = _by_voltage(steps)
    sizes = sorted({abs(volts) for volts in at})
    if -sizes[0] in at:
        even = np.stack([0.5 * (at[size] + at[-size]) for size in sizes])
        odd = 0.5 * (at[sizes[-1]] - at[-sizes[-1]])
        basis = np.stack([np.ones(len(sizes)), np.square(sizes)])[: len(sizes)]
    else:
        even = np.stack([at[size] for size in sizes])
        odd = at[sizes[-1]]
        basis = np.stack([np.ones(len(sizes)), sizes])
    weights = _weights(basis, even)
    parts = np.tensordot(weights, even, axes=1)  # [terms, repeats, rows, cols]
    repeats = parts.shape[1]
    siemens: Floats = (odd if -sizes[0] in at else odd - parts[0]).mean(axis=0) / sizes[-1]
    about = "even part of the current at the largest voltage, against the odd one"
    rectifies = undetermined("", about, "takes readings at both signs and two voltages")
    if -sizes[0] in at and len(sizes) > 1:
        with np.errstate(invalid="ignore", divide="ignore"):
            rectifies = of_mean("", about, parts[1].mean(axis=0) * sizes[-1] / siemens)
    return Intercepts(
        parts[0].mean(axis=0),
        parts[0].std(axis=0, ddof=1) / np.sqrt(repeats),
        siemens,
        even.mean(axis=1),
        np.asarray(sizes),
        rectifies,
        repeats,
    )


def _by_voltage(steps: Sequence[Step]) -> dict[float, Floats]:
    """Currents [repeats, rows, cols] by voltage; NaN where only a bound is known."""
    found: dict[float, list[Floats]] = {}
    for step in steps:
        if isinstance(step.op, Read) and isinstance(step.answer, ReadAnswer):
            known = np.where(step.answer.clipped, np.nan, step.answer.amperes).astype(np.float64)
            found.setdefault(step.op.voltage_v, []).append(known)
    return {volts: np.stack(each) for volts, each in found.items()}


def _weights(basis: Floats, currents: Floats) -> Floats:
    """Least squares as a matrix [terms, voltages], by the noise of ``currents`` [voltages, repeats, …]."""
    variance: Floats = currents.var(axis=1, ddof=1).reshape(len(currents), -1)
    known = np.isfinite(variance).all(axis=0)
    noise: Floats = np.sqrt(variance[:, known].mean(axis=1)) if known.any() else np.zeros(len(currents))
    root = 1 / np.maximum(noise, 1e-9 * noise.max()) if noise.max() > 0 else np.ones(noise.size)
    return np.linalg.pinv(basis.T * root[:, np.newaxis]) * root


def split(found: Intercepts) -> Split:
    """Offsets as columns and conductances have them: i = column + v g, by least squares.

    Devices weigh by their noise as (relative i)² + floor²; the scatter that is left sets the intervals, so
    that offsets which differ from device to device widen them.
    """
    value, g = found.value, found.siemens
    noise = fit_noise(g * found.volts[-1], found.error**2, found.repeats - 1)
    variance = (noise.relative[0] * g * found.volts[-1]) ** 2 + noise.floor[0] ** 2
    known = np.isfinite(value) & np.isfinite(g)
    variance = np.where(known & (variance > 0), variance, np.nan)
    if not np.isfinite(variance).any():
        variance = np.where(known, 1.0, np.nan)
    usable = np.isfinite(variance)
    weight = np.where(usable, 1 / np.where(usable, variance, 1.0), 0.0)
    total = weight.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_i = np.where(usable, weight * value, 0.0).sum(axis=0) / total
        mean_g = np.where(usable, weight * g, 0.0).sum(axis=0) / total
    beside_i, beside_g = (np.where(usable, x - m, 0.0) for x, m in ((value, mean_i), (g, mean_g)))
    square = float((weight * beside_g**2).sum())
    freedom = int(usable.sum()) - int((total > 0).sum()) - 1
    size = float((weight * np.where(usable, g, 0.0) ** 2).sum())
    if freedom < 1:
        return _nothing(mean_i, found)
    plain = float((weight * beside_i**2).sum()) / (freedom + 1)
    half = t_factor(freedom + 2) * np.sqrt(plain / np.where(total > 0, total, np.nan))
    column = Ends(mean_i, mean_i - half, mean_i + half)
    seen = np.isfinite(half)
    offset_half = float(np.sqrt((half[seen] ** 2).sum()) / seen.sum())
    offset = _around(float(mean_i[seen].mean()), offset_half, "A", "current at 0 V, mean over columns")
    if not square > _TOLD_APART * size:
        alike = "devices conduct too much alike to tell the two parts apart"
        return Split(
            offset, undetermined("A", _AMPS, alike), undetermined("V", _VOLTS, alike), column, freedom
        )
    slope = float((weight * beside_g * beside_i).sum()) / square
    left = float((weight * (beside_i - slope * beside_g) ** 2).sum()) / freedom
    factor, centre = t_factor(freedom + 1), float(mean_g[seen].mean())
    of_columns = float((left / total[seen]).sum()) / seen.sum() ** 2
    return Split(
        offset,
        _around(
            offset.value - slope * centre,
            factor * float(np.sqrt(of_columns + left * centre**2 / square)),
            "A",
            _AMPS,
        ),
        _around(slope, factor * float(np.sqrt(left / square)), "V", _VOLTS),
        column,
        freedom,
    )


def _around(value: float, half: float, unit: str, about: str) -> Estimate:
    return Estimate(value, value - half, value + half, unit, about)


def _nothing(mean_i: Floats, found: Intercepts) -> Split:
    """Too few devices to tell more than their own intercepts, if those."""
    why = "too few devices in a column, or columns"
    amps, volts = undetermined("A", _AMPS, why), undetermined("V", _VOLTS, why)
    if not np.isfinite(mean_i).any():
        unknown = undetermined("A", "current at 0 V", "no device was read well")
        return Split(unknown, amps, volts, Ends(mean_i, mean_i, mean_i), 1)
    half = t_factor(found.repeats) * np.nanmax(found.error, axis=0, initial=0.0)
    column = Ends(mean_i, mean_i - half, mean_i + half)
    middle = 0.5 * float(np.nanmin(column.low) + np.nanmax(column.high))
    offset = _around(middle, float(np.nanmax(column.high)) - middle, "A", "current at 0 V")
    return Split(offset, amps, volts, column, 1)
