"""`hil calibrate` of what stands between instruments and devices, offsets and wires, over real lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hil.calibrate.file import read_record, record_paths
from hil.calibrate.record import Record
from tests.socket.cli import ROOT, hil, interrupted, virtual

LINE = ROOT / "examples" / "benches" / "line-virtual.yaml"
CROSSPOINT = ROOT / "examples" / "benches" / "crosspoint-virtual.yaml"
PORTS = [f"virtual.{role}.port=0" for role in ("smu", "pulser", "matrix")]


def measured(folder: Path, *words: str) -> tuple[dict[str, Any], Record]:
    done = hil(folder, "calibrate", "bench.yaml", "--yes", *words, "--json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)["records"]
    return told["estimates"], read_record(folder / told["record"])


def test_a_board_shows_its_offset_at_0_v_too_and_no_device_is_pulsed(tmp_path: Path) -> None:
    with virtual(tmp_path, LINE, "virtual.port=0", "virtual.read.offset=50 nA"):
        found, record = measured(tmp_path, "--routine", "offset", "--devices", "0-7,0-7")
    assert found["offset"]["low"] < 50e-9 < found["offset"]["high"]
    assert abs(found["zero_forward"]["value"] / 50e-9 - 1) < 1e-4
    assert record.cost.pulses == 0


def test_single_instruments_tell_the_offset_from_readings_of_both_signs(tmp_path: Path) -> None:
    with virtual(tmp_path, CROSSPOINT, *PORTS, "virtual.read.offset=1 uA", "program.ledger=doses"):
        found, record = measured(
            tmp_path, "--routine", "offset", "--devices", "0-2,0-2", "--set", "repeats=4"
        )
    assert found["offset"]["low"] < 1e-6 < found["offset"]["high"]
    assert abs(found["offset"]["value"] / 1e-6 - 1) < 0.1
    assert "zero_forward" not in found
    assert any("0 V is not measured" in each for each in record.result.findings)


def test_wires_of_a_board_are_found_and_its_pulses_are_those_of_the_record(tmp_path: Path) -> None:
    wires = ("virtual.lines={row: 1 ohm, col: 0.5 ohm}", "arrays.main={rows: 0-11, cols: 0-11}")
    with virtual(tmp_path, LINE, "virtual.port=0", *wires):
        found, record = measured(tmp_path, "--routine", "line-resistance", "--set", "repeats=8")
    for name, truth in (("row", 1.0), ("col", 0.5)):
        each = found[name]
        assert abs(each["value"] - truth) < 1.5 * (each["high"] - each["value"]), name
    assert found["row"]["low"] > 0
    assert set(np.unique(record.pulses_spent)) == {495}  # of 199 levels up and 296 down
    assert record.cost.pulses == record.pulses_spent.sum()


def test_single_instruments_tell_no_wires_from_devices_but_bound_them(tmp_path: Path) -> None:
    with virtual(tmp_path, CROSSPOINT, *PORTS, "program.ledger=doses"):
        words = ("--routine", "line-resistance", "--devices", "0-3,0-3", "--set", "repeats=2")
        found, record = measured(tmp_path, *words)
    assert found["row"]["low"] < 0 < found["row"]["high"]
    assert found["row"]["high"] < 1000
    assert "one device at a time" in record.result.findings[-1]
    assert int(np.load(tmp_path / "doses" / "main.npy").sum()) == record.cost.pulses == 16 * 199


ONE = "--yes", "--routine"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("words", [("offset", "repeats=100000"), ("line-resistance", "repeats=2000")])
def test_ctrl_c_half_way_leaves_a_partial_record(tmp_path: Path, words: tuple[str, str]) -> None:
    routine, setting = words
    with virtual(tmp_path, LINE, "virtual.port=0", "arrays.main={rows: 0-11, cols: 0-11}"):
        command = ("calibrate", "bench.yaml", *ONE, routine, "--set", setting)
        interrupted(tmp_path, f"{routine} of main", *command)
    record = read_record(record_paths(tmp_path / "calibrations")[-1])
    assert record.partial == "stopped"
    assert not record.result.estimates
