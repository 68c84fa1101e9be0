"""Training by calibration records on virtual instruments, whose devices outlive every process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hil.store import open_run
from tests.socket.cli import ROOT, hil, virtual

BENCHES = ROOT / "examples" / "benches"
IRIS = str(ROOT / "examples" / "experiments" / "iris.yaml")
STUCK = ((1, 2), (4, 7), (9, 1))
FAULTS = f"virtual.device.faults.stuck={[list(each) for each in STUCK]}"


def test_a_run_on_a_board_keeps_off_what_its_records_call_faulty(tmp_path: Path) -> None:
    with virtual(
        tmp_path, BENCHES / "line-virtual.yaml", "virtual.port=0", FAULTS, "virtual.read.offset=200 nA"
    ):
        routines = ("--routine", "devices", "--routine", "read-noise")
        done = hil(tmp_path, "calibrate", "bench.yaml", "--yes", *routines, "--devices", "0-11,0-11")
        assert done.returncode == 0, done.stderr
        key = "calibrations={folder: calibrations, use: [devices, offset]}"
        words = ("--bench-set", key, "--set", "training.epochs=1", "--yes", "--no-report", "--json")
        done = hil(tmp_path, "train", IRIS, "--bench", "bench.yaml", *words)
        assert done.returncode == 0, done.stderr
    run = open_run(tmp_path / json.loads(done.stdout)["run"])
    told = {each["routine"]: each["told"] for each in run.header["calibrations"]["records"]}
    assert told["devices"].startswith("3 of 144 devices do not work")
    amperes, unit = told["read-noise"].split()[:2]
    assert float(amperes) * {"nA": 1e-9, "uA": 1e-6}[unit] == pytest.approx(200e-9, rel=0.1)
    doses = run.doses["main"]
    assert {int(doses[place]) for place in STUCK} == {0}
    assert np.count_nonzero(doses) > 50
