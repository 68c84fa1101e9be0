"""From fitted staircases to the figures of an array: the typical device, its spread, and its noise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration.arrival import arrivals, told, unsure, unsure_maps
from calibration.barrier import Held, held_off
from calibration.intervals import (
    LEAST_SPREAD,
    SIGMAS,
    Floats,
    of_mean,
    of_ratio,
    spread_between,
    undetermined,
    widened,
    within,
)
from calibration.labels import label_of_tanh, rate
from calibration.staircase import FIGURES, PLATEAU, Ends, Interval, fit, intervals
from hil.bench import DeviceSheet
from hil.calibrate.contracts import RESOLVED, Estimate, Result, resolved
from hil.units import counted, format_quantity, rounded

if TYPE_CHECKING:
    from calibration.update_curve import Curves

_MOVES = 0.05
_STEEPER = 0.05
_BINS = 20
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_SETTLED = 3.0
_LABELS = 2.6
"""A label for so much of tanh(b/2), where both are small."""
_NOTHING = Held(np.zeros(0), np.zeros(0), 0.0, 0.0)


def summarise(curves: Curves, shape: tuple[int, int], sheet: DeviceSheet, crossing: float) -> Result:
    """Estimates of the array, maps of every device [rows, cols], curves for figures and twins.

    ``crossing``: length of the staircases, in units of what crosses the range by the data sheet.
    """
    moves = _moves(curves, sheet)
    moving = curves._replace(up=curves.up[:, :, moves], down=curves.down[:, :, moves])
    fitted: dict[str, Interval] = {}
    held, arrived = Ends(_NOTHING, _NOTHING), {}
    if moves.any():
        whole, parts, held = fit(moving.up, moving.down, moving.strides, moving.noise)
        fitted, arrived = intervals(whole, parts, held), arrivals(moving, whole)
    found: dict[str, Interval] = {}
    for name in FIGURES:  # devices that do not move have no figures, and do not enter those of the others
        ends = np.full((3, moves.size), np.nan)
        if name in fitted:
            ends[:, moves] = np.stack(fitted[name])
        found[name] = Interval(*ends)
    cycles = len(curves.up)
    estimates = _typical(found, held, curves.noise.unsure)
    estimates |= _spread(found, held, cycles, _settled(found, curves))
    moves = moves.reshape(shape)
    maps = _maps(found, shape) | {"moves": moves} | _curves(curves, found)
    findings = _findings(moves, estimates, maps)
    if arrived:
        findings += told(estimates, arrived, crossing)
        estimates = unsure(estimates, arrived)
        maps |= unsure_maps(maps, moves, arrived)
    return Result(estimates, maps, findings)


def _moves(curves: Curves, sheet: DeviceSheet) -> NDArray[np.bool_]:
    """Which devices [devices] end a staircase up far above where they end one down, and read well."""
    high, low = curves.up[:, -4:].mean(axis=(0, 1)), curves.down[:, -4:].mean(axis=(0, 1))
    needed = np.maximum(_MOVES * (sheet.g_max_s - sheet.g_min_s), 3 * np.sqrt(curves.noise.variance(high)))
    readable = np.isfinite(curves.up).all(axis=(0, 1)) & np.isfinite(curves.down).all(axis=(0, 1))
    with np.errstate(invalid="ignore"):
        return readable & (high - low > needed)


def _typical(found: dict[str, Interval], held: Ends, unsure: float) -> dict[str, Estimate]:
    low, high = found["low"].value, found["high"].value
    span = high - low
    common = [SIGMAS * end.common for end in held]
    estimates = {
        "g_min": widened(of_mean("S", "low end of the range, mean over devices", low), common[0]),
        "g_max": widened(of_mean("S", "high end of the range, mean over devices", high), common[1]),
    }
    ratio, g_min = of_ratio("", "ratio of the mean ends of the range", high, low), estimates["g_min"].value
    estimates["on_off"] = widened(ratio, ratio.value * common[0] / g_min)
    for way, sign, what in (("up", 1, "potentiation"), ("down", -1, "depression")):
        step, bend = found[f"{way}.step"].value, found[f"{way}.bend"].value
        tanh = of_ratio("", "", bend, step)
        label = _label(tanh, sign, f"nonlinearity label of {what}")
        estimates[f"nl_{way}"] = resolved(label, _LABELS * _digits(high, step))
        levels = _levels(tanh, of_mean("", "", step / span), f"pulses of {what}, end to end")
        if np.isfinite(levels.value):  # as unsure as the range is by what is held off its ends
            levels = widened(levels, levels.value * float(np.hypot(common[0], common[1])) / _mean(span))
        estimates[f"levels_{way}"] = levels
        variance = of_ratio("", "", found[f"{way}.variance"].value, span**2)
        variance = widened(variance, unsure * _mean(found[f"{way}.read"].value) / _mean(span**2))
        ends = [float(np.sqrt(np.maximum(0.0, x))) for x in (variance.value, variance.low, variance.high)]
        about = f"cycle to cycle: spread of one pulse's change, in units of the range, {what}"
        c2c = Estimate.of(ends, "", about, variance.why)
        estimates[f"c2c_{way}"] = resolved(c2c, _digits(high, span))
    up, down = found["up.step"].value, found["down.step"].value
    estimates["step_up"] = of_mean("S", "potentiating step in the middle of the range", up)
    estimates["step_down"] = of_mean("S", "depressing step in the middle of the range", down)
    about = "asymmetry: (up - down) / (up + down) of the steps in the middle"
    asymmetry = resolved(of_ratio("", about, up - down, up + down), _digits(high, up + down))
    estimates["asymmetry"] = within(asymmetry, -1.0, 1.0)
    return estimates


def _label(tanh: Estimate, sign: int, about: str) -> Estimate:
    """Label of tanh(b/2), which lies between -1 and 1 whatever a device does."""
    inside = within(tanh, -1.0, 1.0)
    value, *ends = (
        sign * (float(label_of_tanh(x)) if np.isfinite(x) else x)
        for x in (inside.value, inside.low, inside.high)
    )
    return Estimate.of((value, min(ends), max(ends)), "", about, inside.why)


def _digits(size: Floats, part: Floats) -> float:
    """What single precision leaves of 0 in figures that are in units of ``part`` of conductances ``size``."""
    unit = _mean(np.abs(part))
    return RESOLVED * _mean(size) / unit if unit > 0 else 0.0


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _levels(tanh: Estimate, step: Estimate, about: str) -> Estimate:
    """Pulses that the typical device takes: 1 / rate, of the mean step and bend; errors add in squares."""
    if not (np.isfinite(tanh.value) and np.isfinite(step.value)):
        return undetermined("", about, tanh.why or step.why)

    def rate_of(x: float, s: float) -> float:
        return float(rate(x * s, s, 1.0))

    middle = rate_of(tanh.value, step.value)
    below = np.hypot(*(
        middle - min(rate_of(tanh.low, step.value), rate_of(tanh.high, step.value), middle),
        middle - rate_of(tanh.value, step.low),
    ))  # fmt: skip
    above = np.hypot(*(
        max(rate_of(tanh.low, step.value), rate_of(tanh.high, step.value), middle) - middle,
        rate_of(tanh.value, step.high) - middle,
    ))  # fmt: skip
    least = middle - below
    return Estimate(1 / middle, 1 / (middle + above), 1 / least if least > 0 else np.inf, "", about)


def _settled(found: dict[str, Interval], curves: Curves) -> dict[str, NDArray[np.bool_]]:
    """Devices [devices] that are at the low and at the high end when the plateaus begin, late ones too:
    the noise of steps makes them arrive early or late.
    """
    inside: dict[str, NDArray[np.bool_]] = {}
    ways = (("low", "down", curves.down, 1), ("high", "up", curves.up, 0))
    for end, way, staircase, place in ways:
        there = (1 - PLATEAU) * (staircase.shape[1] - 1) * curves.strides[place]
        with np.errstate(invalid="ignore", divide="ignore"):
            pulses = 1 / found[f"{way}.rate"].value
            last = found[f"{way}.step"].value - found[f"{way}.bend"].value
            late = np.sqrt(np.maximum(pulses * found[f"{way}.variance"].value, 0.0)) / last
            inside[end] = (last > 0) & (pulses + _SETTLED * late < there)
    return inside


def _spread(
    found: dict[str, Interval], held: Ends, cycles: int, settled: dict[str, NDArray[np.bool_]]
) -> dict[str, Estimate]:
    """Device to device, relative to the mean where it is a size; of ends over devices that have settled."""
    estimates: dict[str, Estimate] = {}
    for name, key, about in (
        ("d2d_g_min", "low", "relative spread of the low end from device to device"),
        ("d2d_g_max", "high", "relative spread of the high end from device to device"),
        ("d2d_step_up", "up.step", "relative spread of the potentiating step, in units of the range"),
        (
            "d2d_step_down",
            "down.step",
            "relative spread of the depressing step, in units of the range",
        ),
    ):
        one, pulled = found[key], 0.0
        if key in settled:
            one = Interval(*(np.where(settled[key], each, np.nan) for each in one))
        if key.endswith("step"):
            span, bend = found["high"].value - found["low"].value, found[key.replace("step", "bend")].value
            typical = _mean(bend) / _mean(one.value)
            one = Interval(*(rate(typical * each, each, span) for each in one))
            pulled = _pulled(found, held.low, "down") + _pulled(found, held.high, "up")
        mean = _mean(one.value)
        spread = spread_between(about, one.value / mean, one.low / mean, one.high / mean, cycles)
        value, low, high = ((1 + pulled) * each for each in (spread.value, spread.low, spread.high))
        spread = replace(spread, value=value, low=low, high=high)
        moved = int(np.isfinite(found[key].value).sum())
        if key in settled and (there := int(settled[key].sum())) < LEAST_SPREAD <= moved:
            was = f"{there or 'none'} of the {moved:,} that moved surely was at that end early enough"
            spread = replace(spread, why=f"takes {LEAST_SPREAD} devices or more; {was}")
        estimates[name] = resolved(spread, _digits(found["high"].value, found[key].value))
    return estimates


def _pulled(found: dict[str, Interval], held: Held, way: str) -> float:
    """Relative excess of a device's range for a relative excess of its step: a spread of steps in units of
    ranges is too small by it.

    Noise holds a device of larger steps off its ends by less, of which only a part is seen of single devices.
    """
    step, bend, variance = (_mean(found[f"{way}.{part}"].value) for part in ("step", "bend", "variance"))
    span = _mean(found["high"].value - found["low"].value)
    if not (variance > 0 and step > bend and held.distance.any()):
        return 0.0
    drift, fall = (step - bend) / np.sqrt(variance), 2 * bend / span
    off = held_off(drift, fall)
    if off == 0:  # steps are so even that noise holds no device off its end
        return 0.0
    less = 1 - held_off((1 + _STEEPER) * drift, fall) / off
    return held.lag * _mean(held.distance) / span * less / _STEEPER


def _maps(found: dict[str, Interval], shape: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Figures of every device with their intervals [rows, cols]; NaN where a device does not move."""
    maps: dict[str, NDArray[Any]] = {}

    def put(name: str, one: Interval) -> None:
        for end, values in zip(("", "_low", "_high"), one, strict=True):
            maps[name + end] = values.reshape(shape)

    put("g_min_s", found["low"])
    put("g_max_s", found["high"])
    for way, sign in (("up", 1), ("down", -1)):
        put(f"step_{way}_s", found[f"{way}.step"])
        labels = [sign * label_of_tanh(each) for each in _inside(found[f"{way}.tanh"])]
        put(f"nl_{way}", Interval(labels[0], np.minimum(*labels[1:]), np.maximum(*labels[1:])))
        one = found[f"{way}.rate"]
        with np.errstate(divide="ignore", invalid="ignore"):
            put(
                f"levels_{way}",
                Interval(1 / one.value, 1 / one.high, np.where(one.low > 0, 1 / one.low, np.inf)),
            )
        noise = found[f"{way}.variance"]
        put(f"c2c_{way}_s", Interval(*(np.sqrt(np.maximum(each, 0.0)) for each in noise)))
    maps["symmetry_s"] = _symmetry(found).reshape(shape)
    return maps


