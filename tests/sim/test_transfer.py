"""Weights trained in software, or given in a file, written to devices: how good they are before and after."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hil import session
from hil.cli.words import figures
from hil.errors import ConfigError
from hil.plan import run
from hil.report import write_report
from hil.session import Prepared
from hil.training.controller import train
from tests.sim.test_training import PLAIN, Notes, float_sgd

NET = "network.layers=[{outputs: 24, activation: tanh}, {outputs: 10, activation: softmax}]"
SPREAD = (
    "device={preset: ideal, levels_up: 256, levels_down: 256, d2d: {range: 0.1, step: 0.3, asymmetry: 0.1}}"
)
LEVELS = "device={preset: ideal, levels_up: 256, levels_down: 256}"


def prepared(*overrides: str, device: str = LEVELS) -> Prepared:
    small = ("data.pixels=14", "data.train=1500", "data.test=500", NET, "training.epochs=0")
    return session.prepare(None, None, (*small, *overrides), (device, *PLAIN))


def transferred(setup: Prepared) -> tuple[float, float, Notes]:
    """Accuracy in software and in the devices."""
    notes = Notes()
    outcome = run(train(setup.training, notes), setup.bench)
    assert outcome.evaluation is not None
    told = next(text for kind, text in notes.events if kind == "transfer")
    found = re.match(r"accuracy ([\d.]+)% in software, ([\d.]+)% in the devices", told)
    assert found is not None
    assert outcome.transfer is not None
    assert outcome.transfer.devices == outcome.evaluation.accuracy
    assert float(found[1]) == pytest.approx(100 * outcome.transfer.software, abs=0.01)
    assert float(found[2]) == pytest.approx(100 * outcome.evaluation.accuracy, abs=0.01)
    return float(found[1]) / 100, outcome.evaluation.accuracy, notes


def test_transfer_keeps_the_accuracy_of_software_and_open_loop_does_not_where_devices_differ() -> None:
    for device in (LEVELS, SPREAD):
        software, devices, _ = transferred(prepared("initial.kind=transfer", device=device))
        assert software > 0.85
        assert devices > software - 0.012  # within 1 point, of 500 samples
    blind_software, blind, notes = transferred(
        prepared("initial={kind: transfer, open_loop: true}", device=SPREAD)
    )
    assert blind_software == software
    assert blind < devices - 0.05
    assert any("unread" in text for kind, text in notes.events if kind == "initial")


def test_software_learns_as_well_as_sgd_written_without_this_project() -> None:
    setup = prepared("initial={kind: transfer, software: {epochs: 3, batch: 1, rate: 0.03, rate_decay: 1.0}}")
    software, _, _ = transferred(setup)
    theirs = float_sgd(setup.training.data, 24, 0.03, 1.0, 3, 1)
    assert software == pytest.approx(theirs, abs=0.025)


def test_a_convolution_network_is_trained_in_software_too() -> None:
    net = (
        "network.layers=[{kind: conv, channels: 6, kernel: 3, pool: {}}, {outputs: 10, activation: softmax}]"
    )
    software, devices, _ = transferred(
        prepared(net, "initial={kind: transfer, software: {epochs: 4}}", "initial.tolerance=0.01")
    )
    assert software > 0.8
    assert devices > software - 0.03


def test_hybrid_training_goes_on_from_what_was_transferred() -> None:
    setup = prepared(
        "initial={kind: transfer, software: {epochs: 1, rate: 0.02}}",
        "training.epochs=2",
        "training.rate=0.03",
        "training.evaluations=1",
        device=SPREAD,
    )
    notes = Notes()
    outcome = run(train(setup.training, notes), setup.bench)
    assert [row.epoch for row in notes.evaluations] == [0, 1, 2]
    assert [row.samples for row in notes.evaluations] == [0, 1500, 3000]
    assert outcome.evaluation is not None
    assert outcome.evaluation.accuracy > notes.evaluations[0].accuracy + 0.02
    assert outcome.transfer is not None
    assert outcome.transfer.devices == notes.evaluations[0].accuracy


def test_what_a_transfer_came_to_is_at_the_top_of_the_report_and_in_the_final_table(tmp_path: Path) -> None:
    few = ("data.train=300", "data.test=100", "initial={kind: transfer, software: {epochs: 2}}")
    done = session.execute(prepared(*few), tmp_path)
    moved = done.summary["transfer"]
    software, devices = 100 * moved["software"], 100 * moved["devices"]
    told = dict(figures(done.summary))["transfer"]
    assert told.startswith(f"{software:.2f} % in software, {devices:.2f} % in the devices (")
    top = write_report(done).read_text(encoding="utf-8").partition("<h2>")[0]
    before = f"<b>Transferred:</b> {software:.2f} % in software, {devices:.2f} % in the devices ("
    assert before in top.partition("<dl")[0]
    assert ("after training in the devices" in top) == (done.summary["steps"] > 0)


def test_without_epochs_the_devices_are_evaluated_as_they_are() -> None:
    setup, notes = prepared("initial.kind=keep"), Notes()
    outcome = run(train(setup.training, notes), setup.bench)
    assert (outcome.reason, outcome.steps, outcome.epochs) == ("finished", 0, 0)
    assert [row.samples for row in notes.evaluations] == [0]
    assert not any(dose.any() for dose in setup.bench.doses.values())


def test_a_target_that_transfer_reaches_ends_the_run_before_any_step() -> None:
    setup, notes = (
        prepared("initial.kind=transfer", "training.epochs=2", "training.target_accuracy=0.5"),
        Notes(),
    )
    outcome = run(train(setup.training, notes), setup.bench)
    assert (outcome.reason, outcome.steps) == ("target", 0)


def test_weights_of_a_file_are_in_the_devices_afterwards(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    given = {"layer1": rng.uniform(-0.9, 0.9, (24, 197)), "layer2": rng.uniform(-0.9, 0.9, (10, 25))}
    np.savez(tmp_path / "weights.npz", **given)
    setup = prepared(f"initial={{kind: file, path: {tmp_path / 'weights.npz'}}}")
    transferred(setup)
    for layer, wanted in zip(setup.network.layers, given.values(), strict=True):
        held = layer.tile.weights(run(layer.tile.read(), setup.bench))
        assert np.quantile(np.abs(held - wanted), 0.99) < 2 * 0.02 + 1e-6


def _file(folder: Path, **arrays: np.ndarray) -> str:
    np.savez(folder / "w.npz", **arrays)
    return str(folder / "w.npz")


GOOD = {"layer1": np.zeros((24, 197)), "layer2": np.zeros((10, 25))}


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"layer1": GOOD["layer1"]}, "layer2: missing"),
        ({**GOOD, "layer3": GOOD["layer2"]}, "layer3: no such layer; this network has layer1, layer2"),
        (
            {**GOOD, "layer2": GOOD["layer2"].T},
            r"layer2: shape \(25, 10\); \(10, 25\) is needed, \[outputs, inputs\]",
        ),
        (
            {**GOOD, "layer1": np.full((24, 197), 1.5)},
            "layer1: largest weight 1.5; its devices hold up to w_max 1",
        ),
        ({**GOOD, "layer1": np.full((24, 197), np.nan)}, "layer1: a value is NaN or infinite"),
        ({**GOOD, "layer1": np.full((24, 197), "x")}, "layer1: holds <U1, numbers are needed"),
        ({**GOOD, "layer1": np.full((24, 197), {}, object)}, "is no .npz of plain arrays"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_the_bench_is_opened(
    tmp_path: Path, arrays: dict[str, np.ndarray], says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        prepared(f"initial={{kind: file, path: {_file(tmp_path, **arrays)}}}")
    assert str(refused.value).startswith("--set initial: initial.path") or "initial.path" in str(
        refused.value
    )


def test_a_file_that_is_not_there_or_no_npz_is_refused(tmp_path: Path) -> None:
    for name, content, says in (("no.npz", None, "no file"), ("text.npz", b"hello", "is no .npz")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=says):
            prepared(f"initial={{kind: file, path: {tmp_path / name}}}")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ConfigError, match=r"is no .npz; np.savez"):
        prepared(f"initial={{kind: file, path: {tmp_path / 'one.npy'}}}")


@pytest.mark.parametrize(
    ("initial", "says"),
    [
        ("{kind: file}", "initial.path: kind file needs the .npz"),
        ("{kind: random, path: w.npz}", "initial.path: is for kind file; kind is random"),
        ("{open_loop: true}", "initial.open_loop: is for kind transfer or file; kind is write-verify"),
        ("{kind: keep, software: {epochs: 2}}", "initial.software: is for kind transfer; kind is keep"),
    ],
)
def test_keys_of_another_kind_are_refused(initial: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        prepared(f"initial={initial}")


def test_keys_of_another_kind_that_say_what_is_so_by_default_ask_for_nothing() -> None:
    setup = prepared("initial={kind: write-verify, open_loop: false, path: null, software: {}}")
    assert setup.experiment.initial.kind == "write-verify"


def test_an_amplitude_beyond_the_limits_is_refused_before_anything_runs() -> None:
    bench = (LEVELS, *PLAIN, "limits.program=1.2 V")
    default = (
        r"initial.amplitude_most: asked for 1.5 \(the default\), which is 1.5 V on layer1; "
        r"this bench allows 1.2 V \(limits.program\): write initial.amplitude_most: 1.2 or less"
    )
    with pytest.raises(ConfigError, match=default):
        session.prepare(None, None, ("initial.amplitude_step=0.1",), bench)
    with pytest.raises(ConfigError, match=r"initial.amplitude_most: asked for 1.4, which is 1.4 V"):
        session.prepare(None, None, ("initial={amplitude_step: 0.1, amplitude_most: 1.4}",), bench)
    session.prepare(None, None, ("initial={amplitude_step: 0.1, amplitude_most: 1.2}",), bench)
