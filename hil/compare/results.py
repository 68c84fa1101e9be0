"""What the runs of a study came to, read from the run store: figures of each, and means over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.bench import Cost
from hil.compare.cells import Cell
from hil.store import Run

F64 = NDArray[np.float64]

FIGURES = {
    "accuracy": "on test samples at the end, 0 to 1",
    "loss": "on test samples at the end",
    "update_noise": "|dW measured - dW wanted| over |dW wanted|, totals over all that was measured",
    "raw_update_noise": "mean |dW measured - dW wanted| in weight units",
    "pulses": "programming pulses, all",
    "half_selects": "pulses seen by half-selected devices",
    "reads": "single readings, those of evaluations included",
    "transactions": "schedules",
    "seconds": "time on the bench's own clock",
    "joules": "energy",
    "reach_samples": "training samples until the evaluation that reached the study's accuracy",
    "reach_pulses": "pulses until then",
    "reach_seconds": "bench time until then",
    "reach_reads": "single readings until then",
}
"""Every figure of a run, and what it is; NaN where a run does not have it."""


@dataclass(frozen=True, eq=False)
class Result:
    """One run: its seed, where it is, how it ended, and its figures.

    ``path`` is None for what never became a run; ``error`` says why there is no finished run. ``samples`` and
    ``accuracies`` (0 to 1) are of its evaluations, [evaluations].
    """

    seed: int
    path: Path | None
    status: str
    error: str | None
    revision: str | None
    cost: Cost
    figures: Mapping[str, float]
    samples: F64
    accuracies: F64

    @property
    def is_finished(self) -> bool:
        """Whether its figures count."""
        return self.status == "finished"


@dataclass(frozen=True, eq=False)
class CellResult:
    """One cell of a study: the results of all its seeds."""

    cell: Cell
    results: tuple[Result, ...]

    @cached_property
    def finished(self) -> tuple[Result, ...]:
        """Those whose figures count."""
        return tuple(result for result in self.results if result.is_finished)

    @property
    def is_complete(self) -> bool:
        """Whether every seed has a finished run."""
        return len(self.finished) == len(self.results)

    def by_seed(self, figure: str) -> dict[int, float]:
        """A figure of each finished run that has it."""
        found = {result.seed: result.figures[figure] for result in self.finished}
        return {seed: value for seed, value in found.items() if np.isfinite(value)}

    def mean(self, figure: str) -> float:
        """Mean over the finished runs that have the figure; NaN without any."""
        values = list(self.by_seed(figure).values())
        return float(np.mean(values)) if values else float("nan")

    def spread(self, figure: str) -> float:
        """Standard deviation over seeds (n - 1); NaN of fewer than two."""
        values = list(self.by_seed(figure).values())
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")

    def curve(self) -> tuple[F64, F64, F64]:
        """Samples, mean accuracy and its standard deviation (0 for one run), as far as all runs have them.

        Each is [evaluations].
        """
        runs = [result for result in self.finished if result.samples.size]
        if not runs:
            empty = np.zeros(0)
            return empty, empty, empty
        length = min(len(result.samples) for result in runs)
        curves = np.array([result.accuracies[:length] for result in runs])
        spread = curves.std(axis=0, ddof=1) if len(runs) > 1 else np.zeros(length)
        return runs[0].samples[:length], curves.mean(axis=0), spread


def result_of(run: Run, seed: int, reach: float | None) -> Result:
    """Read a run.

    Raises
    ------
    StoreError
        The run is damaged.
    """
    evaluations, cost, summary = run.evaluations, run.cost, run.summary
    figures = dict.fromkeys(FIGURES, float("nan")) | {key: float(v) for key, v in asdict(cost).items()}
    if evaluations.size:
        figures |= {name: float(evaluations[name][-1]) for name in ("accuracy", "loss")}
    figures |= _noise(run) | _reached(run, reach)
    status = run.status
    error = None if status == "finished" else str(summary.get("error", status))
    return Result(
        seed,
        run.path,
        status,
        error,
        run.header.get("git"),
        cost,
        figures,
        evaluations["samples"].astype(np.float64),
        evaluations["accuracy"].astype(np.float64),
    )


def absent(seed: int, error: str | None = None) -> Result:
    """In place of a run that is not there: it was not begun yet, or could not be."""
    empty = np.zeros(0)
    status = "missing" if error is None else "failed"
    return Result(seed, None, status, error, None, Cost(), dict.fromkeys(FIGURES, float("nan")), empty, empty)


def total(cells: Sequence[CellResult]) -> Cost:
    """What all finished runs took together."""
    return sum((result.cost for cell in cells for result in cell.finished), Cost())


def _noise(run: Run) -> dict[str, float]:
    """Totals over layers and steps, divided: where next to nothing was wanted a ratio tells nothing."""
    rows = run.update_noise
    known = rows[(rows["normalised"] > 0) & np.isfinite(rows["normalised"])] if rows.size else rows
    if not known.size:
        return {}
    noise = float((known["raw"] * known["synapses"]).sum())
    wanted = float((known["raw"] / known["normalised"] * known["synapses"]).sum())
    return {"update_noise": noise / wanted, "raw_update_noise": noise / float(known["synapses"].sum())}


def _reached(run: Run, reach: float | None) -> dict[str, float]:
    evaluations, costs = run.evaluations, run.costs_at("evaluation")
    if reach is None or not evaluations.size or not (evaluations["accuracy"] >= reach).any():
        return {}
    first = int((evaluations["accuracy"] >= reach).argmax())
    return {
        "reach_samples": float(evaluations["samples"][first]),
        **{f"reach_{name}": float(costs[name][first]) for name in ("pulses", "seconds", "reads")},
    }
