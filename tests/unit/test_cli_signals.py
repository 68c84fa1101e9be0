"""Ctrl-C, SIGTERM and a lost terminal: what was trained is kept, and the exit code says why."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hil.bench import Bench
from hil.cli.signals import Stop
from hil.face import open_bench
from hil.plan import run
from hil.schedule import Wait
from hil.store import open_run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

ENDLESS = """\
name: endless
data: {name: mnist-5k, train: 200, test: 50, pixels: 7}
network:
  layers: [{outputs: 8}, {outputs: 10, activation: softmax}]
gradient: backprop
update: bidirectional
training: {epochs: 1000000, report_every: 50}
"""


@contextmanager
def training(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A training process that has shown its first row."""
    (folder / "endless.yaml").write_text(ENDLESS)
    process = subprocess.Popen(
        [sys.executable, "-m", "hil", "train", "endless.yaml", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if line.startswith("epoch "):
                break
        else:
            pytest.fail("".join(seen) + process.communicate()[1])
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_finishes_the_step_reads_the_arrays_and_writes_the_report(tmp_path, number, code):
    with training(tmp_path) as process:
        process.send_signal(number)
        shown, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"{number.name}: finishing this step" in said
    stopped = open_run(tmp_path / "runs")
    assert (stopped.status, stopped.summary["reason"], stopped.moments) == (
        "stopped",
        "stopped",
        ["initial", "final"],
    )
    assert stopped.summary["samples"] == stopped.training["samples"][-1]
    assert (stopped.path / "report.html").is_file()
    assert "report: " in shown


def test_a_lost_terminal_stops_the_run_in_good_order(tmp_path):
    with training(tmp_path) as process:
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=60) == 129
    stopped = open_run(tmp_path / "runs")
    assert (stopped.status, stopped.moments) == ("stopped", ["initial", "final"])
    assert (stopped.path / "report.html").is_file()


def test_the_second_ctrl_c_ends_at_once_and_the_run_can_be_read(tmp_path):
    # One step takes all samples, whole images, so that the second signal comes within it.
    slow = ("data.train=2000", "data.pixels=null", "training.batch=2000", "network.layers.0.outputs=64")
    with training(tmp_path, *(word for key in slow for word in ("--set", key))) as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "SIGINT: finishing this step" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        shown, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "stopped at once; the outputs are at 0 V" in shown
    ended = open_run(tmp_path / "runs")
    assert ended.status == "stopped"
    assert ended.integrity() == "ok"


class Watched:
    """A bench that remembers whether it was made safe, and asks for a signal while it works."""

    def __init__(self, bench: Bench, number: int) -> None:
        self._bench, self._number, self.safe = bench, number, 0
        self.arrays, self.durable, self.identity = bench.arrays, bench.durable, bench.identity

    def execute(self, schedule):
        signal.raise_signal(self._number)
        return self._bench.execute(schedule)

    def make_safe(self):
        self.safe += 1
        signal.raise_signal(self._number)
        self._bench.make_safe()


def _waits(stop: Stop, seen: list[bool]):
    for _ in range(5):
        yield (Wait(0.0),)
        seen.append(stop())


def test_the_second_signal_raises_the_bench_is_made_safe_and_a_third_does_not_disturb_it():
    told: list[str] = []
    seen: list[bool] = []
    bench = Watched(open_bench(arrays={"main": (2, 2)}), signal.SIGTERM)
    before = signal.getsignal(signal.SIGTERM)
    with Stop() as stop:
        stop.be_patient(told.append)
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            run(_waits(stop, seen), bench)
        assert stop.exit_code == 143
    assert told == ["SIGTERM"]
    assert seen == [True], "the first signal lets the step finish, and is known after it"
    assert bench.safe == 1
    assert signal.getsignal(signal.SIGTERM) is before


def _held(stop: Stop, done: list[str]):
    with stop.held():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done.append("whole")


def test_an_insisting_signal_waits_for_what_would_be_left_broken():
    done: list[str] = []
    with Stop() as stop:
        stop.be_patient(done.append)
        with pytest.raises(KeyboardInterrupt):
            _held(stop, done)
    assert done == ["SIGINT", "whole"]


def test_before_anything_runs_the_first_signal_is_enough():
    with Stop() as stop:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.exit_code == 130
