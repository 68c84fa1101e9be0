"""Figures of a twin: what was measured, what the model foretells, and what it misses."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.figures.parts import cumulative
from calibration.twin.goodness import Goodness, Staircases
from calibration.twin.lookup import line_through
from calibration.twin.ramps import foretold, mean_ramp
from hil.figures.canvas import foot, legend_above, panel, prefix, sheet
from hil.figures.style import BLACK, BLUE, GREEN, ORANGE, RED

if TYPE_CHECKING:
    from calibration.twin.ramps import Device

Floats = NDArray[np.float64]

_WIDE, _HIGH = 1.62, 1.6
_LEFTS = (0.6, 2.95, 5.3)
_TOP = 0.45
_RAMP = "#c4c4c4"
_WAYS = {"up": "-", "down": "--"}
_BROAD, _BROAD_LEFTS = 2.75, (0.65, 4.15)


def draw_records(measured: Staircases, good: Goodness, low: Floats, high: Floats) -> Figure:
    """Staircases of array and twin (bands: 10 to 90 % of devices and cycles), what the twin's means miss, and
    the distribution of that over devices. ``low``, ``high``: ends of each device's range [devices], siemens.
    """
    figure = sheet(_TOP + _HIGH + 0.6)
    factor, letter = prefix(float(high.max()))
    walked = panel(figure, _LEFTS[0], _TOP, _WIDE, _HIGH, "a")
    left = panel(figure, _LEFTS[1], _TOP, _WIDE, _HIGH, "b")
    begun = 0.0
    for number, (ours, theirs, stride) in enumerate(
        zip(
            (measured.up, measured.down),
            (good.foretold.up, good.foretold.down),
            measured.strides,
            strict=True,
        )
    ):
        at: Floats = begun + stride * np.arange(ours.shape[1], dtype=np.float64)
        begun = float(at[-1])
        for way, colour, name in ((ours, BLUE, "array"), (theirs, ORANGE, "twin")):
            flat = way.transpose(1, 0, 2).reshape(way.shape[1], -1) / factor
            ends = np.quantile(flat, (0.1, 0.5, 0.9), axis=1)
            walked.fill_between(at, ends[0], ends[2], color=colour, alpha=0.2, linewidth=0)
            walked.plot(at, ends[1], color=colour, label=name if number == 0 else None)
        missed = 100 * (theirs.mean(axis=0) - ours.mean(axis=0)) / (high - low)
        ends = np.quantile(missed, (0.1, 0.5, 0.9), axis=1)
        left.fill_between(at, ends[0], ends[2], color=GREEN, alpha=0.25, linewidth=0)
        left.plot(at, ends[1], color=GREEN)
    left.axhline(0, color="#999999", linewidth=0.6, zorder=0)
    for axes in (walked, left):
        axes.set_xlabel("pulses up, then down")
    walked.set_ylabel(f"G ({letter}S)")
    legend_above(walked)
    left.set_ylabel("twin - array (% of range)")
    left.set_title("means of cycles")
    axes = panel(figure, _LEFTS[2], _TOP, _WIDE, _HIGH, "c")
    cumulative(axes, 100 * np.sqrt(np.maximum(good.misfit, 0.0)), GREEN, "devices")
    axes.set_xlim(left=0)
    axes.set_xlabel("misfit beyond scatter (% of range)")
    foot(figure, "lines: medians; bands: 10 to 90 % of devices and cycles (b: of devices)")
    return figure


def draw_ramps(device: Device, tables: bool) -> Figure:
    """All ramps with both models, and what each misses of the mean ramp; the one that is taken in full."""
    figure = sheet(_TOP + _HIGH + 0.6)
    low, high = float(device.exponential.low[0]), float(device.exponential.high[0])
    factor, letter = prefix(high)
    left = panel(figure, _LEFTS[2], _TOP, _WIDE, _HIGH, "c")
    for number, (way, sign, name) in enumerate(((device.ups, 1, "up"), (device.downs, -1, "down"))):
        axes = panel(figure, _LEFTS[number], _TOP, _WIDE, _HIGH, "ab"[number])
        for each, course in enumerate(way):
            label = "" if each or number == 0 else "single ramps"
            axes.plot(course / factor, color=_RAMP, linewidth=0.4, zorder=0, label=label)
        mean = mean_ramp(way)
        for model, colour, label, taken in (
            (device.exponential, RED, "exponential", not tables),
            (device.table, BLUE, "table", tables),
        ):
            course = foretold(model, mean, sign)
            label = "" if number else f"{label}, taken" if taken else label
            axes.plot(course / factor, color=colour, label=label, linewidth=1.4 if taken else 0.8)
            missed = 100 * (course - mean) / (high - low)
            left.plot(np.arange(mean.size), missed, _WAYS[name], color=colour, linewidth=0.9)
        _labelled(axes, f"pulses {name}", f"G ({letter}S)")
    left.axhline(0, color="#999999", linewidth=0.6, zorder=0)
    for name, style in _WAYS.items():
        left.plot([], [], style, color=BLACK, linewidth=0.9, label=name)
    _labelled(left, "pulses", "model - mean (% of range)")
    foot(figure, "colours of models as in a; ramps as in b")
    return figure


def draw_lookup(low: Floats, high: Floats, means: Sequence[Floats]) -> Figure:
    """Mean steps of all devices against the place in their range, and the best straight line of each way."""
    figure = sheet(_TOP + _HIGH + 0.6)
    span = (high - low)[:, np.newaxis]
    for number, (mean, name) in enumerate(zip(means, ("up", "down"), strict=True)):
        axes = panel(figure, _BROAD_LEFTS[number], _TOP, _BROAD, _HIGH, "ab"[number])
        x = np.linspace(0, 1, mean.shape[1])
        for each, course in enumerate(100 * mean / span if len(mean) > 1 else ()):
            label = "" if each else "single devices"
            axes.plot(x, course, color=_RAMP, linewidth=0.5, zorder=0, label=label)
        typical: Floats = 100 * np.mean(mean / span, axis=0)
        axes.plot(x, typical, color=BLUE, label="mean")
        axes.plot(x, line_through(typical), ":", color=RED, label="straight line")
        _labelled(axes, "G in its range (0: low end)", f"dG {name} (% of range)", 3)
    foot(
        figure, "mean: the table's, of all devices; straight line: the exponential model's, by least squares"
    )
    return figure


def _labelled(axes: Axes, x: str, y: str, columns: int = 1) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    legend_above(axes, columns)
