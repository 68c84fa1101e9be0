"""Figure of the routine ``devices``: where faults are, conductances, and how far devices move."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from calibration.figures.parts import cumulative, device_map
from hil.calibrate.record import Record
from hil.figures.canvas import legend_above, logarithmic, panel, prefix, sheet
from hil.figures.style import BLACK, BLUE, ORANGE, RED

_MARKS = {1: ("x", RED), 2: ("o", ORANGE), 3: ("s", BLACK)}


def draw(record: Record, kinds: Sequence[str]) -> Figure:
    """Map of conductances with faults marked; cumulative distribution of the working; change when tested."""
    maps = record.result.maps
    fault, siemens = maps["fault"], maps["siemens"]
    works = fault == 0
    known = siemens[works & np.isfinite(siemens)]
    factor, letter = prefix(float(known.max())) if known.size else (1.0, "")
    figure = sheet(2.75)
    shown = np.where(works, siemens, np.nan) / factor
    low, high = (float(known.min()) / factor, float(known.max()) / factor) if known.size else (0.1, 1.0)
    norm = LogNorm(low, high) if 0 < 10 * low < high else Normalize(low, high)
    axes = device_map(figure, (0.6, 0.35, 1.75, 1.75), shown, norm, f"G ({letter}S)", "a")
    for code, (mark, colour) in _MARKS.items():
        rows, cols = np.nonzero(fault == code)
        if rows.size:
            fill = colour if mark == "x" else "none"
            axes.scatter(
                cols, rows, s=9, marker=mark, c=fill if mark == "x" else None,
                facecolors=None if mark == "x" else "none", edgecolors=None if mark == "x" else colour,
                linewidths=0.8, label=f"{kinds[code]} ({rows.size})",
            )  # fmt: skip
    if not works.all():
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.05, 1.0), ncols=3, handletextpad=0.1, columnspacing=0.8,
            borderpad=0.1,
        )  # fmt: skip
    axes = panel(figure, 3.65, 0.35, 1.3, 1.75, "b")
    if 0 < 10 * low < high:
        cumulative(axes, siemens[works], BLUE, "working devices")
        logarithmic(axes, "x", known, "S")
        axes.set_xlabel("G as found")
    else:
        cumulative(axes, siemens[works] / factor, BLUE, "working devices")
        axes.set_xlabel(f"G as found ({letter}S)")
    axes = panel(figure, 5.6, 0.35, 1.3, 1.75, "c")
    moved = maps["moved_s"]
    size = float(np.nanmax(np.abs(moved))) if np.isfinite(moved).any() else 1.0
    factor, letter = prefix(size)
    for sign, colour, label in ((1, BLUE, "up"), (-1, ORANGE, "down")):
        part = np.abs(moved[works & (np.sign(moved) == sign)])
        if part.size:
            cumulative(axes, part / factor, colour, f"{label} ({part.size})")
    axes.set_xlabel(f"first change seen ({letter}S)")
    legend_above(axes)
    return figure
