"""Records of calibrations: what is written is read back, and nothing else is taken for a record."""

import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from hil.bench import Cost
from hil.calibrate.choose import notes, routines, targets
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Estimate, Result, Target, certain, result_of
from hil.calibrate.file import read_record, record_paths, write_record
from hil.calibrate.record import check_record
from hil.calibrate.tape import Step, Tape, from_arrays, pulses_spent, to_arrays
from hil.calibrate.words import in_short
from hil.errors import BenchError, ConfigError, LimitError, ScheduleError, StoreError
from hil.face import open_bench
from hil.limits import LimitedBench, Limits
from hil.plan import run
from hil.schedule import Multiply, Nudge, Program, Pulse, Read, ReadAnswer, Region, Wait

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Mixed:
    """A routine that asks for everything a record holds, in schedules of its own."""

    valid_s = 3600.0

    def rounds(self, target):
        return 3

    def plan(self, target):
        region, sheet = target.region, target.info.device
        counts = np.arange(np.prod(target.shape)).reshape(target.shape) - 2
        corner = Region.block(region.array, range(1), range(1))
        yield (Read(region, 0.1, 1e-6), Wait(2.0))
        yield (Program(region, counts, sheet.potentiate, sheet.depress), Read(region, 0.1, 4e-6))
        yield (Multiply(region, np.full((2, target.shape[0]), 0.05), 1e-6), Read(corner, 0.05, 1e-6))

    def analyse(self, steps, target):
        mean = float(np.mean(steps[0].answer.siemens))
        estimates = {
            "g": Estimate(mean, mean, 2 * mean, "S", "mean"),
            "unknown": Estimate(np.nan, -np.inf, 1, "", ""),
        }
        return Result(estimates, {"map": np.array([[1.0, np.nan]])}, ("all is well",))

    def draw(self, record):
        raise NotImplementedError


def test_answers_of_different_shapes_are_not_kept_as_one():
    read = Read(Region.block("main", range(2), range(3)), 0.1, 1e-6)
    answers = [ReadAnswer(np.zeros(shape), np.zeros(shape, bool), 0.1) for shape in ((2, 3), (3, 2))]
    with pytest.raises(StoreError, match=r"number 1 has \(3, 2\), the first \(2, 3\)"):
        to_arrays([Step(read, answer, 0.0, 1.0) for answer in answers])


@pytest.fixture
def bench():
    with open_bench(arrays={"main": (3, 4)}, seed=1) as opened:
        yield opened


@pytest.fixture
def target(bench):
    return Target.whole(bench.arrays["main"])


ABOUT = About("simulated", {"file": "b.yaml"}, {"temperature": "295 K"})


def conduct(bench, target, folder, **options):
    options = {"now": lambda: NOON, **options}
    return calibrate("mixed", options.pop("routine", Mixed()), bench, target, ABOUT, folder, **options)


def test_a_record_reads_back_as_it_was_measured(bench, target, tmp_path):
    kept = conduct(bench, target, tmp_path)
    read = read_record(kept.path)
    for name in ("routine", "bench", "identity", "conditions", "created", "expires", "partial", "cost"):
        assert getattr(read, name) == getattr(kept.record, name), name
    assert read.expires == NOON + timedelta(hours=1)
    assert read.result.findings == ("all is well",)
    assert read.result.estimates["g"] == kept.record.result.estimates["g"]
    assert np.isnan(read.result.estimates["unknown"].value)
    np.testing.assert_array_equal(read.result.maps["map"], [[1.0, np.nan]])
    assert read.target.info.device.potentiate == target.info.device.potentiate
    assert len(read.steps) == len(kept.record.steps) == 6
    for mine, theirs in zip(kept.record.steps, read.steps, strict=True):
        assert type(mine.op) is type(theirs.op)
        assert (mine.begun_s, mine.ended_s) == (theirs.begun_s, theirs.ended_s)
        if mine.answer is not None:
            np.testing.assert_array_equal(mine.answer.amperes, theirs.answer.amperes)
    assert read.pulses_spent[2, 3] == 9
    assert read.cost.pulses == read.pulses_spent.sum()


def test_the_file_is_plain_numpy_with_a_header_in_json(bench, target, tmp_path):
    path = conduct(bench, target, tmp_path).path
    with np.load(path, allow_pickle=False) as file:
        header = json.loads(str(file["header"]))
        assert file["raw.read0.amperes"].shape == (2, 3, 4)
    assert header["conditions"] == {"temperature": "295 K"}