def _inside(tanh: Interval) -> Interval:
    """Of devices, as `within` has it of an array: no value at an end of what it can be, or of all of that."""
    with np.errstate(invalid="ignore"):
        told = (np.abs(tanh.value) < 1) & ((tanh.low > -1) | (tanh.high < 1))
    return tanh._replace(value=np.where(told, tanh.value, np.nan))


def _symmetry(found: dict[str, Interval]) -> Floats:
    """Conductance at which steps up and down are equal, [devices]; NaN where they are so nowhere in range."""
    low, high = found["low"].value, found["high"].value
    up, down = found["up.step"].value, found["down.step"].value
    fall = (found["up.bend"].value + found["down.bend"].value) / (0.5 * (high - low))
    with np.errstate(invalid="ignore", divide="ignore"):
        point = 0.5 * (low + high) + (up - down) / fall
        return np.where((point > low) & (point < high), point, np.nan)


def _curves(curves: Curves, found: dict[str, Interval]) -> dict[str, NDArray[Any]]:
    """Staircases as quantiles over devices and cycles [points, quantiles]; change of one pulse against place
    in the range as quantiles [bins, quantiles], in units of the range.
    """
    low, high = found["low"].value, found["high"].value
    span = high - low
    maps: dict[str, NDArray[Any]] = {
        "quantiles": np.array(_QUANTILES),
        "bins": (np.arange(_BINS) + 0.5) / _BINS,
        "strides": np.array(curves.strides),
        "read_noise": np.array(curves.noise),
    }
    for way, stride, name in zip((curves.up, curves.down), curves.strides, ("up", "down"), strict=True):
        moving = way[:, :, np.isfinite(span)]
        if moving.size == 0:
            continue
        flat = moving.transpose(1, 0, 2).reshape(moving.shape[1], -1)
        maps[f"staircase_{name}_s"] = np.nanquantile(flat, _QUANTILES, axis=1).T
        y = (moving - low[np.isfinite(span)]) / span[np.isfinite(span)]
        where = np.floor(y[:, :-2].ravel() * _BINS)  # by the reading before: no noise of its own enters
        change = (y[:, 2:] - y[:, 1:-1]).ravel() / stride
        quantiles = np.full((_BINS, len(_QUANTILES)), np.nan)
        for number in range(_BINS):
            here = change[where == number]
            if here.size > 10:
                quantiles[number] = np.quantile(here, _QUANTILES)
        maps[f"change_{name}"] = quantiles
    return maps


