"""What benches say of themselves: sheets that make sense, costs that add up."""

from __future__ import annotations

import numpy as np
import pytest

from hil.bench import ArrayInfo, Bench, Cost, CostMeter, Execution, StepCurve
from hil.errors import ConfigError
from tests.contract.reference import SHEET, ReferenceBench

ONE = Cost(pulses=1, half_selects=2, reads=3, transactions=4, seconds=0.5, joules=0.25)


def test_costs_add_field_by_field() -> None:
    assert Cost(pulses=2, half_selects=4, reads=6, transactions=8, seconds=1.0, joules=0.5) == ONE + ONE
    assert (Cost() + ONE) == ONE


def test_the_cost_of_an_execution_is_the_sum_of_its_operations() -> None:
    assert Execution((None, None), (ONE, Cost(reads=1))).cost == ONE + Cost(reads=1)
    assert Execution((), ()).cost == Cost()


def test_a_meter_adds_up_by_kind_of_operation() -> None:
    meter = CostMeter()
    assert meter.total == Cost()
    meter.add("Read", ONE)
    meter.add("Program", Cost(pulses=7))
    meter.add("Read", ONE)
    assert meter.by_op == {"Read": ONE + ONE, "Program": Cost(pulses=7)}
    assert meter.total == ONE + ONE + Cost(pulses=7)


def test_two_meters_do_not_share_their_sums() -> None:
    first, second = CostMeter(), CostMeter()
    first.add("Read", ONE)
    assert second.total == Cost()


def test_an_arrays_shape_is_rows_by_columns() -> None:
    assert ArrayInfo("main", 3, 4, SHEET).shape == (3, 4)


def test_an_array_and_its_sheet_are_shown_in_one_line_with_units() -> None:
    assert repr(SHEET) == "<DeviceSheet: 1 uS to 21 uS, steps +100 nS and -100 nS, read at 100 mV for 1 us>"
    assert repr(ArrayInfo("main", 3, 4, SHEET)) == "<ArrayInfo: main 3 x 4, 1 uS to 21 uS>"


def test_a_cost_shows_what_it_took_and_leaves_out_what_it_did_not() -> None:
    assert repr(Cost()) == "<Cost: nothing>"
    assert repr(Cost(reads=1234, seconds=2.5e-6)) == "<Cost: 1,234 reads, 2.5 us>"
    assert repr(ONE) == "<Cost: 1 pulse, 2 half-selects, 3 reads, 4 transactions, 500 ms, 250 mJ>"


@pytest.mark.parametrize(
    ("siemens", "up", "down", "reason"),
    [
        ([1.0, 2.0], [1.0], [-1.0, -1.0], "one length"),
        ([1.0], [1.0], [-1.0], "two or more"),
        ([2.0, 1.0], [1.0, 1.0], [-1.0, -1.0], "siemens rising"),
        ([1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], "siemens rising"),
        ([1.0, np.nan], [1.0, 1.0], [-1.0, -1.0], "siemens rising"),
        ([1.0, 2.0], [1.0, -1.0], [-1.0, -1.0], "potentiating steps must be 0 or more"),
        ([1.0, 2.0], [1.0, 1.0], [-1.0, 1.0], "depressing steps 0 or less"),
        ([1.0, 2.0], [1.0, np.nan], [-1.0, -1.0], "potentiating steps must be 0 or more"),
    ],
)
def test_a_step_curve_that_makes_no_sense_is_refused(
    siemens: list[float], up: list[float], down: list[float], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        StepCurve(np.array(siemens), np.array(up), np.array(down))


def test_a_step_curve_may_end_in_steps_of_zero() -> None:
    curve = StepCurve(np.array([0.0, 1.0]), np.array([0.1, 0.0]), np.array([0.0, -0.1]))
    assert curve.up_s[-1] == 0


def test_a_bench_is_told_by_what_it_can_do() -> None:
    assert isinstance(ReferenceBench(), Bench)
    assert not isinstance(object(), Bench)
