"""Figure of the routine ``forming``: where and at what amplitude devices were formed, what they conduct."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from calibration.figures.parts import cumulative, device_map
from hil.calibrate.record import Record
from hil.figures.canvas import panel, prefix, sheet
from hil.figures.style import BLACK, BLUE, ORANGE, RED

_MARKS = {1: ("s", BLACK), 2: ("o", ORANGE), 3: ("x", RED)}


def draw(record: Record, kinds: Sequence[str]) -> Figure:
    """Map of forming voltages, what was not formed marked; their distribution; conductances after it."""
    maps = record.result.maps
    volts, kind, siemens = maps["amplitude_v"], maps["forming"], maps["siemens"]
    known = volts[np.isfinite(volts)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    figure = sheet(2.75)
    norm = Normalize(low, high if high > low else low + 1e-3)
    axes = device_map(figure, (0.6, 0.35, 1.75, 1.75), volts, norm, "forming voltage (V)", "a")
    for code, (mark, colour) in _MARKS.items():
        rows, cols = np.nonzero(kind == code)
        if rows.size:
            axes.scatter(cols, rows, s=9, marker=mark, color=colour, linewidths=0.8,
                         label=f"{kinds[code]} ({rows.size})")  # fmt: skip
    if (kind != 0).any():
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.05, 1.0), ncols=3, handletextpad=0.1, columnspacing=0.8,
            borderpad=0.1,
        )  # fmt: skip
    axes = panel(figure, 3.65, 0.35, 1.3, 1.75, "b")
    cumulative(axes, maps["amplitude_v_high"], BLUE, "formed by")
    axes.set_xlabel("amplitude (V)")
    axes = panel(figure, 5.6, 0.35, 1.3, 1.75, "c")
    formed = siemens[(kind == 0) & np.isfinite(siemens)]
    factor, letter = prefix(float(formed.max())) if formed.size else (1.0, "")
    cumulative(axes, formed / factor, BLUE, "formed")
    axes.set_xlabel(f"G after forming ({letter}S)")
    return figure
