"""The table of a study: a row for each case in words for people, one for each run in SI for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hil.compare.cells import Axis
from hil.compare.results import FIGURES, CellResult
from hil.units import format_quantity

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of figures: its heading, the figure, and how one is written."""

    heading: str
    figure: str


def columns(cells: Sequence[CellResult], reach: float | None) -> list[Column]:
    """The columns that say something in this study."""
    told = [Column("accuracy (%)", "accuracy")]
    if reach is not None:
        goal = f"{100 * reach:g} %"
        told += [Column(f"pulses to {goal}", "reach_pulses"), Column(f"time to {goal}", "reach_seconds")]
    told += [Column("pulses", "pulses"), Column("readings", "reads"), Column("bench time", "seconds")]
    told.append(Column("update noise", "update_noise"))
    return [c for c in told if c.figure in ("accuracy", "pulses") or any(r.by_seed(c.figure) for r in cells)]


def heads(axes: Sequence[Axis], shown: Sequence[Column]) -> list[str]:
    """Headings: what varies, the number of finished runs, the figures."""
    return [*(axis.short for axis in axes), "runs", *(column.heading for column in shown)]


def row(cell: CellResult, shown: Sequence[Column]) -> list[str]:
    """A cell in words: mean ± standard deviation over seeds where it has more than one."""
    wanted, found = len(cell.results), len(cell.finished)
    runs = str(found) if found == wanted else f"{found} of {wanted}"
    return [*cell.cell.labels, runs, *(written(cell, column.figure) for column in shown)]


def written(cell: CellResult, figure: str) -> str:
    """One figure of a cell; "-" where no run has it, and how many have where not all do."""
    values = cell.by_seed(figure)
    if not values:
        return "-"
    mean, spread = cell.mean(figure), cell.spread(figure)
    if figure == "accuracy":
        return f"{100 * mean:.2f}" + ("" if math.isnan(spread) else f" ± {100 * spread:.2f}")
    if figure in ("update_noise", "raw_update_noise", "loss"):
        return f"{mean:.3g}" + ("" if math.isnan(spread) else f" ± {spread:.1g}")
    text = duration(mean) if figure.endswith("seconds") else quantity(mean, figure)
    some = figure.startswith("reach") and len(values) < len(cell.finished)
    return f"{text} ({len(values)} of {len(cell.finished)})" if some else text


def duration(seconds: float) -> str:
    """Bench time in three digits: "12.3 ms", "4.56 h"."""
    for size, name in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.3g} {name}"
    return format_quantity(seconds, "s", digits=3)


def quantity(value: float, figure: str) -> str:
    """A count, or an energy."""
    if figure.endswith("joules"):
        return format_quantity(value, "J", digits=3)
    return f"{value:,.0f}" if value < 1e5 else f"{value:.3g}".replace("e+0", "e").replace("e+", "e")


def run_rows(axes: Sequence[Axis], cells: Sequence[CellResult]) -> list[dict[str, str | float | int | None]]:
    """One row for each run: labels, seed, status, figures in SI units (None where there is none)."""
    return [
        {
            **dict(zip((axis.name for axis in axes), cell.cell.labels, strict=True)),
            "seed": result.seed,
            "status": result.status,
            **{name: _or_none(result.figures[name]) for name in FIGURES},
            "error": result.error,
            "run": None if result.path is None else str(result.path),
            "revision": result.revision,
        }
        for cell in cells
        for result in cell.results
    ]


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