def test_what_noise_fills_is_stored_as_it_is_and_flags_are_compressed(tmp_path):
    (tmp_path / "noisy.yaml").write_text("{driver: sim, device: HZO_FeFET, read: {noise: 0.01}}")
    with open_bench(tmp_path / "noisy.yaml", arrays={"main": (64, 64)}, seed=1) as noisy:
        path = conduct(noisy, Target.whole(noisy.arrays["main"]), tmp_path).path
    with zipfile.ZipFile(path) as archive:
        kept = {each.filename: each.compress_type for each in archive.infolist()}
    assert kept["raw.read0.amperes.npy"] == zipfile.ZIP_STORED
    assert kept["raw.read0.clipped.npy"] == zipfile.ZIP_DEFLATED
    np.testing.assert_array_equal(
        np.load(path)["raw.read0.amperes"][1], read_record(path).steps[3].answer.amperes
    )


def test_every_damaged_byte_is_found(bench, target, tmp_path):
    path = conduct(bench, target, tmp_path).path
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for place in (*rng.integers(0, len(whole), 60).tolist(), 0, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        refused = None
        try:  # a byte may mean nothing, as in a time stamp inside the archive
            read = read_record(path)
            assert read.result.findings == ("all is well",)
        except StoreError as error:
            refused = str(error)
        assert refused is None or refused.startswith(str(path))
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="damaged"):
        read_record(path)


def test_values_changed_under_a_valid_archive_do_not_pass(bench, target, tmp_path):
    path = conduct(bench, target, tmp_path).path
    with np.load(path) as file:
        members = dict(file)
    members["raw.read0.amperes"] = members["raw.read0.amperes"] * 2
    np.savez_compressed(path, **members)
    with pytest.raises(StoreError, match="checksum"):
        read_record(path)
    np.savez_compressed(path, a=np.zeros(3))
    with pytest.raises(StoreError, match="not a calibration record"):
        read_record(path)


def test_a_second_record_of_the_same_second_stands_beside_the_first(bench, target, tmp_path):
    first = conduct(bench, target, tmp_path).path
    before = first.read_bytes()
    second = conduct(bench, target, tmp_path).path
    assert first.read_bytes() == before
    assert record_paths(tmp_path) == [first, second], "oldest first"
    assert not list(tmp_path.glob(".*"))


def test_expired_foreign_and_partial_records_are_refused_with_all_reasons(bench, target, tmp_path):
    record = conduct(bench, target, tmp_path).record
    identity, shape = bench.identity, (3, 4)
    check_record(record, "simulated", identity, shape, NOON + timedelta(minutes=59))
    late = NOON + timedelta(hours=1)
    with pytest.raises(StoreError, match="expired 2026-03-01T13:00") as refused:
        check_record(record, "other", {**identity, "seed": "7"}, (8, 8), late)
    for reason in ("bench 'simulated'", "is 3 x 4, this one is 8 x 8", "its seed was 1, this is 7"):
        assert reason in str(refused.value)
    assert "--seed" not in str(refused.value)
    with pytest.raises(StoreError, match=r"calibrate again \(hil calibrate --seed 7\), or use --seed 1$"):
        check_record(record, "simulated", {**identity, "seed": "7"}, shape, NOON)
    assert record.state(NOON) == "valid"
    assert record.state(late) == "expired"


@pytest.mark.parametrize("ending", [KeyboardInterrupt, BenchError("the line broke")])
def test_what_ends_a_calibration_leaves_what_was_measured_and_a_safe_bench(bench, target, tmp_path, ending):
    class Failing(Mixed):
        def plan(self, target):
            plan = super().plan(target)
            execution = yield next(plan)
            yield plan.send(execution)
            raise ending

    safe = []
    bench.make_safe = lambda: safe.append(True)
    with pytest.raises(type(ending) if isinstance(ending, BenchError) else ending) as raised:
        conduct(bench, target, tmp_path, routine=Failing())
    (path,) = record_paths(tmp_path)
    assert f"recorded up to here: {path}" in raised.value.__notes__
    record = read_record(path)
    assert safe
    assert len(record.steps) == 4
    assert record.state(NOON) == "partial"
    with pytest.raises(StoreError, match="partial"):
        check_record(record, "simulated", bench.identity, (3, 4), NOON)


def test_asked_to_stop_it_ends_between_schedules(bench, target, tmp_path):
    done = []
    kept = conduct(bench, target, tmp_path, told=done.append, stop=lambda: len(done) == 2)
    assert (done, len(kept.record.steps), kept.record.partial) == ([1, 2], 4, "stopped")
    assert read_record(kept.path).partial == "stopped"


def test_nothing_is_recorded_where_a_limit_refused_the_first_schedule(bench, target, tmp_path):
    limited = LimitedBench(bench, Limits(read_v=0.01))
    with pytest.raises(LimitError):
        conduct(limited, target, tmp_path)
    assert record_paths(tmp_path) == []


def test_a_nudge_is_refused_before_it_is_output_because_no_record_holds_it(bench, target):
    nudge = Nudge(target.region, np.zeros((1, 2), np.int64), "gate", 0.1, np.full((1, 3), 0.1), 1e-6)

    def plan():
        yield (nudge,)

    with pytest.raises(ScheduleError, match="Nudge"):
        run(plan(), bench, Tape())


