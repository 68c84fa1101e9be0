"""Figure of the routine ``update-curve``: LTP and LTD staircases, dG against G, distributions."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from calibration.figures.parts import beyond, cumulative, signed, told, within
from calibration.intervals import Floats
from hil.calibrate.record import Record
from hil.figures.canvas import empty, legend_above, logarithmic, panel, prefix, sheet, usual
from hil.figures.style import BLUE, LINES, ORANGE
from hil.units import counted

if TYPE_CHECKING:
    from calibration.update_curve import UpdateCurve

_SHOWN = 3
_WIDE, _HIGH = 1.62, 1.45
_LEFTS, _TOPS = (0.6, 2.95, 5.3), (0.4, 2.75)
_BANDS = "bands in a, c: 10 to 90 % and 25 to 75 % of devices and cycles; brackets: 95 % intervals"
_COLOURS = {"up": BLUE, "down": ORANGE}


def draw(record: Record, routine: UpdateCurve) -> Figure:
    """Six panels; bands are 10 to 90 % and 25 to 75 % of all devices and cycles, lines their median."""
    from calibration.update_curve import read_curves

    maps = record.result.maps
    if not maps["moves"].any():
        figure = sheet(1.4)
        empty(panel(figure, 0.6, 0.3, 5.9, 0.7), "no device moved through a range")
        return signed(figure, record)
    figure = sheet(_TOPS[1] + _HIGH + 0.65)
    curves = read_curves(record.steps, routine.ways(record.target), routine.cycles, routine.turning)
    moving = np.flatnonzero(maps["moves"].ravel())
    chosen = moving[np.linspace(0, moving.size - 1, min(_SHOWN, moving.size)).astype(int)]
    factor, letter = prefix(usual(maps["g_max_s"])[1])

    (up_stride, down_stride), (up, down) = curves.strides, (curves.up, curves.down)
    up_at: Floats = up_stride * np.arange(up.shape[1], dtype=float)
    down_at: Floats = up_at[-1] + down_stride * np.arange(down.shape[1], dtype=float)
    axes = panel(figure, _LEFTS[0], _TOPS[0], _WIDE, _HIGH, "a")
    for at, name in ((up_at, "up"), (down_at, "down")):
        _bands(axes, at, maps[f"staircase_{name}_s"] / factor, _COLOURS[name], name)
    axes.set_title(f"{counted(moving.size, 'device')}, {counted(routine.cycles, 'cycle')}")
    single = panel(figure, _LEFTS[1], _TOPS[0], _WIDE, _HIGH, "b")
    for number, device in enumerate(chosen):
        for cycle in range(routine.cycles):
            whole = np.concatenate([up[cycle, :, device], down[cycle, 1:, device]]) / factor
            at = np.concatenate([up_at, down_at[1:]])
            single.plot(at, whole, color=LINES[number + 2], linewidth=0.4, alpha=0.7)
    single.set_title(counted(chosen.size, "single device"))
    for each in (axes, single):
        each.set_xlabel("pulses up, then down")
        each.set_ylabel(f"G ({letter}S)")

    axes = panel(figure, _LEFTS[2], _TOPS[0], _WIDE, _HIGH, "c")
    for name in ("up", "down"):
        _bands(axes, maps["bins"], 100 * maps[f"change_{name}"], _COLOURS[name], name)
    axes.axhline(0, color="#999999", linewidth=0.6, zorder=0)
    axes.set_xlim(0, 1)
    axes.set_xlabel("G in its range (0: low end)")
    axes.set_ylabel("dG of a pulse (% of range)")
    legend_above(axes)

    _distributions(figure, record, factor, letter)
    return signed(figure, record, _BANDS)


def _distributions(figure: Figure, record: Record, factor: float, letter: str) -> None:
    """Over devices: ends of the range, labels, levels; each estimate with its 95 % interval."""
    maps, estimates = record.result.maps, record.result.estimates
    axes = panel(figure, _LEFTS[0], _TOPS[1], _WIDE, _HIGH, "d")
    wide = np.nanmedian(maps["g_max_s"]) > 10 * np.nanmedian(maps["g_min_s"]) > 0
    shown: list[Floats] = []
    for name, colour, label in (("g_min_s", ORANGE, "low end"), ("g_max_s", BLUE, "high end")):
        values, out = within(maps[name] / factor)
        cumulative(axes, values, colour, f"{label}{beyond(out)}")
        shown.append(values)
    if wide:
        logarithmic(axes, "x", np.concatenate(shown))
    axes.set_xlabel(f"G ({letter}S)")
    legend_above(axes, 1)

    axes = panel(figure, _LEFTS[1], _TOPS[1], _WIDE, _HIGH, "e")
    for name in ("up", "down"):
        label = f"{name} {told(estimates[f'nl_{name}'])}"
        _distribution(axes, maps[f"nl_{name}"], _COLOURS[name], label)
    axes.set_xlabel("nonlinearity label")
    legend_above(axes, 1)

    axes = panel(figure, _LEFTS[2], _TOPS[1], _WIDE, _HIGH, "f")
    for name in ("up", "down"):
        values = maps[f"levels_{name}"]
        values, out = within(values[values > 0])
        label = f"{name} {told(estimates[f'levels_{name}'])}{beyond(out)}"
        _distribution(axes, values, _COLOURS[name], label)
    axes.set_xlabel("pulses from end to end")
    legend_above(axes, 1)


def _distribution(axes: Axes, values: NDArray[Any], colour: str, label: str) -> None:
    """Over devices; where no device tells any, the legend still has it."""
    cumulative(axes, values, colour, label)
    if not np.isfinite(values).any():
        axes.plot([], [], color=colour, label=label)


def _bands(axes: Axes, x: NDArray[Any], quantiles: NDArray[Any], colour: str, label: str) -> None:
    """Quantiles 10, 25, 50, 75, 90 % [points, 5]."""
    for low, high, alpha in ((0, 4, 0.2), (1, 3, 0.3)):
        axes.fill_between(x, quantiles[:, low], quantiles[:, high], color=colour, alpha=alpha, linewidth=0)
    axes.plot(x, quantiles[:, 2], color=colour, label=label)
