"""Currents that amplifiers add are taken off exactly: once from what an amplifier sensed, in proportion from
what was put together from readings.
"""

from __future__ import annotations

import numpy as np
import pytest

from drivers.crosspoint.known import sums
from hil.bench import ArrayInfo, Cost, Execution
from hil.corrected import CorrectedBench, Known, Offsets
from hil.schedule import (
    Multiply,
    MultiplyAnswer,
    Nudge,
    NudgeAnswer,
    Program,
    Read,
    ReadAnswer,
    Region,
    Variants,
    Wait,
)
from tests.unit.sheets import linear_sheet

READ_V = 0.2
SHEET = linear_sheet(read_v=READ_V)
RNG = np.random.default_rng(2)
SIEMENS = RNG.uniform(1e-6, 11e-6, (5, 6))
OFFSETS = Offsets(*(RNG.normal(0, 1e-7, lines) for lines in (6, 6, 5)))
REGION = Region("main", np.array([3, 0, 4]), np.array([5, 1, 2, 0]))
AT = np.ix_(REGION.rows, REGION.cols)
OF_DEVICES, OF_COLS = OFFSETS.devices[REGION.cols], OFFSETS.cols[REGION.cols]
OF_ROWS = OFFSETS.rows[REGION.rows]
FORWARD, BACK = RNG.normal(0, 0.1, (2, 3)), RNG.normal(0, 0.1, (2, 4))
VARIANTS = Variants(np.array([2, 0]), RNG.normal(0, 0.1, (2, 2)))


class Answering:
    """A bench that answers each schedule with what it is told to."""

    durable, identity = False, {}

    def __init__(self, answer, emulated: frozenset[str]) -> None:
        self.arrays = {"main": ArrayInfo("main", 5, 6, SHEET, emulated=emulated)}
        self._answer = answer

    def execute(self, schedule):
        return Execution((None, self._answer, None), (Cost(), Cost(reads=3), Cost()))


def corrected(op, answer, emulated: frozenset[str] = frozenset()):
    bench = CorrectedBench(Answering(answer, emulated), {"main": Known(offsets=OFFSETS)})
    program = Program(REGION, np.ones(REGION.shape, np.int16), SHEET.potentiate, SHEET.depress)
    done = bench.execute((program, op, Wait(1.0)))
    assert done.cost.reads == 3
    assert done.answers[0] is done.answers[2] is None
    return done.answers[1]


def no_flags(shape) -> np.ndarray:
    return np.zeros(shape, np.bool_)


def test_single_readings_are_sensed_at_their_columns() -> None:
    raw = SIEMENS[AT] * READ_V + OF_DEVICES
    flags = no_flags(raw.shape)
    flags[1, 1] = True
    answer = corrected(Read(REGION, READ_V, 1e-6), ReadAnswer(raw, flags, READ_V))
    np.testing.assert_allclose(answer.amperes, SIEMENS[AT] * READ_V, rtol=1e-12)
    assert np.isnan(answer.siemens[1, 1])


@pytest.mark.parametrize("variants", [None, VARIANTS])
@pytest.mark.parametrize("transpose", [False, True])
def test_a_sum_that_an_amplifier_sensed_carries_its_current_once(variants, transpose: bool) -> None:
    if transpose and variants is not None:
        variants = Variants(np.array([3, 1]), variants.volts)
    op = Multiply(REGION, BACK if transpose else FORWARD, 1e-6, transpose, variants)
    truth, flags = sums(op, SIEMENS[AT])
    raw = (truth + (OF_ROWS if transpose else OF_COLS)).astype(np.float32)
    answer = corrected(op, MultiplyAnswer(raw, flags))
    assert answer.amperes.dtype == np.float32
    np.testing.assert_allclose(answer.amperes, truth, atol=1e-13)


@pytest.mark.parametrize("variants", [None, VARIANTS])
@pytest.mark.parametrize("transpose", [False, True])
def test_a_sum_of_readings_carries_that_of_each_as_far_as_it_is_driven(variants, transpose: bool) -> None:
    if transpose and variants is not None:
        variants = Variants(np.array([3, 1]), variants.volts)
    op = Multiply(REGION, BACK if transpose else FORWARD, 1e-6, transpose, variants)
    as_read = (SIEMENS[AT] * READ_V + OF_DEVICES) / READ_V  # what such a bench takes for conductances
    truth, flags = sums(op, SIEMENS[AT])
    raw, _ = sums(op, as_read)
    assert np.abs(raw - truth).max() > 1e-9
    answer = corrected(op, MultiplyAnswer(raw, flags, emulated=True))
    np.testing.assert_allclose(answer.amperes, truth, atol=1e-12)
    assert answer.emulated


@pytest.mark.parametrize("emulated", [False, True])
def test_a_nudge_is_sensed_at_its_own_column(emulated: bool) -> None:
    points = np.array([[0, 3], [2, 1]])
    op = Nudge(REGION, points, "gate", 0.05, FORWARD, 1e-6)
    truth = np.stack([FORWARD @ SIEMENS[AT][:, col] for col in points[:, 1]])
    carried = OF_COLS[points[:, 1], np.newaxis]
    if emulated:
        carried = OF_DEVICES[points[:, 1], np.newaxis] * FORWARD.sum(axis=1) / READ_V
    answer = NudgeAnswer(truth + carried, no_flags(truth.shape), np.zeros(2))
    kinds = frozenset({"nudge"}) if emulated else frozenset()
    np.testing.assert_allclose(corrected(op, answer, kinds).amperes, truth, rtol=1e-9)


def test_arrays_of_which_nothing_is_known_stay_as_they_are() -> None:
    inner = Answering(ReadAnswer(np.ones((3, 4)), no_flags((3, 4)), READ_V), frozenset())
    bench = CorrectedBench(inner, {})
    assert bench.arrays["main"] == inner.arrays["main"]
    assert bench.execute((Wait(1.0), Read(REGION, READ_V, 1e-6), Wait(1.0))).answers[1].amperes[0, 0] == 1
