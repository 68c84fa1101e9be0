"""Figure of the routine ``pulse-search``: steps against amplitude both ways, and the window of operation."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from calibration.figures.parts import cumulative, signed
from hil.calibrate.record import Record
from hil.figures.canvas import empty, legend_above, panel, sheet
from hil.figures.style import BLUE, ORANGE

_WAYS = (("up", "potentiating", BLUE), ("down", "depressing", ORANGE))
_TOP, _HIGH = 0.75, 1.6
_GREY = "#777777"
_SHOWN = (0.01, 0.99)
"""Quantiles of steps that the scale holds with room: a pulse or two to a shorted device do not make it."""


def draw(record: Record, step: float, too_large: float) -> Figure:
    """Steps of single pulses against their amplitude, up and down; what each device needs, if any tells."""
    figure = sheet(_TOP + _HIGH + 0.65)
    needed = {way: record.result.maps[f"amplitude_{way}"] for way, _, _ in _WAYS}
    three = any(np.isfinite(each).any() for each in needed.values())
    wide, apart = (1.75, 2.4) if three else (2.7, 3.5)
    for number, (way, pulses, colour) in enumerate(_WAYS):
        axes = panel(figure, 0.6 + apart * number, _TOP, wide, _HIGH, "ab"[number])
        out = _steps(axes, record, way, colour, (100 * step, 100 * too_large * step))
        axes.set_title(f"{pulses} pulses" + (f" ({out} beyond)" if out else ""))
    if three:
        axes = panel(figure, 5.6, _TOP, 1.3, _HIGH, "c")
        for way, _, colour in _WAYS:
            cumulative(axes, needed[way], colour, way)
        axes.set_xlabel(f"amplitude for {100 * step:g} % (V)")
        legend_above(axes)
    _legend(figure, step, too_large)
    note = "every pulse is a mark; bands: 95 % intervals"
    return signed(figure, record, note if three else f"{note}; no device told the amplitude for the step")


def _steps(axes: Axes, record: Record, way: str, colour: str, levels: tuple[float, float]) -> int:
    """Every pulse, those of the narrow width hollow; levels of the wanted and the too large step; threshold
    and amplitude with their intervals as bands. Returns how many pulses are beyond the scale.
    """
    maps, estimates = record.result.maps, record.result.estimates
    volts, seconds, steps = (maps[f"{name}_{way}"] for name in ("volts", "seconds", "step"))
    axes.set_xlabel("amplitude (V)")
    axes.set_ylabel("step (% of the range)")
    if not np.isfinite(steps).any():
        empty(axes, "no device was pulsed")
        return 0
    whole = seconds >= 0.999 * seconds.max(axis=0)
    for chosen, fill in ((whole, colour), (~whole, "none")):
        axes.scatter(volts[chosen], 100 * steps[chosen], s=4, facecolors=fill, edgecolors=colour,
                     linewidths=0.4, alpha=0.6)  # fmt: skip
    for name, style in ((f"threshold_{way}", ":"), (f"amplitude_{way}", "-")):
        each = estimates[name]
        if np.isfinite([each.low, each.high]).all():
            axes.axvspan(each.low, each.high, color=colour, alpha=0.15, linewidth=0)
            axes.axvline(each.value, color=colour, linestyle=style, linewidth=0.8)
    for level, style in zip(levels, ("-", "--"), strict=True):
        axes.axhline(level, color=_GREY, linestyle=style, linewidth=0.6)
    found = 100 * steps[np.isfinite(steps)]
    low, high = np.quantile(found, _SHOWN)
    low, high = min(1.3 * float(low), 0.0), max(1.3 * float(high), 1.1 * levels[0])
    low, high = max(low, min(float(found.min()), 0.0)), min(high, max(float(found.max()), 1.1 * levels[0]))
    margin = 0.06 * (high - low)
    axes.set_ylim(low - margin, high + margin)
    return int(((found < low) | (found > high)).sum())


def _legend(figure: Figure, step: float, too_large: float) -> None:
    """One for both ways, above them; what is grey in it has the colour of its way in the panels."""
    level = f"wanted step, {100 * step:g} %", f"{too_large:g} times it"
    interval = Patch(color=_GREY, alpha=0.3, linewidth=0)
    marks: dict[str, Any] = {
        "whole width": _dot(_GREY),
        "narrow width": _dot("none"),
        level[0]: Line2D([], [], color=_GREY, linewidth=0.6),
        level[1]: Line2D([], [], color=_GREY, linewidth=0.6, linestyle="--"),
        "threshold (upright)": (interval, Line2D([], [], color=_GREY, linestyle=":")),
        "amplitude for the step (upright)": (interval, Line2D([], [], color=_GREY)),
    }
    figure.legend(
        marks.values(), marks.keys(),
        loc="upper left", bbox_to_anchor=(0.07, 0.99), ncols=3, columnspacing=1.2,
    )  # fmt: skip


def _dot(face: str) -> Line2D:
    return Line2D(
        [], [], marker="o", linestyle="none", markersize=3, markeredgecolor=_GREY, markerfacecolor=face
    )
