"""`hil calibrate --all`: one routine that is refused does not keep the others, and each outcome is told."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from drivers.sim.bench import SimBench
from hil.calibrate.file import read_record, record_paths

BENCH = """\
driver: sim
arrays: {main: {rows: 4, cols: 6}}
device: {preset: ENODe, initial: uniform}
read: {noise: 0.01}
"""
EXAMPLES = Path(__file__).parents[2] / "examples" / "benches"
UNFORMED = "device={preset: ENODe, forming: {amplitude: 3 V}}"
FEW = ("--set", "read-noise.repeats=8", "--set", "update-curve.cycles=3")


@pytest.fixture
def cli(called):
    Path("bench.yaml").write_text(BENCH)
    return partial(called, "calibrate", "bench.yaml")


def outcomes(result):
    return {each["routine"]: each["outcome"] for each in json.loads(result.stdout)["outcomes"]}


def test_a_refused_routine_is_told_and_the_others_are_done(cli):
    budget = ("--bench-set", "limits.dose=2000")
    result = cli("--all", *FEW, *budget, "--json", code=6)
    found = outcomes(result)
    refused = {name for name, how in found.items() if how == "refused"}
    assert "disturb" in refused
    assert found["offset"] == found["read-noise"] == "done"
    assert found["forming"] == "skipped"
    complete = {
        read.routine for read in map(read_record, record_paths(Path("calibrations"))) if not read.partial
    }
    assert complete == {name for name, how in found.items() if how == "done"}
    told = {each["routine"]: each["refused"] for each in json.loads(result.stdout)["estimate"]["routines"]}
    assert {name for name, why in told.items() if why} == refused
    assert "limits.dose" in result.stderr


def test_all_done_is_exit_code_0_and_a_long_wait_is_told_first(cli):
    shown = cli("--all", *FEW).stdout
    assert shown.index("not waited for: drift about 16 min 4") < shown.index("devices of main 4 x 6 ...")
    closing = shown[shown.index("outcome") :]
    assert closing.count("done") == 8
    assert "forming" in closing


def test_an_unformed_array_is_told_of_once_and_gets_no_pulse(cli):
    result = cli("--all", *FEW, "--bench-set", UNFORMED, "--json", code=6)
    assert result.stderr.count("New ones may have to be formed first") == 1
    assert result.stderr.index("formed first") < result.stderr.index("devices of main")
    found = outcomes(result)
    assert found["drift"] == found["disturb"] == "skipped"
    assert found["update-curve"] == "refused"
    assert found["read-noise"] == "done"
    assert json.loads(result.stdout)["cost"]["pulses"] == 0


def test_a_routine_that_was_named_ends_it_as_before(cli):
    words = ("--routine", "disturb", "--routine", "offset", "--bench-set", "limits.dose=20")
    assert "shots: asks for" in cli(*words, code=2).stderr
    assert not Path("calibrations").exists()


def test_devices_that_last_behind_no_line_that_is_named_are_not_opened(cli, monkeypatch):
    monkeypatch.setattr(SimBench, "durable", True)
    told = cli("--routine", "devices", "--yes", code=2).stderr
    assert "bench.yaml:1: driver: 'sim' opens devices that outlive this process" in told
    assert "BenchSettings.resources" in told
    assert not Path("calibrations").exists()


def test_an_estimate_counts_nothing_in_the_ledger_of_a_virtual_board(cli):
    Path("bench.yaml").write_text((EXAMPLES / "arc2-virtual.yaml").read_text())
    cli(
        "--routine", "update-curve", "--devices", "0-1,0-1", *FEW[2:], "--bench-set", "program={ledger: life}"
    )
    counted = sum(int(np.load(path).sum()) for path in Path("life").glob("*.npy"))
    assert counted == read_record(record_paths(Path("calibrations"))[-1]).cost.pulses > 0
