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

from hil.figures.canvas import legend_above, log_ticks, panel
from hil.figures.style import RED, UNKNOWN

_FAR = 10.0
"""Standard deviations from the median beyond which a value is outlying: a shorted device, not a scatter."""


def cumulative(axes: Axes, values: NDArray[Any], colour: str, label: str) -> None:
    """Share of devices at or below each value, in per cent; what is unknown is left out."""
    known = np.sort(values[np.isfinite(values)].ravel())
    if known.size:
        share = 100 * np.arange(1, known.size + 1) / known.size
        axes.step(known, share, where="post", color=colour, label=label)
    axes.set_ylim(0, 100)
    axes.set_ylabel("devices (%)")


def outlying(values: NDArray[Any]) -> NDArray[np.bool_]:
    """What is far from the others of its kind, by the median absolute deviation from their median; nothing
    where that is 0. What is unknown is not outlying.
    """
    known = values[np.isfinite(values)]
    if not known.size:
        return np.zeros(values.shape, np.bool_)
    away = np.abs(values - np.median(known))
    sigma = 1.4826 * float(np.median(away[np.isfinite(values)]))
    return np.isfinite(values) & (away > _FAR * sigma) & (sigma > 0)


def reach_of(values: NDArray[Any]) -> float:
    """Largest magnitude of what is known; 0 if nothing is."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def cross_out(axes: Axes, which: NDArray[np.bool_]) -> None:
    """Mark devices [rows, cols] of a map that are outlying, and say above it how many there are."""
    rows, cols = np.nonzero(which)
    if rows.size:
        axes.scatter(cols, rows, s=9, marker="x", c=RED, linewidths=0.8, label=f"outlying ({rows.size})")
        legend_above(axes)


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
