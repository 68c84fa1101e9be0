"""Pulse trains: Bernoulli slots, coincidences with the mean and the correlations of an outer product."""

from __future__ import annotations

import numpy as np

from hil.kernels import dense
from protocols.updates.trains import bernoulli_trains, binomial_pulses, coincidences


def popcount(words: np.ndarray) -> np.ndarray:
    return np.array([[int(word).bit_count() for word in line] for line in words])


def slots(words: np.ndarray, length: int) -> np.ndarray:
    """Trains [n, lines] as 0 and 1, [n, lines, length]."""
    return ((words[:, :, None] >> np.arange(length, dtype=np.uint64)) & np.uint64(1)).astype(int)


def test_each_slot_has_a_pulse_with_the_probability_of_its_line_and_on_its_own() -> None:
    p = np.tile(np.array([0.0, 0.03, 0.5, 0.9, 1.0, 1.7], np.float32), (4000, 1))
    trains = slots(bernoulli_trains(p, 31, key=77), 31)
    mean = trains.mean(axis=(0, 2))
    assert np.abs(mean - np.minimum(p[0], 1)).max() < 5 * 0.5 / np.sqrt(4000 * 31)
    assert np.abs(trains.mean(axis=0)[2] - 0.5).max() < 5 * 0.5 / np.sqrt(4000)
    assert np.abs(np.corrcoef(trains[:, 2].T) - np.eye(31)).max() < 0.09
    assert np.abs(np.corrcoef(trains[:, 1:4, 0].T) - np.eye(3)).max() < 0.09


def test_a_train_has_as_many_slots_as_asked_up_to_64() -> None:
    full = np.ones((1, 1), np.float32)
    for length in (1, 31, 64):
        assert popcount(bernoulli_trains(full, length, key=1))[0, 0] == length


def test_the_same_key_gives_the_same_trains_and_another_key_others() -> None:
    p = np.full((3, 40), 0.4, np.float32)
    assert (bernoulli_trains(p, 31, 5) == bernoulli_trains(p, 31, 5)).all()
    assert (bernoulli_trains(p, 31, 5) != bernoulli_trains(p, 31, 6)).any()


def test_counts_are_the_slots_that_row_and_column_share_signed_and_summed_over_samples() -> None:
    rng = np.random.default_rng(3)
    inputs = np.where(rng.random((4, 12)) < 0.3, 0, rng.standard_normal((4, 12))).astype(np.float32)
    delta = rng.standard_normal((4, 7)).astype(np.float32)
    rows = np.flatnonzero(inputs.any(axis=0))
    of_rows = bernoulli_trains(np.abs(inputs[:, rows]) / 3, 64, 1)
    of_cols = bernoulli_trains(np.abs(delta) / 3, 64, 2)
    *pulses, held = coincidences(of_rows, of_cols, inputs, delta, -1, rows, 2, 4, True, True)
    counts = dense(*pulses, 8)
    both = popcount((of_rows[:, :, None] & of_cols[:, None, 2:6]).reshape(4, -1)).reshape(4, rows.size, 4)
    signed = -(both * np.sign(inputs[:, rows])[:, :, None] * np.sign(delta)[:, None, 2:6]).sum(axis=0)
    assert held == 0
    assert (counts[:, :4] == signed).all()
    assert (counts[:, 4:] == -counts[:, :4]).all()
    assert (signed != 0).any()


def test_trains_keep_the_correlation_of_devices_on_one_line() -> None:
    """Two devices on one row share its train: the counts' covariance is BL p_r (1 - p_r) p_1 p_2."""
    trials, length = 20_000, 31
    of_rows = bernoulli_trains(np.full((trials, 1), 0.3, np.float32), length, 10)
    of_cols = bernoulli_trains(np.tile(np.array([0.5, 0.8], np.float32), (trials, 1)), length, 11)
    counts = popcount(of_rows & of_cols)
    covariance = np.cov(counts.T)
    assert abs(covariance[0, 1] - length * 0.3 * 0.7 * 0.5 * 0.8) < 0.1
    assert abs(covariance[0, 0] - length * 0.15 * 0.85) < 0.15
    assert np.abs(counts.mean(axis=0) - [length * 0.15, length * 0.24]).max() < 0.1


def test_a_change_without_factors_gets_binomial_counts_of_the_same_mean() -> None:
    length, per_slot = 31, 0.4
    matrix = np.tile(np.linspace(-1, 1, 9, dtype=np.float32), (6000, 1))
    *pulses, full = binomial_pulses(
        matrix, np.float32(-1), np.float32(per_slot), length, np.arange(6000), 0, 9, True, False, 4
    )
    counts = dense(*pulses, 9).astype(float)
    p = per_slot * np.abs(matrix[0])
    assert full == 0
    assert np.abs(counts.mean(axis=0) + np.sign(matrix[0]) * length * p).max() < 5 * 2.8 / np.sqrt(6000)
    assert np.abs(counts.var(axis=0) - length * p * (1 - p)).max() < 0.6


def test_a_probability_beyond_one_is_a_full_train_and_counted() -> None:
    matrix = np.full((2, 3), 5.0, np.float32)
    *pulses, full = binomial_pulses(
        matrix, np.float32(1), np.float32(1), 31, np.arange(2), 0, 3, True, True, 4
    )
    assert full == 6
    assert (np.abs(dense(*pulses, 6)) == 31).all()
