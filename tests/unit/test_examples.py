"""Every example loads, says what it is, fits together with the others, and trains for a moment."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

import hil
from hil import session, setup

EXAMPLES = Path(__file__).parents[2] / "examples"
BENCHES = sorted(  # a bench of instruments needs them, or virtual ones in a process beside
    path for path in (EXAMPLES / "benches").glob("*.yaml") if "driver: sim" in path.read_text("utf-8")
)
EXPERIMENTS = sorted((EXAMPLES / "experiments").glob("*.yaml"))
DIGITS = EXAMPLES / "experiments" / "digits-progressive.yaml"
FEW = ("data.train=60", "data.test=30", "training.epochs=1", "training.evaluations=1")


@pytest.mark.parametrize("path", [*BENCHES, *EXPERIMENTS], ids=lambda path: path.stem)
def test_an_example_begins_by_saying_what_it_is_and_is_named_after_its_file(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
    load = setup.load_bench if path in BENCHES else setup.load_experiment
    settings, _ = load(path)
    assert settings.name == path.stem


@pytest.mark.parametrize("bench", BENCHES, ids=lambda path: path.stem)
def test_an_example_bench_trains_digits_within_its_limits(bench: Path, tmp_path: Path) -> None:
    few = (*FEW, "data.pixels=14", "network.layers.0.outputs=16", "initial.rounds=2")
    run = session.execute(session.prepare(DIGITS, bench, few), tmp_path)
    assert run.status == "finished"
    assert run.summary["pulses"] > 0


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_example_experiment_trains_on_the_built_in_bench(experiment: Path, tmp_path: Path) -> None:
    packaged = ("data={name: mnist-5k}",) if experiment.stem == "mnist-full" else ()
    run = session.execute(session.prepare(experiment, overrides=(*packaged, *FEW)), tmp_path)
    assert run.status == "finished"
    assert np.isfinite(run.evaluations["loss"]).all()


def test_the_example_in_python_goes_from_a_chip_to_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = runpy.run_path(str(EXAMPLES / "chip.py"))
    for record in done["records"]:
        assert Path(f"{record.routine}.pdf").read_bytes().startswith(b"%PDF")
    assert hil.open_run("runs").status == "finished"
    assert hil.load_bench(done["twin"]).name == "chip-7-twin"


def test_the_built_in_example_is_the_built_in_bench() -> None:
    assert setup.load_bench(EXAMPLES / "benches" / "built-in.yaml")[0] == setup.load_bench()[0]


def test_the_network_of_the_small_arrays_takes_as_many_as_the_example_says() -> None:
    prepared = session.prepare(DIGITS, EXAMPLES / "benches" / "small-arrays.yaml")
    used = {block.region.array for layer in prepared.network.layers for block in layer.tile.blocks}
    assert len(used) == 14


def test_a_faulty_example_has_the_faults_it_names() -> None:
    settings, _ = setup.load_bench(EXAMPLES / "benches" / "taox-faulty.yaml")
    bench = setup.open_bench(settings, {"main": (200, 200)})
    siemens = hil.read(bench, "main")
    assert 0.0005 < np.mean(siemens == 0) < 0.005
    assert siemens[0, 0] < np.median(siemens)
