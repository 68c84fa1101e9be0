"""`hil calibrate` on virtual instruments in a process of their own, over real lines, as people do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from drivers.array_controller import ArrayController
from drivers.line import driver
from drivers.line.settings import LineBenchSettings
from drivers.transport.session import open_session
from hil.calibrate.file import read_record, record_paths
from hil.config.validate import validate
from hil.config.yaml import load_yaml
from hil.wire import read_wire
from tests.socket.cli import ROOT, hil, interrupted, virtual

LINE = ROOT / "examples" / "benches" / "line-virtual.yaml"
CROSSPOINT = ROOT / "examples" / "benches" / "crosspoint-virtual.yaml"
STUCK = "virtual.device.faults.stuck=[[1, 2]]"


def _controller(folder: Path) -> ArrayController:
    settings = validate(driver.settings, load_yaml(folder / "bench.yaml"))
    assert isinstance(settings, LineBenchSettings)
    controller = ArrayController(open_session(settings.controller.resource, settings.controller.transport))
    controller.attach()
    return controller


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_board_counts_what_the_record_says_and_ctrl_c_leaves_a_partial_one_and_0_v(tmp_path: Path) -> None:
    with virtual(tmp_path, LINE, "virtual.port=0", STUCK):
        done = hil(
            tmp_path,
            "calibrate",
            "bench.yaml",
            "--yes",
            "--routine",
            "devices",
            "--devices",
            "0-3,0-3",
            "--json",
        )
        assert done.returncode == 0, done.stderr
        (told,) = json.loads(done.stdout)["records"]
        record = read_record(tmp_path / told["record"])
        assert np.argwhere(record.result.maps["fault"]).tolist() == [[1, 2]]
        controller = _controller(tmp_path)
        np.testing.assert_array_equal(controller.pulses(np.arange(256), np.arange(64)), record.pulses_spent)
        controller.close()

        words = ("--routine", "update-curve", "--devices", "0-3,0-3", "--set", "cycles=100000")
        interrupted(tmp_path, "update-curve of main", "calibrate", "bench.yaml", "--yes", *words)
        assert read_record(record_paths(tmp_path / "calibrations")[-1]).partial == "stopped"
        controller = _controller(tmp_path)
        assert controller.state().out == 0
        controller.close()


def test_single_instruments_measure_noise_and_faults_of_some_devices(tmp_path: Path) -> None:
    ports = [f"virtual.{role}.port=0" for role in ("smu", "pulser", "matrix")]
    with virtual(tmp_path, CROSSPOINT, *ports, STUCK, "program.ledger=doses"):
        shorter = (
            "devices.repeats=3",
            "devices.crossing=0.1",
            "read-noise.repeats=8",
            "read-noise.times=[1, 4]",
        )
        settings = [word for each in shorter for word in ("--set", each)]
        words = ("--routine", "devices", "--routine", "read-noise", "--devices", "1,1-2", *settings)
        done = hil(tmp_path, "calibrate", "bench.yaml", "--yes", *words, "--json")
        assert done.returncode == 0, done.stderr
        devices, noise = json.loads(done.stdout)["records"]
        record = read_record(tmp_path / devices["record"])
        assert record.result.maps["fault"].tolist() == [[0, 1]]
        assert set(record.identity) >= {"smu", "pulser", "matrix"}
        assert noise["estimates"]["noise"]["low"] < 0.005 < noise["estimates"]["noise"]["high"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_what_a_killed_calibration_measured_and_left_in_doubt_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "calibrations"
    with virtual(tmp_path, LINE, "virtual.port=0"):
        words = ("--routine", "update-curve", "--devices", "0-3,0-3", "--set", "cycles=100000")
        process = subprocess.Popen(
            [sys.executable, "-m", "hil", "calibrate", "bench.yaml", "--yes", *words],
            cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wire = _awaited(folder, "*.wire.jsonl.gz")
            while sum(b"RUN seq=" in each.data for each in read_wire(wire)) < 40:
                assert process.poll() is None
        finally:
            process.kill()
            process.wait()
        (path,) = folder.glob("*.journal")
        listed = hil(tmp_path, "calibration", "list")
        assert f"{path.name}: killed, or the power failed" in listed.stdout
        shown = hil(tmp_path, "wire", str(path.relative_to(tmp_path)), "--grep", "RUN", "--json")
        assert len(json.loads(shown.stdout)) >= 40

        controller = _controller(tmp_path)
        counted = controller.pulses(np.arange(256), np.arange(64)).astype(np.int64)
        controller.close()
        quick = ("--routine", "read-noise", "--devices", "0,0", "--set", "times=[1, 4]")
        again = hil(tmp_path, "calibrate", "bench.yaml", "--yes", *quick, "--set", "repeats=8", "--json")
        assert again.returncode == 0, again.stderr
        assert "an earlier update-curve of main was killed, or the power failed" in again.stderr
        (rescued,) = json.loads(again.stdout)["rescued"]
        assert list(folder.glob("*.journal*")) == []
        record = read_record(tmp_path / rescued["record"])
    assert record.partial is not None
    assert len(record.steps) >= 38
    doubt = record.pulses_spent - counted
    assert np.all(doubt >= 0), "a pulse is missing in the record"
    assert doubt.any() <= ("in doubt" in record.partial)


def _awaited(folder: Path, pattern: str) -> Path:
    until = time.monotonic() + 60
    while not (found := list(folder.glob(pattern))):
        assert time.monotonic() < until, "nothing was begun within 60 s"
        time.sleep(0.01)
    return found[0]
