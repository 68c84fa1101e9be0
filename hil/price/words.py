"""A price as people read it, line by line: on a command line, in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hil.units import counted, duration, energy, format_quantity, percent

if TYPE_CHECKING:
    from hil.price.price import Price, Range


def headline(found: Price) -> str:
    """What is run on what."""
    return f"{found.experiment} on {found.bench}"


def about(found: Price) -> list[tuple[str, str]]:
    """What was rehearsed, as label and text."""
    rows = [("devices", found.devices)]
    if found.exchange is not None:
        time = format_quantity(found.exchange.seconds, "s", digits=3)
        rows.append(("an exchange", f"{time}, {found.exchange.source}"))
    if found.calibrations:
        rows.append(("calibrations", found.calibrations))
    return [*rows, ("rehearsed", _rehearsed(found))]


def figures(found: Price) -> list[tuple[str, str]]:
    """What the run takes, as label and text: mean, and in brackets the range over the seeds."""
    most = "" if found.dose is None else f" of {found.dose:,} (limits.dose)"
    asked = sum(run.cost.pulses + run.cost.reads for run in found.runs)
    only = f"only from whole runs: {found.option('full')}"
    return [
        ("time on the bench", _range(found.seconds, duration)),
        ("transactions", _range(found.transactions, _whole)),
        ("pulses", _range(found.pulses, _whole)),
        ("readings", _range(found.reads, _whole)),
        ("energy", _range(found.joules, lambda joules: energy(joules, asked))),
        ("most pulsed device", _range(found.wear, _whole) + most),
        ("test accuracy", only if found.accuracy is None else _range(found.accuracy, percent)),
    ]


def _rehearsed(found: Price) -> str:
    first = min(run.seed for run in found.runs)
    seeds = f"{counted(len(found.runs), 'seed')} from {first}"
    if len(found.runs) > 1:
        seeds += " (the range in brackets is theirs, and tells nothing of how far this is from your devices)"
    if found.whole:
        return f"{seeds}, whole runs"
    fewest = min(found.runs, key=lambda run: run.steps)
    return (
        f"{seeds}, the first {fewest.steps:,} of {counted(fewest.of_steps, 'step')}; the others are counted "
        "like them, though later steps give fewer pulses as a rule"
    )


def _range(found: Range, written: Callable[[float], str]) -> str:
    mean, low, high = (written(value) for value in found)
    return mean if low == high else f"{mean}  ({low} to {high})"


def _whole(value: float) -> str:
    return f"{round(value):,}"
