"""Sums over some training steps, and the row that a record keeps of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hil.training.contracts import StepReport
from hil.training.events import TrainingRow


@dataclass(slots=True)
class Window:
    """Sums over the steps since the last training row."""

    samples: int = 0
    cost: float = 0.0
    correct: int = 0
    clipped: int = 0
    measured: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def add(self, samples: int, report: StepReport) -> None:
        """Add a step of so many samples."""
        self.samples += samples
        self.cost += report.cost
        self.correct += report.correct
        self.clipped += report.clipped
        for name in ("cosine", "drift", "nudge", "residue"):
            value: float | None = getattr(report, name)
            if value is not None:
                self.measured.setdefault(name, []).append(value)

    def row(self, step: int, samples: int, epoch: int) -> TrainingRow:
        """Means over the steps; there must be one."""
        means = {name: float(np.mean(values)) for name, values in self.measured.items()}
        cost, correct = self.cost / self.samples, self.correct / self.samples
        return TrainingRow(step, samples, epoch, cost, correct, self.clipped, **means)
