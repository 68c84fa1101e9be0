"""R2: a run that was killed goes on from what the devices hold, and no step is given twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hil import resume
from hil.store import Run, list_runs, open_run
from tests.socket.cli import ROOT, hil, virtual
from tests.socket.line_server import line_settings, served
from tests.socket.test_line_cli import connected

EXPERIMENT = f"""\
name: rings
data: {{name: csv, path: {ROOT / "examples/experiments/rings.csv"}, test: 40, train: 60}}
network: {{layers: [{{outputs: 4, activation: tanh}}, {{outputs: 2, activation: softmax, w_max: 4}}]}}
gradient: GRADIENT
update: bidirectional
training: {{epochs: 2, batch: 4, rate: 0.3, evaluations: 2, update_noise_every: 7}}
"""
STEPS = 30
ARRAYS = {"first": {"rows": "0-2", "cols": "0-7"}, "second": {"rows": "8-12", "cols": "16-19"}}
BENCH = f"""\
driver: line
controller: {{resource: nowhere}}
arrays: {json.dumps(ARRAYS)}
device: {{preset: ideal, initial: uniform}}
virtual: {{port: 0}}
"""
KILLED = """\
import os, signal, sys
from hil.cli.app import main
from hil.store import RunWriter
name, moment, step = sys.argv[1:4]
del sys.argv[1:4]
original = getattr(RunWriter, name)
def killing(self, *args, **keys):
    pulses = name == "evaluation" or any(type(op).__name__ == "Program" for op in args[0])
    mine = pulses and self.now() == int(step)
    if mine and moment == "early":
        os.kill(os.getpid(), signal.SIGKILL)
    original(self, *args, **keys)
    if mine:
        os.kill(os.getpid(), signal.SIGKILL)
setattr(RunWriter, name, killing)
main()
"""


def files(folder: Path, gradient: str = "backprop") -> None:
    (folder / "rings.yaml").write_text(EXPERIMENT.replace("GRADIENT", gradient))
    (folder / "virtual.yaml").write_text(BENCH)


def killed(folder: Path, instant: tuple[str, str, int], *arguments: str) -> Run:
    """A command that SIGKILL ends before or after what it records of a step; the run that it leaves."""
    words = [sys.executable, "-c", KILLED, *map(str, instant), *arguments, "--yes", "--no-report"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = open_run(folder / "runs")
    assert left.status == "interrupted"
    return left


def resumed(folder: Path, *arguments: str) -> Run:
    done = hil(folder, "resume", *arguments, "--yes", "--no-report", "--json")
    assert done.returncode == 0, done.stderr
    return open_run(folder / json.loads(done.stdout)["run"])


def given(folder: Path) -> int:
    """Pulses by the board's own counters."""
    controller = connected(folder)
    try:
        return controller.totals()["pulses"]
    finally:
        controller.close()


def trained(folder: Path) -> tuple[Run, int]:
    """The same training without a kill, on a board of its own; the run, and the pulses that the board saw."""
    folder.mkdir()
    files(folder)
    with virtual(folder, folder / "virtual.yaml"):
        done = hil(folder, "train", "rings.yaml", "--bench", "bench.yaml", "--yes", "--no-report")
        assert done.returncode == 0, done.stderr
        return open_run(folder / "runs"), given(folder)


def test_a_run_killed_between_two_steps_again_and_again_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, pulses = trained(tmp_path / "whole")
    files(tmp_path)
    with virtual(tmp_path, tmp_path / "virtual.yaml"):
        killed(tmp_path, ("before", "early", 3), "train", "rings.yaml", "--bench", "bench.yaml")
        killed(tmp_path, ("after", "late", 8), "resume")
        killed(tmp_path, ("evaluation", "early", 15), "resume")
        last = resumed(tmp_path)
        assert given(tmp_path) == pulses
    for array, siemens in whole.snapshot("final").items():
        np.testing.assert_array_equal(last.snapshot("final")[array], siemens)
    runs = list_runs(tmp_path / "runs")
    assert [run.header.get("continues", {}).get("step", 0) for run in runs] == [0, 3, 9, 15]
    assert [run.continued_by for run in runs] == [*(run.path.resolve() for run in runs[1:]), None]
    assert runs[0].going_on == f"{runs[1].path.resolve()} goes on from it"
    assert runs[-1].going_on == ""
    rows = np.concatenate([run.evaluations for run in runs])
    np.testing.assert_array_equal(rows, whole.evaluations)
    assert last.summary["steps"] == STEPS
    assert last.summary["accuracy"] == whole.summary["accuracy"]
    assert not any(intent.in_doubt for run in runs for intent in run.intents)
    assert last.cost_in_all.pulses == whole.cost.pulses == pulses
    told = hil(tmp_path, "show", str(last.path)).stdout
    assert f"which end at step 15, at least: {pulses:,} pulses, " in " ".join(told.split())
    assert any("goes on after step 15 of " in text for _, kind, text in last.events if kind == "continued")


