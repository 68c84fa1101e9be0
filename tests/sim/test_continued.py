"""A training that goes on after some steps, on devices as they are, for every gradient and update."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hil import plugins
from hil.plan import run
from hil.training.contracts import Continuation, Resumable
from hil.training.controller import Whereabouts, train
from tests.sim.test_training import Notes, prepared

FEW = (
    "data.pixels=7",
    "data.train=80",
    "data.test=40",
    "network.layers=[{outputs: 6, activation: tanh}, {outputs: 10, activation: softmax}]",
    "training={epochs: 2, batch: 4, rate: 0.3, evaluations: 2, update_noise_every: 7}",
)
STEPS, BEHIND = 40, 23
CRUS = f"{{name: crus, sense_every: {BEHIND}}}"  # what goes on senses anew
HYBRID = "{name: hybrid, layers: [layer1]}"
GRADIENTS = [HYBRID if name == "hybrid" else name for name in plugins.names("gradients")]
UPDATES = [CRUS if name == "crus" else name for name in plugins.names("updates")]
COMPENSATED = "{name: bidirectional, compensated: true, sense_every: 10}"
PAIRS = [
    *((gradient, "bidirectional") for gradient in GRADIENTS),
    *(("backprop", update) for update in UPDATES),
    ("progressive-bp", COMPENSATED),
]


def final(notes: Notes) -> list[np.ndarray]:
    return [shot.amperes for shot in notes.snapshots if shot.moment == "final"]


@pytest.mark.parametrize(("gradient", "update"), PAIRS)
def test_what_goes_on_ends_as_what_was_never_stopped(gradient: str, update: str) -> None:
    keys = (*FEW, f"gradient={gradient}", f"update={update}")
    with (whole := prepared(*keys)).bench:
        undisturbed = Notes()
        run(train(whole.training, undisturbed), whole.bench)
    with (setup := prepared(*keys)).bench:
        first, then, at = Notes(), Notes(), Whereabouts()
        run(train(setup.training, first, lambda: at.step >= BEHIND, at), setup.bench)
        last = first.evaluations[-1].step
        behind = Continuation(BEHIND, last, tuple(row.accuracy for row in first.evaluations))
        outcome = run(train(replace(setup.training, continues=behind), then), setup.bench)
    assert outcome.steps == STEPS
    assert outcome.samples == 2 * 80
    assert [row.step for row in first.evaluations + then.evaluations] == [10, 20, 30, 40]
    assert isinstance(setup.training.update, Resumable)
    if "write-verify" not in update:  # less than a step that devices were owed on the host is forgotten
        for found, expected in zip(final(then), final(undisturbed), strict=True):
            np.testing.assert_array_equal(found, expected)
        assert [row.accuracy for row in first.evaluations + then.evaluations] == [
            row.accuracy for row in undisturbed.evaluations
        ]


def test_an_early_stop_counts_the_evaluations_before() -> None:
    keys = (
        *FEW,
        "gradient=backprop",
        "training.early_stop={patience: 3, min_rise: 0.5}",
        "training.epochs=4",
    )
    with (setup := prepared(*keys)).bench:
        notes = Notes()
        behind = Continuation(BEHIND, 20, (0.4, 0.4))
        outcome = run(train(replace(setup.training, continues=behind), notes), setup.bench)
    assert outcome.reason == "early-stop"
    assert [row.step for row in notes.evaluations] == [30, 40]