def test_raw_arrays_of_another_layout_are_no_tape():
    with pytest.raises(StoreError, match="laid out"):
        from_arrays({"read0.at": np.arange(2), "read0.region": np.array(0)}, "main")
    assert from_arrays({}, "main") == ()
    assert to_arrays([]) == {}


def test_pulses_of_both_signs_count_as_spent():
    from hil.calibrate.tape import Step

    up, down = Pulse(1.0, 1e-6), Pulse(-1.0, 1e-6)
    program = Program(Region("main", np.array([2]), np.array([0, 1])), np.array([[3, -4]]), up, down)
    spent = pulses_spent([Step(program, None, 0, 1)] * 2, (3, 2))
    np.testing.assert_array_equal(spent, [[0, 0], [0, 0], [6, 8]])


def test_lines_are_chosen_by_number_range_and_stride(bench):
    (chosen,) = targets(bench.arrays, ["0-2/2,all"])
    np.testing.assert_array_equal(chosen.region.rows, [0, 2])
    assert chosen.shape == (2, 4)
    (whole,) = targets(bench.arrays)
    assert whole.shape == (3, 4)
    for wrong, said in (
        ("0-3,all", "rows 0-3; there are 0 to 2"),
        ("1", "not of the form"),
        ("x:0,0", "no array 'x'"),
        ("0:7,0:3", "no array '0:7,0'.*; ranges of lines are written 0-7"),
        ("a,0", "no choice of rows"),
    ):
        with pytest.raises(ConfigError, match=said):
            targets(bench.arrays, [wrong])


def test_settings_name_their_routine_where_there_are_several():
    chosen = routines(["devices", "update-curve"], ["update-curve.cycles=3", "devices.repeats=4"])
    assert (chosen["update-curve"].cycles, chosen["devices"].repeats) == (3, 4)
    assert routines(["devices"], ["repeats=5"])["devices"].repeats == 5
    with pytest.raises(ConfigError, match="begin with the routine"):
        routines(["devices", "update-curve"], ["cycles=3"])
    with pytest.raises(ConfigError, match="did you mean 'cycles'"):
        routines(["update-curve"], ["cycels=3"])
    with pytest.raises(ConfigError, match="did you mean 'update-curve'"):
        routines(["update-curves"])
    with pytest.raises(ConfigError, match="name=text"):
        notes(["295 K"])


def test_a_record_that_cannot_be_written_says_where(bench, target, tmp_path):
    record = conduct(bench, target, tmp_path).record
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="no calibrations can be kept here"):
        write_record(tmp_path / "file", record)
    assert record.cost == sum((Cost(),), record.cost)


@pytest.mark.parametrize(
    ("unit", "dust", "small"),
    [("", 4.3e-16, 1e-5), ("A", -1e-27, 1e-12), ("V", 1e-15, 1e-6), ("ohm", 1e-9, 1)],
)
def test_what_readings_do_not_resolve_is_0_and_what_they_do_stays(bench, unit, dust, small):
    def told(one):
        return certain({"it": one}, bench.arrays["main"])["it"]

    found = told(Estimate(dust, dust - abs(dust) / 9, dust + abs(dust) / 9, unit, "dust"))
    assert (found.value, found.low <= 0 < found.high < small) == (0, True)
    kept = Estimate(small, 0.9 * small, 1.1 * small, unit, "small")
    assert told(kept) == kept
    assert told(replace(kept, value=dust)) == replace(kept, value=dust), "its interval is no dust"
    assert str(told(replace(kept, value=-0.0, low=-small)).value) == "0.0"
    open_device = replace(kept, unit="S", value=1e-30, low=1e-31, high=1e-29)
    assert told(open_device) == open_device


def test_an_interval_without_an_end_is_no_figure_and_keeps_the_end_that_is_known(bench, target):
    class Bounded(Mixed):
        def analyse(self, steps, target):
            return Result({"levels": Estimate(6.19, 3.0, np.inf, "", "pulses")})

    found = result_of(Bounded(), [], target).estimates["levels"]
    assert np.isnan(found.value)
    assert (found.low, found.high, found.why) == (3.0, np.inf, "its interval has no end")


def test_a_reason_is_shown_without_the_whole_line_that_an_instrument_was_told():
    line = "for c=1,16 do channel.exclusiveclose(c) " * 9
    reason = f'TimeoutError_: matrix: no answer to "{line}" within 2 s; 3 pulses are in doubt'
    said, left_out = in_short(reason).split(" ...", 1)
    assert said == 'TimeoutError_: matrix: no answer to "for c=1,16 do channel.exclusiveclose(c)'
    assert left_out == '" within 2 s; 3 pulses are in doubt'
    assert in_short("it's the operator's wish") == "it's the operator's wish"
