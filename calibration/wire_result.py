"""What readings of several states come to: ohms of wires and leads, what they take from readings."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.crossbar import Wires, readings
from calibration.intervals import t_factor, undetermined
from calibration.wire_fit import Flags, Floats, WireFit, fit_wires
from hil.calibrate.contracts import RESOLVED, Estimate, Result
from hil.units import format_quantity, rounded

_FEW = 8
_HARDLY = 0.02
_BAD = 2.0
_ROUNDS = 20
_ROUNDING_OHM = 1e-6
"""Readings without any noise would tell less, of nothing."""

ABOUT = {
    "row": "one segment of a row",
    "col": "one segment of a column",
    "row_lead": "before the first segment of a row",
    "col_lead": "behind the last segment of a column",
    "loss": "largest share of a reading that wires take, of the array as found",
    "loss_worst": "the same with every device at g_max",
}


class States(NamedTuple):
    """Readings, amperes per volt [states, rows, cols]; which devices were pulsed before each [states, rows,
    cols]; where any reading was only a bound [rows, cols].
    """

    seen: Floats
    pulsed: Flags
    bound: Flags


def behind_wires(states: States, usable: Flags, shorted: Flags, g_max_s: float) -> Result:
    """Of an array whose lines carry all of their devices' currents at once: rows driven before column 0,
    columns sensed behind the last row.

    Devices that share a line with a shorted one are not watched: nearly all that they lose is lost to it.
    """
    total: Floats = np.where(shorted, 0.0, states.seen).sum(axis=(1, 2))
    if not np.ptp(total) > _HARDLY * total.max():
        return Result(_unknown(), {}, ("nothing is told: devices that were pulsed hardly moved",))
    beside = shorted.any(axis=1, keepdims=True) | shorted.any(axis=0)
    try:
        fit = fit_wires(states.seen, states.pulsed, usable & ~beside)
    except FloatingPointError as error:
        return Result(_unknown(), {}, (f"nothing is told: {error}",))
    if fit.freedom < _FEW:
        return Result(_unknown(), {}, ("nothing is told: too few devices were read well before and after",))
    factor = t_factor(fit.freedom + 1)
    half = factor * np.sqrt(fit.covariance.diagonal())
    estimates = _unknown()
    for name, value, width in zip(ABOUT, fit.ohms, half, strict=False):
        if np.isfinite(width):
            estimates[name] = Estimate(
                float(value), float(value - width), float(value + width), "ohm", ABOUT[name]
            )
    finite = np.isfinite(half)
    covariance = np.where(np.outer(finite, finite), fit.covariance, 0.0)
    found, wires = fit.siemens[0], Wires(*fit.ohms)
    told = usable & (found > 0)
    kept: Floats = np.where(told, states.seen[0] / np.where(told, found, 1.0), np.nan)
    loss, slope = 1 - kept, fit.felt[:, 0] * kept
    width = factor * np.sqrt(np.einsum("pij,pq,qij->ij", slope, covariance, slope))
    worst = np.unravel_index(int(np.nanargmax(loss)), loss.shape)
    estimates["loss"] = _around("loss", float(loss[worst]), float(width[worst]))
    estimates["loss_worst"] = _all_high(loss.shape, wires, covariance, factor, g_max_s)
    maps: dict[str, NDArray[Any]] = {
        "loss": loss, "loss_low": loss - width, "loss_high": loss + width,
        "siemens_read": states.seen[0], "siemens": found,
        "change_read": fit.seen, "change_left": fit.left,
    }  # fmt: skip
    return Result(estimates, maps, _findings(estimates, fit))


def along_wires(states: States, usable: Flags, rows: Floats, cols: Floats, g_max_s: float) -> Result:
    """Of an array read one device at a time: resistance [rows, cols] of the last state by least squares on
    the segments of a column (``rows``) and of a row (``cols``) between device and ends.

    Intervals hold whatever the scatter of devices is (HC3, doi:10.1080/00031305.2000.10474549). Devices that
    did not come up, or are shorted, are left out.
    """
    siemens: Floats = states.seen[-1]
    usable = usable & states.pulsed[-1] & (siemens > 0)
    ohms = np.divide(1.0, siemens, out=np.full(siemens.shape, np.nan), where=siemens > 0)
    distance = np.stack([np.ones(ohms.shape), cols, rows], axis=-1)
    usable = _came_up(ohms, usable, distance)
    y, x = ohms[usable], distance[usable]
    estimates = _unknown()
    if y.size < _FEW or np.linalg.matrix_rank(x) < 3:
        return Result(estimates, {}, ("nothing is told: too few devices came up",))
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ x.T @ y
    lever = np.einsum("ni,ij,nj->n", x, inverse, x)
    pull = (x * ((y - x @ beta) / np.maximum(1 - lever, 1e-3))[:, np.newaxis]) @ inverse
    covariance = (pull.T @ pull)[1:, 1:]
    factor = t_factor(y.size - 2)
    for name, value, width in zip(
        ("row", "col"), beta[1:], factor * np.sqrt(covariance.diagonal()), strict=True
    ):
        estimates[name] = Estimate(
            float(value), float(value - width), float(value + width), "ohm", ABOUT[name]
        )
    most = np.array([float(cols.max()), float(rows.max())])
    lost, width = most @ beta[1:] * g_max_s, factor * float(np.sqrt(most @ covariance @ most)) * g_max_s
    estimates["loss_worst"] = _around("loss_worst", float(lost), width)
    maps: dict[str, NDArray[Any]] = {"siemens_read": siemens, "ohms": np.where(usable, ohms, np.nan)}
    beyond = (
        "this bench reads one device at a time: a gradient of the devices over the array looks the same as "
        "wires, and leads are not told from devices"
    )
    return Result(estimates, maps, (*_of_segments(estimates), beyond))


def _came_up(ohms: Floats, usable: Flags, distance: Floats) -> Flags:
    """Devices that are neither far above the median resistance nor, as shorted ones behind many ohms, far
    below: without the wires between, for with these fewer of the far ones would be kept.
    """
    own, came = ohms, usable
    for _ in range(_ROUNDS):
        if not came.any():
            break
        typical = np.median(own[came])
        came, before = usable & (own < _BAD * typical) & (own > typical / _BAD), came
        own = ohms - distance[..., 1:] @ np.linalg.lstsq(distance[came], ohms[came])[0][1:]
        if np.array_equal(came, before):
            break
    return came


def _unknown() -> dict[str, Estimate]:
    return {
        name: undetermined("" if name.startswith("loss") else "ohm", about, "these readings do not tell it")
        for name, about in ABOUT.items()
    }


def _around(name: str, value: float, half: float) -> Estimate:
    return Estimate(value, value - half, value + half, "", ABOUT[name])


def _all_high(
    shape: tuple[int, ...], wires: Wires, covariance: Floats, factor: float, g_max_s: float
) -> Estimate:
    """What the far corner loses when all devices conduct g_max."""
    full = np.full(shape, g_max_s)

    def corner(ohms: Floats) -> float:
        return 1 - float(readings(full, Wires(*ohms))[0, -1]) / g_max_s

    at = np.asarray(wires)
    small = 1e-3 / float(full.sum())
    value = corner(at)
    slope = np.array([(corner(at + small * each) - value) / small for each in np.eye(4)])
    return _around("loss_worst", value, factor * float(np.sqrt(slope @ covariance @ slope)))


def _of_segments(estimates: dict[str, Estimate]) -> list[str]:
    found: list[str] = []
    for name in ("row", "col"):
        each = estimates[name]
        if each.low <= 0 <= each.high:
            most = format_quantity(max(_ROUNDING_OHM, each.high), "ohm", 2)
            found.append(f"{ABOUT[name]} is too good to be measured: {most} at most")
    return found


def _findings(estimates: dict[str, Estimate], fit: WireFit) -> list[str]:
    found = _of_segments(estimates)
    for name in ("row_lead", "col_lead"):
        each = estimates[name]
        if each.low > 0:
            found.append(f"{format_quantity(each.value, 'ohm', 3)} {ABOUT[name]}: leads, switches or drivers")
    loss = estimates["loss"]
    most = f"{rounded(100 * max(RESOLVED, loss.high))} %"
    if loss.low > 0:
        found.append(f"readings of the array as found lose up to {most} in wires")
    else:
        found.append(f"no reading of the array as found is seen to lose to wires: {most} at most")
    seen, left = (100 * float(np.sqrt(np.mean(each**2))) for each in (fit.seen, fit.left))
    if seen > 100 * RESOLVED:
        changed = "devices that were not pulsed changed by"
        found.append(f"{changed} {rounded(seen)} % as read, by {rounded(left)} % behind these wires")
    return found
