"""Figure of the routine ``line-resistance``: what readings lose, where, and what the wires explain."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from calibration.figures.parts import cumulative, device_map
from hil.calibrate.contracts import Maps
from hil.calibrate.record import Record
from hil.figures.canvas import panel, prefix, sheet
from hil.figures.style import BLUE, ORANGE

_NAMES = ("row", "col", "row_lead", "col_lead")


def draw(record: Record) -> Figure:
    """Map of the loss, or of the resistance where devices are read one at a time; the ohms; witnesses."""
    maps, estimates = record.result.maps, record.result.estimates
    figure = sheet(2.5)
    if "loss" in maps:
        seen = (maps["loss_low"] > 0) | (maps["loss_high"] < 0)  # what may be nothing is drawn as nothing
        loss = 100 * np.where(np.isfinite(maps["loss"]) & ~seen, 0.0, maps["loss"])
        norm = Normalize(min(0.0, float(np.nanmin(loss))), max(float(np.nanmax(loss)), 1.0))
        device_map(figure, (0.55, 0.35, 1.35, 1.6), loss, norm, "lost in wires (%)", "a")
    elif "ohms" in maps:
        factor, letter = prefix(float(np.nanmax(maps["ohms"])))
        ohms = maps["ohms"] / factor
        norm = Normalize(float(np.nanmin(ohms)), float(np.nanmax(ohms)))
        device_map(figure, (0.55, 0.35, 1.35, 1.6), ohms, norm, f"resistance ({letter}ohm)", "a")
    axes = panel(figure, 3.15, 0.35, 1.4, 1.6, "b")
    for place, name in enumerate(_NAMES):
        each = estimates[name]
        if np.isfinite(each.value):
            ends = [[each.value - each.low], [each.high - each.value]]
            axes.errorbar([place], [each.value], ends, fmt="o", color=BLUE, markersize=3, linewidth=0.8)
    axes.axhline(0, color="#999999", linewidth=0.6, zorder=0)
    axes.set_xlim(-0.5, 3.5)
    axes.set_xticks(range(4), ["row", "column", "row\nlead", "column\nlead"])
    axes.set_ylabel("resistance (ohm)")
    if "change_read" in maps:
        _witnesses(panel(figure, 5.15, 0.35, 1.75, 1.6, "c"), maps)
    return figure


def _witnesses(axes: Axes, maps: Maps) -> None:
    """Distribution of changes of devices that were not pulsed."""
    for name, colour, label in (
        ("change_read", ORANGE, "as read"),
        ("change_left", BLUE, "behind the wires"),
    ):
        cumulative(axes, 100 * np.abs(maps[name]), colour, label)
    axes.set_xlim(left=0)
    axes.set_xlabel("change of devices not pulsed (%)")
    axes.set_ylabel("devices and states (%)")
    axes.legend(loc="lower right")
