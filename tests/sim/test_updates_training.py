"""Trainings by the update schemes: the orderings that their methods claim, shortened, and repeatability."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from hil import session
from hil.plan import run
from hil.training.controller import train
from hil.training.events import EvaluationRow, Snapshot, TrainingRow, UpdateNoiseRow

DENSE = "[{outputs: 24, activation: tanh}, {outputs: 10, activation: softmax}]"
CONV = (
    "[{kind: conv, channels: 3, kernel: 5, activation: tanh, pool: {size: 2}}, "
    "{outputs: 10, activation: softmax}]"
)
FINE = "{name: unidirectional, error_threshold: 0.02}"
"""For convolutions: the errors of single positions are small."""
GRADED = "{name: unidirectional, counts: graded, input_threshold: 0, error_threshold: 0}"


@dataclass
class Notes:
    """A journal that keeps what the tests ask for."""

    accuracy: float = 0.0
    noise: list[float] = field(default_factory=list)
    last: list[np.ndarray] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def training(self, row: TrainingRow) -> None:
        """Not asked for."""

    def evaluation(self, row: EvaluationRow) -> None:
        self.accuracy = row.accuracy

    def update_noise(self, row: UpdateNoiseRow) -> None:
        self.noise.append(row.normalised)

    def snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.moment == "final":
            self.last.append(snapshot.amperes)

    def event(self, kind: str, text: str) -> None:
        if kind == "warning":
            self.warnings.append(text)


def trained(
    update: str, *more: str, levels: int = 64, nl: tuple[float, float] = (0, 0), layers: str = DENSE
) -> Notes:
    prepared = session.prepare(
        None,
        None,
        (
            f"update={update}",
            f"network.layers={layers}",
            "gradient=backprop",
            "data={name: mnist-5k, pixels: 14, train: 1500, test: 500}",
            "training={epochs: 1, rate: 0.02, update_noise_every: 100}",
            *more,
        ),
        (
            f"device={{preset: ideal, levels_up: {levels}, levels_down: {levels}, "
            f"nl_up: {nl[0]}, nl_down: {nl[1]}}}",
            "read={}",
            "dac={}",
            "adc={}",
        ),
    )
    notes = Notes()
    with prepared.bench:
        run(train(prepared.training, notes), prepared.bench)
    return notes


def test_crus_is_ahead_of_the_bidirectional_scheme_on_very_nonlinear_devices_at_less_noise() -> None:
    """Shortened; the study on full MNIST is examples/studies/crus-nonlinear.yaml."""
    ours, theirs = (trained(name, nl=(6, -8)) for name in ("crus", "bidirectional"))
    assert ours.accuracy > theirs.accuracy + 0.05
    assert np.mean(ours.noise) < np.mean(theirs.noise)


def test_pairs_that_only_rise_learn_curved_devices_better_and_saturate_without_refresh() -> None:
    """Shortened; the study on full MNIST is examples/studies/unidirectional-grid.yaml."""
    more = ("data.train=2500", "training.update_noise_every=0")
    ours, both_ways, never = (
        trained(update, *more, nl=(2.4, -2.4))
        for update in (
            "unidirectional",
            "{name: unidirectional, scheme: bidirectional}",
            "{name: unidirectional, refresh: {every: 0}}",
        )
    )
    assert ours.accuracy > both_ways.accuracy
    assert ours.accuracy > never.accuracy + 0.05


@pytest.mark.parametrize("update", [FINE, GRADED, "crus", "stochastic"])
def test_a_convolution_is_learned_in_batches_and_the_same_seed_gives_the_same_devices(update: str) -> None:
    more = ("training.batch=4", "training.rate=0.05", "data.train=1000", "training.update_noise_every=0")
    first, again = (trained(update, *more, levels=512, layers=CONV) for _ in range(2))
    assert first.accuracy > 0.4
    assert all((a == b).all() for a, b in zip(first.last, again.last, strict=True))
    assert len(first.last) == 2


def test_single_devices_against_a_reference_learn_by_the_adaptive_rule() -> None:
    update = "{name: unidirectional, scheme: single}"
    assert trained(update, "network.weights=reference", levels=512).accuracy > 0.5
