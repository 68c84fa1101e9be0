"""The journal of a calibration on a durable bench: what is about to happen is on disk before it does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hil.bench import Execution
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Result, Target
from hil.calibrate.file import read_record, record_paths
from hil.calibrate.journal import is_written, journals, read_journal, rescue
from hil.calibrate.record import Record
from hil.calibrate.tape import Step
from hil.cli import app
from hil.errors import BenchError, LimitError, StoreError
from hil.face import open_bench
from hil.limits import LimitedBench
from hil.schedule import Program, Read, Schedule


class Pulsing:
    """Reads, then pulses and reads, three times."""

    valid_s = None

    def rounds(self, target: Target) -> int:
        return 4

    def plan(self, target: Target) -> Generator[Schedule, Execution, None]:
        device, counts = target.info.device, target.zeros()
        read = Read(target.region, 0.1, 1e-6)
        yield (read,)
        for k in range(3):
            counts = np.full_like(counts, k + 1)
            yield Program(target.region, counts, device.potentiate, device.depress), read

    def analyse(self, steps: Sequence[Step], target: Target) -> Result:
        return Result(findings=(f"{len(steps)} steps",))

    def draw(self, record: Record) -> Any:
        raise NotImplementedError


class Durable:
    """A simulated bench that is said to outlive the process, with something before each schedule."""

    durable = True

    def __init__(self, bench: LimitedBench, before: Callable[[int], None]) -> None:
        self.bench, self.before, self.done = bench, before, 0
        self.arrays, self.identity = bench.arrays, bench.identity

    def execute(self, schedule: Schedule) -> Execution:
        self.before(self.done)
        self.done += 1
        return self.bench.execute(schedule)

    def make_safe(self) -> None:
        self.bench.make_safe()

    def close(self) -> None:
        self.bench.close()


def conduct(folder: Path, before: Callable[[int], None] = lambda done: None, **keys: Any) -> Record:
    with open_bench(arrays={"main": (2, 3)}) as bench:
        target = Target.whole(bench.arrays["main"])
        return calibrate(
            "pulsing", Pulsing(), Durable(bench, before), target, About("chip"), folder, **keys
        ).record


def killed(folder: Path, elsewhere: Path, at: int) -> list[Path]:
    """What stands in a folder before the schedule ``at`` is output, as a process killed there leaves it."""

    def copy(done: int) -> None:
        if done == at:
            shutil.copytree(folder, elsewhere)

    conduct(folder, copy)
    return journals(elsewhere)


def test_a_twin_of_what_was_killed_is_refused_with_what_makes_records_of_it(tmp_path: Path) -> None:
    (path,) = killed(tmp_path / "run", tmp_path / "left", at=2)
    done = CliRunner().invoke(app, ["twin", str(path.parent), "-o", str(tmp_path / "twin.yaml")])
    assert done.exit_code == 5
    assert "a calibration of pulsing was killed" in done.stderr
    assert f"hil calibrate BENCH --out {path.parent} makes a partial record" in done.stderr


def test_pulses_are_on_disk_before_they_are_output_and_readings_after(tmp_path: Path) -> None:
    (path,) = killed(tmp_path / "run", tmp_path / "left", at=2)
    record = read_journal(path)
    assert record is not None
    assert record.partial == (
        "killed, or the power failed; 12 pulses to main are in doubt and counted as given: read the devices"
    )
    assert [type(step.op).__name__ for step in record.steps] == ["Read", "Program", "Read", "Program"]
    assert record.pulses_spent.tolist() == [[3, 3, 3], [3, 3, 3]]
    assert record.cost.reads == 12
    ((kept, same),) = rescue(tmp_path / "left")
    assert same.partial == read_record(kept).partial
    assert read_record(kept).pulses_spent.sum() == 18
    assert journals(tmp_path / "left") == []
    assert rescue(tmp_path / "left") == []


def test_a_calibration_that_ends_leaves_its_record_alone(tmp_path: Path) -> None:
    told: list[Path] = []
    record = conduct(tmp_path, begun=told.append)
    assert [path.name for path in tmp_path.iterdir()] == [told[0].name]
    assert read_record(told[0]).partial is record.partial is None


def test_a_journal_that_is_written_is_left_alone(tmp_path: Path) -> None:
    seen: list[bool] = []

    def look(done: int) -> None:
        (path,) = journals(tmp_path)
        seen.append(is_written(path))
        assert rescue(tmp_path) == []

    conduct(tmp_path, look)
    assert seen == [True] * 4


@pytest.mark.parametrize(
    ("error", "spent", "words"),
    [
        (BenchError("the line is cut"), 6 * (1 + 2), "BenchError: the line is cut; 12 pulses to main are in"),
        (KeyboardInterrupt(), 6 * (1 + 2), "KeyboardInterrupt; 12 pulses to main are in doubt"),
        (LimitError("too much"), 6, "LimitError: too much"),
    ],
)
def test_pulses_whose_schedule_failed_count_unless_it_was_refused(
    error: BaseException, spent: int, words: str, tmp_path: Path
) -> None:
    def fail(done: int) -> None:
        if done == 2:
            raise error

    with pytest.raises(type(error)):
        conduct(tmp_path, fail)
    (path,) = record_paths(tmp_path)
    record = read_record(path)
    assert record.partial is not None
    assert record.partial.startswith(words)
    assert record.pulses_spent.sum() == spent
    assert journals(tmp_path) == []


def test_a_journal_that_is_none_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "x.journal").write_bytes(b"no database, whatever its name says" * 40)
    with pytest.raises(StoreError, match=r"x\.journal: the journal of the calibration: "):
        rescue(tmp_path)


def test_a_journal_that_was_only_opened_holds_nothing_and_goes(tmp_path: Path) -> None:
    (tmp_path / "x.journal").touch()
    assert read_journal(tmp_path / "x.journal") is None
    assert rescue(tmp_path) == []
    assert journals(tmp_path) == []


def test_the_list_says_what_has_no_record_yet_and_why(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    seen: list[dict[str, Any]] = []

    def look(done: int) -> None:
        seen.extend(listed(folder) if done == 2 else ())

    conduct(folder, look)
    assert [row["state"] for row in seen] == ["under way"]
    (path,) = killed(tmp_path / "again", tmp_path / "left", at=2)
    (path.parent / "damaged.journal").write_bytes(b"no database, whatever its name says" * 40)
    (path.parent / "opened.journal").touch()
    rows = listed(path.parent)
    assert [row["state"] for row in rows] == ["killed", "damaged", "killed"]
    assert rows[0]["array"] == "main"
    assert "12 pulses to main are in doubt" in rows[0]["partial"]
    assert "damaged.journal" in rows[1]["error"]
    shown = CliRunner().invoke(app, ["calibration", "list", str(path.parent)]).stdout
    assert "opened.journal: killed before anything was output" in shown


def listed(folder: Path) -> list[dict[str, Any]]:
    shown = CliRunner().invoke(app, ["calibration", "list", str(folder), "--json"])
    assert shown.exit_code == 0, shown.output
    return json.loads(shown.stdout)
