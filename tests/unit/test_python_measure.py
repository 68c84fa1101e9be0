"""Measuring from a notebook: the same records as by `hil calibrate`, on a file or an open bench; refusals."""

from __future__ import annotations

import builtins
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hil
from drivers.sim.bench import SimBench
from hil.calibrate.file import read_record, record_paths
from hil.cli.bars import bar_for_python
from hil.schedule import Program

BENCH = """\
driver: sim
name: chip
arrays: {main: {rows: 4, cols: 5}, side: {rows: 2, cols: 2}}
device: {preset: HZO_FeFET, initial: uniform, d2d: {range: 0.1}}
read: {noise: 0.01}
"""
FORMED = ["forming.most_amplitude=4 V", "forming.compliance=100 uA", "forming.first=2 V"]


@pytest.fixture(autouse=True)
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bench file in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    path = Path("bench.yaml")
    path.write_text(BENCH)
    return path


def test_a_measurement_from_python_is_that_of_the_command_line(called: Any, bench: Path) -> None:
    words = ("--routine", "devices", "--devices", "main:0-2,all", "--set", "repeats=4", "--note", "t=295 K")
    called("calibrate", bench, *words, "--out", "theirs", "--bench-set", "name=one")
    (path,) = record_paths(Path("theirs"))
    theirs = read_record(path)
    (ours,) = hil.measure(
        bench, "devices", devices="main:0-2,all", overrides=["repeats=4"], notes={"t": "295 K"},
        bench_overrides=["name=one"],
    )  # fmt: skip
    assert ours.bench_file == theirs.bench_file
    assert (ours.settings, ours.conditions, ours.identity) == (
        theirs.settings,
        theirs.conditions,
        theirs.identity,
    )
    assert ours.estimates == theirs.estimates
    np.testing.assert_array_equal(ours.raw["read0.amperes"], theirs.raw["read0.amperes"])
    assert repr(hil.records()) == repr([ours])


def test_an_open_bench_is_measured_as_it_stands_and_left_open(bench: Path) -> None:
    part = hil.Region("main", np.array([3, 1]), np.array([2]))
    with hil.open_bench(bench, ["limits.dose=500"]) as opened:
        before = hil.read(opened, "main")
        (record,) = hil.measure(opened, ["devices"], devices=part)
        after = hil.read(opened, "main")
        assert record.target.shape == (2, 1)
        assert record.bench_file["set"] == ["limits.dose=500"]
        assert opened.wear is not None
        assert opened.wear.pulses == record.pulses_spent.max() > 0
    changed = np.abs(after / before - 1) > 0.05
    assert changed.any()
    assert not changed[[0, 2]].any()
    settings = hil.load_bench(bench)
    (record,) = hil.measure(settings, ["offset"], devices=["side:all,all"])
    assert (record.array, record.bench_file["file"]) == ("side", "bench.yaml")


def test_routines_go_over_all_arrays_in_order_and_it_is_shown_how(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = hil.measure(bench, ["offset", "read-noise"], overrides=["read-noise.repeats=8"], progress=True)
    asked = [("offset", "main"), ("read-noise", "main"), ("offset", "side"), ("read-noise", "side")]
    assert [(record.routine, record.array) for record in found] == asked
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        f"{name} of {array} {'4 x 5' if array == 'main' else '2 x 2'} ..." for name, array in asked
    ]
    assert not shown.out
    hil.measure(bench, "offset", devices="side:0,0", progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"routines": "device"}, "no calibration named 'device' is installed; did you mean 'devices'"),
        ({"routines": []}, "^routines: none is named, so nothing would be measured; installed: devices"),
        ({"routines": {"devices": {}}}, r'^routines: asked for .* routines=\["devices"\]; their settings go'),
        ({"overrides": ["repeats=1"]}, r'^overrides=\["repeats=1"\]: repeats: asked for 1; must be greater'),
        ({"overrides": ["devices.x=1"]}, r'^overrides=\["devices.x=1"\]: x: unknown key'),
        ({"overrides": {"repeats": 4}}, r'a list of texts is needed: overrides=\["repeats=4"\]$'),
        ({"overrides": ["drift.until=1 s"]}, r'^overrides=\["drift.until=1 s"\]: drift is not among'),
        ({"devices": "all,all"}, r'^devices=\["all,all"\]: name the array: main, side'),
        ({"devices": ["main:0-4,0"]}, r'^devices=\["main:0-4,0"\]: rows 0-4; there are 0 to 3'),
        ({"devices": 3}, '^devices: asked for 3; lines as text or a Region are needed: devices="0-7,all"'),
        ({"devices": hil.Region.block("main", range(2), range(6))}, "column 5; there are 0 to 4"),
        ({"devices": hil.Region.block("other", range(2), range(6))}, "no array 'other'; this bench has main"),
        ({"notes": {"t": 295}}, r'^notes: asked for .*; text by name is needed: notes=\{"temperature"'),
        ({"notes": ["t=295 K"]}, "^notes: asked for"),
        ({"bench_overrides": ["nam=x"]}, r'^bench_overrides=\["nam=x"\]: nam: unknown key'),
        ({"arrays": {"main": (9, 9)}}, "^arrays: asked for main 9 x 9; bench.yaml has its own"),
        ({"bench": 3}, "^bench: asked for int; the path of a bench file is needed, or a bench of hil.open_b"),
        ({"routines": "forming", "overrides": FORMED}, "^forming pulses .*; say so with yes=True if that is"),
    ],
)
def test_what_is_given_wrong_is_told_in_the_words_of_python(
    bench: Path, given: dict[str, Any], problem: str
) -> None:
    with pytest.raises(hil.ConfigError, match=problem):
        hil.measure(**{"bench": bench, "routines": ["devices"], **given})
    assert not Path("calibrations").exists()


