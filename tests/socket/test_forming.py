"""`hil calibrate` on virtual instruments with unformed devices: each is formed once, and its pulse found."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from hil.calibrate.file import read_record, record_paths
from tests.socket.cli import ROOT, hil, interrupted, virtual

BENCHES = ROOT / "examples" / "benches"
UNFORMED = ("virtual.device.forming={amplitude: 2 V}", "virtual.read.noise=0.001", "limits.program=4 V")
FORM = ("calibrate", "bench.yaml", "--routine", "forming", "--yes", "--set", "most_amplitude=3V")
SEARCH = ("lines=2", "points=6", "passes=2", "repeats=2", "rise=0.1", "most_amplitude=2V")


@pytest.mark.parametrize(
    ("name", "ports"),
    [
        ("line-virtual", ("virtual.port=0",)),
        (
            "crosspoint-virtual",
            ("virtual.smu.port=0", "virtual.pulser.port=0", "virtual.matrix.port=0", "program={}"),
        ),
    ],
)
def test_devices_behind_instruments_are_formed_once_and_never_again(
    tmp_path: Path, name: str, ports: tuple[str, ...]
) -> None:
    words = (*FORM, "--set", "compliance=100uA", "--json")
    with virtual(tmp_path, BENCHES / f"{name}.yaml", *UNFORMED, *ports):
        done = hil(tmp_path, *words, "--devices", "0-1,0-1")
        assert done.returncode == 0, done.stderr
        (first,) = json.loads(done.stdout)["records"]
        assert first["estimates"]["formed"]["value"] == 1.0
        record = read_record(tmp_path / first["record"])
        assert ((record.result.maps["amplitude_v"] > 1.2) & (record.result.maps["amplitude_v"] < 2.8)).all()
        # By this data sheet none of them conducts enough: only the record knows that they were formed.
        sheet = ("--set", "formed_above=1.0", "--bench-set", "device.g_min=970uS")
        done = hil(tmp_path, *words, *sheet, "--devices", "0-1,0-2")
        assert done.returncode == 0, done.stderr
        (again,) = json.loads(done.stdout)["records"]
        settings = [word for each in SEARCH for word in ("--set", each)]
        words = ("calibrate", "bench.yaml", "--yes", "--routine", "pulse-search", *settings, "--json")
        done = hil(tmp_path, *words, "--devices", "0-1,0-1")
        assert done.returncode == 0, done.stderr
        (search,) = json.loads(done.stdout)["records"]
    second = read_record(tmp_path / again["record"])
    np.testing.assert_array_equal(second.result.maps["forming"][:, :2], 2)
    np.testing.assert_array_equal(second.pulses_spent[:2, :2], 0)
    assert (second.pulses_spent[:2, 2] > 0).all()
    # The virtual devices have the simulator's own law: nothing moves up to half of the nominal 1 V.
    assert any(line.startswith("potentiate: {amplitude: ") for line in search["findings"])
    for way in ("up", "down"):
        threshold = search["estimates"][f"threshold_{way}"]
        assert threshold["low"] < 0.5 < threshold["high"] < 0.9, way


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_half_way_leaves_a_partial_record_that_spares_what_was_formed(tmp_path: Path) -> None:
    with virtual(tmp_path, BENCHES / "line-virtual.yaml", *UNFORMED, "virtual.port=0"):
        words = (*FORM, "--devices", "0-7,0-7", "--set", "compliance=100uA", "--set", "rise=10uV")
        interrupted(tmp_path, "forming of main", *words, "--set", "first=2V")
        (path,) = record_paths(tmp_path / "calibrations")
        assert read_record(path).partial == "stopped"
        path.write_bytes(path.read_bytes()[:-10])
        done = hil(tmp_path, *words)
        assert done.returncode == 5
        assert "damaged" in done.stderr
        assert "forming has to know what was done to these devices before" in done.stderr
