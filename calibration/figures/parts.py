"""Parts that figures of several routines share: cumulative distributions and maps of devices."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from hil.figures.canvas import log_ticks, panel
from hil.figures.style import UNKNOWN


def cumulative(axes: Axes, values: NDArray[Any], colour: str, label: str) -> None:
    """Share of devices at or below each value, in per cent; what is unknown is left out."""
    known = np.sort(values[np.isfinite(values)].ravel())
    if known.size:
        share = 100 * np.arange(1, known.size + 1) / known.size
        axes.step(known, share, where="post", color=colour, label=label)
    axes.set_ylim(0, 100)
    axes.set_ylabel("devices (%)")


def device_map(
    figure: Figure,
    place: tuple[float, float, float, float],
    values: NDArray[Any],
    norm: Any,
    label: str,
    letter: str = "",
    cmap: str = "viridis",
) -> Axes:
    """A map [rows, cols] with its bar at the right; what is unknown is grey."""
    axes = panel(figure, *place, letter)
    colours = colormaps[cmap].with_extremes(bad=UNKNOWN)
    shown = axes.imshow(values, norm=norm, cmap=colours, interpolation="nearest", aspect="auto")
    axes.set_xlabel("column")
    axes.set_ylabel("row")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, integer=True))
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
    left, top, wide, high = place
    bar = panel(figure, left + wide + 0.08, top, 0.08, high)
    figure.colorbar(shown, cax=bar, label=label)
    if isinstance(norm, LogNorm):
        low, high = float(norm.vmin or 0), float(norm.vmax or 0)
        bar.yaxis.set_major_locator(FixedLocator([at for at in log_ticks(low, high) if low <= at <= high]))
        bar.yaxis.set_major_formatter("{x:g}")
        bar.yaxis.set_minor_formatter(NullFormatter())
    bar.tick_params(which="both", length=2)
    return axes
