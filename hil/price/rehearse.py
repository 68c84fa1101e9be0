"""One run on simulated devices, whole or its first steps, and what the whole of it comes to."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.bench import Cost, Execution
from hil.config.experiment import Experiment, TrainingSettings
from hil.network import Network
from hil.opened import OpenedBench
from hil.plan import Plan, run
from hil.price.working import scaled
from hil.schedule import Schedule
from hil.training.controller import Outcome, Training, Whereabouts, train
from hil.training.evaluation import evaluate
from hil.training.events import EvaluationRow, Snapshot, TrainingRow, UpdateNoiseRow

Phase: TypeAlias = Literal["start", "step", "measured step", "evaluation", "end"]
_FEWEST = 2
"""Steps: with update_noise_every the first one is measured, which most are not."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a run is rehearsed: a share of its steps, or as many as fit into a time, or (None) all."""

    share: float | None = None
    budget_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a run comes to.

    ``steps`` of ``of_steps`` were rehearsed; ``cost`` and ``given``, pulses to each device [rows, cols] by
    array, are of the whole run; ``accuracy`` (0 to 1) is None unless all of it was rehearsed.
    """

    seed: int
    steps: int
    of_steps: int
    cost: Cost
    given: Mapping[str, NDArray[np.int64]]
    accuracy: float | None

    @property
    def wear(self) -> int:
        """Pulses to the most pulsed device."""
        return max((int(each.max(initial=0)) for each in self.given.values()), default=0)

    @property
    def whole(self) -> bool:
        """Whether nothing is extrapolated."""
        return self.steps == self.of_steps


@dataclass(slots=True)
class _Meter:
    """A recorder that adds up costs by what the run was at."""

    at: Whereabouts
    measured_every: int
    costs: dict[Phase, Cost] = field(default_factory=dict[Phase, Cost])

    def before(self, schedule: Schedule, *, durable: bool) -> None:
        """Nothing is kept."""

    def after(self, schedule: Schedule, execution: Execution) -> None:
        """Add its cost."""
        self.costs.setdefault(self._phase(), Cost()).__iadd__(execution.cost)

    def _phase(self) -> Phase:
        doing = self.at.doing
        if doing == "training step":
            return "measured step" if _measured(self.at.number - 1, self.measured_every) else "step"
        if doing.startswith("evaluation"):
            return "evaluation"
        return "end" if doing.endswith("at the end") else "start"


@dataclass(slots=True)
class _Evaluations:
    """A journal that counts evaluations, and keeps nothing else."""

    number: int = 0

    def training(self, row: TrainingRow) -> None:
        """Not kept."""

    def evaluation(self, row: EvaluationRow) -> None:
        """One more."""
        self.number += 1

    def update_noise(self, row: UpdateNoiseRow) -> None:
        """Not kept."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """Not kept."""

    def event(self, kind: str, text: str) -> None:
        """Not kept."""


@dataclass(slots=True)
class _Stop:
    """Says when the rehearsal has gone far enough, and tells how far it is; asked before every step."""

    at: Whereabouts
    extent: Extent
    of_steps: int
    told: Callable[[int, int], None]
    doses: Callable[[], Mapping[str, NDArray[np.uint32]]]
    early: dict[str, NDArray[np.int64]] = field(default_factory=dict[str, NDArray[np.int64]])
    began: float = 0.0

    def __call__(self) -> bool:
        done = self.at.step
        self.told(done, self.of_steps)
        if done == 0:
            self.early = {name: dose.astype(np.int64) for name, dose in self.doses().items()}
            return False
        if done == 1:
            self.began = time.monotonic()  # the first step compiled what it needed
        if done < _FEWEST:
            return False
        share, budget_s = self.extent.share, self.extent.budget_s
        if share is not None:
            return done >= share * self.of_steps
        return budget_s is not None and time.monotonic() - self.began > budget_s


def rehearse(
    experiment: Experiment,
    training: Training,
    bench: OpenedBench,
    extent: Extent,
    told: Callable[[int, int], None] = lambda done, of: None,
) -> Rehearsed:
    """Train on a bench that wears nothing; ``told`` gets the steps that are done, and all there are.

    What was left out is counted linearly: so much a step, so much an evaluation.

    Raises
    ------
    BenchError, LimitError, ScheduleError
        What ended it; the same would end the run.
    """
    settings, at, journal = experiment.training, Whereabouts(), _Evaluations()
    of_steps, of_evaluations = _extent_of(
        settings, len(training.data.train_y), trained=experiment.initial.trained
    )
    meter = _Meter(at, settings.update_noise_every)
    stop = _Stop(at, extent, of_steps, told, lambda: bench.doses)
    with bench:
        outcome = run(_whole(training, journal, stop, at), bench, meter)
        final = {name: dose.astype(np.int64) for name, dose in bench.doses.items()}
    ended = outcome.reason != "stopped"
    numbers = _Numbers(outcome.steps, journal.number, settings.update_noise_every)
    total = numbers if ended else _Numbers(of_steps, of_evaluations, settings.update_noise_every)
    evaluation = outcome.evaluation
    return Rehearsed(
        experiment.seed,
        outcome.steps,
        outcome.steps if ended else of_steps,
        _extrapolated(meter.costs, numbers, total),
        _given(stop.early, final, total.steps / numbers.steps if numbers.steps else 1.0),
        None if evaluation is None or not ended else evaluation.accuracy,
    )


def _whole(
    training: Training, journal: _Evaluations, stop: Callable[[], bool], at: Whereabouts
) -> Plan[Outcome]:
    """The training, and an evaluation where it was ended before there was one: its cost is needed."""
    outcome = yield from train(training, journal, stop, at)
    if journal.number == 0:
        yield from _evaluation(training.network, training, at)
        journal.number = 1
    return outcome


def _evaluation(network: Network, training: Training, at: Whereabouts) -> Plan[Any]:
    at.doing = "evaluation for its cost"
    return (yield from evaluate(network, training.data.test_x, training.data.test_y))


@dataclass(frozen=True, slots=True)
class _Numbers:
    """How often each phase comes."""

    steps: int
    evaluations: int
    every: int

    def of(self, phase: Phase) -> int:
        measured = -(-self.steps // self.every) if self.every else 0
        many = {"step": self.steps - measured, "measured step": measured, "evaluation": self.evaluations}
        return many.get(phase, 1)


def _measured(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _extent_of(settings: TrainingSettings, samples: int, *, trained: bool) -> tuple[int, int]:
    """Steps and evaluations of the whole run, as `hil.training.controller.train` takes them."""
    steps = -(-samples // settings.batch)
    first = 1 if trained or settings.epochs == 0 else 0
    return settings.epochs * steps, first + settings.epochs * min(settings.evaluations, steps)


def _extrapolated(costs: Mapping[Phase, Cost], done: _Numbers, total: _Numbers) -> Cost:
    whole = Cost()
    for phase, cost in costs.items():
        whole += scaled(cost, total.of(phase) / done.of(phase) if done.of(phase) else 1.0)
    return whole


def _given(
    early: Mapping[str, NDArray[np.int64]], final: Mapping[str, NDArray[np.int64]], factor: float
) -> dict[str, NDArray[np.int64]]:
    """Pulses to each device: those of the start, and those of the steps times so much."""
    found: dict[str, NDArray[np.int64]] = {}
    for name, doses in final.items():
        before = early.get(name, np.zeros_like(doses))
        found[name] = np.round(before + factor * (doses - before)).astype(np.int64)
    return found
