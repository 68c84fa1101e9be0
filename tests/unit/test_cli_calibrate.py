"""`hil calibrate` and `hil calibration` as they are called: records, figures, refusals, and Ctrl-C."""

import json
import math
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from drivers.sim.bench import SimBench
from hil.calibrate.choose import routines
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Estimate, Result, Target
from hil.calibrate.file import read_record, record_paths, write_record
from hil.calibrate.words import said as told_of
from hil.face import open_bench
from hil.limits import LimitedBench
from hil.schedule import Program

BENCH = """\
driver: sim
name: bench
device: {preset: HZO_FeFET, initial: uniform, faults: {stuck: [[1, 1]], open: [[2, 3]]}}
read: {noise: 0.01}
limits: {dose: 5000}
"""
SMALL = ("--size", "6x8", "--set", "update-curve.cycles=3", "--set", "read-noise.repeats=8")


@pytest.fixture
def cli(called):
    Path("bench.yaml").write_text(BENCH)
    return called


def test_all_routines_are_measured_recorded_listed_shown_and_drawn(cli):
    shown = cli("calibrate", "bench.yaml", "--all", *SMALL, "--note", "temperature=295 K").stdout
    for said in ("46 of 48 devices work", "1 stuck: [1, 1]", "1 open: [2, 3]", "nl_up", "in all:"):
        assert said in shown
    paths = record_paths(Path("calibrations"))
    assert len(paths) == len({read_record(path).routine for path in paths}) >= 3
    listed = cli("calibration", "list").stdout
    for path in paths:
        assert path.name in listed
        drawn = cli("calibration", "plot", str(path)).stdout.strip()
        assert Path(drawn).read_bytes().startswith(b"\x89PNG")
        about = cli("calibration", "show", str(path)).stdout
        assert "295 K" in about
        assert "95 % interval" in about
    assert "valid" in listed


def test_json_is_one_document_that_agrees_with_the_record(cli):
    result = cli("calibrate", "bench.yaml", "--routine", "devices", "--size", "4x4", "--json")
    document = json.loads(result.stdout)
    (told,) = document["records"]
    record = read_record(Path(told["record"]))
    assert told["estimates"]["yield"]["value"] == record.result.estimates["yield"].value == 14 / 16
    assert document["cost"]["pulses"] == record.cost.pulses > 0
    assert "took" in result.stderr
    shown = json.loads(cli("calibration", "show", "--json").stdout)
    assert shown == told | {"state": "valid"}
    (row,) = json.loads(cli("calibration", "list", "--json").stdout)
    assert row["record"] == record_paths(Path("calibrations"))[0].name


def test_a_size_that_was_not_asked_for_is_said(cli):
    assert (
        "32 x 32 (the bench file names none"
        in cli("calibrate", "bench.yaml", "--routine", "read-noise").stdout
    )


def test_some_lines_alone_are_measured(cli):
    words = ("calibrate", "bench.yaml", "--routine", "devices", "--size", "8x8", "--devices", "main:0-3,2")
    assert "devices of main 4 x 1" in cli(*words).stdout
    record = read_record(record_paths(Path("calibrations"))[0])
    assert record.pulses_spent[:4, 2].any()
    assert record.pulses_spent.sum() == record.pulses_spent[:4, 2].sum()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "what shall be measured?"),
        (("--routine", "devices", "--all"), "--routine and --all: give one of them"),
        (
            ("--routine", "update-curve", "--set", "devices.valid=3"),
            "devices is not among the routines asked",
        ),
        (("--routine", "device"), "did you mean 'devices'"),
        (("--routine", "devices", "--size", "4"), "ROWSxCOLS"),
        (("--routine", "devices", "--set", "repeats=1"), "repeats: asked for 1; must be greater"),
        (("--routine", "devices", "--devices", "99,0", "--size", "4x4"), "there are 0 to 3"),
        (
            ("--routine", "devices", "--bench-set", "arrays={a: {rows: 2, cols: 2}}", "--size", "4x4"),
            "leave --size",
        ),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_measured(cli, words, said):
    assert said in cli("calibrate", "bench.yaml", *words, code=2).stderr
    assert not Path("calibrations").exists()


def test_a_dose_budget_that_cannot_suffice_is_told_before_a_pulse(cli):
    for routine, key in (("update-curve", "cycles"), ("disturb", "shots")):
        words = ("--routine", routine, "--size", "4x4", "--bench-set", "limits.dose=150")
        told = cli("calibrate", "bench.yaml", *words, code=2).stderr
        assert f"{key}: asks for " in told
        assert "limits.dose allows 150" in told
    assert not record_paths(Path("calibrations"))


