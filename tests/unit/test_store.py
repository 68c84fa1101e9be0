"""What is recorded of a run comes back as it was given, whatever ended the run."""

import os
import sqlite3
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np
import pytest

from hil.bench import Cost, Execution
from hil.errors import BenchError, StoreError
from hil.schedule import Multiply, Nudge, Program, Pulse, Read, Region, Schedule, Wait
from hil.store import RunWriter, list_runs, open_run
from hil.store.folder import WriterLock
from hil.store.schema import COLUMNS
from hil.training.events import EvaluationRow, Snapshot, TrainingRow, UpdateNoiseRow

HEADER = {"name": "dgc-crus", "created": "2025-03-01T14:05:09+00:00", "seed": 7}
REGION = Region.block("main", range(1, 3), range(3))
UP, DOWN = Pulse(1.2, 1e-6), Pulse(-1.3, 1e-6)


def program(counts: object = ((1, 0, -2), (0, 3, 0))) -> Program:
    return Program(REGION, np.array(counts, np.int16), UP, DOWN)


def record(run: RunWriter, schedule: Schedule, *costs: Cost, durable: bool = False) -> None:
    run.before(schedule, durable=durable)
    run.after(schedule, Execution((None,) * len(schedule), costs))


def snapshot(amperes: np.ndarray, clipped: np.ndarray, region: Region = REGION) -> Snapshot:
    return Snapshot("initial", 0, region, amperes, clipped, 0.1)


def test_a_run_folder_is_named_by_time_and_name_and_is_never_used_twice(tmp_path: Path) -> None:
    folders = []
    for _ in range(3):
        with RunWriter.create(tmp_path / "runs", HEADER) as run:
            folders.append(run.path.name)
    stem = "20250301-140509-dgc-crus"
    assert folders == [stem, f"{stem}-2", f"{stem}-3"]
    assert [run.path.name for run in list_runs(tmp_path / "runs")] == folders


@pytest.mark.parametrize("name", ["", "../up", "a/b", "Big", "a b", "x" * 65, "a\n", None, 3])
def test_a_name_that_could_leave_the_root_is_refused_and_makes_nothing(tmp_path: Path, name: object) -> None:
    with pytest.raises(StoreError, match="run name"):
        RunWriter.create(tmp_path, {**HEADER, "name": name})  # type: ignore[dict-item]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extra", [{"x": float("nan")}, {"x": object()}, {"created": "yesterday"}])
def test_a_header_that_is_not_plain_data_is_refused_and_makes_nothing(tmp_path: Path, extra: dict) -> None:
    with pytest.raises(StoreError):
        RunWriter.create(tmp_path, HEADER | extra)
    assert list(tmp_path.iterdir()) == []


def test_the_header_comes_back_as_given_even_where_yaml_versions_disagree(tmp_path: Path) -> None:
    tricky = [
        "1e3",
        "on",
        "0o7",
        "~",
        "null",
        "1_000",
        "12:30:00",
        "2025-01-01",
        "",
        " a",
        "é µ",
        "#c",
        "{",
        "\ttab",
    ]
    header = {
        **HEADER,
        "texts": tricky,
        "numbers": [1e-9, 1e22, 0.1, -0.0, 3, True, None],
        "given": "network: [784, 128, 10]\n\n# comment\nupdate:\n  rule: crus   \n",
        "same": [tricky, tricky],
        "arrays": {"main": [4, 5]},
    }
    with RunWriter.create(tmp_path, header) as run:
        assert open_run(run.path).header == {"format": 2, **header}


def test_every_field_of_a_row_has_its_column() -> None:
    for table, row in (
        ("training", TrainingRow),
        ("evaluation", EvaluationRow),
        ("update_noise", UpdateNoiseRow),
    ):
        assert [field.name for field in fields(row)] == list(COLUMNS[table])


