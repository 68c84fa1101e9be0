"""Figure of the routine ``pulse-search``: steps against amplitude both ways, and the window of operation."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibration.figures.parts import cumulative
from hil.calibrate.record import Record
from hil.figures.canvas import legend_above, panel, sheet
from hil.figures.style import BLUE, ORANGE

_WAYS = (("up", "potentiating", BLUE), ("down", "depressing", ORANGE))


def draw(record: Record, step: float, too_large: float) -> Figure:
    """Steps of single pulses against their amplitude, up and down; what each device needs."""
    figure = sheet(2.5)
    for number, (way, pulses, colour) in enumerate(_WAYS):
        axes = panel(figure, 0.6 + 2.4 * number, 0.35, 1.75, 1.6, "ab"[number])
        _steps(axes, record, way, colour, (100 * step, 100 * too_large * step))
        axes.set_title(f"{pulses} pulses")
    axes = panel(figure, 5.6, 0.35, 1.3, 1.6, "c")
    for way, _, colour in _WAYS:
        cumulative(axes, record.result.maps[f"amplitude_{way}"], colour, way)
    axes.set_xlabel(f"amplitude for {100 * step:g} % (V)")
    legend_above(axes)
    return figure


def _steps(axes: Axes, record: Record, way: str, colour: str, levels: tuple[float, float]) -> None:
    """Every pulse, those of the narrow width hollow; levels of the wanted and the too large step; threshold
    and amplitude with their intervals as bands.
    """
    maps, estimates = record.result.maps, record.result.estimates
    volts, seconds, steps = (maps[f"{name}_{way}"] for name in ("volts", "seconds", "step"))
    if volts.size:
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
        axes.axhline(level, color="0.5", linestyle=style, linewidth=0.6)
    axes.set_xlabel("amplitude (V)")
    axes.set_ylabel("step (% of the range)")
