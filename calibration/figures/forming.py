"""Figure of the routine ``forming``: where and at what amplitude devices were formed, what they conduct."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from calibration.figures.parts import (
    beyond,
    cumulative,
    device_map,
    legend_of_map,
    mark,
    signed,
    within,
)
from hil.calibrate.record import Record
from hil.figures.canvas import empty, legend_above, panel, prefix, sheet
from hil.figures.style import BLACK, BLUE, ORANGE, RED

_MARKS = {1: ("s", BLACK), 2: ("o", ORANGE), 3: ("x", RED)}
_TOP, _HIGH = 0.5, 1.75


def draw(record: Record, kinds: Sequence[str]) -> Figure:
    """Map of forming voltages, what was not formed marked; their distribution; conductances after it."""
    maps = record.result.maps
    volts, kind, siemens = maps["amplitude_v"], maps["forming"], maps["siemens"]
    known = volts[np.isfinite(volts)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    figure = sheet(_TOP + _HIGH + 0.65)
    norm = Normalize(low, high if high > low else low + 1e-3)
    axes = device_map(figure, (0.6, _TOP, 1.75, _HIGH), volts, norm, "forming voltage (V)", "a")
    for code, (shape, colour) in _MARKS.items():
        mark(axes, kind == code, shape, colour, kinds[code])
    legend_of_map(axes)
    axes = panel(figure, 3.65, _TOP, 1.3, _HIGH, "b")
    by = maps["amplitude_v_high"]
    if np.isfinite(by).any():
        cumulative(axes, by, BLUE, "formed")
        axes.set_xlabel("formed by amplitude (V)")
    else:
        empty(axes, "no device was formed")
    axes = panel(figure, 5.6, _TOP, 1.3, _HIGH, "c")
    formed, out = within(siemens[kind == 0])
    if formed.size:
        factor, letter = prefix(float(formed.max()))
        cumulative(axes, formed / factor, BLUE, f"formed{beyond(out)}")
        axes.set_xlabel(f"G after forming ({letter}S)")
        legend_above(axes)
    else:
        empty(axes, "no device was formed")
    return signed(figure, record, "grey: not formed by these pulses" if not np.isfinite(volts).all() else "")
