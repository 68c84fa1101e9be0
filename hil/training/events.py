"""What a training plan tells the world while it runs: plain rows, taken by a run store, a progress display,
or both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hil.schedule import Floats, Region


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One window of training steps, averaged.

    ``step`` and ``samples`` count from the start of the run to the end of the window; ``loss`` and
    ``accuracy`` (0..1) are of the window's own samples, before each was learned; ``clipped`` counts readings
    that were only a bound; ``cosine`` is the mean over steps and hidden layers that measured it, between the
    error the method used and the exact one, NaN if none did. ``drift``, ``nudge`` and ``residue`` are
    means of those of :class:`hil.training.contracts.StepReport`, NaN where none was measured.
    """

    step: int
    samples: int
    epoch: int
    loss: float
    accuracy: float
    clipped: int
    cosine: float = float("nan")
    drift: float = float("nan")
    nudge: float = float("nan")
    residue: float = float("nan")


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """The network as it stands, on ``images`` test samples: mean loss and accuracy (0..1)."""

    step: int
    samples: int
    epoch: int
    loss: float
    accuracy: float
    images: int
    clipped: int


@dataclass(frozen=True, slots=True)
class UpdateNoiseRow:
    """Update noise of one layer at one step (Lee et al. 2021, arXiv 2111.07113), by reading it before and
    after.

    ``raw`` is the mean of |dW measured - dW wanted| over the ``synapses`` whose wanted change is not 0, in
    weight units; ``normalised`` is raw over the mean of |dW wanted|. The read noise of the two readings is in
    it.
    """

    step: int
    layer: int
    raw: float
    normalised: float
    synapses: int


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Raw currents of a region at a named moment ("initial", "final");
    amperes and clipped are [rows, cols].
    """

    moment: str
    step: int
    region: Region
    amperes: Floats
    clipped: NDArray[np.bool_]
    voltage_v: float


class Journal(Protocol):
    """Takes the rows of a run in the order in which they come about."""

    def training(self, row: TrainingRow) -> None:
        """A window of steps is over."""
        ...

    def evaluation(self, row: EvaluationRow) -> None:
        """The network was evaluated."""
        ...

    def update_noise(self, row: UpdateNoiseRow) -> None:
        """The update noise of a layer was measured."""
        ...

    def snapshot(self, snapshot: Snapshot) -> None:
        """A region was read for the record."""
        ...

    def event(self, kind: str, text: str) -> None:
        """Something worth a line: a warning, an early stop, a request to stop."""
        ...
