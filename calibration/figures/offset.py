"""Figure of the routine ``offset``: even part of the current, offsets of columns and of devices."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from calibration.figures.parts import cross_out, device_map, outlying, reach_of, signed
from hil.calibrate.contracts import Maps
from hil.calibrate.record import Record
from hil.figures.canvas import legend_above, panel, prefix, sheet
from hil.figures.style import BLUE, ORANGE

_TOP, _HIGH = 0.5, 1.6


def draw(record: Record) -> Figure:
    """What flows whatever the sign of the voltage; the offset of every column; that of every device,
    where those far from others of their column are marked and not on the scale.
    """
    maps = record.result.maps
    figure = sheet(_TOP + _HIGH + 0.65)
    own = maps["offset_a"]
    far = outlying(own - maps["column_a"])
    shown = np.where(far, np.nan, own)
    reach = reach_of(shown)
    factor, letter = prefix(reach) if reach > 0 else (1.0, "")
    _against_voltage(panel(figure, 0.6, _TOP, 1.6, _HIGH, "a"), maps, factor, letter)
    axes = panel(figure, 2.85, _TOP, 1.5, _HIGH, "b")
    value, low, high = (maps[f"column_a{end}"] / factor for end in ("", "_low", "_high"))
    columns = record.target.region.cols
    axes.errorbar(
        columns, value, [value - low, high - value], fmt="o", color=BLUE, markersize=3, linewidth=0.7,
        label="from readings",
    )  # fmt: skip
    if "zero_forward_a" in maps:
        axes.plot(columns, maps["zero_forward_a"] / factor, "x", color=ORANGE, label="all lines at 0 V")
    legend_above(axes, 1)
    axes.set_xlabel("column")
    axes.set_ylabel(f"offset ({letter}A)")
    norm = Normalize(-reach / factor or -1.0, reach / factor or 1.0)
    place = (4.95, _TOP, 1.35, _HIGH)
    axes = device_map(figure, place, shown / factor, norm, f"offset ({letter}A)", "c", "RdBu_r")
    cross_out(axes, far)
    return signed(figure, record, "bars: 95 % intervals; bands: over devices")


def _against_voltage(axes: Axes, maps: Maps, factor: float, letter: str) -> None:
    """Quartiles over devices; with readings of one sign alone it is the whole current, line and all."""
    even = maps["even_a"].reshape(len(maps["even_at_v"]), -1)
    even = even[:, np.isfinite(even).all(axis=0)] / factor
    millivolts = 1e3 * maps["even_at_v"]
    if even.size:
        bands = np.quantile(even, (0.1, 0.5, 0.9), axis=1)
        axes.fill_between(millivolts, bands[0], bands[2], color=BLUE, alpha=0.25, linewidth=0)
        axes.plot(millivolts, bands[1], "o-", color=BLUE, markersize=3, label="median, 10 to 90 %")
        legend_above(axes)
    axes.axhline(0, color="#999999", linewidth=0.6, zorder=0)
    axes.set_xlim(0, 1.05 * float(millivolts[-1]))
    axes.set_xlabel("read voltage (mV)")
    axes.set_ylabel(f"even part of the current ({letter}A)")