def test_rows_come_back_in_order_and_nan_stays_nan(tmp_path: Path) -> None:
    rows = [TrainingRow(10, 100, 0, 2.3, 0.11, 0, float("nan")), TrainingRow(20, 200, 1, 1.9, 0.25, 3, 0.7)]
    noise = UpdateNoiseRow(10, 1, 0.01, 0.5, 77)
    evaluation = EvaluationRow(20, 200, 1, 1.8, 0.31, 1000, 0)
    with RunWriter.create(tmp_path, HEADER) as run:
        for row in rows:
            run.training(row)
        run.update_noise(noise)
        run.evaluation(evaluation)
        run.event("warning", "3 readings clipped")
        read = open_run(tmp_path)
        np.testing.assert_equal([row.tolist() for row in read.training], [astuple(row) for row in rows])
        assert [row.tolist() for row in read.evaluations] == [astuple(evaluation)]
        assert [row.tolist() for row in read.update_noise] == [astuple(noise)]
        assert read.events == [(20, "warning", "3 readings clipped")]
        assert read.accuracy == 0.31


def test_counts_of_numpy_come_back_as_numbers(tmp_path: Path) -> None:
    row = TrainingRow(10, 100, 0, 2.3, 0.11, np.count_nonzero(np.ones((2, 3), np.bool_)), float("nan"))
    with RunWriter.create(tmp_path, HEADER) as run:
        run.training(row)
    assert open_run(tmp_path).training["clipped"].tolist() == [6]


def test_costs_add_up_by_operation_and_are_told_for_each_row(tmp_path: Path) -> None:
    volts = np.zeros((1, 2))
    forward = Multiply(REGION, volts, 1e-6)
    backward = Multiply(REGION, np.zeros((1, 3)), 1e-6, transpose=True)
    one = Cost(reads=3, transactions=1, seconds=1e-6, joules=1e-12)
    pulses = Cost(pulses=6, half_selects=4, transactions=1, seconds=2e-6, joules=5e-12)
    with RunWriter.create(tmp_path, HEADER) as run:
        record(run, (forward, backward), one, one)
        run.training(TrainingRow(1, 1, 0, 2.0, 0.1, 0, 0.0))
        record(run, (forward, program(), Wait(1.0)), one, pulses, Cost(seconds=1.0))
        run.training(TrainingRow(2, 2, 0, 2.0, 0.1, 0, 0.0))
        run.evaluation(EvaluationRow(2, 2, 0, 2.0, 0.1, 10, 0))
        record(run, (Read(REGION, 0.1, 1e-6),), one)
        run.finish("finished", {}, {})
    read = open_run(tmp_path)
    assert read.costs == {
        "Multiply": one + one,
        "Multiply transposed": one,
        "Program": pulses,
        "Wait": Cost(seconds=1.0),
        "Read": one,
    }
    assert read.cost_history["reads"].tolist() == [6, 9]
    assert read.cost_history["pulses"].tolist() == [0, 6]
    assert read.costs_at("training", "Multiply")["reads"].tolist() == [3, 6]
    assert read.costs_at("evaluation")["pulses"].tolist() == [6]
    with pytest.raises(KeyError, match="no costs at 'evaluations'; there are training and evaluation"):
        read.costs_at("evaluations")  # pyright: ignore[reportArgumentType]
    assert read.cost == one + one + one + pulses + Cost(seconds=1.0) + one


def test_a_snapshot_gives_raw_amperes_and_derived_siemens_with_nan_where_nothing_is_known(
    tmp_path: Path,
) -> None:
    amperes = np.arange(1, 7, dtype=np.float32).reshape(2, 3) * np.float32(1e-6)
    clipped = np.zeros((2, 3), np.bool_)
    clipped[1, 2] = True
    with RunWriter.create(tmp_path, HEADER | {"arrays": {"main": [4, 5]}}) as run:
        run.snapshot(snapshot(amperes, clipped))
        run.snapshot(snapshot(amperes[:1, :1], clipped[:1, :1], Region("main", [0], [4])))  # type: ignore[arg-type]
    read = open_run(tmp_path)
    raw = read.amperes("initial")[0]
    np.testing.assert_array_equal(raw.amperes, amperes)
    np.testing.assert_array_equal(raw.clipped, clipped)
    assert raw.amperes.dtype == np.float32
    assert (raw.rows.tolist(), raw.cols.tolist(), raw.voltage_v) == ([1, 2], [0, 1, 2], 0.1)
    expected = np.full((4, 5), np.nan)
    expected[1:3, :3] = amperes.astype(float) / 0.1
    expected[2, 2] = np.nan
    expected[0, 4] = 1e-5
    np.testing.assert_allclose(read.snapshot("initial")["main"], expected, rtol=1e-6)
    with pytest.raises(KeyError, match="initial"):
        read.snapshot("final")


