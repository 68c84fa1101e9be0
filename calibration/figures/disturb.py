"""Figure of the routine ``disturb``: change of neighbours against shots, and where it is."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.figures.parts import cross_out, device_map, outlying, reach_of
from calibration.intervals import Floats
from hil.calibrate.record import Record
from hil.figures.canvas import legend_above, panel, prefix, sheet
from hil.figures.style import BLACK, BLUE, ORANGE


def draw(record: Record) -> Figure:
    """Shots up and down, a panel each, and the map of what shots up changed; devices whose change is far from
    that of others of the same row, of the same column, or of the rest, are marked and not on its scale.
    """
    maps = record.result.maps
    figure = sheet(2.65)
    shots = maps["shots"]
    names = [f"{where}_{way}_s" for where in ("row", "column", "control") for way in ("up", "down")]
    size = max(float(np.nanmax(np.abs(maps[name]))) for name in names)
    factor, letter = prefix(size) if size > 0 else (1.0, "")
    for number, way in enumerate(("up", "down")):
        axes = panel(figure, 0.65 + 2.15 * number, 0.5, 1.5, 1.6, "ab"[number])
        for where, colour in (("row", BLUE), ("column", ORANGE), ("control", BLACK)):
            values = maps[f"{where}_{way}_s"] / factor
            axes.plot(shots, values, "o-", color=colour, markersize=3, label=where)
        axes.axhline(0, color="#999999", linewidth=0.6, zorder=0)
        axes.set_xlabel(f"shots {way} to one device")
        axes.set_ylabel(f"median change ({letter}S)")
        legend_above(axes)
    change = maps["change_up_s"].copy()
    rows, cols = change.shape
    change[rows // 2, cols // 2] = np.nan
    far = _far(change)
    change[far] = np.nan
    reach = reach_of(change)
    factor, letter = prefix(reach) if reach > 0 else (1.0, "")
    norm = Normalize(-reach / factor or -1.0, reach / factor or 1.0)
    place = (4.95, 0.5, 1.35, 1.6)
    axes = device_map(figure, place, change / factor, norm, f"change, up ({letter}S)", "c", "RdBu_r")
    cross_out(axes, far)
    return figure


def _far(change: Floats) -> NDArray[np.bool_]:
    """Outlying devices [rows, cols]: those on the lines of the target are held against each other alone."""
    row, col = change.shape[0] // 2, change.shape[1] // 2
    far, rest = np.zeros(change.shape, np.bool_), change.copy()
    rest[row], rest[:, col] = np.nan, np.nan
    far |= outlying(rest)
    far[row] |= outlying(change[row])
    far[:, col] |= outlying(change[:, col])
    return far
