"""The exponential model of every device, from the figures of the update curve and how well they are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.intervals import t_factor
from calibration.labels import label_of_shape, label_of_tanh
from calibration.twin.shrink import shrunk
from calibration.twin.walk import Exponential
from hil.calibrate.record import Record

Floats = NDArray[np.float64]

_LEAST_STEP = 0.02
"""Smallest step taken, of the array's mean: one that was measured at 0 or below is noise, or no device."""
_STEEPEST = 0.98
_MOST = 9.4


def fit_exponential(record: Record, cycles: int) -> Exponential | None:
    """Figures of all devices [devices] of a record of ``update-curve``; what did not move gets the array's.

    Steps are drawn to the mean in units of the range, labels to that of the typical device. None where not
    even the array as a whole has steps.
    """
    maps, estimates = record.result.maps, record.result.estimates
    factor = 2 * t_factor(cycles)
    low, high = np.maximum(_of(maps, "g_min_s", factor), 0.0), _of(maps, "g_max_s", factor)
    span = high - low
    steps: list[Floats] = []
    bends: list[Floats] = []
    c2c: list[float] = []
    for way, sign in (("up", 1), ("down", -1)):
        step, error = _with_error(maps, f"step_{way}_s", factor)
        own = maps["g_max_s"] - maps["g_min_s"]
        share = shrunk((step / own).ravel(), (error / own).ravel())
        steps.append(np.maximum(share, _LEAST_STEP * float(share.mean())) * span)
        label, error = _with_error(maps, f"nl_{way}", factor)
        if not np.isfinite(share).all() or not float(share.mean()) > 0:
            return None
        typical = estimates[f"nl_{way}"].value
        own = shrunk(label.ravel(), error.ravel(), None if np.isnan(typical) else typical)
        labels = sign * np.where(np.isfinite(own), own, 0.0)  # linear, where nothing tells one
        bends.append(np.clip(tanh_of_label(labels), -1, _STEEPEST * span / (2 * steps[-1])))
        c2c.append(float(np.nan_to_num(estimates[f"c2c_{way}"].value)))
    return Exponential(low, high, steps[0], steps[1], bends[0], bends[1], (c2c[0], c2c[1]))


def maps_of(model: Exponential, shape: tuple[int, int]) -> dict[str, Floats]:
    """The maps [rows, cols] of a bench file's measured devices."""
    found = {
        "g_min_s": model.low,
        "g_max_s": model.high,
        "step_up_s": model.step_up,
        "step_down_s": model.step_down,
        "nl_up": np.clip(label_of_tanh(model.bend_up), -_MOST, _MOST),
        "nl_down": np.clip(-label_of_tanh(model.bend_down), -_MOST, _MOST),
    }
    return {name: values.reshape(shape) for name, values in found.items()}


def tanh_of_label(labels: Floats) -> Floats:
    """tanh(b/2) of curves by their labels, through a table; beyond the largest label there is it is taken as
    that one.
    """
    b = np.linspace(-60, 60, 12001)
    return np.tanh(0.5 * np.interp(np.clip(labels, -_MOST, _MOST), label_of_shape(b), b))


def _of(maps: Mapping[str, NDArray[Any]], name: str, factor: float) -> Floats:
    value, error = _with_error(maps, name, factor)
    return shrunk(value.ravel(), error.ravel())


def _with_error(maps: Mapping[str, NDArray[Any]], name: str, factor: float) -> tuple[Floats, Floats]:
    """A figure of devices and its standard error."""
    return maps[name], (maps[f"{name}_high"] - maps[f"{name}_low"]) / factor
