"""The question before a calibration on instruments: what it will take, what cannot be undone, yes or no."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.transport.session import open_session
from hil import setup
from tests.socket.cli import ROOT, asked, hil, virtual

BENCHES = ROOT / "examples" / "benches"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")

PORTS = [f"virtual.{role}.port=0" for role in ("smu", "pulser", "matrix")]
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


@pytest.fixture(scope="module")
def present(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a bench whose instruments are there."""
    folder = tmp_path_factory.mktemp("present")
    with virtual(folder, BENCHES / "crosspoint-virtual.yaml", *PORTS, "program.ledger=doses"):
        yield folder


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 2), (None, 130)])
def test_it_is_told_what_it_takes_and_asked_before_anything_is_opened(
    answer: bytes | None, code: int, present: Path
) -> None:
    before = sorted(present.iterdir())
    found, said = asked(present, answer, *DEVICES)
    assert found == code, said
    assert said.index("devices  ") < said.index("read-noise  ") < said.index("in all  ")
    assert "change what devices hold and wear them: neither can be taken back" in said
    assert "not begun; nothing was output" in said
    assert sorted(present.iterdir()) == before


def test_instruments_that_do_not_answer_are_told_instead_of_a_question(absent: Path) -> None:
    before = sorted(absent.iterdir())
    found, said = asked(absent, b"y\n", *DEVICES)
    assert found == 4, said
    assert [f"{role}.resource: connect: " in said for role in ("smu", "pulser", "matrix")] == [True] * 3
    assert "start them: hil virtual" in said
    assert "expected" not in said
    assert "[y/N]" not in said
    assert sorted(absent.iterdir()) == before


def test_what_somebody_left_on_is_told_before_the_question(present: Path) -> None:
    settings, _ = setup.load_bench(present / "bench.yaml")
    with open_session(settings.resources[0].name) as session:
        session.write("smua.source.levelv=0.1 smua.source.output=1")
        session.query("*IDN?")
    _, said = asked(present, b"n\n", *DEVICES)
    assert "smu.resource: output on at 100 mV" in said
    assert hil(present, "safe", "bench.yaml").returncode == 0


def test_without_a_terminal_it_is_refused_and_forming_says_what_it_does(present: Path) -> None:
    before = sorted(present.iterdir())
    done = hil(present, *DEVICES)
    assert done.returncode == 2
    assert "no terminal to ask at; say --yes" in done.stderr
    words = ("--set", "compliance=1mA", "--set", "most_amplitude=3V", "--bench-set", "limits.program=3V")
    found, said = asked(present, b"n\n", "calibrate", "bench.yaml", "--routine", "forming", *words)
    assert found == 2
    assert "forming pulses devices ever higher until they conduct, which cannot be undone" in said
    assert "at most " in said
    assert sorted(present.iterdir()) == before


def test_lines_that_are_not_there_are_refused_before_the_question(present: Path) -> None:
    found, said = asked(
        present, b"y\n", "calibrate", "bench.yaml", "--routine", "devices", "--devices", "99,0"
    )
    assert found == 2
    assert "rows 99; there are 0 to 15" in " ".join(said.split())
    assert "[y/N]" not in said


def test_without_an_estimate_an_array_that_looks_open_is_read_and_not_pulsed(tmp_path: Path) -> None:
    unformed = "virtual.device={preset: ENODe, forming: {amplitude: 3 V}}"
    with virtual(tmp_path, BENCHES / "crosspoint-virtual.yaml", *PORTS, "program.ledger=doses", unformed):
        unpriced = ("--bench-set", 'virtual.matrix.settings.cards={"1": 7174A}')
        words = ("--all", "--yes", "--devices", "0-1,0-1", *unpriced, "--json")
        done = hil(tmp_path, "calibrate", "bench.yaml", *words)
    assert done.returncode == 0, done.stderr
    assert "no estimate of what it will take" in done.stderr
    assert done.stderr.count("New ones may have to be formed first") == 1
    told = json.loads(done.stdout)
    assert {each["outcome"] for each in told["outcomes"]} == {"skipped"}
    assert "without an estimate nothing tells whether it pulses them" in told["outcomes"][0]["why"]
    assert (told["cost"]["pulses"], told["cost"]["reads"]) == (0, 4)


def test_what_was_expected_stands_beside_what_it_took(tmp_path: Path) -> None:
    with virtual(tmp_path, BENCHES / "crosspoint-virtual.yaml", *PORTS, "program.ledger=doses"):
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
