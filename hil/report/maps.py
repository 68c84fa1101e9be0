"""Figures of an array: conductances before and after, their distribution, and the wear of the devices."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, MaxNLocator
from numpy.typing import NDArray

from hil.figures.canvas import empty, legend_above, log_ticks, logarithmic, panel, prefix, sheet, usual
from hil.figures.style import BLUE, ORANGE, RED, UNKNOWN

_LEFT, _TOP, _BOTTOM, _WIDE = 0.62, 0.42, 0.45, 1.45


def conductances(before: NDArray[np.float64] | None, after: NDArray[np.float64] | None) -> Figure | None:
    """Maps [rows, cols] before and after on one scale, and their difference; siemens, NaN where unknown."""
    known = [g for g in (before, after) if g is not None and np.isfinite(g).any()]
    if not known:
        return None
    everything = np.concatenate([g[np.isfinite(g)] for g in known])
    factor, unit = _scale(everything)
    rows, cols = known[0].shape
    stacked = cols > 3 * rows
    wide = 5.2 if stacked else _WIDE
    height = float(np.clip(wide * rows / cols, 0.55, 1.2 if stacked else 2.3))
    lefts = (_LEFT,) * 3 if stacked else (_LEFT, _LEFT + 1.72, 4.85)
    tops = [_TOP + number * (height + 0.5 if stacked else 0) for number in range(3)]
    figure = sheet(tops[-1] + height + _BOTTOM)
    places = [(left, top, wide, height) for left, top in zip(lefts, tops, strict=True)]
    norm = _span(everything / factor)
    low, high = (factor * float(end or 0) for end in (norm.vmin, norm.vmax))
    shown = None
    for number, (g, title) in enumerate(((before, "before"), (after, "after"))):
        axes = panel(figure, *places[number], "ab"[number], 0.15 if number and not stacked else 0.42)
        axes.set_title(title)
        if g is None or not np.isfinite(g).any():
            empty(axes, f"no reading {title}")
            continue
        shown = _map(axes, g / factor, norm, "viridis")
        far = _beyond(g, low, high)
        if far.any():
            axes.set_title(f"{title}, × {far.sum()} beyond")  # noqa: RUF001
            _cross(axes, far)
        if number and not stacked:
            axes.set_ylabel("")
            axes.set_yticklabels([])
    left, top = places[1][0] + wide + 0.08, places[0][1] if stacked else places[1][1]
    _bar(figure, shown, panel(figure, left, top, 0.08, tops[1] + height - top), f"G ({unit})")
    _change(figure, places[2], before, after, (low, high))
    if stacked:
        for axes in figure.axes[:2]:
            axes.set_xlabel("")
    return figure


def _change(
    figure: Figure,
    place: tuple[float, float, float, float],
    before: NDArray[np.float64] | None,
    after: NDArray[np.float64] | None,
    ends: tuple[float, float],
) -> None:
    """Its scale is that of devices whose conductances are within ``ends``, siemens; others are crossed."""
    left, top, wide, height = place
    axes = panel(figure, left, top, wide, height, "c")
    axes.set_title("change")
    if before is None or after is None or before.shape != after.shape:
        empty(axes, "not known")
        return
    change = after - before
    if not np.isfinite(change).any():
        empty(axes, "not known")
        return
    far = _beyond(np.fmax(before, after), *ends) | _beyond(np.fmin(before, after), *ends)
    inside = change[np.isfinite(change) & ~far]
    factor, unit = _scale(inside if inside.size else np.zeros(1))
    largest = float(np.percentile(np.abs(inside / factor), 99.6)) if inside.size else 1.0
    shown = _map(
        axes, np.where(far, np.nan, change) / factor, Normalize(-largest or -1, largest or 1), "RdBu_r"
    )
    _cross(axes, far)
    if left > _LEFT:
        axes.set_ylabel("")
    _bar(figure, shown, panel(figure, left + wide + 0.08, top, 0.08, height), f"ΔG ({unit})")


def distribution_and_wear(
    before: NDArray[np.float64] | None, after: NDArray[np.float64] | None, dose: NDArray[np.int64] | None
) -> Figure | None:
    """Histogram of conductances before and after; pulses of each device as a map and as a distribution."""
    known = [g[np.isfinite(g)] for g in (before, after) if g is not None and np.isfinite(g).any()]
    if not known and dose is None:
        return None
    height, wide, left = 1.6, 1.4, 2.55
    figure = sheet(0.3 + height + _BOTTOM)
    axes = panel(figure, _LEFT, 0.3, wide, height, "a")
    if known:
        _histogram(axes, before, after, np.concatenate(known))
    else:
        empty(axes, "no readings")
    axes = panel(figure, left, 0.3, wide, height, "b")
    rest = panel(figure, 5.58, 0.3, wide, height, "c")
    if dose is None or not dose.any():
        text = "doses not recorded" if dose is None else "no pulses"
        empty(axes, text)
        empty(rest, text)
        return figure
    pulsed = np.where(dose > 0, dose, np.nan).astype(float)
    least, top = float(np.nanmin(pulsed)), float(np.nanmax(pulsed))
    norm = LogNorm(least, top) if top > 10 * least else Normalize(0, top)
    shown = _map(axes, pulsed, norm, "inferno_r", bad="#ffffff")
    _bar(figure, shown, panel(figure, left + wide + 0.08, 0.3, 0.08, height), "Pulses", counts=True)
    ordered = np.sort(dose.ravel())[::-1]
    values, first = np.unique(-ordered, return_index=True)
    share = 100 * np.append(first[1:], ordered.size) / ordered.size
    counts = -values
    rest.step(counts[counts > 0], share[counts > 0], where="pre", color=ORANGE)
    logarithmic(rest, "x", counts, whole=True)
    rest.set_ylim(0, 103)
    rest.set_xlabel("Pulses")
    rest.set_ylabel("Devices with at least\nas many pulses (%)")
    return figure


def _histogram(
    axes: Axes,
    before: NDArray[np.float64] | None,
    after: NDArray[np.float64] | None,
    everything: NDArray[np.float64],
) -> None:
    factor, unit = _scale(everything)
    span = _span(everything / factor)
    edges = np.linspace(float(span.vmin or 0), float(span.vmax or 1), 61)
    for g, colour, label in ((before, BLUE, "before"), (after, ORANGE, "after")):
        if g is not None and np.isfinite(g).any():
            values = np.clip(g[np.isfinite(g)] / factor, edges[0], edges[-1])
            counts, _ = np.histogram(values, edges)
            share = 100 * counts / values.size
            axes.stairs(share, edges, fill=True, color=colour, alpha=0.3)
            axes.stairs(share, edges, color=colour, linewidth=0.9, label=label)
    axes.set_xlabel(f"Conductance G ({unit})")
    axes.set_ylabel("Devices (% per bin)")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    legend_above(axes)


def _scale(values: NDArray[np.float64]) -> tuple[float, str]:
    """The prefix in which the largest usual values are between 1 and 1000."""
    factor, letter = prefix(max(map(abs, usual(values))))
    return factor, f"{letter}S"


def _span(values: NDArray[np.float64]) -> Normalize:
    low, high = usual(values)
    return Normalize(low, high) if high > low else Normalize(low - 0.5, low + 0.5)


def _beyond(g: NDArray[np.float64], low: float, high: float) -> NDArray[np.bool_]:
    """Devices off a scale, by more than the last bit of a conversion; what is not known is not."""
    margin = 1e-6 * (high - low)
    return (g < low - margin) | (g > high + margin)


def _cross(axes: Axes, which: NDArray[np.bool_]) -> None:
    rows, cols = np.nonzero(which)
    axes.scatter(cols, rows, s=8, marker="x", c=RED, linewidths=0.7)


def _map(axes: Axes, values: NDArray[np.float64], norm: Normalize, name: str, bad: str = UNKNOWN) -> Any:
    shown = axes.imshow(values, norm=norm, cmap=colormaps[name].with_extremes(bad=bad), aspect="auto")
    axes.set_xlabel("Column")
    axes.set_ylabel("Row")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, integer=True))
    for spine in axes.spines.values():
        spine.set_visible(True)
    return shown


def _bar(figure: Figure, shown: Any, axes: Axes, label: str, *, counts: bool = False) -> None:
    if shown is None:
        axes.set_axis_off()
        return
    bar = figure.colorbar(shown, cax=axes, label=label)
    bar.outline.set_linewidth(0.5)
    if counts and isinstance(shown.norm, LogNorm):
        axes.yaxis.set_major_locator(FixedLocator(log_ticks(shown.norm.vmin or 1, shown.norm.vmax or 1)))
    if counts:
        axes.yaxis.set_major_formatter(EngFormatter(sep=""))
        axes.minorticks_off()
