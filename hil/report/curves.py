"""Figures over the course of a run: learning, cost, update noise."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hil.bench import Cost
from hil.report.canvas import engineering, panel, sheet
from hil.report.facts import raised
from hil.report.style import BLUE, GREEN, LINES, ORANGE, RED
from hil.store import Run

_TOP, _BOTTOM, _LEFT = 0.3, 0.5, 0.6


def learning(run: Run) -> Figure | None:
    """Loss and accuracy against samples, in training and on test images; the cosine where measured."""
    training, evaluations = run.training, run.evaluations
    if not training.size and not evaluations.size:
        return None
    cosine = bool(np.isfinite(training["cosine"]).any())
    height, wide = 1.9, 1.68 if cosine else 2.8
    figure = sheet(_TOP + height + _BOTTOM)
    columns = [("loss", "Loss", 1.0), ("accuracy", "Accuracy (%)", 100.0)]
    step = wide + (0.72 if cosine else 0.8)
    for number, (field, label, scale) in enumerate(columns):
        axes = panel(figure, _LEFT + number * step, _TOP, wide, height, "ab"[number])
        axes.plot(
            training["samples"], scale * training[field], color=BLUE, alpha=0.85, label="training window"
        )
        _test_points(axes, evaluations["samples"], scale * evaluations[field])
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0, top=100 if field == "accuracy" else None)
        _samples(axes)
    figure.axes[1].legend(loc="lower right")
    if cosine:
        axes = panel(figure, _LEFT + 2 * step, _TOP, wide, height, "c")
        measured = training[np.isfinite(training["cosine"])]
        axes.plot(measured["samples"], measured["cosine"], "o-", color=GREEN, markersize=2.5)
        axes.axhline(0, color="#999999", linewidth=0.5)
        axes.set_ylim(min(0.0, float(measured["cosine"].min()) * 1.05), 1.02)
        axes.set_ylabel("Cosine to exact error")
        _samples(axes)
    return figure


def cost_by_operation(costs: Mapping[str, Cost]) -> Figure | None:
    """Time and energy of each kind of operation, longest first, on logarithmic scales."""
    names = sorted((name for name in costs if costs[name] != Cost()), key=lambda name: costs[name].seconds)
    if not names:
        return None
    height = 0.22 * len(names) + 0.1
    figure = sheet(_TOP + height + _BOTTOM)
    for number, (field, label, unit, colour) in enumerate(
        [("seconds", "Bench time", "s", BLUE), ("joules", "Energy", "J", ORANGE)]
    ):
        axes = panel(figure, 1.35 + number * 2.9, _TOP, 2.55, height)
        figure.text(
            axes.get_position().x0, axes.get_position().y1 + 0.02, "ab"[number], fontweight="bold", fontsize=9
        )
        values = np.array([float(getattr(costs[name], field)) for name in names])
        some = values[values > 0]
        if some.size:
            low = 10.0 ** (np.floor(np.log10(some.min())) - 0.3)
            axes.barh(range(len(names)), np.maximum(values - low, 0), left=low, height=0.62, color=colour)
            engineering(axes, "x", unit, log=True)
            axes.set_xlim(low, 10.0 ** np.ceil(np.log10(some.max())))
        else:
            axes.text(0.5, 0.5, "none recorded", transform=axes.transAxes, ha="center", va="center")
            axes.set_xticks([])
        axes.set_yticks(range(len(names)), names if number == 0 else [""] * len(names))
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
    height, wide, step = 1.75, 1.68, 2.4
    figure = sheet(_TOP + height + _BOTTOM)
    axes = panel(figure, _LEFT, _TOP, wide, height, "a")
    for field, colour, label in (("pulses", ORANGE, "pulses"), ("reads", BLUE, "readings")):
        if history[field].any():
            axes.plot(
                training["samples"],
                np.where(history[field] > 0, history[field], np.nan),
                color=colour,
                label=label,
            )
    engineering(axes, "y", log=True)
    axes.set_ylabel("Count since the start")
    _samples(axes)
    if axes.lines:
        axes.legend(loc="lower right")
    evaluations, at = run.evaluations, run.costs_at("evaluation")
    tested = min(len(evaluations), len(at))
    for number, field in enumerate(("seconds", "joules"), 1):
        axes = panel(figure, _LEFT + number * step, _TOP, wide, height, "abc"[number])
        scale, unit = _time_unit(float(history["seconds"].max())) if field == "seconds" else (1.0, "J")
        axes.plot(
            history[field] / scale,
            100 * training["accuracy"],
            color=BLUE,
            alpha=0.85,
            label="training window",
        )
        _test_points(axes, at[field][:tested] / scale, 100 * evaluations["accuracy"][:tested])
        axes.set_ylim(0, 100)
        axes.set_xlim(left=0)
        plain = scale > 1
        engineering(axes, "x", "" if plain else unit, ticks=4)
        label = "Bench time" if field == "seconds" else "Energy"
        axes.set_xlabel(f"{label} ({unit})" if plain else label)
        axes.set_ylabel("Accuracy (%)")
    figure.axes[1].legend(loc="lower right")
    return figure


def update_noise(run: Run) -> Figure | None:
    """Update noise of every layer against the step, as it is and relative to the wanted change."""
    noise = run.update_noise
    if not noise.size:
        return None
    height, wide = 1.75, 2.8
    figure = sheet(_TOP + height + _BOTTOM)
    power = _power_of_thousand(noise["raw"])
    columns = [
        (
            "raw",
            f"Update noise (10{raised(power)} weight)" if power else "Update noise (weight)",
            power,
        ),
        ("normalised", "Update noise / wanted change", 0),
    ]
    for number, (field, label, exponent) in enumerate(columns):
        axes = panel(figure, _LEFT + number * (wide + 0.8), _TOP, wide, height, "ab"[number])
        for layer in np.unique(noise["layer"]):
            here = noise[noise["layer"] == layer]
            values, colour = here[field] / 10.0**exponent, LINES[int(layer) % len(LINES)]
            axes.plot(here["step"], values, "o-", markersize=3, color=colour, label=f"layer {layer + 1}")
        axes.set_ylim(bottom=0)
        axes.set_ylabel(label)
        axes.set_xlabel("Step")
        engineering(axes, "x")
    figure.axes[0].legend(loc="best", ncols=2)
    return figure


def _test_points(axes: Axes, x: NDArray[Any], y: NDArray[Any]) -> None:
    if x.size:
        axes.plot(x, y, "o-", color=RED, markersize=3.5, label="test")


def _time_unit(longest: float) -> tuple[float, str]:
    """Seconds in the unit for a linear axis: s up to some minutes, then min, h, d."""
    units = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))
    return next(((size, name) for size, name in units if longest >= 3 * size), (1.0, "s"))


def _power_of_thousand(values: NDArray[Any]) -> int:
    largest = float(np.nanmax(values, initial=0.0))
    return 3 * math.floor(math.log10(largest) / 3) if largest > 0 else 0


def _samples(axes: Axes) -> None:
    axes.set_xlim(left=0)
    axes.set_xlabel("Training samples")
    engineering(axes, "x")
