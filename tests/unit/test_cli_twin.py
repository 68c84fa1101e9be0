"""`hil twin` as it is called: files that other commands take, and refusals that name the file."""

import json
import shlex
from pathlib import Path

import pytest
import yaml

from hil.calibrate.file import record_paths
from hil.cli.fitting import command_that_fits
from hil.face import open_bench
from hil.store import open_run

BENCH = """\
driver: sim
name: chip
arrays: {main: {rows: 24, cols: 24}}
device: {preset: HZO_FeFET, d2d: {range: 0.05}, faults: {stuck: [[1, 1]]}}
read: {noise: 0.01}
adc: {bits: 14, range: 1 uA}
limits: {dose: 5000, program: 5 V}
"""
EXPERIMENT = """\
name: tiny
data: {name: csv, path: table.csv, test_fraction: 0.25}
network: {layers: [{outputs: 2, activation: softmax, w_max: 2}]}
gradient: backprop
update: bidirectional
training: {epochs: 4}
"""


@pytest.fixture
def measured(called):
    Path("bench.yaml").write_text(BENCH)
    routines = ("--routine", "devices", "--routine", "update-curve", "--set", "update-curve.cycles=5")
    called("calibrate", "bench.yaml", *routines)
    return Path("calibrations")


def test_the_files_of_a_twin_are_a_bench_for_every_command(called, measured):
    shown = called("twin", measured, "-o", "twin.yaml").stdout
    for said in (
        "g_max",
        "misfit",
        "goodness of fit",
        "1 stuck",
        "as the records' bench file says: adc, limits",
    ):
        assert said in shown
    written = yaml.safe_load(Path("twin.yaml").read_text())
    assert (written["driver"], written["device"]["maps"]) == ("sim", "twin.npz")
    assert written["limits"] == {"program": "5 V", "dose": 5000}
    Path("table.csv").write_text("a,b,label\n" + "1,0,0\n0,1,1\n" * 20)
    Path("tiny.yaml").write_text(EXPERIMENT)
    trained = called("train", "tiny.yaml", "--bench", "twin.yaml", "--no-report", "--json").stdout
    assert json.loads(trained)["summary"]["accuracy"] > 0.9
    called("calibrate", "twin.yaml", "--routine", "read-noise", "--out", "again")
    called("check", "twin.yaml")


def test_a_run_on_the_twin_rehearses_the_run_on_the_array(called, measured):
    Path("table.csv").write_text("a,b,label\n" + "1,0,0\n0,1,1\n" * 20)
    Path("tiny.yaml").write_text(EXPERIMENT)
    called("twin", measured)
    train = "train", "tiny.yaml", "--no-report", "--json", "--bench"
    told = [
        called(*train, "bench.yaml", "--bench-set", "calibrations=calibrations").stdout,
        called(*train, "twin.yaml", "--set", "seed=9").stdout,
    ]
    array, twin = (open_run(json.loads(each)["run"]) for each in told)
    ours, theirs = ({**run.header["calibrations"]} for run in (array, twin))
    assert theirs.pop("of") == "chip"
    for key in ("records", "faulty"):
        assert theirs[key] == ours[key]
    assert twin.header["network"] == array.header["network"]
    (ours, *_), (theirs, *_) = array.amperes("final"), twin.amperes("final")
    assert (ours.rows.tolist(), ours.cols.tolist()) == (theirs.rows.tolist(), theirs.cols.tolist())
    assert 1 not in ours.rows or 1 not in ours.cols  # where the stuck device is
    said = "calibration: as chip by its records, whose twin this is"
    assert said in called("show", twin.path).stdout
    assert said not in called("show", array.path).stdout
    priced = called("price", "tiny.yaml", "--bench", "twin.yaml", "--seeds", "2").stdout
    assert "used, those of chip, whose twin this is" in priced


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("folder", "elsewhere", "where are the records that the twin was fitted to?"),
        ("of.bench", "other", "it is of bench 'chip', this is 'other'"),
        ("of.identity", {"seed": "2"}, "its seed was 1, this is 2"),
        ("of.until", "2020-01-01T00:00:00+00:00", "no record of chip with array main"),
        ("of.until", "2020-01-01", "write a date with time and zone"),
    ],
)
def test_records_that_are_not_those_of_the_twin_are_refused(called, measured, key, value, said):
    called("twin", measured)
    Path("table.csv").write_text("a,b,label\n" + "1,0,0\n0,1,1\n" * 20)
    Path("tiny.yaml").write_text(EXPERIMENT)
    change = f"calibrations.{key}={json.dumps(value)}"
    assert said in called("train", "tiny.yaml", "--bench", "twin.yaml", "--bench-set", change, code=2).stderr


def test_records_that_lie_apart_make_a_twin_that_names_none(called, measured):
    (devices, curve) = record_paths(measured)
    Path("apart").mkdir()
    moved = devices.rename(Path("apart") / devices.name)
    told = called("twin", moved, curve).stdout
    assert "its records are in 2 folders, where a bench file names one: trained on without" in told
    assert "calibrations" not in yaml.safe_load(Path("twin.yaml").read_text())


