"""Sensed states: cells of a converter, steps of a curve, and how many pulses lead where."""

from __future__ import annotations

import numpy as np
import pytest

from hil.bench import DeviceSheet, StepCurve
from hil.schedule import Pulse
from protocols.updates.refresh import Refresh
from protocols.updates.sensing import expected_steps, states

RANGE = np.array([1e-6, 5e-6])
STEP = 4e-8
CURVE = StepCurve(RANGE, np.array([3 * STEP, 0.0]), np.array([0.0, -2 * STEP]))
SHEET = DeviceSheet(1e-6, 5e-6, STEP, STEP, CURVE, Pulse(1.0, 1e-6), Pulse(-1.0, 1e-6), 0.1, 1e-6)


def test_a_state_is_0_at_the_lowest_and_1_at_the_highest_conductance() -> None:
    g = states(np.array([1e-6, 3e-6, 5e-6], np.float32), SHEET)
    assert np.abs(g - [0, 0.5, 1]).max() < 1e-6


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_sensing_tells_the_middle_of_one_of_two_to_the_bits_equal_cells(bits: int) -> None:
    siemens = np.linspace(1.0e-6, 5.0e-6, 5001).astype(np.float32)
    g = states(siemens, SHEET, bits)
    exact = states(siemens, SHEET)
    assert np.unique(g).size == 2**bits
    assert np.abs(g - exact).max() < 0.5 / 2**bits + 1e-5
    assert g.min() == pytest.approx(0.5 / 2**bits)
    assert g.max() == pytest.approx(1 - 0.5 / 2**bits)


def test_what_lies_outside_the_range_is_in_the_last_cell_and_what_is_unknown_stays_unknown() -> None:
    g = states(np.array([0, 9e-6, np.nan], np.float32), SHEET, 2)
    assert g[0] == pytest.approx(0.125)
    assert g[1] == pytest.approx(0.875)
    assert np.isnan(g[2])


def test_expected_steps_are_those_of_the_curve_with_a_floor_and_nominal_where_nothing_is_known() -> None:
    g = np.array([1e-6, 3e-6, 5e-6, np.nan], np.float32)
    up, down = expected_steps(g, SHEET, smallest=0.1)
    assert up / STEP == pytest.approx([3, 1.5, 0.1, 1], rel=1e-4)
    assert down / STEP == pytest.approx([0.1, 1, 2, 1], rel=1e-4)


def test_the_staircase_climbs_by_the_curves_steps_until_they_vanish() -> None:
    stairs = SHEET.staircase()
    assert stairs[0] == SHEET.g_min_s
    assert np.diff(stairs) == pytest.approx(np.interp(stairs[:-1], RANGE, CURVE.up_s))
    assert 0.98 * SHEET.g_max_s < stairs[-1] <= SHEET.g_max_s


def test_thresholds_of_refresh_that_cross_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be below refresh\.high"):
        Refresh(high=0.4, low=0.5)