def test_on_a_durable_bench_the_intent_can_be_read_by_others_before_anything_is_output(
    tmp_path: Path,
) -> None:
    nudge = Nudge(REGION, np.array([[0, 0], [1, 2]]), "pulse", 3, np.zeros((1, 2)), 1e-6, UP, DOWN)
    with RunWriter.create(tmp_path, HEADER) as run:
        run.before((program(), nudge), durable=True)
        (intent,) = open_run(tmp_path).intents
        assert intent.in_doubt
        assert intent.pulses == 6 + 2 * 2 * 3
        assert [op["op"] for op in intent.ops] == ["Program", "Nudge pulse"]
        assert intent.ops[0]["array"] == "main"
        cost = Cost(pulses=18, seconds=1e-5)
        run.after((program(), nudge), Execution((None, None), (cost, Cost())))
        (intent,) = open_run(tmp_path).intents
        assert not intent.in_doubt
        assert intent.cost == cost


def test_a_schedule_that_failed_stays_in_doubt_whatever_runs_after_it(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, HEADER) as run:
        run.before((program(),), durable=True)
        record(run, (Read(REGION, 0.1, 1e-6),), Cost(reads=6), durable=True)
        record(run, (program(),), Cost(pulses=6), durable=True)
        assert [intent.in_doubt for intent in open_run(tmp_path).intents] == [True, False]


def test_intents_of_different_pulses_or_places_have_different_digests(tmp_path: Path) -> None:
    elsewhere = Program(Region.block("main", range(2), range(3)), program().counts, UP, DOWN)
    with RunWriter.create(tmp_path, HEADER) as run:
        for op in (program(), program(((1, 0, -2), (0, 0, 3))), elsewhere, program()):
            record(run, (op,), Cost(), durable=True)
    digests = [intent.ops[0]["digest"] for intent in open_run(tmp_path).intents]
    assert len(set(digests)) == 3
    assert digests[0] == digests[3]


def test_the_same_run_recorded_twice_has_the_same_content(tmp_path: Path) -> None:
    contents = []
    for _ in range(2):
        with RunWriter.create(tmp_path, HEADER) as run:
            record(run, (program(),), Cost(pulses=6, seconds=0.3))
            run.training(TrainingRow(1, 1, 0, 2.0, 0.1, 0, float("nan")))
            run.snapshot(snapshot(np.ones((2, 3)), np.zeros((2, 3), np.bool_)))
            run.finish("finished", {"a": 1}, {"main": np.ones((2, 3))})
        journal = sqlite3.connect(run.path / "journal.sqlite")
        contents.append(list(journal.iterdump()))
        journal.close()
    assert contents[0] == contents[1]


def test_status_follows_the_run_from_start_to_end(tmp_path: Path) -> None:
    run = RunWriter.create(tmp_path, HEADER)
    read = open_run(tmp_path)
    assert read.status == "running"
    run.close()
    assert read.status == "interrupted"
    with RunWriter.create(tmp_path, HEADER) as run:
        run.finish("stopped", {"reason": "target reached"}, {"main": np.full((2, 2), 9)})
    read = open_run(run.path)
    assert (read.status, read.summary) == ("stopped", {"reason": "target reached"})
    assert read.doses["main"].tolist() == [[9, 9], [9, 9]]
    assert sorted(file.name for file in run.path.iterdir()) == ["journal.sqlite", "run.yaml", "writer.lock"]