def test_a_dose_budget_ends_a_calibration_and_what_was_measured_is_kept(cli):
    words = (
        "calibrate",
        "bench.yaml",
        "--routine",
        "devices",
        "--size",
        "4x4",
        "--bench-set",
        "limits.dose=1",
    )
    told = cli(*words, code=3).stderr
    (path,) = record_paths(Path("calibrations"))
    assert "limits.dose" in told
    assert f"recorded up to here: {path}" in told
    assert read_record(path).partial.startswith("LimitError")
    shown = cli("calibration", "show").stdout
    assert shown.count("LimitError") == 1
    assert "valid 30 d" in shown
    assert "name devices" not in shown
    assert "partial" in cli("calibration", "plot", code=5).stderr


def test_what_was_spent_and_left_out_is_told_whatever_ends_it(cli):
    words = ("calibrate", "bench.yaml", "--size", "4x4", "--routine", "read-noise", "--routine", "devices")
    words += ("--routine", "offset", "--set", "read-noise.repeats=8", "--bench-set", "limits.pulses_per_op=3")
    shown = cli(*words, code=3).stdout
    records = [read_record(path) for path in record_paths(Path("calibrations"))]
    assert [record.partial is None for record in records] == [False, True]
    reads, pulses = (sum(getattr(record.cost, what) for record in records) for what in ("reads", "pulses"))
    assert f"{reads:,} readings, {pulses:,} pulses, " in shown
    assert "not done: offset\n" in shown


def test_pulses_of_a_calibration_that_is_stopped_at_once_are_counted(cli, monkeypatch):
    execute, asked = SimBench.execute, []

    def interrupted(bench, schedule):
        done = execute(bench, schedule)
        asked.append(bench)  # the first one tells what it will take
        if bench is not asked[0] and any(isinstance(op, Program) for op in schedule):
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(SimBench, "execute", interrupted)
    words = ("calibrate", "bench.yaml", "--size", "4x4", "--routine", "devices", "--routine", "offset")
    result = cli(*words, "--json")
    document = json.loads(result.stdout)
    (path,) = record_paths(Path("calibrations"))
    given = int(read_record(path).pulses_spent.sum())
    assert document["cost"]["pulses"] == given > 0
    assert f"{given:,} pulses ({given:,} in doubt, counted as given)" in result.stderr
    assert document["not_done"] == ["offset"]
    assert "not done: offset" in result.stderr


def test_a_result_that_was_not_reached_is_derived_without_the_bench(cli):
    cli("calibrate", "bench.yaml", "--routine", "devices", "--size", "6x8", "--note", "humidity=40 %")
    folder = Path("calibrations")
    (path,) = record_paths(folder)
    whole = read_record(path)
    path.unlink()
    path = write_record(folder, replace(whole, partial="KeyboardInterrupt", result=Result()))
    assert "hil calibration analyse derives one" in cli("calibration", "show").stdout
    shown = cli("calibration", "analyse").stdout
    for said in (f"from {path.name}, which ended: KeyboardInterrupt", "46 of 48 devices work", "40 %"):
        assert said in shown
    assert len(record_paths(folder)) == 2
    document = json.loads(cli("calibration", "analyse", str(path), "--json").stdout)
    assert document["analysed"]["file"] == path.name
    assert document["estimates"]["yield"]["value"] == whole.result.estimates["yield"].value
    assert len(record_paths(folder)) == 3
    assert "no partial record in it is without a result" in cli("calibration", "analyse", code=5).stderr


def test_a_calibration_killed_behind_its_last_schedule_is_analysed_from_its_journal(
    cli, tmp_path, monkeypatch
):
    folder = tmp_path / "left"
    monkeypatch.setattr(LimitedBench, "durable", True)
    with open_bench(arrays={"main": (3, 4)}) as bench:
        routine, target = routines(["devices"])["devices"], Target.whole(bench.arrays["main"])

        def copied(done):  # as a process that is killed now leaves it
            shutil.copytree(tmp_path / "run", folder, dirs_exist_ok=True)

        whole = calibrate("devices", routine, bench, target, About("chip"), tmp_path / "run", copied)
    result = cli("calibration", "analyse", str(folder), "--json")
    assert "an earlier devices of main was killed, or the power failed" in result.stderr
    found = json.loads(result.stdout)["estimates"]
    assert found == {name: asdict(each) for name, each in whole.record.result.estimates.items()}


