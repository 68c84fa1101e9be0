"""Figure of the routine ``disturb``: change of neighbours against shots, and where it is."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from calibration.figures.parts import device_map
from hil.calibrate.record import Record
from hil.figures.canvas import panel, prefix, sheet
from hil.figures.style import BLACK, BLUE, ORANGE


def draw(record: Record) -> Figure:
    """Shots up and down, a panel each, and the map of what shots up changed."""
    maps = record.result.maps
    figure = sheet(2.5)
    shots = maps["shots"]
    names = [f"{where}_{way}_s" for where in ("row", "column", "control") for way in ("up", "down")]
    size = max(float(np.nanmax(np.abs(maps[name]))) for name in names)
    factor, letter = prefix(size) if size > 0 else (1.0, "")
    for number, way in enumerate(("up", "down")):
        axes = panel(figure, 0.65 + 2.15 * number, 0.35, 1.5, 1.6, "ab"[number])
        for where, colour in (("row", BLUE), ("column", ORANGE), ("control", BLACK)):
            values = maps[f"{where}_{way}_s"] / factor
            axes.plot(shots, values, "o-", color=colour, markersize=3, label=where)
        axes.axhline(0, color="#999999", linewidth=0.6, zorder=0)
        axes.set_xlabel(f"shots {way} to one device")
        axes.set_ylabel(f"median change ({letter}S)")
        axes.legend(loc="best")
    change = maps["change_up_s"].copy()
    rows, cols = change.shape
    change[rows // 2, cols // 2] = np.nan
    reach = float(np.nanmax(np.abs(change))) / factor
    norm = Normalize(-reach or -1.0, reach or 1.0)
    device_map(
        figure, (4.95, 0.35, 1.35, 1.6), change / factor, norm, f"change, up ({letter}S)", "c", "RdBu_r"
    )
    return figure
