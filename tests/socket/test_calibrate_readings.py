"""`hil calibrate` of what stands between instruments and devices, offsets and wires, over real lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hil.calibrate.file import read_record
from hil.calibrate.record import Record
from tests.socket.cli import ROOT, hil, virtual

LINE = ROOT / "examples" / "benches" / "line-virtual.yaml"
CROSSPOINT = ROOT / "examples" / "benches" / "crosspoint-virtual.yaml"
PORTS = [f"virtual.{role}.port=0" for role in ("smu", "pulser", "matrix")]


def measured(folder: Path, *words: str) -> tuple[dict[str, Any], Record]:
    done = hil(folder, "calibrate", "bench.yaml", *words, "--json")
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
