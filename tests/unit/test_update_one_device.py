"""Counts of the rules that pulse one device of a pair, or by thresholds, against numpy."""

from __future__ import annotations

import numpy as np

from hil.kernels import dense
from protocols.updates.one_device import directed_pulses, threshold_pulses

RNG = np.random.default_rng(8)
IN, OUT = 20, 9
DELTA = RNG.standard_normal((3, OUT)).astype(np.float32)
INPUTS = np.where(RNG.random((3, IN)) < 0.4, 0, RNG.standard_normal((3, IN))).astype(np.float32)
NONE = np.zeros((0, 0), np.float32)
ROWS = np.flatnonzero(INPUTS.any(axis=0))
WANTED = -0.1 * (INPUTS.astype(float).T @ DELTA.astype(float))
SIGNED = RNG.choice((-1, 1), (2, IN, OUT)) * RNG.uniform(1, 8, (2, IN, OUT))
RISE, FALL = SIGNED.astype(np.float32)


def directed(
    key: int, most: float = 100.0, first: int = 0, m: int = OUT, plus: bool = True, minus: bool = True
) -> tuple[np.ndarray, int]:
    *pulses, held = directed_pulses(
        DELTA, INPUTS, NONE, np.float32(-0.1), ROWS, first, m, plus, minus, RISE, FALL, np.float32(most),
        np.uint32(key),
    )  # fmt: skip
    return dense(*pulses, m * (plus + minus)), held


def expected() -> np.ndarray:
    """A rise potentiates the plus device where its rate is above 0, else it depresses the minus one; a fall
    does so with the devices exchanged.
    """
    counts = np.zeros((IN, 2, OUT))
    for i, j in np.ndindex(IN, OUT):
        w = WANTED[i, j]
        rate = RISE[i, j] if w > 0 else FALL[i, j]
        device = int((w > 0) != (rate > 0))
        counts[i, device, j] = abs(w) * rate
    return counts[ROWS].reshape(ROWS.size, -1)


def thresholds(
    smallest_input: float, smallest_error: float, one_way: bool, most: int = 31, plus: bool = True,
    minus: bool = True,
) -> tuple[np.ndarray, int]:  # fmt: skip
    *pulses, held = threshold_pulses(
        DELTA, INPUTS, NONE, np.float32(-0.1), ROWS, 0, OUT, plus, minus, np.float32(smallest_input),
        np.float32(smallest_error), one_way, most,
    )  # fmt: skip
    return dense(*pulses, OUT * (plus + minus)), held


def net_signs(smallest_input: float, smallest_error: float) -> np.ndarray:
    x = np.sign(INPUTS) * (np.abs(INPUTS) > smallest_input)
    d = np.sign(DELTA) * (np.abs(DELTA) > smallest_error)
    return -(x.T @ d)[ROWS]


def test_one_device_of_a_pair_gets_the_whole_change_in_the_mean_with_the_spread_of_one_rounding() -> None:
    trials = 4000
    counts = np.stack([directed(key)[0] for key in range(trials)]).astype(float)
    part = np.abs(expected()) % 1
    spread = np.sqrt(part * (1 - part))
    assert (np.abs(counts.mean(axis=0) - expected()) < 5 * spread / np.sqrt(trials) + 1e-3).all()
    assert np.abs(counts.std(axis=0) - spread).max() < 0.05


def test_never_do_both_devices_of_a_pair_move_in_one_step() -> None:
    counts, _ = directed(2)
    assert not (counts[:, :OUT].astype(bool) & counts[:, OUT:].astype(bool)).any()
    assert (counts != 0).sum() > 20


def test_more_than_the_most_is_held_and_counted() -> None:
    free, none_held = directed(3)
    counts, held = directed(3, most=1.0)
    assert none_held == 0
    assert held == np.count_nonzero(np.abs(free) > 1)
    assert (counts == np.clip(free, -1, 1)).all()


def test_a_block_gets_its_part_of_the_whole() -> None:
    both, _ = directed(4)
    assert (directed(4, minus=False)[0] == both[:, :OUT]).all()
    assert (directed(4, plus=False)[0] == both[:, OUT:]).all()
    part = np.stack([directed(key, first=4, m=3)[0] for key in range(2000)]).mean(axis=0)
    of_all = expected()[:, np.r_[4:7, OUT + 4 : OUT + 7]]
    assert np.abs(part - of_all).max() < 0.08


def test_a_measured_gradient_is_asked_for_as_its_factors_would_be() -> None:
    none = np.zeros((0, OUT), np.float32), np.zeros((0, IN), np.float32)
    matrix = INPUTS.T @ DELTA
    *pulses, _ = directed_pulses(
        *none, matrix, np.float32(-0.1), ROWS, 0, OUT, True, True, RISE, FALL, np.float32(100), np.uint32(4)
    )
    differs = dense(*pulses, 2 * OUT) != directed(4)[0]
    assert differs.sum() <= 1  # a sum in another order may round the other way
    *pulses, _ = threshold_pulses(
        *none, matrix, np.float32(-0.1), ROWS, 0, OUT, True, True, np.float32(0.5), np.float32(0.4), False, 31
    )
    signs = -np.sign(matrix) * (np.abs(matrix) > 0.2)
    assert (dense(*pulses, 2 * OUT)[:, :OUT] == signs[ROWS]).all()


def test_a_rule_of_thresholds_gives_one_pulse_for_each_sample_above_both_and_adds_them() -> None:
    counts, held = thresholds(0.5, 0.4, one_way=False)
    assert held == 0
    assert (counts[:, :OUT] == net_signs(0.5, 0.4)).all()
    assert (counts[:, OUT:] == -counts[:, :OUT]).all()
    assert np.abs(counts).max() > 1


def test_one_way_a_rise_is_for_the_plus_device_and_a_fall_for_the_minus_device() -> None:
    counts, _ = thresholds(0.5, 0.4, one_way=True)
    net = net_signs(0.5, 0.4)
    assert (counts >= 0).all()
    assert (counts[:, :OUT] == np.maximum(net, 0)).all()
    assert (counts[:, OUT:] == np.maximum(-net, 0)).all()
    assert (thresholds(0.5, 0.4, one_way=True, plus=False)[0] == counts[:, OUT:]).all()


def test_samples_that_add_up_to_more_than_the_most_are_held() -> None:
    counts, held = thresholds(0.1, 0.1, one_way=False, most=1)
    net = net_signs(0.1, 0.1)
    assert held == np.count_nonzero(np.abs(net) > 1)
    assert (counts[:, :OUT] == np.clip(net, -1, 1)).all()
