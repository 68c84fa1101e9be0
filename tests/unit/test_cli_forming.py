"""`hil calibrate --routine forming` as it is called: never by --all, never unasked."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from hil.calibrate.file import read_record, record_paths

BENCH = """\
driver: sim
name: fresh
device: {preset: ENODe, forming: {amplitude: 3 V}}
read: {noise: 0.01}
"""
FORM = ("--routine", "forming", "--size", "4x4", "--set", "compliance=100uA", "--set", "most_amplitude=5V")


@pytest.fixture
def cli(called):
    Path("bench.yaml").write_text(BENCH)
    return partial(called, "calibrate", "bench.yaml")


def test_unasked_it_is_refused_and_yes_runs_it(cli):
    told = cli(*FORM, code=2).stderr
    assert "forming pulses devices ever higher until they conduct, which cannot be undone" in told
    assert "--yes" in told
    assert not Path("calibrations").exists()
    document = json.loads(cli(*FORM, "--yes", "--json").stdout)
    (told,) = document["records"]
    assert told["estimates"]["formed"]["value"] == 1.0
    assert "stated compliance: 100 uA" in told["findings"][0]


def test_all_leaves_it_out_even_with_a_yes(cli):
    few = ("--set", "read-noise.repeats=8", "--set", "update-curve.cycles=3")
    cli("--all", "--yes", "--size", "3x3", *few, "--bench-set", "device={preset: ENODe}")
    routines = {read_record(path).routine for path in record_paths(Path("calibrations"))}
    assert "forming" not in routines
    assert "devices" in routines


def test_what_is_missing_or_over_a_limit_is_said_before_anything_is_measured(cli):
    assert "most_amplitude: not given" in cli("--routine", "forming", "--yes", code=2).stderr
    both = cli("--routine", "forming", code=2).stderr
    assert (
        both.index("most_amplitude: not given") < both.index("forming pulses devices") < both.index("--yes")
    )
    over = cli(*FORM, "--yes", "--bench-set", "limits.program=2V", code=2).stderr
    assert "most_amplitude: asked for 5 V; limits.program of the bench allows 2 V" in over
    assert not Path("calibrations").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")
@pytest.mark.parametrize(("answer", "code"), [("n", 2), ("y", 0)])
def test_at_a_terminal_it_asks_once_and_does_as_told(tmp_path, answer, code):
    import pty

    (tmp_path / "bench.yaml").write_text(BENCH)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "hil", "calibrate", "bench.yaml", *FORM],
        cwd=tmp_path, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, f"{answer}\n".encode())
    try:
        shown, told = process.communicate(timeout=60)
    finally:
        process.kill()
        os.close(ours)
    assert process.returncode == code, told
    assert shown.count("Bench fresh, all devices: go on?") == 1
    assert len(record_paths(tmp_path / "calibrations")) == (1 if code == 0 else 0)
    assert ("not confirmed; nothing was done" in told) == (code == 2)