def test_a_damaged_record_is_listed_as_such_and_not_shown(cli):
    cli("calibrate", "bench.yaml", "--routine", "devices", "--size", "4x4")
    (path,) = record_paths(Path("calibrations"))
    path.write_bytes(path.read_bytes()[:-100])
    assert "damaged" in cli("calibration", "list").stdout
    assert "damaged" in cli("calibration", "show", code=5).stderr
    assert "no calibration records" in cli("calibration", "show", ".", code=5).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_finishes_the_schedule_and_keeps_a_partial_record(tmp_path):
    (tmp_path / "bench.yaml").write_text(BENCH.replace("dose: 5000", "dose: 2000000000"))
    words = ("--routine", "update-curve", "--size", "8x8", "--set", "cycles=1000000")
    process = subprocess.Popen(
        [sys.executable, "-m", "hil", "calibrate", "bench.yaml", *words],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("update-curve of main"):
                break
        process.send_signal(signal.SIGINT)
        shown, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, told
    (path,) = record_paths(tmp_path / "calibrations")
    assert read_record(path).partial == "stopped"
    assert "partial" in shown


def test_a_routine_without_a_figure_is_measured_and_told_so_when_it_is_to_be_drawn(cli, monkeypatch):
    cli("calibrate", "bench.yaml", "--routine", "read-noise", "--set", "repeats=8", "--size", "4x4")

    class Undrawn:
        """A routine of somebody else's, with a plan and an analysis."""

    monkeypatch.setattr("hil.calibrate.choose.recorded_routine", lambda record: Undrawn())
    said = cli("calibration", "plot", code=2).stderr
    assert "read-noise draws no figure: Undrawn has no draw" in said


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ((6.19, 3.0, 8.0), ("6.19", "3 to 8")),
        ((6.19, 3.0, math.inf), ("?", "not determined, at least 3")),
        ((math.nan, -math.inf, 3.0), ("?", "not determined, at most 3")),
        ((math.nan, -math.inf, math.inf), ("?", "not determined")),
        ((6.19, math.nan, math.nan), ("6.19", "not determined")),
    ],
)
def test_what_has_no_end_is_not_told_as_a_figure(ends, told):
    assert told_of(Estimate(*ends, "", "pulses", "too few")) == told


def test_a_search_that_determines_nothing_says_so_once(cli):
    words = (
        "--routine",
        "pulse-search",
        "--size",
        "4x4",
        "--bench-set",
        "device=TaOx_HfOx",
        "--set",
        "passes=1",
    )
    shown = cli("calibrate", "bench.yaml", *words).stdout
    assert shown.count("for a law): threshold_up, amplitude_up, width_up") == 1
    assert shown.count("devices answer too faintly for a law") == 1
    (outcome,) = json.loads(cli("calibrate", "bench.yaml", *words, "--json").stdout)["outcomes"]
    assert outcome["why"] == "nothing was determined"


def test_json_lists_every_device_that_does_not_work_though_the_finding_names_eight(cli):
    faults = "device={faults: {stuck: [[0,0],[0,1],[0,2],[0,3],[1,0],[1,1],[1,2],[1,3],[2,0]]}}"
    words = ("--routine", "devices", "--size", "8x8", "--devices", "0-3,0-3", "--bench-set", faults, "--json")
    (told,) = json.loads(cli("calibrate", "bench.yaml", *words).stdout)["records"]
    assert "and 1 more (hil calibration show --json lists all)" in " ".join(told["findings"])
    assert told["faulty"] == {"stuck": [[n // 4, n % 4] for n in range(9)], "open": [], "shorted": []}
    assert told["settings"]["valid"] == "30 d"
    shown = json.loads(cli("calibration", "show", "--json").stdout)
    assert shown["faulty"] == told["faulty"]


def test_a_folder_of_nothing_but_a_journal_says_what_can_be_done(cli):
    Path("left").mkdir()
    (Path("left") / "20260101-000000-bench-main-devices.journal").write_bytes(b"")
    told = " ".join(str(cli("calibration", "show", "left", code=5).output).split())
    assert "there are no calibration records in it; 20260101-000000-bench-main-devices.journal" in told
    assert "hil calibration analyse left makes a record" in told


def test_a_record_with_a_result_is_analysed_anew_only_where_that_is_asked(cli):
    cli("calibrate", "bench.yaml", "--routine", "devices", "--size", "4x4")
    (path,) = record_paths(Path("calibrations"))
    refused = " ".join(str(cli("calibration", "analyse", path, code=2).output).split())
    assert "it has its result; --again derives it anew" in refused
    assert record_paths(Path("calibrations")) == [path]
    cli("calibration", "analyse", path, "--again")
    assert len(record_paths(Path("calibrations"))) == 2


@pytest.mark.parametrize("routine", ["read-noise", "update-curve", "devices", "drift", "pulse-search"])
def test_a_voltage_over_the_limit_is_refused_before_the_bench_is_opened(cli, routine):
    words = ("--routine", "devices", "--routine", routine, "--bench-set", "limits.read=200 mV")
    result = cli("calibrate", "bench.yaml", *words, "--set", f"{routine}.voltage=0.5 V", code=2)
    assert (
        f"{routine}.voltage: asked for 500 mV; limits.read of the bench file allows 200 mV" in result.output
    )
    assert "arrays" not in result.output
    assert not Path("calibrations").exists()
