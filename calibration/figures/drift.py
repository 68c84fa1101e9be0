"""Figure of the routine ``drift``: conductance against time, and exponents over devices."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from calibration.figures.parts import cumulative
from hil.calibrate.record import Record
from hil.figures.canvas import legend_above, logarithmic, panel, prefix, sheet
from hil.figures.style import BLUE, LINES, ORANGE
from hil.units import counted

_SHOWN = 40
_DECADE = 10.0
"""Conductances further apart than this are on a logarithmic axis; ticks of nearer ones would be too few."""


def draw(record: Record) -> Figure:
    """Some devices against time with their power laws; relative to the first reading; exponents."""
    maps = record.result.maps
    seconds, siemens, nu = maps["seconds"], maps["siemens"], maps["nu"]
    figure = sheet(2.65)
    works = np.argwhere(np.isfinite(nu))
    axes = panel(figure, 0.6, 0.5, 1.7, 1.6, "a")
    if len(works):
        chosen = works[np.linspace(0, len(works) - 1, min(_SHOWN, len(works))).astype(int)]
        factor, letter = prefix(float(np.median(siemens[0, chosen[:, 0], chosen[:, 1]])))
        for number, (row, col) in enumerate(chosen):
            axes.plot(seconds, siemens[:, row, col] / factor, linewidth=0.5, color=LINES[number % len(LINES)])
        logarithmic(axes, "x", seconds, "s")
        shown = siemens[:, chosen[:, 0], chosen[:, 1]] / factor
        if shown.max() > _DECADE * shown.min():
            logarithmic(axes, "y", shown)
        axes.set_ylabel(f"G ({letter}S)")
        axes.set_title(counted(len(chosen), "device"))
        relative = siemens[:, works[:, 0], works[:, 1]] / siemens[0, works[:, 0], works[:, 1]]
        axes = panel(figure, 3.0, 0.5, 1.7, 1.6, "b")
        bands = np.quantile(relative, (0.1, 0.5, 0.9), axis=1)
        axes.fill_between(seconds, bands[0], bands[2], color=BLUE, alpha=0.25, linewidth=0)
        axes.plot(seconds, bands[1], "o-", color=BLUE, markersize=3, label="median, 10 to 90 %")
        value = record.result.estimates["nu"].value
        law = (seconds / seconds[0]) ** -value
        axes.plot(seconds, law, "--", color=ORANGE, label=f"t^({-value:.3g})")
        logarithmic(axes, "x", seconds, "s")
        axes.set_ylabel("G / G(first reading)")
        legend_above(axes, 1)
    axes = panel(figure, 5.35, 0.5, 1.5, 1.6, "c")
    cumulative(axes, nu, BLUE, "devices")
    axes.set_xlabel("drift exponent")
    for each in figure.axes[:2]:
        each.set_xlabel("time since the last pulse")
    return figure
