"""Figure of the routine ``read-noise``: against time and voltage, over devices, and linearity."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.figures.parts import beyond, cumulative, signed, within
from hil.calibrate.record import Record
from hil.figures.canvas import empty, legend_above, logarithmic, panel, prefix, sheet
from hil.figures.style import BLUE, ORANGE

_LEFTS, _TOPS, _WIDE, _HIGH = (0.65, 4.2), (0.4, 2.6), 2.6, 1.5
_LEAST = 0.02
"""Half of the narrowest scale of G / G(nominal V): what is nearer to 1 is linear."""


def draw(record: Record) -> Figure:
    """Relative noise against integration time, with its law; against voltage; over devices; G against V."""
    maps = record.result.maps
    figure = sheet(_TOPS[1] + _HIGH + 0.65)
    places = [(left, top, _WIDE, _HIGH) for top in _TOPS for left in _LEFTS]
    axes = panel(figure, *places[0], "a")
    if (maps["noise_by_time"][:, 0] > 0).all():
        _by_time(axes, record)
    else:
        empty(axes, "no noise was seen")
    volts = 1e3 * maps["volts"]
    axes = panel(figure, *places[1], "b")
    _with_intervals(axes, volts, 100 * maps["noise_by_voltage"])
    axes.set_xlabel("read voltage (mV)")
    axes.set_ylabel("noise (% of the current)")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes = panel(figure, *places[2], "c")
    own, out = within(100 * maps["noise"])
    cumulative(axes, own, BLUE, f"devices{beyond(out)}")
    axes.set_xlabel("noise of a device (% of the current)")
    axes.set_xlim(left=0)
    legend_above(axes)
    axes = panel(figure, *places[3], "d")
    order = np.argsort(volts)
    bent = np.asarray(maps["conductance_by_voltage"])[order]
    axes.plot(volts[order], bent, "o-", color=BLUE, markersize=3)
    axes.axhline(1, color="#999999", linewidth=0.6, zorder=0)
    reach = max(_LEAST, 1.3 * float(np.abs(bent - 1)[np.isfinite(bent)].max(initial=0.0)))
    axes.set_ylim(1 - reach, 1 + reach)
    axes.set_xlim(left=0)
    axes.set_xlabel("read voltage (mV)")
    axes.set_ylabel("G / G(nominal voltage)")
    return signed(figure, record, "bars: 95 % intervals")


def _by_time(axes: Axes, record: Record) -> None:
    """Noise against integration time, and its power law through the nominal one; both axes logarithmic."""
    times, noise = record.result.maps["seconds"], 100 * record.result.maps["noise_by_time"]
    factor, letter = prefix(float(times.max()))
    exponent = record.result.estimates["exponent"]
    order = np.argsort(times)
    _with_intervals(axes, times / factor, noise)
    if np.isfinite(exponent.value):
        law = noise[0, 0] * (times / times[0]) ** -exponent.value
        half = 0.5 * (exponent.high - exponent.low)
        label = f"exponent -{exponent.value:.2f} ± {half:.2f}" if np.isfinite(half) else "power law"
        axes.plot(times[order] / factor, law[order], color=ORANGE, zorder=0, label=label)
        legend_above(axes)
    logarithmic(axes, "x", times / factor)
    logarithmic(axes, "y", np.concatenate([noise[:, 0], noise[:, 1][noise[:, 1] > 0], noise[:, 2]]))
    axes.set_xlabel(f"integration ({letter}s)")
    axes.set_ylabel("noise (% of the current)")


def _with_intervals(axes: Axes, x: NDArray[np.float64], rows: NDArray[np.float64]) -> None:
    value, low, high = rows.T
    axes.errorbar(x, value, yerr=[value - low, high - value], fmt="o", color=BLUE, markersize=3, capsize=2)
