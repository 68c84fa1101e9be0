"""Figure of the routine ``line-resistance``: what readings lose, where, and what the wires explain."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from calibration.figures.parts import cross_out, cumulative, device_map, off_scale, signed
from calibration.intervals import Floats
from hil.calibrate.contracts import Maps
from hil.calibrate.record import Record
from hil.figures.canvas import legend_above, panel, prefix, sheet
from hil.figures.style import BLUE, ORANGE

_NAMES = ("row", "col", "row_lead", "col_lead")
_TOP, _HIGH = 0.5, 1.6
_LEAST = 0.1
"""Narrowest scale of changes, per cent: what is smaller is rounding."""


def draw(record: Record) -> Figure:
    """Map of the loss, or of the resistance where devices are read one at a time; the ohms; witnesses."""
    maps, estimates = record.result.maps, record.result.estimates
    figure = sheet(_TOP + _HIGH + 0.75)
    if "loss" in maps:
        seen = (maps["loss_low"] > 0) | (maps["loss_high"] < 0)  # what may be nothing is drawn as nothing
        loss = np.where(np.isfinite(maps["loss"]) & ~seen, 0.0, maps["loss"])
        _map(figure, loss, "loss", "lost in wires")
    elif "ohms" in maps:
        _map(figure, maps["ohms"], "ohms", "resistance")
    axes = panel(figure, 3.3, _TOP, 1.4, _HIGH, "b")
    told = [(place, estimates[name]) for place, name in enumerate(_NAMES)]
    known = [(place, each) for place, each in told if np.isfinite(each.value)]
    ends = [abs(end) for _, each in known for end in (each.low, each.high) if np.isfinite(end)]
    factor, letter = prefix(max(ends, default=1.0))
    for place, each in known:
        value, low, high = (end / factor for end in (each.value, each.low, each.high))
        axes.errorbar(
            [place], [value], [[value - low], [high - value]],
            fmt="o", color=BLUE, markersize=3, linewidth=0.8, capsize=2,
        )  # fmt: skip
    for place, each in told:
        if not np.isfinite(each.value):
            axes.text(place, 0.5, "not told", rotation=90, transform=axes.get_xaxis_transform(),
                      ha="center", va="center", color="#777777")  # fmt: skip
    axes.axhline(0, color="#999999", linewidth=0.6, zorder=0)
    axes.set_xlim(-0.5, 3.5)
    axes.set_xticks(range(4), ["row", "column", "row\nlead", "column\nlead"])
    axes.set_ylabel(f"resistance ({letter}ohm)")
    if "change_read" in maps:
        _witnesses(panel(figure, 5.3, _TOP, 1.6, _HIGH, "c"), maps)
    return signed(figure, record, "bars: 95 % intervals; row, column: of one segment")


def _map(figure: Figure, values: Floats, name: str, label: str) -> None:
    """Loss as a part, or ohms [rows, cols]; devices beyond the scale of the others are marked."""
    low, high, far = off_scale(values)
    factor, letter = (0.01, "%") if name == "loss" else prefix(max(abs(low), abs(high)))
    low, high = low / factor, high / factor
    if name == "loss":
        low, high = min(0.0, low), max(high, 1.0)
    norm = Normalize(low, high if high > low else low + 1e-9)
    unit = letter if name == "loss" else f"{letter}ohm"
    shown = np.where(far, np.nan, values) / factor
    axes = device_map(figure, (0.55, _TOP, 1.35, _HIGH), shown, norm, f"{label} ({unit})", "a")
    cross_out(axes, far, "beyond the scale")


def _witnesses(axes: Axes, maps: Maps) -> None:
    """Distribution of changes of devices that were not pulsed."""
    for name, colour, label in (
        ("change_read", ORANGE, "as read"),
        ("change_left", BLUE, "behind the wires"),
    ):
        cumulative(axes, 100 * np.abs(maps[name]), colour, label)
    axes.set_xlim(0, max(_LEAST, axes.get_xlim()[1]))
    axes.set_xlabel("change of devices not pulsed (%)")
    axes.set_ylabel("devices and states (%)")
    legend_above(axes, 1)