def _findings(
    moves: NDArray[np.bool_], estimates: dict[str, Estimate], maps: dict[str, NDArray[Any]]
) -> list[str]:
    found = [f"{int(moves.sum()):,} of {counted(moves.size, 'device')} moved through a range"]
    if not moves.any():
        return found
    single = moves.sum() == 1  # no mean over devices: its own range is in the maps
    sizes = [
        float(np.nanmax(maps[f"{name}_s"])) if single else estimates[name].value
        for name in ("g_min", "g_max")
    ]
    if np.isfinite(sizes).all():
        low, high = (format_quantity(each, "S", 3) for each in sizes)
        found.append(f"{'its' if single else 'typical'} range {low} to {high}")
    span = _mean(maps["g_max_s"] - maps["g_min_s"])
    for way in ("up", "down"):
        scatter = estimates[f"c2c_{way}"].value * span / estimates[f"step_{way}"].value
        if scatter > 3:
            found.append(
                f"a pulse {way} scatters by {rounded(scatter)} steps: single devices have no sure label"
            )
    symmetric = maps["symmetry_s"][moves]
    if np.isfinite(symmetric).mean() > 0.5:
        point = format_quantity(float(np.nanmedian(symmetric)), "S", 3)
        found.append(f"steps up and down are equal at {point} (median over devices)")
    return found