def test_the_last_line_is_a_command_that_trains_on_the_twin(called, measured):
    last = called("twin", measured, "-o", "my twin.yaml").stdout.splitlines()[-1]
    hil, *words = shlex.split(last)
    assert (hil, words[0], words[words.index("--bench") + 1]) == ("hil", "train", "my twin.yaml")
    few = ("--set", "data.train=20", "--set", "data.test=20", "--no-report", "--json")
    assert json.loads(called(*words, *few).stdout)["summary"]["samples"] >= 20


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((900, 300), "hil train --bench b.yaml"),
        ((220, 44), "{outputs: 16}"),
        ((32, 32), "data.pixels=5"),
        ((6, 6), None),
    ],
)
def test_the_experiment_that_is_named_goes_by_the_room_there_is(shape, told):
    with open_bench(arrays={"main": shape}) as bench:
        found = command_that_fits(Path("b.yaml"), bench.arrays)
    assert (told in found) if told else found is None


def test_json_is_one_document(called, measured):
    told = json.loads(called("twin", measured, "--json").stdout)
    assert told["bench"] == "twin.yaml"
    assert told["estimates"]["g_max"]["low"] < told["estimates"]["g_max"]["value"]
    assert told["goodness"]["alike"]["value"] > 0.8
    assert "update-curve" in told["source"]


def test_nothing_is_written_over_unless_it_is_asked_for(called, measured):
    Path("twin.npz").write_text("precious")
    assert "twin.npz: already there; --force writes over" in called("twin", measured, code=2).stderr
    assert Path("twin.npz").read_text() == "precious"
    assert not Path("twin.yaml").exists()
    called("twin", measured, "--force")


def test_a_table_of_a_lab_makes_a_bench_too(called):
    up = [1 + 4 * n / 20 for n in range(21)]
    course = (up + up[-2:0:-1]) * 4
    Path("pulses.csv").write_text("pulse,G (uS)\n" + "".join(f"{n},{g}\n" for n, g in enumerate(course)))
    told = json.loads(called("twin", "--from-csv", "pulses.csv", "--size", "6x5", "--json").stdout)
    assert told["estimates"]["levels_up"]["value"] == pytest.approx(20, rel=0.02)
    assert Path(told["figure"]).read_bytes().startswith(b"\x89PNG")
    listed = json.loads(called("calibrate", "twin.yaml", "--routine", "devices", "--json").stdout)["records"]
    assert listed[0]["estimates"]["yield"]["value"] == 1
    for words, said in (
        (("--from-csv", "no.csv"), "no.csv: cannot be read"),
        (("--unit", "uS", "records"), "--unit uS: belongs to --from-csv"),
        (("--from-csv", "pulses.csv", "records"), "give records, or files of data (--from-csv), not both"),
        (("--from-csv", "pulses.csv", "--range", "5"), "--range 5: not of the form LOW:HIGH"),
        (("--from-csv", "pulses.csv", "--size", "3"), "--size 3: not of the form ROWSxCOLS"),
        (("--from-csv", "pulses.csv", "--read-voltage", "1 s"), "--read-voltage: "),
    ):
        assert said in called("twin", *words, "-o", "other.yaml", code=2).stderr


def test_what_cannot_be_fitted_is_refused_in_one_message(called, measured):
    (damaged, curve) = record_paths(measured)
    damaged.write_bytes(damaged.read_bytes()[:-1000])
    told = called("twin", measured, "-o", "a.yaml").stdout
    assert f"passed over: {damaged}: not a calibration record, or damaged" in told
    assert "damaged" in called("twin", damaged, curve, "-o", "b.yaml", code=5).stderr
    curve.unlink()
    damaged.unlink()
    for words, code, said in (
        ((measured,), 5, "there are no calibration records in it"),
        (("nowhere.npz",), 5, "nowhere.npz: cannot be read"),
        ((), 2, "give records, or a folder of them"),
        ((measured, "-o", "twin.txt"), 2, "asked for '.txt'; .yaml is needed"),
        ((measured, "-o", "no/twin.yaml"), 2, "there is no folder no"),
    ):
        assert said in called("twin", *words, code=code).stderr
    assert not list(Path().glob("twin.*"))


def test_of_one_ramp_each_way_the_figures_are_told_without_an_interval(called):
    course = [1 + 0.1 * n for n in range(40)] + [4.9 - 0.1 * n for n in range(40)]
    rows = [f"{n},{g:.3f}" for n, g in enumerate(course)]
    Path("one.csv").write_text("\n".join(["pulse,conductance (uS)", *rows]) + "\n")
    shown = called("twin", "--from-csv", "one.csv", "--size", "4x4").stdout
    assert "inf" not in shown
    figures = [
        line for line in shown.splitlines() if line.startswith(("nl_", "levels_", "c2c_", "noise", "g_m"))
    ]
    assert len(figures) == 9
    assert all("not determined" in line and "takes 3 ramps each way" in line for line in figures)
    told = json.loads(called("twin", "--from-csv", "one.csv", "--size", "4x4", "--force", "--json").stdout)
    levels = told["estimates"]["levels_up"]
    assert (levels["low"], levels["high"]) == (None, None)
    assert levels["value"] > 0