def test_a_setting_as_an_argument_is_told_where_it_goes(bench: Path) -> None:
    with pytest.raises(TypeError, match=r'measure takes no .cycles.; .* overrides=\["cycles=4"\]'):
        hil.measure(bench, "update-curve", cycles=4)


def test_an_open_bench_takes_nothing_that_it_was_opened_with(bench: Path) -> None:
    with hil.open_bench(bench) as opened:
        for given in ({"seed": 2}, {"arrays": {"main": (4, 5)}}, {"bench_overrides": ["name=x"]}):
            with pytest.raises(hil.ConfigError, match="one that is open takes no bench_overrides, arrays"):
                hil.measure(opened, "devices", **given)


def test_a_second_routine_that_does_not_fit_is_refused_before_the_first_pulses(bench: Path) -> None:
    with pytest.raises(hil.ConfigError, match=r"limits\.dose allows 50"):
        hil.measure(bench, ["devices", "update-curve"], bench_overrides=["limits.dose=50"])
    assert not Path("calibrations").exists()


def test_what_ends_a_measurement_leaves_its_records_and_says_where(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = SimBench.execute

    def interrupted(bench: SimBench, schedule: Any) -> Any:
        done = execute(bench, schedule)
        if any(isinstance(op, Program) for op in schedule):
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(SimBench, "execute", interrupted)
    with pytest.raises(KeyboardInterrupt) as ended:
        hil.measure(bench, ["offset", "devices"], devices="main:all,all")
    partial, kept = sorted(hil.records(), key=lambda record: record.routine)
    assert ended.value.__notes__ == [f"recorded up to here: {partial.path}", f"kept before: {kept.path}"]
    assert partial.partial is not None
    assert partial.partial.startswith("KeyboardInterrupt")


def test_a_damaged_record_is_passed_over_with_a_warning(bench: Path) -> None:
    (sound,) = hil.measure(bench, "offset", devices="side:all,all")
    damaged = Path("calibrations") / "0-damaged.npz"
    damaged.write_bytes(b"none")
    with pytest.warns(UserWarning, match=r"^passed over: .*0-damaged\.npz: not a calibration record") as told:
        found = hil.records("calibrations")
    assert told[0].filename == __file__
    assert [record.path for record in found] == [sound.path]
    with pytest.raises(hil.StoreError, match="not a calibration record"):
        hil.records(damaged)
    with pytest.raises(hil.StoreError, match="nowhere: cannot be read"):
        hil.records("nowhere")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [record.path for record in hil.records(sound.path)] == [sound.path]


class ZMQInteractiveShell:
    """Its name is how a notebook is told from a terminal."""


def test_in_a_notebook_one_line_is_written_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    with bar_for_python(None) as shown:
        told = shown.begin("devices of main 4 x 5", 40)
        for done in range(1, 41):
            told(done)
        shown.say("warning: something")
    begun, *between, last = capsys.readouterr().out.replace("\n", "\r").split("\r")[1:][:4]
    assert begun == "devices of main 4 x 5: 0 of 40"
    assert between[0] == "devices of main 4 x 5: 40 of 40"
    assert last == "warning: something"
