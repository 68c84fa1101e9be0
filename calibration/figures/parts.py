"""Parts that figures of several routines share: cumulative distributions, maps, marks, small print."""

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

from hil.calibrate.contracts import Estimate
from hil.calibrate.record import Record
from hil.figures.canvas import foot, legend_above, log_ticks, panel, usual
from hil.figures.style import RED, UNKNOWN

_FAR = 10.0
"""Standard deviations from the median beyond which a value is outlying: a shorted device, not a scatter."""


def signed(figure: Figure, record: Record, note: str = "") -> Figure:
    """The figure with small print at its foot: what bands and bars mean, which array it was, and when."""
    rows, cols = record.target.shape
    chip = record.conditions.get("chip")
    named = record.bench if chip in (None, record.bench) else f"{record.bench}, chip {chip}"
    where = f"{named}, {record.array} {rows} × {cols}"  # noqa: RUF001
    foot(figure, note, f"{where}, {record.routine}, {record.created:%Y-%m-%d}")
    return figure


def cumulative(axes: Axes, values: NDArray[Any], colour: str, label: str) -> None:
    """Share of devices at or below each value, in per cent; what is unknown is left out."""
    known = np.sort(values[np.isfinite(values)].ravel())
    if known.size:
        share = 100 * np.arange(known.size + 1) / known.size
        axes.step(np.append(known[0], known), share, where="post", color=colour, label=label)
    axes.set_ylim(0, 102)
    axes.set_ylabel("devices (%)")


def within(values: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Values for a distribution whose axis a few far ones would ruin, and how many of those are left out."""
    known = values[np.isfinite(values)]
    if not known.size:
        return known, 0
    low, high = usual(known)
    kept = known[(known >= low) & (known <= high)]
    return kept, known.size - kept.size


def beyond(count: int) -> str:
    """What a label says of values that are left out; nothing where there are none."""
    return f", {count} beyond" if count else ""


def told(each: Estimate, digits: int = 3) -> str:
    """An estimate with its interval for a legend, or that it was not determined."""
    if not np.isfinite([each.value, each.low, each.high]).all():
        return "not determined"
    return f"{each.value:.{digits}g} ({each.low:.{digits}g} to {each.high:.{digits}g})"


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


def cross_out(axes: Axes, which: NDArray[np.bool_], name: str = "outlying") -> None:
    """Mark devices [rows, cols] of a map that are not on its scale, and say above it how many there are."""
    rows, cols = np.nonzero(which)
    if rows.size:
        axes.scatter(cols, rows, s=9, marker="x", c=RED, linewidths=0.8, label=f"{name} ({rows.size})")
    legend_above(axes)


def off_scale(values: NDArray[Any]) -> tuple[float, float, NDArray[np.bool_]]:
    """Ends of a map's scale, 0 and 1 if nothing is known, and which devices [rows, cols] lie beyond it."""
    known = np.isfinite(values)
    if not known.any():
        return 0.0, 1.0, np.zeros(values.shape, np.bool_)
    low, high = usual(values)
    return low, high, known & ((values < low) | (values > high))


def mark(axes: Axes, which: NDArray[np.bool_], shape: str, colour: str, label: str) -> None:
    """Mark devices [rows, cols] of a map with a cross ``x`` or an open shape, counted in the legend."""
    rows, cols = np.nonzero(which)
    if rows.size:
        named = f"{label} ({rows.size})"
        if shape == "x":
            axes.scatter(cols, rows, s=9, marker=shape, c=colour, linewidths=0.8, label=named)
        else:
            drawn = axes.scatter(cols, rows, s=9, marker=shape, linewidths=0.8, label=named)
            drawn.set_facecolor("none")
            drawn.set_edgecolor(colour)


def legend_of_map(axes: Axes) -> None:
    """A legend of up to four marks over a map and its bar, in two columns."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.05, 0.98), ncols=2, handletextpad=0.1, columnspacing=0.8,
            borderpad=0.1, labelspacing=0.2,
        )  # fmt: skip


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
