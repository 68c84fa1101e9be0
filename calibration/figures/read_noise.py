"""Figure of the routine ``read-noise``: against time and voltage, over devices, and linearity."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.figures.parts import cumulative
from hil.calibrate.record import Record
from hil.figures.canvas import logarithmic, panel, sheet
from hil.figures.style import BLUE, ORANGE


def draw(record: Record) -> Figure:
    """Relative noise against integration time, with its law; against voltage; over devices; G against V."""
    maps, estimates = record.result.maps, record.result.estimates
    figure = sheet(2.2)
    times, noise = maps["seconds"], 100 * maps["noise_by_time"]
    axes = panel(figure, 0.5, 0.3, 1.15, 1.35, "a")
    if noise[:, 0].min() > 0:
        _with_intervals(axes, times, noise)
        exponent, nominal = estimates["exponent"].value, maps["seconds"][0]
        law = noise[0, 0] * (times / nominal) ** -exponent
        order = np.argsort(times)
        axes.plot(times[order], law[order], color=ORANGE, zorder=0, label=f"t^-{exponent:.2f}")
        logarithmic(axes, "x", times, "s")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.tick_params(axis="y", which="minor", labelsize=6)
        axes.legend(loc="upper right")
    axes.set_xlabel("integration")
    axes.set_ylabel("noise (% of the current)")
    volts = 1e3 * maps["volts"]
    axes = panel(figure, 2.3, 0.3, 1.15, 1.35, "b")
    _with_intervals(axes, volts, 100 * maps["noise_by_voltage"])
    axes.set_xlabel("voltage (mV)")
    axes.set_ylabel("noise (%)")
    axes.set_ylim(bottom=0)
    axes = panel(figure, 4.05, 0.3, 1.15, 1.35, "c")
    own = 100 * maps["noise"]
    cumulative(axes, own[own < 5 * np.nanmedian(own)] if np.nanmedian(own) > 0 else own, BLUE, "devices")
    axes.set_xlabel("noise of a device (%)")
    axes.set_xlim(left=0)
    axes = panel(figure, 5.85, 0.3, 1.15, 1.35, "d")
    order = np.argsort(volts)
    axes.plot(volts[order], maps["conductance_by_voltage"], "o-", color=BLUE, markersize=3)
    axes.axhline(1, color="#999999", linewidth=0.6, zorder=0)
    reach = max(0.02, 1.3 * float(np.nanmax(np.abs(maps["conductance_by_voltage"] - 1))))
    axes.set_ylim(1 - reach, 1 + reach)
    axes.set_xlabel("voltage (mV)")
    axes.set_ylabel("G / G(nominal V)")
    return figure


def _with_intervals(axes: Axes, x: NDArray[np.float64], rows: NDArray[np.float64]) -> None:
    value, low, high = rows.T
    axes.errorbar(x, value, yerr=[value - low, high - value], fmt="o", color=BLUE, markersize=3, capsize=2)
