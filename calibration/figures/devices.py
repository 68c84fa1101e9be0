"""Figure of the routine ``devices``: where faults are, conductances, and how far devices move."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from calibration.figures.parts import (
    beyond,
    cumulative,
    device_map,
    legend_of_map,
    mark,
    off_scale,
    signed,
    within,
)
from calibration.intervals import Floats
from hil.calibrate.record import Record
from hil.figures.canvas import empty, legend_above, logarithmic, panel, prefix, sheet, usual
from hil.figures.style import BLACK, BLUE, ORANGE, PURPLE, RED

_MARKS = {1: ("x", RED), 2: ("o", ORANGE), 3: ("s", BLACK)}
_TOP, _HIGH = 0.5, 1.75


def draw(record: Record, kinds: Sequence[str]) -> Figure:
    """Map of conductances with faults marked; cumulative distribution of the working; change when tested."""
    maps = record.result.maps
    fault, siemens = maps["fault"], maps["siemens"]
    works = fault == 0
    low, high, far = off_scale(np.where(works, siemens, np.nan))
    factor, letter = prefix(high)
    shown = np.where(works & ~far, siemens, np.nan) / factor
    low, high = low / factor, high / factor
    wide = 0 < 10 * low < high
    figure = sheet(_TOP + _HIGH + 0.65)
    norm = LogNorm(low, high) if wide else Normalize(low, high if high > low else low + 1e-3)
    axes = device_map(figure, (0.6, _TOP, 1.75, _HIGH), shown, norm, f"G ({letter}S)", "a")
    for code, (shape, colour) in _MARKS.items():
        mark(axes, fault == code, shape, colour, kinds[code])
    mark(axes, far, "D", PURPLE, "beyond the scale")
    legend_of_map(axes)
    axes = panel(figure, 3.65, _TOP, 1.3, _HIGH, "b")
    known, out = shown[np.isfinite(shown)], int(far.sum())
    if known.size:
        cumulative(axes, known, BLUE, f"working{beyond(out)}")
        if wide:
            logarithmic(axes, "x", known)
        axes.set_xlabel(f"G as found ({letter}S)")
        legend_above(axes)
    else:
        empty(axes, "no device works")
    _moved(panel(figure, 5.6, _TOP, 1.3, _HIGH, "c"), np.where(works, maps["moved_s"], np.nan))
    return signed(figure, record, "grey: not working" if not works.all() else "")


def _moved(axes: Axes, moved: Floats) -> None:
    """Distributions of the first change that was seen, up and down."""
    known = np.abs(moved[np.isfinite(moved) & (moved != 0)])
    if not known.size:
        empty(axes, "no device was moved")
        return
    factor, letter = prefix(usual(known)[1])
    for sign, colour, label in ((1, BLUE, "up"), (-1, ORANGE, "down")):
        part, out = within(np.abs(moved[np.sign(moved) == sign]))
        if part.size:
            cumulative(axes, part / factor, colour, f"{label} ({part.size}{beyond(out)})")
    axes.set_xlabel(f"first change seen ({letter}S)")
    legend_above(axes)
