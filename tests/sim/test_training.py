"""Whole trainings on simulated arrays: as good as float arithmetic, repeatable, and ended as asked."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hil import session
from hil.bench import Execution
from hil.config.experiment import EarlyStop
from hil.data import Dataset
from hil.plan import run
from hil.schedule import Schedule
from hil.session import Prepared
from hil.training.controller import Outcome, train
from hil.training.events import EvaluationRow, Snapshot, TrainingRow, UpdateNoiseRow

SMALL = (
    "data.pixels=14",
    "data.train=1500",
    "data.test=500",
    "network.layers=[{outputs: 24, activation: tanh}, {outputs: 10, activation: softmax}]",
    "training.epochs=3",
    "training.rate=0.03",
    "training.evaluations=1",
    "training.update_noise_every=0",
)


PLAIN = ("read={}", "dac={}", "adc={}")


class Notes:
    """A journal that keeps what it is told."""

    def __init__(self) -> None:
        self.rows: list[TrainingRow] = []
        self.evaluations: list[EvaluationRow] = []
        self.noise: list[UpdateNoiseRow] = []
        self.snapshots: list[Snapshot] = []
        self.events: list[tuple[str, str]] = []

    def training(self, row: TrainingRow) -> None:
        self.rows.append(row)

    def evaluation(self, row: EvaluationRow) -> None:
        self.evaluations.append(row)

    def update_noise(self, row: UpdateNoiseRow) -> None:
        self.noise.append(row)

    def snapshot(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)

    def event(self, kind: str, text: str) -> None:
        self.events.append((kind, text))


def prepared(*overrides: str, device: str = "ideal") -> Prepared:
    return session.prepare(None, None, (*SMALL, *overrides), (f"device={device}", *PLAIN))


def trained(setup: Prepared) -> tuple[Outcome, Notes]:
    notes = Notes()
    return run(train(setup.training, notes), setup.bench), notes


def float_sgd(data: Dataset, hidden: int, rate: float, decay: float, epochs: int, seed: int) -> float:
    """Test accuracy of the same network trained in float32 by plain SGD,
    written without any of the project's code.
    """
    rng = np.random.default_rng(seed)
    sizes = [data.train_x.shape[1], hidden, 10]
    weights = []
    for n, m in pairwise(sizes):
        limit = np.sqrt(6 / (n + 1 + m))
        weights.append(rng.uniform(-limit, limit, (m, n + 1)).astype(np.float32))
    one = np.ones(1, np.float32)
    for _ in range(epochs):
        for sample in rng.permutation(len(data.train_y)):
            x = np.append(data.train_x[sample], one)
            h = np.append(np.tanh(weights[0] @ x), one)
            z = weights[1] @ h
            p = np.exp(z - z.max())
            delta = p / p.sum()
            delta[data.train_y[sample]] -= 1
            below = (weights[1].T @ delta)[:-1] * (1 - h[:-1] ** 2)
            weights[1] -= np.float32(rate) * np.outer(delta, h)
            weights[0] -= np.float32(rate) * np.outer(below, x)
        rate *= decay
    hidden_out = np.tanh(np.c_[data.test_x, np.ones(len(data.test_x))] @ weights[0].T)
    guess = (np.c_[hidden_out, np.ones(len(hidden_out))] @ weights[1].T).argmax(axis=1)
    return float((guess == data.test_y).mean())


@pytest.mark.parametrize("gradient", ["backprop", "progressive-bp"])
def test_a_near_ideal_array_learns_as_well_as_float_sgd(gradient: str) -> None:
    """Shortened; the study on full MNIST is in docs/methods."""
    seeds = (1, 2, 3)
    setup = prepared(f"gradient={gradient}", "training.rate_decay=1.0")
    ours = [
        trained(prepared(f"gradient={gradient}", "training.rate_decay=1.0", f"seed={seed}"))[0]
        for seed in seeds
    ]
    theirs = [float_sgd(setup.training.data, 24, 0.03, 1.0, 3, seed) for seed in seeds]
    accuracies = [outcome.evaluation.accuracy for outcome in ours if outcome.evaluation]
    assert len(accuracies) == 3
    assert np.mean(accuracies) > 0.8
    assert np.mean(accuracies) > np.mean(theirs) - 0.02


@pytest.mark.parametrize("update", ["bidirectional", "manhattan", "{name: bidirectional, compensated: true}"])
def test_the_same_seed_gives_the_same_run_and_another_seed_another(update: str) -> None:
    def bits(seed: int) -> list[bytes]:
        noisy = prepared(
            f"update={update}", f"seed={seed}", "data.train=200", "training.epochs=1", device="EpiRAM_AgSiGe"
        )
        outcome, notes = trained(noisy)
        assert outcome.evaluation is not None
        return [snapshot.amperes.tobytes() for snapshot in notes.snapshots] + [repr(notes.rows).encode()]

    assert bits(1) == bits(1)
    assert bits(1) != bits(2)


def test_one_thread_and_two_give_the_same_bits(tmp_path: Path) -> None:
    script = tmp_path / "bits.py"
    script.write_text(
        "import sys, hashlib\n"
        "from tests.sim.test_training import prepared, trained\n"
        "_, notes = trained(prepared('data.train=150', 'training.epochs=1', device='EpiRAM_AgSiGe'))\n"
        "print(hashlib.sha256(b''.join(s.amperes.tobytes() for s in notes.snapshots)).hexdigest())\n"
    )

    def digest(threads: int) -> str:
        counts = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), str(threads))
        root = str(Path(__file__).parents[2])
        done = subprocess.run(
            [sys.executable, str(script)],
            env={**os.environ, **counts, "PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert digest(1) == digest(2)


def test_snapshots_hold_what_the_devices_hold_before_and_after() -> None:
    setup = prepared("data.train=100", "training.epochs=1")
    _, notes = trained(setup)
    assert [snapshot.moment for snapshot in notes.snapshots] == ["initial", "initial", "final", "final"]
    reading = run(setup.network.layers[0].tile.read(), setup.bench)
    last = notes.snapshots[2]
    siemens = last.amperes / last.voltage_v
    assert siemens == pytest.approx(np.concatenate((reading.plus, reading.minus), axis=1), rel=1e-6)
    assert (notes.snapshots[0].amperes != last.amperes).any()


def test_rows_tell_every_sample_once_and_evaluations_come_as_often_as_asked() -> None:
    _, notes = trained(
        prepared("data.train=700", "training.epochs=2", "training.evaluations=3", "training.report_every=150")
    )
    assert notes.rows[-1].samples == 1400
    assert [row.samples for row in notes.rows] == sorted(row.samples for row in notes.rows)
    assert [row.samples for row in notes.evaluations] == [233, 466, 700, 933, 1166, 1400]
    assert [row.epoch for row in notes.evaluations] == [1, 1, 1, 2, 2, 2]


def test_it_stops_between_two_steps_when_asked_and_still_reads_the_arrays() -> None:
    setup, notes = prepared("training.report_every=1"), Notes()
    outcome = run(train(setup.training, notes, lambda: len(notes.rows) == 40), setup.bench)
    assert (outcome.reason, outcome.steps) == ("stopped", 40)
    assert [snapshot.moment for snapshot in notes.snapshots][-1] == "final"


class Heard:
    """A recorder of the kinds of operation in each schedule."""

    def __init__(self) -> None:
        self.kinds: list[set[str]] = []

    def before(self, schedule: Schedule, *, durable: bool) -> None:
        """Nothing is known yet."""

    def after(self, schedule: Schedule, execution: Execution) -> None:
        self.kinds.append({type(op).__name__ for op in schedule})


@pytest.mark.parametrize(
    ("initial", "before"),
    [("write-verify", [{"Read"}, {"Program", "Read"}]), ("random", [{"Program"}, {"Program"}])],
)
def test_asked_to_stop_while_weights_are_written_it_ends_after_that_round_and_reads_the_arrays_once(
    initial: str, before: list[set[str]]
) -> None:
    setup, notes, heard = prepared(f"initial.kind={initial}"), Notes(), Heard()
    outcome = run(
        train(setup.training, notes, lambda: any(dose.any() for dose in setup.bench.doses.values())),
        setup.bench,
        heard,
    )
    assert heard.kinds == [*before, {"Read"}]
    assert outcome == Outcome("stopped", steps=0, samples=0, epochs=0, evaluation=None)
    assert {snapshot.region.array for snapshot in notes.snapshots} == setup.bench.arrays.keys()
    assert {snapshot.moment for snapshot in notes.snapshots} == {"final"}
    pulsed = [name for name, dose in setup.bench.doses.items() if dose.any()]
    assert len(pulsed) == 1 < len(setup.bench.arrays), "the second layer was not begun"


def test_it_stops_when_the_accuracy_asked_for_is_reached() -> None:
    outcome, notes = trained(prepared("training.target_accuracy=0.3", "training.evaluations=10"))
    assert outcome.reason == "target"
    assert notes.evaluations[-1].accuracy >= 0.3
    assert all(row.accuracy < 0.3 for row in notes.evaluations[:-1])


def test_it_stops_when_the_accuracy_no_longer_rises() -> None:
    setup = prepared("training.epochs=50", "data.train=100")
    settings = setup.training.settings.model_copy(update={"early_stop": EarlyStop(patience=2, min_rise=0.5)})
    outcome, notes = trained(replace(setup, training=replace(setup.training, settings=settings)))
    assert outcome.reason == "early-stop"
    best = max(range(len(notes.evaluations)), key=lambda k: notes.evaluations[k].accuracy >= 0.5)
    assert len(notes.evaluations) - 1 - best <= 3


def test_update_noise_on_an_ideal_array_is_that_of_rounding_alone() -> None:
    """A pair's change rounds to whole pulses on both devices:
    at most two steps off, and none where one pulse fits exactly.
    """
    setup = prepared("training.update_noise_every=25", "training.epochs=1", "data.train=300")
    _, notes = trained(setup)
    tile = setup.network.layers[0].tile
    pulse = tile.sheet.step_up_s / tile.scale_s
    assert {row.layer for row in notes.noise} == {0, 1}
    assert all(0 < row.raw < 2 * pulse for row in notes.noise)
    assert all(row.normalised > 0 for row in notes.noise)


def test_initial_weights_are_written_within_tolerance_where_devices_allow() -> None:
    setup = prepared("initial.tolerance=0.01", "data.train=100", "training.epochs=1")
    _, notes = trained(setup)
    assert not [text for kind, text in notes.events if kind == "warning"]
    tile = setup.network.layers[0].tile
    first = notes.snapshots[0]
    g = first.amperes / first.voltage_v
    weights = (g[:, :24] - g[:, 24:]) / tile.scale_s
    limit = np.sqrt(6 / (tile.n_in + tile.n_out))
    assert np.abs(weights).max() < 1.01 * limit + tile.sheet.step_up_s / tile.scale_s * 1.5
    (told,) = [text for kind, text in notes.events if kind == "initial" and "layer1" in text]
    assert f"layer1: 0 of {tile.devices:,} devices (0.0%) missed their initial weight after " in told
    assert told.endswith("held it from the start")
    assert weights.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)


def test_devices_that_do_not_reach_their_initial_weight_are_told() -> None:
    setup = session.prepare(
        None,
        None,
        (*SMALL, "data.train=50", "training.epochs=1"),
        ("device={preset: ideal, faults: {stuck_low: 0.05}}", *PLAIN),
    )
    _, notes = trained(setup)
    warnings = [text for kind, text in notes.events if kind == "warning"]
    (told,) = [text for text in warnings if text.startswith("layer1: ")]
    assert "missed their initial weight" in told
    assert "To miss fewer: more initial.rounds, or a wider initial.tolerance (now 30% of" in told


def test_training_also_starts_from_weights_written_blind() -> None:
    outcome, _ = trained(prepared("initial.kind=random"))
    assert outcome.evaluation is not None
    assert outcome.evaluation.accuracy > 0.6


def test_devices_are_left_as_they_are_when_told() -> None:
    setup = prepared("initial.kind=keep", "data.train=10", "training.epochs=1")
    before = run(setup.network.layers[0].tile.read(), setup.bench)
    _, notes = trained(setup)
    first = notes.snapshots[0]
    assert first.amperes / first.voltage_v == pytest.approx(
        np.concatenate((before.plus, before.minus), axis=1), rel=1e-6
    )


def test_pulses_that_a_step_may_not_give_are_told_at_the_end() -> None:
    _, notes = trained(
        prepared("update.max_pulses=1", "data.train=200", "training.epochs=1", "training.rate=0.5")
    )
    assert any("max_pulses" in text for kind, text in notes.events if kind == "warning")
