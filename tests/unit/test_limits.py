"""Limits refuse whole schedules with a reason, pass on what is allowed unchanged, and count every pulse."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from hil.bench import Bench, Execution
from hil.errors import BenchError, ConfigError, LimitError, ScheduleError
from hil.limits import MAX_DOSE, LimitedBench, Limits, Wear, largest_admitted
from hil.schedule import Multiply, Nudge, Op, Program, Pulse, Read, Region, Schedule, Variants, Wait
from tests.contract.reference import DOWN, UP, ReferenceBench

BLOCK = Region.block("main", range(2, 4), range(3, 6))
COUNTS = np.array([[1, 0, -2], [0, 3, 0]], np.int16)
PROGRAM = Program(BLOCK, COUNTS, UP, DOWN)
ONES = np.full((1, 2), 0.1)


class Spy(ReferenceBench):
    """Remembers what reached it, and fails on demand."""

    def __init__(self, fails_with: BaseException | None = None) -> None:
        super().__init__()
        self.reached: list[Schedule] = []
        self.fails_with = fails_with
        self.made_safe = 0

    def execute(self, schedule: Schedule) -> Execution:
        self.reached.append(schedule)
        if self.fails_with is not None:
            raise self.fails_with
        return super().execute(schedule)

    def make_safe(self) -> None:
        self.made_safe += 1


def multiply(volts: float, dtype: type = np.float64) -> Multiply:
    return Multiply(BLOCK, np.array([[0.0, 0.0], [0.0, volts]], dtype), 1e-6)


def pulse_nudge(size: int, points: list[list[int]], up: Pulse = UP) -> Nudge:
    return Nudge(BLOCK, np.array(points), "pulse", size, ONES, 1e-6, up, DOWN)


def varied(volts: float) -> Multiply:
    return Multiply(BLOCK, ONES, 1e-6, variants=Variants(np.array([1]), np.array([[volts]])))


REFUSED: list[tuple[Limits, Op, str]] = [
    (Limits(read_v=0.2), Read(BLOCK, -0.21, 1e-6), "asked to read at -0.21 V; 0.2 V is allowed"),
    (Limits(read_v=0.2), multiply(-0.21), r"asked for -0.21 V at volts\[1, 1\]; 0.2 V is allowed"),
    (Limits(read_v=0.2), multiply(math.nextafter(0.2, 1)), "0.2 V is allowed"),
    (Limits(read_v=0.2), multiply(math.nan), r"asked for nan V at volts\[1, 1\]; 0.2 V is allowed"),
    (Limits(), multiply(math.nan), "asked for nan V .* a finite voltage is needed"),
    (Limits(), multiply(math.inf, np.float32), "asked for inf V .* a finite voltage is needed"),
    (Limits(read_v=0.2), varied(0.3), r"asked for 0.3 V at volts\[0, 0\]"),
    (Limits(), varied(math.nan), "nan"),
    (Limits(read_v=0.05), Nudge(BLOCK, np.array([[0, 0]]), "gate", 0.1, ONES, 1e-6), "0.05 V is allowed"),
    (Limits(program_v=0.9), PROGRAM, "asked for a pulse of 1 V; 0.9 V is allowed"),
    (Limits(program_v=1), Program(BLOCK, COUNTS, UP, Pulse(-1.1, 1e-6)), "asked for a pulse of -1.1 V"),
    (Limits(width_min_s=2e-6), PROGRAM, "asked for a pulse of 1e-06 s; 2e-06 s is the shortest"),
    (Limits(width_max_s=9e-7), PROGRAM, "asked for a pulse of 1e-06 s; 9e-07 s is the longest"),
    (Limits(program_v=1), pulse_nudge(1, [[0, 0]], Pulse(1.5, 1e-6)), "asked for a pulse of 1.5 V"),
    (Limits(pulses_per_op=2), PROGRAM, "3 pulses to the device at row 3, column 4; 2 in one operation"),
    (Limits(dose=2), PROGRAM, "3 pulses to the device at row 3, column 4, which had 0 before; its dose is 2"),
    (
        Limits(pulses_per_op=3),
        pulse_nudge(-2, [[1, 2]]),
        "4 pulses to the device at row 3, column 5; 3 in one",
    ),
    (Limits(dose=5), pulse_nudge(1, [[0, 0]] * 3), "6 pulses to the device at row 2, column 3, which had 0"),
]


@pytest.mark.parametrize(("limits", "op", "reason"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_is_over_a_limit_is_refused_with_what_was_asked_and_allowed(
    limits: Limits, op: Op, reason: str
) -> None:
    spy = Spy()
    bench = LimitedBench(spy, limits)
    with pytest.raises(LimitError, match=reason) as caught:
        bench.execute((Wait(0.0), op))
    assert f"operation 1, {type(op).__name__} on 'main'" in str(caught.value)
    assert not spy.reached
    assert not bench.doses["main"].any()


@pytest.mark.parametrize(
    "op",
    [
        Read(BLOCK, -0.2, 1e-6),
        multiply(0.2),
        multiply(-0.2, np.float32),
        varied(-0.2),
        PROGRAM,
        pulse_nudge(1, [[0, 0]]),
        Nudge(BLOCK, np.array([[0, 0]]), "gate", 0.1, ONES, 1e-6),
        Multiply(Region("main", np.arange(0), np.arange(2)), np.zeros((3, 0)), 1e-6),
    ],
    ids=lambda op: type(op).__name__,
)
def test_what_is_at_its_limit_reaches_the_bench_unchanged(op: Op) -> None:
    spy = Spy()
    exact = Limits(read_v=0.2, program_v=1, width_min_s=1e-6, width_max_s=1e-6, pulses_per_op=3, dose=3)
    schedule = (op, Wait(1.0))
    LimitedBench(spy, exact).execute(schedule)
    assert spy.reached[0] is schedule


def test_volts_that_are_not_real_floats_are_refused() -> None:
    with pytest.raises(ScheduleError, match="complex128"):
        LimitedBench(Spy(), Limits(read_v=0.2)).execute((Multiply(BLOCK, ONES * 1j, 1e-6),))  # type: ignore[arg-type]


def test_pulses_are_counted_for_each_device_whatever_their_sign() -> None:
    bench = LimitedBench(Spy(), Limits())
    backwards = Region("main", BLOCK.rows[::-1], BLOCK.cols[[2, 0, 1]])
    bench.execute((PROGRAM, PROGRAM, Program(backwards, COUNTS, UP, DOWN), pulse_nudge(-4, [[0, 1], [0, 1]])))
    expected = np.zeros((9, 7))
    expected[2:4, 3:6] = 2 * np.abs(COUNTS)
    expected[3, 5] += 1
    expected[3, 4] += 2
    expected[2, 3] += 3
    expected[2, 4] += 16
    np.testing.assert_array_equal(bench.doses["main"], expected)
    assert not bench.doses["side"].any()
    assert bench.wear == Wear("main", 2, 4, 16)


def test_a_nudge_without_pulses_wears_nothing() -> None:
    bench = LimitedBench(Spy(), Limits(dose=0))
    bench.execute((Nudge(BLOCK, np.array([[0, 0]]), "current", 1e-6, ONES, 1e-6),))
    assert bench.wear == Wear("main", 0, 0, 0)


def test_a_dose_is_used_up_across_one_schedule_and_the_schedule_refused_counts_nothing() -> None:
    spy = Spy()
    bench = LimitedBench(spy, Limits(dose=8))
    bench.execute((PROGRAM,))
    before = bench.doses["main"].copy()
    with pytest.raises(LimitError, match=r"operation 2.*row 3, column 4, which had 6 before; its dose is 8"):
        bench.execute((PROGRAM, Wait(0.0), PROGRAM, PROGRAM))
    np.testing.assert_array_equal(bench.doses["main"], before)
    bench.execute((PROGRAM,))
    assert len(spy.reached) == 2


def test_devices_given_no_pulses_may_be_beyond_their_dose_already() -> None:
    doses = np.zeros((9, 7), np.int64)
    doses[2, 4] = 100  # COUNTS is 0 there
    bench = LimitedBench(Spy(), Limits(dose=10), {"main": doses})
    bench.execute((PROGRAM,))
    assert bench.doses["main"][2, 4] == 100


def test_a_failure_counts_the_pulses_asked_for_as_spent() -> None:
    bench = LimitedBench(Spy(BenchError("lost")), Limits())
    with pytest.raises(BenchError):
        bench.execute((PROGRAM,))
    assert bench.doses["main"].sum() == 6


@pytest.mark.parametrize("refusal", [ScheduleError("no"), LimitError("no")], ids=repr)
def test_a_schedule_that_the_bench_itself_refuses_counts_nothing(refusal: Exception) -> None:
    bench = LimitedBench(Spy(refusal), Limits())
    with pytest.raises(type(refusal)):
        bench.execute((PROGRAM, pulse_nudge(1, [[0, 0]])))
    assert not bench.doses["main"].any()


@pytest.mark.parametrize(
    "region",
    [
        Region("main", np.array([0, 9]), np.arange(3)),
        Region("main", np.arange(2), np.array([5, 6, 7])),
        Region("main", np.arange(2), np.array([0, 7, 2])),
    ],
    ids=["row", "neighbouring columns", "scattered columns"],
)
def test_pulses_to_lines_outside_the_array_are_refused_before_they_are_counted(region: Region) -> None:
    spy = Spy()
    bench = LimitedBench(spy, Limits())
    nudge = Nudge(region, np.array([[0, 0]]), "pulse", 1, ONES, 1e-6, UP, DOWN)
    for op in (Program(region, COUNTS, UP, DOWN), nudge):
        with pytest.raises(ScheduleError, match="the array has 9 x 7"):
            bench.execute((PROGRAM, op))
    assert not bench.doses["main"].any()
    assert not spy.reached


def test_pulses_to_an_unknown_array_are_refused_by_name() -> None:
    with pytest.raises(ScheduleError, match="no array 'elsewhere'; this bench has main, side"):
        LimitedBench(Spy(), Limits()).execute(
            (Program(Region("elsewhere", BLOCK.rows, BLOCK.cols), COUNTS, UP, DOWN),)
        )


def test_the_most_negative_int16_is_32768_pulses_and_refused() -> None:
    region = Region.block("main", range(1), range(1))
    counts = np.array([[-32768]], np.int16)
    with pytest.raises((LimitError, ScheduleError), match="32768 pulses"):
        LimitedBench(Spy(), Limits()).execute((Program(region, counts, UP, DOWN),))


def test_a_full_counter_refuses_instead_of_starting_again() -> None:
    bench = LimitedBench(Spy(), Limits(), {"main": np.full((9, 7), MAX_DOSE)})
    with pytest.raises(LimitError, match=f"its dose is {MAX_DOSE}"):
        bench.execute((PROGRAM,))
    assert bench.doses["main"].max() == MAX_DOSE


def test_counts_that_are_a_strided_view_are_counted_as_they_look() -> None:
    bench = LimitedBench(Spy(), Limits())
    bench.execute((Program(Region.block("main", range(3), range(2)), COUNTS.T, UP, DOWN),))
    np.testing.assert_array_equal(bench.doses["main"][:3, :2], np.abs(COUNTS.T))


def test_doses_go_on_from_an_earlier_life_and_the_record_given_is_not_changed() -> None:
    earlier = {"main": np.full((9, 7), 5, np.int32)}
    first = LimitedBench(Spy(), Limits(dose=8), earlier)
    first.execute((PROGRAM,))
    assert earlier["main"].max() == 5
    second = LimitedBench(Spy(), Limits(dose=8), first.doses)
    with pytest.raises(LimitError, match=r"2 pulses .* which had 7 before"):
        second.execute((PROGRAM,))


def test_doses_cannot_be_changed_from_outside() -> None:
    with pytest.raises(ValueError, match="read-only"):
        LimitedBench(Spy(), Limits()).doses["main"][0, 0] = 1


@pytest.mark.parametrize(
    ("doses", "reason"),
    [
        ({"elsewhere": np.zeros((9, 7), int)}, "no array 'elsewhere'"),
        ({"main": np.zeros((7, 9), int)}, r"shape \(7, 9\)"),
        ({"main": np.zeros((9, 7))}, "whole numbers"),
        ({"main": np.full((9, 7), -1)}, "whole numbers"),
        ({"main": np.full((9, 7), MAX_DOSE + 1)}, "whole numbers"),
    ],
    ids=["array", "shape", "floats", "negative", "too large"],
)
def test_doses_that_cannot_be_the_arrays_are_refused(doses: dict[str, np.ndarray], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        LimitedBench(Spy(), Limits(), doses)


@pytest.mark.parametrize("bound", [-1, math.nan])
@pytest.mark.parametrize(
    "name", ["read_v", "program_v", "width_min_s", "width_max_s", "pulses_per_op", "dose"]
)
def test_a_bound_that_is_negative_or_nan_is_refused(name: str, bound: float) -> None:
    with pytest.raises(ConfigError, match=name):
        Limits(**{name: bound})  # type: ignore[arg-type]


def test_widths_that_leave_nothing_between_them_are_refused() -> None:
    with pytest.raises(ConfigError, match="is above width_max_s"):
        Limits(width_min_s=2e-6, width_max_s=1e-6)


def test_limits_joined_allow_what_both_allow() -> None:
    hardware = Limits(read_v=1.0, width_min_s=1e-8, width_max_s=1e-3, dose=1000)
    run = Limits(read_v=0.2, program_v=3.0, width_min_s=1e-7, pulses_per_op=5, dose=5000)
    both = Limits(0.2, 3.0, 1e-7, 1e-3, 5, 1000)
    assert hardware & run == both
    assert run & hardware == both
    assert run & Limits() == run


def test_the_rest_is_the_wrapped_benchs_own() -> None:
    spy = Spy()
    bench: Bench = LimitedBench(spy, Limits())
    bench.make_safe()
    assert spy.made_safe == 1
    assert (bench.arrays, bench.durable, bench.identity) == (spy.arrays, spy.durable, spy.identity)


def test_importing_limits_does_not_import_numba() -> None:
    script = "import sys, hil.limits; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_values_scaled_to_their_peak_reach_the_limit_and_no_further_step_passes() -> None:
    rng = np.random.default_rng(3)
    for bound in (0.1, 0.15, 0.2, 0.25, *rng.uniform(1e-3, 2, 20)):
        bench = LimitedBench(Spy(), Limits(read_v=float(bound)))
        values = rng.uniform(-3, 3, (500, 2)).astype(np.float32)
        scaled = values * (np.float32(bound) / np.abs(values).max(axis=1, keepdims=True))
        bench.execute((Multiply(BLOCK, scaled, 1e-6),))
        most = np.float32(largest_admitted(float(bound), "f"))
        assert most <= bound * (1 + 1.8e-7)
        bench.execute((multiply(float(most), np.float32),))
        with pytest.raises(LimitError, match="is allowed"):
            bench.execute((multiply(float(np.nextafter(most, np.float32(9))), np.float32),))


def test_a_limit_beyond_float32_lets_no_infinity_through() -> None:
    with pytest.raises(LimitError, match="inf"):
        LimitedBench(Spy(), Limits(read_v=1e300)).execute((multiply(math.inf, np.float32),))