def test_an_error_inside_marks_the_run_failed_with_its_text_and_leaves_it_readable(tmp_path: Path) -> None:
    def fail() -> None:
        with RunWriter.create(tmp_path, HEADER) as run:
            run.training(TrainingRow(1, 1, 0, 2.0, 0.1, 0, 0.0))
            raise BenchError("smu: no answer to <READ?>")

    with pytest.raises(BenchError):
        fail()
    read = open_run(tmp_path)
    assert read.status == "failed"
    assert read.events[-1][1:] == ("error", "BenchError: smu: no answer to <READ?>")
    assert read.training.size == 1


def test_ctrl_c_inside_marks_the_run_stopped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), RunWriter.create(tmp_path, HEADER):
        raise KeyboardInterrupt
    assert open_run(tmp_path).status == "stopped"


def test_a_finished_run_takes_nothing_more(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, HEADER) as run:
        run.finish("finished", {}, {})
        for late in (lambda: run.event("x", "y"), lambda: run.finish("failed", {}, {})):
            with pytest.raises(StoreError, match="closed"):
                late()
    run.close()
    with pytest.raises(StoreError, match="closed"):
        run.event("x", "y")


def test_what_is_recorded_cannot_be_changed(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, HEADER) as run:
        run.event("note", "as it was")
    journal = sqlite3.connect(run.path / "journal.sqlite")
    for change in ("UPDATE event SET text = 'else'", "DELETE FROM event"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            journal.execute(change)
    journal.close()


def test_two_writers_never_hold_one_folder(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, HEADER) as run:
        with pytest.raises(StoreError, match="another writer"):
            WriterLock(run.path).take()
        assert WriterLock(run.path).is_held()
    lock = WriterLock(run.path)
    lock.take()
    lock.release()
    assert not lock.is_held()


def test_the_representation_says_the_name_the_state_and_the_place(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, HEADER) as run:
        record(run, (program(),), Cost(pulses=1234))
        run.evaluation(EvaluationRow(1, 50, 0, 0.4, 0.9137, 1000, 0))
        text = repr(open_run(tmp_path))
    for part in ("dgc-crus", "running", "91.37 %", "1,234 pulses", str(run.path)):
        assert part in text


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: (path / "run.yaml").unlink(),
        lambda path: (path / "run.yaml").write_text("format: 99\nname: x\n"),
        lambda path: (path / "run.yaml").write_text("[]"),
        lambda path: (path / "run.yaml").write_bytes(os.urandom(200)),
        lambda path: (path / "journal.sqlite").unlink(),
        lambda path: (path / "journal.sqlite").write_bytes(b""),
        lambda path: (path / "journal.sqlite").write_bytes(os.urandom(8192)),
        lambda path: (path / "journal.sqlite").write_bytes((path / "journal.sqlite").read_bytes()[:4096]),
    ],
)
def test_a_damaged_folder_is_one_store_error_and_the_sound_one_before_it_is_found(
    tmp_path: Path, damage
) -> None:
    for _ in range(2):
        with RunWriter.create(tmp_path, HEADER) as run:
            run.finish("finished", {}, {"main": np.zeros((3, 3))})
    damage(run.path)
    with pytest.raises(StoreError):
        open_run(run.path)
    assert open_run(tmp_path).path.name == "20250301-140509-dgc-crus"


def test_a_damaged_array_is_found_by_the_integrity_check_and_refused(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path, HEADER) as run:
        run.snapshot(snapshot(np.ones((2, 3)), np.zeros((2, 3), np.bool_)))
    assert open_run(tmp_path).integrity() == "ok"
    journal = sqlite3.connect(run.path / "journal.sqlite")
    journal.execute("DROP TRIGGER snapshot_update")
    journal.execute("UPDATE snapshot SET data = substr(data, 1, 300)")
    journal.commit()
    journal.close()
    assert "damaged" in open_run(tmp_path).integrity()
    with pytest.raises(StoreError, match="damaged"):
        open_run(tmp_path).snapshot("initial")


def test_a_folder_without_runs_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="neither a run"):
        open_run(tmp_path)
    with pytest.raises(StoreError, match="no such folder"):
        open_run(tmp_path / "nowhere")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(StoreError, match="made"):
        RunWriter.create(file, HEADER)
