"""Studies that are killed, stopped, or have a case that fails: what was finished stays, the rest is told."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hil.compare.conduct import conduct, missing, outcome
from hil.compare.crew import Job
from hil.compare.plan import Options, plan_study
from hil.errors import StoreError
from hil.store import list_runs
from hil.store.folder import WriterLock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

STUDY = """\
name: tiny
experiment:
  data: {name: mnist-5k, train: 200, test: 50, pixels: 7}
  network: {layers: [{outputs: 8}, {outputs: 10, activation: softmax}]}
  gradient: backprop
  update: bidirectional
  training: {report_every: 50}
bench: {driver: sim, device: {preset: ideal}}
cases:
  - {label: short}
  - {label: LONG}
"""
FOREVER = "set: {training.epochs: 1000000}"
A_WHILE = "set: {training.epochs: 3}"


class Watch:
    """Notes what it is told, and does something at the first sign of life of a run."""

    def __init__(self, when_alive=lambda job, pid: None) -> None:
        self.pids: dict[str, int] = {}
        self.ends: dict[str, str] = {}
        self.alive: list[str] = []
        self._when_alive = when_alive

    def compiling(self, job: Job) -> None:
        """It depends on the cache."""

    def began(self, job: Job, pid: int) -> None:
        self.pids[job.label] = pid

    def at(self, job: Job, samples: int, total: int) -> None:
        if job.label not in self.alive:
            self.alive.append(job.label)
            self._when_alive(job, self.pids[job.label])

    def tested(self, job: Job, accuracy: float) -> None:
        assert 0 <= accuracy <= 1

    def ended(self, job: Job, status: str, accuracy: float | None) -> None:
        self.ends[job.label] = status

    def failed(self, job: Job, error: str) -> None:
        self.ends[job.label] = error


def study(folder: Path, long: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(STUDY.replace("LONG", f"long, {long}"))
    return path


def kill_first_long(job: Job, pid: int) -> None:
    if job.label == "long":
        os.kill(pid, signal.SIGKILL)


def test_a_study_that_is_killed_goes_on_with_what_was_not_finished(tmp_path):
    path = study(tmp_path, FOREVER)
    command = [sys.executable, "-m", "hil", "compare", str(path), "--processes", "2"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("1 of 2" in line for line in process.stdout), "the short run is finished"
        while "long" not in {run.name for run in list_runs(tmp_path / "runs/tiny")}:
            continue  # its process may still be starting
        process.kill()
    runs = {run.name: run for run in list_runs(tmp_path / "runs/tiny")}
    assert runs["short"].status == "finished"
    # Nobody reads what the worker says any more: it ends its run by itself, in good order.
    while WriterLock(runs["long"].path).is_held():
        continue
    assert runs["long"].status == "stopped"
    kept = {file: file.stat().st_mtime_ns for file in runs["short"].path.iterdir()}

    path = study(tmp_path, A_WHILE)
    done = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert [row["status"] for row in told["runs"]] == ["finished", "finished"]
    assert len(list_runs(tmp_path / "runs/tiny")) == 3
    assert {file: file.stat().st_mtime_ns for file in runs["short"].path.iterdir()} == kept


def test_a_half_finished_run_of_the_same_settings_is_run_anew(tmp_path):
    plan = plan_study(study(tmp_path, A_WHILE), Options(tmp_path / "runs"))
    watch = Watch(kill_first_long)
    conduct(plan, missing(plan), watch, processes=2)
    assert watch.ends["short"] == "finished"
    assert "was ended by SIGKILL" in watch.ends["long"]
    assert [job.label for job in missing(plan)] == ["long"]
    again = Watch()
    conduct(plan, missing(plan), again, processes=2)
    assert again.ends == {"long": "finished"}
    assert missing(plan) == []
    assert sorted(run.status for run in list_runs(plan.folder)) == ["finished", "finished", "interrupted"]


def test_a_case_that_fails_stops_no_other_and_says_why(tmp_path):
    path = study(tmp_path, "bench_set: {limits.dose: 3}")
    command = [sys.executable, "-m", "hil", "compare", str(path), "--processes", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 6, done.stderr
    assert "failed  long, seed 1: " in done.stdout
    assert "dose" in done.stdout
    shown = subprocess.run(
        [*command, "--show", "--json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    rows = json.loads(shown.stdout)["runs"]
    assert [row["status"] for row in rows] == ["finished", "failed"]
    assert "dose" in rows[1]["error"]


def test_one_ctrl_c_ends_the_runs_under_way_in_good_order(tmp_path):
    path = study(tmp_path, FOREVER)
    command = [sys.executable, "-m", "hil", "compare", str(path), "--processes", "2"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any("1 of 2" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        shown, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "will be run anew" in said
    assert "1 of 2 runs are not finished" in shown
    runs = {run.name: run for run in list_runs(tmp_path / "runs/tiny")}
    assert (runs["long"].status, runs["long"].moments) == ("stopped", ["initial", "final"])


def test_two_cannot_work_on_one_study_at_once(tmp_path):
    plan = plan_study(study(tmp_path, A_WHILE), Options(tmp_path / "runs"))
    plan.folder.mkdir(parents=True)
    other = WriterLock(plan.folder)
    other.take()
    try:
        with pytest.raises(StoreError, match="is another hil compare at work on it"):
            conduct(plan, missing(plan), Watch(), 1)
    finally:
        other.release()
    assert list_runs(plan.folder) == []


def test_other_settings_are_another_run_and_the_same_by_another_way_are_not(tmp_path):
    plan = plan_study(study(tmp_path, "set: {training.rate: 0.05}"), Options(tmp_path / "runs"))
    short, long = plan.planned
    assert short.fingerprint(1) == long.fingerprint(1), "the rate is what it is by default"
    assert short.fingerprint(1) != short.fingerprint(2)
    assert len(missing(plan)) == 1
    conduct(plan, missing(plan), Watch(), 1)
    found = outcome(plan)
    assert [cell.results[0].path for cell in found.cells] == [list_runs(plan.folder)[0].path] * 2


def test_a_run_that_cannot_be_read_is_told_and_hides_no_other(tmp_path):
    plan = plan_study(study(tmp_path, A_WHILE), Options(tmp_path / "runs"))
    conduct(plan, missing(plan), Watch(), processes=2)
    (long,) = (run for run in list_runs(plan.folder) if run.name == "long")
    with closing(sqlite3.connect(long.path / "journal.sqlite")) as journal:
        journal.execute("DROP TRIGGER evaluation_update")
        journal.execute("UPDATE evaluation SET samples = 'many'")
        journal.commit()
    found = outcome(plan)
    assert [result.status for cell in found.cells for result in cell.results] == ["finished", "failed"]
    assert "table evaluation is damaged" in (found.failed[0][1].error or "")


def test_a_run_from_before_an_option_existed_counts_as_with_its_default(tmp_path):
    plan = plan_study(study(tmp_path, A_WHILE), Options(tmp_path / "runs"))
    conduct(plan, missing(plan), Watch(), processes=2)
    run = next(run for run in list_runs(plan.folder) if run.name == "short")
    header, (short, _) = run.header, plan.planned
    del header["experiment"]["resolved"]["training"]["early_stop"]
    del header["experiment"]["resolved"]["network"]["layers"][0]["bias"]
    del header["bench"]["resolved"]["drift"]
    assert short.made(header, 1)
    assert not short.made(header, 2)
    header["experiment"]["resolved"]["training"]["rate"] = 0.5
    assert not short.made(header, 1)
    del header["experiment"]["resolved"]["training"]["report_every"]
    header["experiment"]["resolved"]["training"]["rate"] = short.resolved[0]["training"]["rate"]
    assert not short.made(header, 1), "50 was asked for, 500 is the default"
