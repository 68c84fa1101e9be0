"""Results from tapes alone: the same as with the bench, or a word about what is not on the tape."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibration.forming import Forming
from drivers.sim import driver
from hil import plugins
from hil.bench import Execution
from hil.calibrate.analyse import analyse_record, to_be_analysed
from hil.calibrate.choose import routines
from hil.calibrate.conduct import About, Kept, calibrate
from hil.calibrate.contracts import Result, Target
from hil.calibrate.file import read_record, record_paths, write_record
from hil.calibrate.record import Record
from hil.errors import BenchError, StoreError
from hil.limits import LimitedBench, Limits
from hil.schedule import Program, Schedule

LATER = datetime(2026, 3, 2, 9, tzinfo=UTC)
QUICK = {
    "devices": ["repeats=4"],
    "disturb": ["shots=40", "points=3"],
    "drift": ["until=100 s", "times=5"],
    "forming": ["compliance=100uA", "most_amplitude=4V", "first=2V"],
    "line-resistance": ["repeats=4"],
    "offset": ["repeats=4"],
    "pulse-search": ["most_amplitude=5V", "lines=2", "passes=2", "repeats=4"],
    "read-noise": ["repeats=8"],
    "update-curve": ["cycles=3", "points=16"],
}
DEVICE = {"preset": "HZO_FeFET", "initial": "uniform", "d2d": {"range": 0.1, "step": 0.1}}


class Shy:
    """A bench that is lost in the middle of its schedule ``at``; as good as it is until then."""

    def __init__(self, bench: LimitedBench, at: int) -> None:
        self.bench, self.left, self.durable = bench, at, bench.durable
        self.arrays, self.identity, self.make_safe = bench.arrays, bench.identity, bench.make_safe
        self.close = bench.close

    def execute(self, schedule: Schedule) -> Execution:
        self.left -= 1
        if self.left < 0:
            raise BenchError("the line is cut")
        return self.bench.execute(schedule)


def measure(name: str, folder: Path, at: int | None = None, **keys: Any) -> Kept:
    device: Any = {**DEVICE, "forming": {"amplitude": 3.0, "spread": 0.1}} if name == "forming" else DEVICE
    read: Any = {"noise": 0.01}
    opened = driver.open(driver.settings(device=device, read=read), {"main": (5, 6)}, 3)
    bench = LimitedBench(opened, Limits(program_v=5.0, pulses_per_op=100))
    routine = keys.pop("routine", None) or routines([name], QUICK[name])[name]
    target = replace(Target.whole(bench.arrays["main"]), limits=bench.limits)
    about = About("chip", conditions={"temperature": "295 K"})
    return calibrate(name, routine, bench if at is None else Shy(bench, at), target, about, folder, **keys)


def stripped(kept: Kept, folder: Path) -> Path:
    """As a second Ctrl-C behind the last schedule leaves it."""
    folder.mkdir()
    return write_record(folder, replace(kept.record, partial="KeyboardInterrupt", result=Result()))


def same(one: Result, other: Result) -> None:
    assert list(one.findings) == list(other.findings)
    assert one.estimates.keys() == other.estimates.keys()
    assert repr(one.estimates) == repr(other.estimates)
    assert one.maps.keys() == other.maps.keys()
    for name, values in one.maps.items():
        np.testing.assert_array_equal(values, other.maps[name], err_msg=name)


def test_every_routine_that_is_installed_is_tried_here() -> None:
    assert set(plugins.names("calibrations")) == QUICK.keys()


@pytest.mark.parametrize("name", QUICK)
def test_a_whole_tape_comes_to_the_result_that_the_bench_would_have_had(name: str, tmp_path: Path) -> None:
    kept = measure(name, tmp_path / "measured")
    path = stripped(kept, tmp_path / "stripped")
    before = path.read_bytes()
    new = analyse_record(path, LATER)
    read = read_record(new.path)
    same(read_record(kept.path).result, read.result)
    assert path.read_bytes() == before
    assert new.path != path
    assert read.partial is None
    assert (read.created, read.expires) == (kept.record.created, kept.record.expires)
    assert read.conditions == {"temperature": "295 K"}
    assert read.analysed is not None
    assert (read.analysed.when, read.analysed.file) == (LATER, path.name)
    assert read.analysed.ended == "KeyboardInterrupt"


@pytest.mark.parametrize("name", QUICK)
def test_a_tape_that_ends_early_says_what_was_not_run(name: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="the line is cut"):
        measure(name, tmp_path, at=2 if name != "line-resistance" else 1)
    (path,) = record_paths(tmp_path)
    with pytest.raises(StoreError, match=r"no result: its tape ends after . of about \d+ schedules") as told:
        analyse_record(path)
    assert "the line is cut" in str(told.value)
    assert "were not run; calibrate again" in str(told.value)
    assert record_paths(tmp_path) == [path]


def test_a_forming_that_spared_devices_by_record_is_followed_by_these_records(tmp_path: Path) -> None:
    first = measure("forming", tmp_path).record
    routine = routines(["forming"], QUICK["forming"])["forming"]
    assert isinstance(routine, Forming)
    kept = measure("forming", tmp_path, routine=routine.after([first]))
    assert (kept.record.result.maps["forming"] == 2).any()
    kept.path.unlink()
    whole = write_record(tmp_path, replace(kept.record, partial="KeyboardInterrupt", result=Result()))
    same(analyse_record(whole).record.result, kept.record.result)


def test_a_tape_of_another_plan_is_not_analysed_as_if_it_were_of_this_one(tmp_path: Path) -> None:
    kept = measure("devices", tmp_path / "measured")
    other = replace(kept.record, settings={**kept.record.settings, "repeats": 5})
    path = write_record(tmp_path, other)
    with pytest.raises(StoreError, match=r"from schedule 1 on its tape is not what devices asks for"):
        analyse_record(path)
    first, *rest = kept.record.steps
    path = write_record(tmp_path, replace(kept.record, steps=(first, *rest, first)))
    with pytest.raises(StoreError, match=r"from schedule \d+ on its tape is not"):
        analyse_record(path)


def test_a_folder_gives_its_newest_partial_record_whose_result_is_not_there_yet(tmp_path: Path) -> None:
    kept = measure("devices", tmp_path / "measured")
    folder = tmp_path / "stripped"
    path = stripped(kept, folder)
    shutil.copy(kept.path, folder / f"99{kept.path.name}")  # newer and complete
    (folder / "98-damaged.npz").write_bytes(b"no record")
    assert to_be_analysed(folder) == path
    analyse_record(path)
    with pytest.raises(StoreError, match="no partial record in it is without a result"):
        to_be_analysed(folder)


def test_a_record_keeps_what_a_plan_needs_to_know_of_its_bench(tmp_path: Path) -> None:
    record = measure("devices", tmp_path).record
    info = replace(record.target.info, parallel_read=False, transpose=False, emulated=frozenset({"multiply"}))
    target = replace(record.target, info=info)
    read: Record = read_record(write_record(tmp_path, replace(record, target=target)))
    assert not read.target.info.parallel_read
    assert not read.target.info.transpose
    assert read.target.info.emulated == {"multiply"}
    assert read.target.limits == Limits(program_v=5.0, pulses_per_op=100)


def test_pulses_in_doubt_at_the_end_are_no_schedule_that_was_run(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="the line is cut"):
        measure("devices", tmp_path, at=1)
    (path,) = record_paths(tmp_path)
    assert isinstance(read_record(path).steps[-1].op, Program)
    with pytest.raises(StoreError, match=r"ends after 1 of .* in doubt .*schedule 2 \(1 Program and 4 Read"):
        analyse_record(path)
