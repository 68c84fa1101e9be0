"""Operations that make no sense cannot be built, and the message says what was asked and what is needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from hil.errors import ScheduleError
from hil.schedule import (
    MAX_COUNT,
    Multiply,
    Nudge,
    Program,
    Pulse,
    Read,
    ReadAnswer,
    Region,
    Variants,
    Wait,
    merge,
)

BLOCK = Region.block("main", range(2), range(3))
UP, DOWN = Pulse(1.0, 1e-6), Pulse(-1.0, 1e-6)
V = np.full((4, 2), 0.1)


def nudge(
    points: object, size: float = 1, kind: str = "gate", volts: np.ndarray = V, **pulses: Pulse
) -> Nudge:
    return Nudge(BLOCK, np.array(points), kind, size, volts, 1e-6, **pulses)  # type: ignore[arg-type]


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: Region("main", np.array([[0]]), np.array([0])), "rows of main: .* one-dimensional"),
    (lambda: Region("main", np.array([0]), np.array([0.5])), "columns of main: .* line numbers"),
    (lambda: Region("main", np.array([True]), np.array([0])), "rows of main: .* line numbers"),
    (
        lambda: Region("main", np.array([1, -2]), np.array([0])),
        "rows of main: asked for line -2; lines are counted",
    ),
    (lambda: Region("main", np.array([0]), np.array([3, 1, 3])), "columns of main: a line is named twice"),
    (lambda: Pulse(0.0, 1e-6), "pulse amplitude: asked for 0.0 V"),
    (lambda: Pulse(math.nan, 1e-6), "pulse amplitude: asked for nan V"),
    (lambda: Pulse(1.0, 0.0), "pulse width: asked for 0.0 s; a finite time above 0"),
    (lambda: Pulse(1.0, math.inf), "pulse width: asked for inf s"),
    (lambda: Pulse(1.0, 1e-6, -1e-9), "pulse gap: asked for -1e-09 s"),
    (lambda: Read(BLOCK, 0.0, 1e-6), "read voltage: asked for 0.0 V"),
    (lambda: Read(BLOCK, math.inf, 1e-6), "read voltage: asked for inf V"),
    (lambda: Read(BLOCK, 0.1, math.nan), "read integration: asked for nan s"),
    (
        lambda: Multiply(BLOCK, V[0], 1e-6),
        r"multiply on main: volts have shape \(2,\); \[n, 2\] is needed, .* row",
    ),
    (lambda: Multiply(BLOCK, V, 1e-6, transpose=True), r"shape \(4, 2\); \[n, 3\] is needed, .* column"),
    (lambda: Multiply(BLOCK, V, -1.0), "multiply integration: asked for -1.0 s"),
    (lambda: Variants(np.array([0]), np.zeros((2, 4))), r"variants: lines \(1,\) and volts \(2, 4\)"),
    (
        lambda: Multiply(BLOCK, V, 1e-6, variants=Variants(np.array([0]), np.zeros((1, 3)))),
        "variants are for 3 vectors, 4 are driven",
    ),
    (
        lambda: Multiply(BLOCK, V, 1e-6, variants=Variants(np.array([1, 2]), np.zeros((2, 4)))),
        "variant of line 2; the driven lines are 0 to 1",
    ),
    (
        lambda: Multiply(BLOCK, V, 1e-6, variants=Variants(np.array([-1]), np.zeros((1, 4)))),
        "variant of line -1",
    ),
    (lambda: Program(BLOCK, np.zeros((3, 2), np.int16), UP, DOWN), r"counts have shape \(3, 2\); \(2, 3\)"),
    (lambda: Program(BLOCK, np.zeros((2, 3)), UP, DOWN), "counts are float64; whole numbers"),  # type: ignore[arg-type]
    (lambda: nudge([0, 0]), r"points have shape \(2,\); \[k, 2\]"),
    (lambda: nudge([[2, 0]]), "a point lies outside the region of 2 x 3"),
    (lambda: nudge([[0, 3]]), "a point lies outside"),
    (lambda: nudge([[0, -1]]), "a point lies outside"),
    (lambda: nudge([[0, 0]], volts=np.zeros((1, 3))), r"volts have shape \(1, 3\); \[n, 2\]"),
    (lambda: nudge([[0, 0]], size=0), "nudge size: asked for 0"),
    (lambda: nudge([[0, 0]], size=math.nan), "nudge size: asked for nan"),
    (lambda: nudge([[0, 0]], kind="pulse", potentiate=UP), "both pulses, potentiate and depress, are needed"),
    (
        lambda: nudge([[0, 0]], 1.5, "pulse", potentiate=UP, depress=DOWN),
        "1.5 pulses asked for; a whole number",
    ),
    (lambda: Wait(-1.0), "wait: asked for -1.0 s"),
    (lambda: Wait(math.inf), "wait: asked for inf s"),
]


@pytest.mark.parametrize(("build", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_what_makes_no_sense_is_refused_with_a_reason(build: Callable[[], object], reason: str) -> None:
    with pytest.raises(ScheduleError, match=reason):
        build()


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8, np.uint64])
def test_counts_of_any_integer_type_are_taken_as_int16(dtype: type) -> None:
    counts = np.arange(6).reshape(2, 3).astype(dtype)
    op = Program(BLOCK, counts, UP, DOWN)
    assert op.counts.dtype == np.int16
    np.testing.assert_array_equal(op.counts, np.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    "most",
    [
        np.int32(MAX_COUNT + 1),
        np.int64(-MAX_COUNT - 1),
        np.uint16(2**16 - 1),
        np.int64(np.iinfo(np.int64).min),
        np.uint64(2**64 - 1),
    ],
    ids=repr,
)
def test_counts_too_large_for_one_operation_are_refused_not_wrapped(most: np.integer) -> None:
    counts = np.zeros((2, 3), most.dtype)
    counts[1, 1] = most
    with pytest.raises(
        ScheduleError, match=f"{abs(int(most))} pulses for one device .* {MAX_COUNT} is the most"
    ):
        Program(BLOCK, counts, UP, DOWN)  # type: ignore[arg-type]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_most_pulses_of_one_operation_are_taken(sign: int) -> None:
    op = Program(BLOCK, np.full((2, 3), sign * MAX_COUNT), UP, DOWN)  # type: ignore[arg-type]
    assert np.all(op.counts == sign * MAX_COUNT)


def test_a_region_keeps_the_order_asked_for_and_its_own_copy() -> None:
    rows = np.array([3, 0, 2])
    region = Region("main", rows, np.array([1, 0]))
    rows[0] = 9
    np.testing.assert_array_equal(region.rows, [3, 0, 2])
    np.testing.assert_array_equal(region.cols, [1, 0])
    assert region.shape == (3, 2)


@pytest.mark.parametrize(
    ("cols", "start"), [([4, 5, 6], 4), ([4], 4), ([], -1), ([4, 6], -1), ([5, 4], -1), ([0, 1, 3], -1)]
)
def test_a_region_knows_whether_its_columns_are_neighbours(cols: list[int], start: int) -> None:
    assert Region("main", np.array([0]), np.array(cols, int)).col_start == start


def test_some_rows_of_a_region_are_a_region_with_the_same_columns() -> None:
    region = Region("main", np.array([7, 3, 5]), np.arange(2, 4))
    part = region.with_rows(np.array([2, 0]))
    np.testing.assert_array_equal(part.rows, [5, 7])
    assert (part.array, part.col_start, part.shape) == ("main", 2, (2, 2))
    assert part.cols is region.cols


def test_an_empty_region_can_be_named() -> None:
    assert Region("main", [], []).shape == (0, 0)  # type: ignore[arg-type]


def test_operations_cannot_be_changed_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        Read(BLOCK, 0.1, 1e-6).voltage_v = 5.0  # type: ignore[misc]


def test_a_clipped_reading_has_no_conductance() -> None:
    amperes = np.array([[1e-6, 5e-3]])
    answer = ReadAnswer(amperes, np.array([[False, True]]), 0.5)
    np.testing.assert_array_equal(answer.siemens, [[2e-6, np.nan]])


def test_conductances_have_the_precision_of_the_currents() -> None:
    answer = ReadAnswer(np.ones((1, 1), np.float32), np.zeros((1, 1), bool), 0.1)
    assert answer.siemens.dtype == np.float32


def test_merged_schedules_keep_their_order() -> None:
    one, two, three = Wait(1.0), Wait(2.0), Wait(3.0)
    assert merge([(one, two), (), (three,)]) == (one, two, three)
    assert merge([]) == ()


def test_what_becomes_of_the_counts_afterwards_does_not_change_an_operation() -> None:
    counts = np.ones((2, 3), np.int16)
    op = Program(Region.block("a", range(2), range(3)), counts, Pulse(1, 1e-6), Pulse(-1, 1e-6))
    counts[0, 0] = 99
    assert op.counts[0, 0] == 1
    assert list(op.pulses.numbers) == [1] * 6


def test_pulses_and_counts_of_an_operation_are_the_same() -> None:
    rng = np.random.default_rng(4)
    region = Region.block("a", range(7), range(200))
    for share in (0.0, 0.02, 0.9, 1.0):
        counts = np.where(rng.random((7, 200)) < share, rng.choice([-3, 1, 400], (7, 200)), 0).astype(
            np.int16
        )
        made = Program(region, counts, Pulse(1, 1e-6), Pulse(-1, 1e-6))
        starts, places, numbers = made.pulses
        assert list(np.diff(starts)) == list(np.count_nonzero(counts, axis=1))
        assert (np.nonzero(counts)[1] == places).all()
        assert (counts[counts != 0] == numbers).all()
        again = Program.of(region, made.pulses, made.potentiate, made.depress)
        assert (again.counts == counts).all()
        assert again.counts.dtype == np.int16


def test_a_count_that_has_no_positive_twin_is_refused() -> None:
    with pytest.raises(ScheduleError, match="32768 pulses"):
        Program(
            Region.block("a", range(1), range(1)),
            np.full((1, 1), -32768, np.int16),
            Pulse(1, 1e-6),
            Pulse(-1, 1e-6),
        )
