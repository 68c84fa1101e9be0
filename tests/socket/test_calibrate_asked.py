"""The question before a calibration on instruments: what it will take, what cannot be undone, yes or no."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.socket.cli import ROOT, asked, hil, virtual

BENCHES = ROOT / "examples" / "benches"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")

DEVICES = (
    "calibrate",
    "bench.yaml",
    "--routine",
    "devices",
    "--routine",
    "read-noise",
    "--devices",
    "0-3,0-3",
)


@pytest.fixture
def absent(tmp_path: Path) -> Path:
    """A folder with a bench whose instruments are not there."""
    bench = (BENCHES / "crosspoint-virtual.yaml").read_text()
    for port in (1, 2, 3):
        bench = bench.replace(f"127.0.0.1::4726{port}", f"127.0.0.1::{port}")
    (tmp_path / "bench.yaml").write_text(bench.replace("../../runs/crosspoint-virtual.doses", "doses"))
    return tmp_path


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 2), (None, 130), (b"y\n", 4)])
def test_it_is_told_what_it_takes_and_asked_before_anything_is_opened(
    answer: bytes | None, code: int, absent: Path
) -> None:
    before = sorted(absent.iterdir())
    found, said = asked(absent, answer, *DEVICES)
    assert found == code, said
    assert said.index("devices  ") < said.index("read-noise  ") < said.index("in all  ")
    assert "change what devices hold and wear them: neither can be taken back" in said
    assert ("not begun; nothing was output" in said) == (code != 4)
    assert ("start them: hil virtual" in said) == (code == 4)
    assert sorted(absent.iterdir()) == before


def test_without_a_terminal_it_is_refused_and_forming_says_what_it_does(absent: Path) -> None:
    done = hil(absent, *DEVICES)
    assert done.returncode == 2
    assert "no terminal to ask at; say --yes" in done.stderr
    words = ("--set", "compliance=1mA", "--set", "most_amplitude=3V", "--bench-set", "limits.program=3V")
    found, said = asked(absent, b"n\n", "calibrate", "bench.yaml", "--routine", "forming", *words)
    assert found == 2
    assert "forming pulses devices ever higher until they conduct, which cannot be undone" in said
    assert "at most " in said
    assert sorted(path.name for path in absent.iterdir()) == ["bench.yaml"]


def test_lines_that_are_not_there_are_refused_before_the_question(absent: Path) -> None:
    found, said = asked(
        absent, b"y\n", "calibrate", "bench.yaml", "--routine", "devices", "--devices", "99,0"
    )
    assert found == 2
    assert "rows 99; there are 0 to 15" in " ".join(said.split())
    assert "[y/N]" not in said


def test_what_was_expected_stands_beside_what_it_took(tmp_path: Path) -> None:
    ports = [f"virtual.{role}.port=0" for role in ("smu", "pulser", "matrix")]
    with virtual(tmp_path, BENCHES / "crosspoint-virtual.yaml", *ports, "program.ledger=doses"):
        words = (
            "--routine",
            "update-curve",
            "--devices",
            "0-1,0-1",
            "--set",
            "cycles=3",
            "--set",
            "points=8",
        )
        done = hil(tmp_path, "calibrate", "bench.yaml", "--yes", *words, "--json")
        assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (expected,), (record,) = told["estimate"]["routines"], told["records"]
    for what in ("pulses", "reads"):
        assert expected["cost"][what] == record["cost"][what]
    assert expected["cost"]["transactions"] == pytest.approx(record["cost"]["transactions"], rel=0.1)
    assert expected["most_pulses"] == record["most_pulses"]
    assert told["outcomes"] == [{"routine": "update-curve", "array": "main", "outcome": "done", "why": None}]
