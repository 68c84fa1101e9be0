"""From wanted changes to counts: exact in expectation, signed as physics wants it, held where told."""

from __future__ import annotations

import numpy as np

from hil.kernels import dense
from protocols.updates.kernels import graded_pulses, sign_pulses

RNG = np.random.default_rng(5)
DELTA = RNG.standard_normal((3, 9)).astype(np.float32)
INPUTS = np.where(RNG.random((3, 20)) < 0.4, 0, RNG.standard_normal((3, 20))).astype(np.float32)
NONE = np.zeros((0, 0), np.float32)
ROWS = np.flatnonzero(INPUTS.any(axis=0))
WANTED = -0.1 * (INPUTS.astype(float).T @ DELTA.astype(float))[ROWS]
UP = np.linspace(2, 6, 18, dtype=np.float32)[None, :]
DOWN = np.linspace(3, 1, 18, dtype=np.float32)[None, :]


def graded(
    key: int,
    most: float = 100.0,
    up: np.ndarray = UP,
    down: np.ndarray = DOWN,
    plus: bool = True,
    minus: bool = True,
) -> tuple[np.ndarray, int]:
    *pulses, held = graded_pulses(
        DELTA,
        INPUTS,
        NONE,
        np.float32(-0.1),
        ROWS,
        0,
        9,
        plus,
        minus,
        up,
        down,
        np.float32(most),
        np.uint32(key),
    )
    return dense(*pulses, 9 * (plus + minus)), held


def counts_of(key: int, most: float = 100.0) -> tuple[np.ndarray, int]:
    return graded(key, most)


def signs_of(
    threshold: float, first: int = 0, m: int = 9, plus: bool = True, minus: bool = True
) -> np.ndarray:
    pulses = sign_pulses(
        DELTA, INPUTS, NONE, np.float32(-0.1), ROWS, first, m, plus, minus, np.float32(threshold)
    )
    return dense(*pulses, m * (plus + minus))


def expected() -> np.ndarray:
    """Plus devices rise with a wanted rise, by their own pulses per weight; minus devices do the opposite."""
    plus = np.where(WANTED > 0, WANTED * UP[0, :9], WANTED * DOWN[0, :9])
    minus = np.where(WANTED > 0, -WANTED * DOWN[0, 9:], -WANTED * UP[0, 9:])
    return np.concatenate((plus, minus), axis=1)


def test_the_mean_count_is_the_wanted_number_of_pulses_and_its_spread_that_of_one_rounding() -> None:
    trials = 4000
    counts = np.stack([counts_of(key)[0] for key in range(trials)]).astype(float)
    part = np.abs(expected()) % 1
    spread = np.sqrt(part * (1 - part))
    assert (np.abs(counts.mean(axis=0) - expected()) < 5 * spread / np.sqrt(trials) + 1e-3).all()
    assert np.abs(counts.std(axis=0) - spread).max() < 0.05
    assert (np.abs(counts - expected()) < 1 + 1e-5).all()


def test_the_two_devices_of_a_pair_are_rounded_independently() -> None:
    counts = np.stack([counts_of(key)[0] for key in range(4000)]).astype(float)
    plus, minus = counts[:, :, :9], -counts[:, :, 9:]
    moving = (plus.std(axis=0) > 0.1) & (minus.std(axis=0) > 0.1)
    correlations = [
        np.corrcoef(plus[:, i, j], minus[:, i, j])[0, 1] for i, j in zip(*np.nonzero(moving), strict=True)
    ]
    assert np.abs(correlations).max() < 0.1


def test_the_same_key_gives_the_same_counts_and_another_key_others() -> None:
    assert (counts_of(7)[0] == counts_of(7)[0]).all()
    assert (counts_of(7)[0] != counts_of(8)[0]).any()


def test_counts_beyond_the_most_are_held_and_counted() -> None:
    free, none_held = counts_of(3)
    counts, held = counts_of(3, most=1.0)
    assert none_held == 0
    assert held == np.count_nonzero(np.abs(free) > 1)
    assert (counts == np.clip(free, -1, 1)).all()


def test_steps_of_each_device_are_taken_from_its_own_row() -> None:
    up, down = np.tile(UP, (20, 1)), np.tile(DOWN, (20, 1))
    together, _ = counts_of(1)
    alone, _ = graded(1, up=up, down=down)
    assert (together == alone).all()
    up[ROWS[0]] = 0
    down[ROWS[0]] = 0
    alone, _ = graded(1, up=up, down=down)
    assert (alone[0] == 0).all()
    assert (alone[1:] == together[1:]).all()


def test_a_part_of_the_outputs_is_that_part_of_the_whole_change() -> None:
    signs, part = signs_of(0), signs_of(0, first=4, m=3)
    assert (part == np.concatenate((signs[:, 4:7], signs[:, 13:16]), axis=1)).all()


def test_the_sign_rule_gives_one_pulse_where_the_change_exceeds_the_threshold() -> None:
    threshold = float(np.median(np.abs(WANTED)))
    counts = signs_of(threshold)
    wanted = np.where(np.abs(WANTED) > threshold * (1 + 1e-5), np.sign(WANTED), 0)
    unsure = np.abs(np.abs(WANTED) - threshold) < 1e-6
    assert ((counts[:, :9] == wanted) | unsure).all()
    assert (counts[:, 9:] == -counts[:, :9]).all()


def test_a_block_that_holds_one_kind_of_device_gets_that_half_of_the_pairs_counts() -> None:
    both, signs = counts_of(4)[0], signs_of(0)
    assert (graded(4, minus=False)[0] == both[:, :9]).all()
    assert (graded(4, plus=False)[0] == both[:, 9:]).all()
    assert (signs_of(0, minus=False) == signs[:, :9]).all()
    assert (signs_of(0, plus=False) == signs[:, 9:]).all()


def test_devices_held_against_a_reference_are_asked_for_their_own_steps() -> None:
    alone, _ = graded(4, up=UP[:, :9], down=DOWN[:, :9], minus=False)
    assert (alone == counts_of(4)[0][:, :9]).all()


def test_a_measured_gradient_is_asked_for_as_its_factors_would_be() -> None:
    matrix = INPUTS.T @ DELTA
    none = np.zeros((0, 9), np.float32), np.zeros((0, 20), np.float32)
    told = ROWS, 0, 9, True, True
    *pulses, held = graded_pulses(
        *none, matrix, np.float32(-0.1), *told, UP, DOWN, np.float32(100), np.uint32(4)
    )
    unsure = np.abs(expected() - np.round(expected())) < 1e-4
    assert ((dense(*pulses, 18) == counts_of(4)[0]) | unsure).all()
    assert held == 0
    signs = dense(*sign_pulses(*none, matrix, np.float32(-0.1), *told, np.float32(0)), 18)
    assert (signs == signs_of(0)).all()


def test_few_outputs_are_turned_and_get_the_same_counts_as_row_by_row() -> None:
    each = [
        np.repeat(ratio, INPUTS.shape[1], axis=0) for ratio in (UP, DOWN)
    ]  # a row for each input: not turned
    for plus, minus in ((True, True), (True, False), (False, True)):
        turned, held = graded(11, most=1.0, plus=plus, minus=minus)
        by_rows, also_held = graded(11, 1.0, *each, plus=plus, minus=minus)
        np.testing.assert_array_equal(turned, by_rows)
        assert held == also_held > 0
