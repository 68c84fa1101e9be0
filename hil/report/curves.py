"""Figures over the course of a run: learning, cost, update noise."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hil.bench import Cost
from hil.figures.canvas import counts, empty, legend_above, logarithmic, panel, prefix, sheet
from hil.figures.style import BLUE, GREEN, LINES, ORANGE, RED
from hil.report.facts import raised
from hil.store import Run

_TOP, _BOTTOM, _LEFT = 0.3, 0.5, 0.6
_IN_LINE = 4  # layers in a line of a legend
_ROUNDING = 1e-6  # what float32 leaves of a cosine of 1


def learning(run: Run) -> Figure | None:
    """Loss and accuracy against samples, in training and on test samples; how far the error is from the exact
    one, where that was measured.
    """
    training, evaluations = run.training, run.evaluations
    if not training.size and not evaluations.size:
        return None
    cosine, gap = np.isfinite(training["cosine"]), from_exact(training)
    if gap is not None and gap.size == 1:  # one point is no curve: the caption tells it
        gap = None
    height, wide = 1.9, 2.8 if gap is None else 1.6
    figure = sheet(_TOP + height + _BOTTOM)
    step = wide + (0.8 if gap is None else 0.76)
    for number, (field, label, scale) in enumerate(
        (("loss", "Loss", 1.0), ("accuracy", "Accuracy (%)", 100.0))
    ):
        axes = panel(figure, _LEFT + number * step, _TOP, wide, height, "ab"[number])
        _line(axes, training["samples"], scale * training[field], BLUE, "training window")
        _test_points(axes, evaluations["samples"], scale * evaluations[field])
        _from_zero(axes, label, 100 if field == "accuracy" else None)
        _samples(axes)
    legend_above(figure.axes[1])
    if gap is not None:
        axes = panel(figure, _LEFT + 2 * step, _TOP, wide, height, "c")
        axes.plot(training["samples"][cosine], gap, "o-", color=GREEN, markersize=2.5, clip_on=False)
        logarithmic(axes, "y", gap)
        axes.set_ylabel("1 - cosine to exact error")
        _samples(axes)
    return figure


def from_exact(training: NDArray[Any]) -> NDArray[np.float64] | None:
    """1 - cosine between the error that was used and the exact one, where it was measured; None where it was
    not, or is nothing but rounding everywhere.
    """
    gap = 1 - training["cosine"][np.isfinite(training["cosine"])].astype(np.float64)
    return np.maximum(gap, _ROUNDING) if (gap > _ROUNDING).any() else None


def cost_by_operation(costs: Mapping[str, Cost]) -> Figure | None:
    """Time and energy of each kind of operation, longest first, on logarithmic scales.

    Points, not bars: a logarithmic scale has no zero for a bar to begin at.
    """
    names = sorted((name for name in costs if costs[name] != Cost()), key=lambda name: costs[name].seconds)
    if not names:
        return None
    height = 0.22 * len(names) + 0.1
    figure = sheet(_TOP + height + _BOTTOM)
    for number, (field, label, unit, colour) in enumerate(
        [("seconds", "Bench time", "s", BLUE), ("joules", "Energy", "J", ORANGE)]
    ):
        axes = panel(figure, 1.35 + number * 3.0, _TOP, 2.4, height, "ab"[number], 0.0)
        values = np.array([float(getattr(costs[name], field)) for name in names])
        if values.any():
            factor, prefixed = prefix(float(values.max()))
            values /= factor
            axes.plot(
                np.where(values > 0, values, np.nan), range(len(names)), "o", color=colour, markersize=5
            )
            logarithmic(axes, "x", values)
            label += f" ({prefixed}{unit})"
        else:
            empty(axes, "none recorded")
        axes.set_yticks(range(len(names)), names if number == 0 else [""] * len(names))
        axes.grid(axis="y", linewidth=0.4, color="#cccccc")
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_xlabel(label)
    return figure


def cost_over_time(run: Run) -> Figure | None:
    """Pulses and readings against samples, and accuracy against bench time and energy."""
    training, history = run.training, run.cost_history
    rows = min(len(training), len(history))
    if not rows:
        return None
    training, history = training[:rows], history[:rows]
    height, wide, step = 1.75, 1.6, 2.36
    figure = sheet(_TOP + height + _BOTTOM)
    axes = panel(figure, _LEFT, _TOP, wide, height, "a")
    for field, colour, label in (("pulses", ORANGE, "pulses"), ("reads", BLUE, "readings")):
        given = history[field] > 0
        if given.any():
            _line(axes, training["samples"][given], history[field][given], colour, label)
    if axes.lines:
        logarithmic(axes, "y", np.append(history["pulses"], history["reads"]), whole=True)
        legend_above(axes)
    else:
        empty(axes, "none recorded")
    axes.set_ylabel("Count since the start")
    _samples(axes)
    evaluations, at = run.evaluations, run.costs_at("evaluation")
    tested = min(len(evaluations), len(at))
    for number, field in enumerate(("seconds", "joules"), 1):
        axes = panel(figure, _LEFT + number * step, _TOP, wide, height, "abc"[number])
        axes.set_xlabel("Bench time" if field == "seconds" else "Energy")
        longest = float(max(history[field].max(), at[field].max(initial=0.0)))
        if not longest:
            empty(axes, "none recorded")
            continue
        scale, unit = _time_unit(longest) if field == "seconds" else prefix(longest)
        _line(axes, history[field] / scale, 100 * training["accuracy"], BLUE, "training window")
        _test_points(axes, at[field][:tested] / scale, 100 * evaluations["accuracy"][:tested])
        _from_zero(axes, "Accuracy (%)", 100)
        axes.set_xlim(0, 1.04 * longest / scale)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axes.set_xlabel(f"Bench time ({unit})" if field == "seconds" else f"Energy ({unit}J)")
    if len(figure.axes[1].lines):
        legend_above(figure.axes[1])
    return figure


def update_noise(run: Run) -> Figure | None:
    """Update noise of every layer against the step, as it is and relative to the wanted change."""
    if not run.update_noise.size:
        return None
    layers = {
        int(layer): noise_windows(run.update_noise, layer) for layer in np.unique(run.update_noise["layer"])
    }
    top = _TOP + 0.17 * ((len(layers) - 1) // _IN_LINE)
    height, wide = 1.75, 2.8
    figure = sheet(top + height + _BOTTOM)
    raw, ratios = (np.concatenate([values[column] for values in layers.values()]) for column in (1, 2))
    power = _power_of_thousand(raw)
    labels = (
        f"Update noise (10{raised(power)} weight)" if power else "Update noise (weight)",
        "Update noise / wanted change",
    )
    for number, (label, scale) in enumerate(zip(labels, (10.0**power, 1.0), strict=True)):
        axes = panel(figure, _LEFT + number * (wide + 0.8), top, wide, height, "ab"[number])
        for layer, values in layers.items():
            style, colour = ("-", "--", ":")[layer // len(LINES) % 3], LINES[layer % len(LINES)]
            axes.plot(values[0], values[1 + number] / scale, style, color=colour, label=f"layer{layer + 1}")
            axes.lines[-1].set(marker="o", markersize=3)
        _from_zero(axes, label)
        axes.set_xlabel("Step")
        counts(axes, "x")
    if ratios.max() > 10 * ratios.min() > 0:
        logarithmic(figure.axes[1], "y", ratios)
    legend_above(figure.axes[0], _IN_LINE)
    return figure


def noise_windows(noise: NDArray[Any], layer: int) -> tuple[NDArray[np.float64], ...]:
    """Steps, mean update noise and noise / wanted change of a layer, at most 20 points each.

    Measurements that follow one another are taken together, and their totals over all synapses are divided:
    a mean of the ratios themselves is ruled by the steps at which next to nothing was wanted.
    """
    here = noise[noise["layer"] == layer]
    starts = np.arange(0, len(here), math.ceil(len(here) / 20))
    raw, relative = here["raw"], here["normalised"]
    wanted = np.divide(raw, relative, out=np.zeros(len(here)), where=relative > 0)

    def total(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.add.reduceat(values.astype(np.float64), starts)

    synapses, noisy, asked = (
        total(values) for values in (here["synapses"], raw * here["synapses"], wanted * here["synapses"])
    )
    ratio = np.divide(noisy, asked, out=np.zeros(len(starts)), where=asked > 0)
    return total(here["step"]) / total(np.ones(len(here))), noisy / synapses, ratio


def _line(axes: Axes, x: NDArray[Any], y: NDArray[Any], colour: str, label: str) -> None:
    """A line, or a point where one would be too short to be seen."""
    marker = "o" if len(x) == 1 else ""
    axes.plot(x, y, color=colour, label=label, marker=marker, markersize=3.5, clip_on=False)


def _test_points(axes: Axes, x: NDArray[Any], y: NDArray[Any]) -> None:
    if x.size:
        axes.plot(x, y, "o-", color=RED, markersize=3.5, label="test", clip_on=False)


def _from_zero(axes: Axes, label: str, top: float | None = None) -> None:
    """Name a linear axis from 0 to ``top``, or the largest value, with room for a whole point there."""
    axes.set_ylabel(label)
    axes.set_ylim(0, 1.04 * (top or max(float(axes.dataLim.y1), 0.0) or 1.0))


def _time_unit(longest: float) -> tuple[float, str]:
    """Seconds in the unit for a linear axis: ms, s up to some minutes, then min, h, d."""
    units = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))
    factor, letter = prefix(longest)
    return next(((size, name) for size, name in units if longest >= 3 * size), (factor, f"{letter}s"))


def _power_of_thousand(values: NDArray[Any]) -> int:
    largest = float(np.nanmax(values, initial=0.0))
    return 3 * math.floor(math.log10(largest) / 3) if largest > 0 else 0


def _samples(axes: Axes) -> None:
    axes.set_xlabel("Training samples")
    counts(axes, "x")