@pytest.mark.parametrize("gradient", ["backprop", "progressive-bp"])
def test_a_step_whose_pulses_are_in_doubt_is_over_and_none_of_them_is_given_again(
    gradient: str, tmp_path: Path
) -> None:
    files(tmp_path, gradient)
    with virtual(tmp_path, tmp_path / "virtual.yaml"):
        withheld = killed(tmp_path, ("before", "late", 4), "train", "rings.yaml", "--bench", "bench.yaml")
        after_it = killed(tmp_path, ("after", "early", 9), "resume")
        last = resumed(tmp_path)
        total = given(tmp_path)
    runs = withheld, after_it, last
    doubts = [sum(intent.pulses for intent in run.intents if intent.in_doubt) for run in runs]
    asked = sum(intent.pulses for run in runs for intent in run.intents)
    assert min(doubts[:2]) > 0
    assert total == asked - doubts[0], "the first was not put out, the second was"
    assert [run.header["continues"]["step"] for run in runs[1:]] == [5, 10]
    assert all(intent.step >= 10 for intent in last.intents)
    assert f"{doubts[1]} pulses of it are in doubt" in next(
        text for _, kind, text in last.events if kind == "continued"
    )
    assert last.summary["steps"] == STEPS


def test_what_cannot_go_on_is_refused_and_nothing_is_output(tmp_path: Path) -> None:
    files(tmp_path)
    command = "train", "rings.yaml", "--bench", "bench.yaml"
    with virtual(tmp_path, tmp_path / "virtual.yaml"):

        def refused(*arguments: str) -> str:
            before = given(tmp_path)
            done = hil(tmp_path, "resume", *arguments, "--yes")
            assert done.returncode == 2, done.stderr
            assert given(tmp_path) == before
            return done.stderr

        first = killed(tmp_path, ("before", "late", 0), *command)
        assert "while its initial weights were written" in refused()
        run = killed(tmp_path, ("after", "late", 5), *command)
        assert run.going_on.startswith(f"hil resume {run.path} goes on with it, from what the devices hold; ")
        (tmp_path / "rings.yaml").write_text(EXPERIMENT.replace("GRADIENT", "backprop") + "\n")
        assert "rings.yaml: it is not what it was when " in refused(str(run.path))
        (tmp_path / "rings.yaml").rename(tmp_path / "moved.yaml")
        assert "its experiment file cannot be read: " in refused()
        (tmp_path / "moved.yaml").write_text(EXPERIMENT.replace("GRADIENT", "backprop"))
        last = resumed(tmp_path, str(run.path), "--experiment", "moved.yaml")
        assert "finished; to train on, use initial: keep" in refused(str(last.path))
        assert f"{last.path.resolve()} goes on from it already" in refused(str(run.path))
        assert first.continued_by is None
        assert first.going_on == "it ended while its initial weights were written: begin anew with hil train"


def test_a_run_whose_array_another_one_has_pulsed_since_is_refused(tmp_path: Path) -> None:
    files(tmp_path)
    with virtual(tmp_path, tmp_path / "virtual.yaml"):
        left = killed(tmp_path, ("after", "late", 5), "train", "rings.yaml", "--bench", "bench.yaml")
        assert "outputs may still be on: hil safe" in hil(tmp_path, "show").stdout
        done = hil(tmp_path, "train", "rings.yaml", "--bench", "bench.yaml", "--yes", "--name", "other")
        assert done.returncode == 0, done.stderr
        told = hil(tmp_path, "resume", str(left.path), "--yes")
    assert told.returncode == 2
    assert "-other has pulsed first, second since" in told.stderr


def test_another_board_and_a_bench_file_that_was_changed_are_refused_unless_the_file_is_named(
    tmp_path: Path,
) -> None:
    files(tmp_path)
    with served(line_settings(arrays=ARRAYS), serial="A1") as there:
        text = BENCH.replace("nowhere", there.resource).replace("virtual: {port: 0}\n", "")
        (tmp_path / "bench.yaml").write_text(text)
        run = killed(tmp_path, ("after", "late", 5), "train", "rings.yaml", "--bench", "bench.yaml")
        there.controller.exchange("C3")
        done = hil(tmp_path, "resume", "--yes")
        assert done.returncode == 4, done.stderr
        assert "controller was " in done.stderr
        assert " C3, " in done.stderr
        assert run.continued_by is None
        there.controller.exchange("A1")
        (tmp_path / "bench.yaml").write_text(text + "limits: {dose: 1000000}\n")
        done = hil(tmp_path, "resume", "--yes")
        assert done.returncode == 2
        assert "bench.yaml goes on with it all the same" in done.stderr
        (tmp_path / "wired.yaml").write_text(text.replace("0-7", "1-7,0"))
        done = hil(tmp_path, "resume", "--yes", "--bench", "wired.yaml")
        assert done.returncode == 2
        assert "wired.yaml: arrays.first.cols was 0-7, is 1-7,0; a run goes on with the arrays" in done.stderr
        last = resumed(tmp_path, "--bench", "bench.yaml")
    assert last.summary["steps"] == STEPS
    assert any("limits.dose was None, is 1000000" in text for _, _, text in last.events)


def test_a_simulated_run_cannot_go_on_as_its_devices_ended_with_it(tmp_path: Path) -> None:
    keys = "data.train=300", "data.test=100", "training.epochs=1", "data.pixels=7"
    words = [word for key in keys for word in ("--set", key)]
    left = killed(tmp_path, ("evaluation", "late", 300), "train", *words)
    told = hil(tmp_path, "resume")
    assert told.returncode == 2
    assert f"{left.path.name}: it gave no pulse to devices that outlive a process" in told.stderr


def test_a_run_goes_on_from_python(tmp_path: Path) -> None:
    files(tmp_path)
    with virtual(tmp_path, tmp_path / "virtual.yaml"):
        left = killed(tmp_path, ("after", "late", 5), "train", "rings.yaml", "--bench", "bench.yaml")
        last = resume(tmp_path / "runs", progress=False)
    assert last.path.parent == left.path.parent
    assert (left.continued_by, last.status) == (last.path.resolve(), "finished")
