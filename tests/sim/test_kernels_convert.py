import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from drivers.sim.kernels import adc, dac, read
from drivers.sim.state import Devices
from hil.chance import bits, cosine, fill_normal, fill_uniform, sine, squared_radius, turn, words
from hil.jit import kernel


def some_devices(rows: int, cols: int) -> Devices:
    g = np.random.default_rng(0).random((rows, cols), np.float32)
    zero = np.zeros_like(g)
    return Devices(g, zero, zero, zero, zero, zero, np.ones_like(g))


def test_the_normal_is_normal_in_shape_in_moments_and_in_its_tails() -> None:
    z = np.empty(2_000_000, np.float32)
    fill_normal(z, 20)
    x = z.astype(np.float64)
    assert stats.kstest(x[:1_000_000], "norm").statistic < 1.95e-3
    assert abs(x.mean()) < 3e-3
    assert abs(x.var() - 1) < 4e-3
    assert abs(stats.skew(x)) < 7e-3
    assert abs(stats.kurtosis(x)) < 1.4e-2
    for sigmas in (2.0, 3.0, 4.0):
        expected = 2 * stats.norm.sf(sigmas) * x.size
        assert abs((np.abs(x) > sigmas).sum() - expected) < 4 * np.sqrt(expected)


def test_the_uniform_is_even_and_below_one() -> None:
    u = np.empty(1_000_000, np.float32)
    fill_uniform(u, 21)
    assert stats.kstest(u.astype(np.float64), "uniform").statistic < 1.95e-3
    assert u.min() >= 0
    assert u.max() < 1


def test_neighbouring_keys_and_neighbouring_counters_are_uncorrelated() -> None:
    z = np.empty((20, 50_000), np.float32)
    for key, row in enumerate(z):
        fill_normal(row, key)
    off_diagonal = np.corrcoef(z)[~np.eye(20, dtype=bool)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(50_000)
    for lag in (1, 2, 512):
        assert abs(np.mean(z[:, lag:] * z[:, :-lag])) < 5 / np.sqrt(z.size)


@kernel
def polar(out: NDArray[np.float32], key: int) -> None:
    """Squared radius, turn and the two normals of each draw, [4, m]."""
    low, high = words(key)
    for j in range(out.shape[1]):
        h = bits(low, high, np.uint32(j))
        out[0, j], out[1, j] = squared_radius(h), turn(h)
        r = np.float32(np.sqrt(out[0, j]))
        out[2, j], out[3, j] = r * cosine(out[1, j]), r * sine(out[1, j])


def test_two_normals_of_one_draw_are_normal_and_independent() -> None:
    m = 2_000_000
    drawn = np.empty((4, m), np.float32)
    polar(drawn, 22)
    squared, turns, one, two = drawn.astype(np.float64)
    for x in (one, two):
        assert stats.kstest(x[:1_000_000], "norm").statistic < 1.95e-3
        assert abs(x.mean()) < 3e-3
        assert abs(x.var() - 1) < 4e-3
        assert abs(stats.skew(x)) < 7e-3
        assert abs(stats.kurtosis(x)) < 1.4e-2
        for sigmas in (2.0, 3.0, 4.0):
            expected = 2 * stats.norm.sf(sigmas) * m
            assert abs((np.abs(x) > sigmas).sum() - expected) < 4 * np.sqrt(expected)
    of_one, of_two = (np.stack([x, x**2 - 1, x**3 - 3 * x]) for x in (one, two))
    assert np.abs(np.corrcoef(of_one, of_two)[:3, 3:]).max() < 5 / np.sqrt(m)
    both = np.concatenate([of_one[:2], of_two[:2]])
    for lag in (1, 2, 10, 512):
        assert np.abs(np.corrcoef(both[:, lag:], both[:, :-lag])[:4, 4:]).max() < 5 / np.sqrt(m)
    where = np.histogram2d(np.exp(-squared / 2), turns + 0.5, bins=64, range=((0, 1), (0, 1)))[0].ravel()
    assert stats.chisquare(where).pvalue > 1e-4
    assert stats.kstest(turns[squared > 16], "uniform", (-0.5, 1)).pvalue > 1e-4  # beyond four sigma


def test_cosine_and_sine_of_a_turn_are_what_they_say() -> None:
    drawn = np.empty((4, 100_000), np.float32)
    polar(drawn, 23)
    squared, turns, one, two = drawn.astype(np.float64)
    np.testing.assert_allclose(one, np.sqrt(squared) * np.cos(2 * np.pi * turns), atol=1e-5)
    np.testing.assert_allclose(two, np.sqrt(squared) * np.sin(2 * np.pi * turns), atol=4e-5)


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(1, 70), st.booleans(), st.integers(0, 100))
def test_a_reading_without_noise_is_volts_times_conductance(
    rows: int, cols: int, apart: bool, seed: int
) -> None:
    devices = some_devices(7, 80)
    rng = np.random.default_rng(seed)
    r = rng.permutation(7)[:rows]
    c = rng.permutation(80)[:cols] if apart else np.arange(5, 5 + cols)
    amperes = read(devices, r, c, -1 if apart else 5, 0.2, 0.0, 0.0, 0)
    np.testing.assert_allclose(amperes, 0.2 * devices.g[np.ix_(r, c)], rtol=1e-6)


def test_reading_noise_has_a_relative_and_an_absolute_part_that_are_independent() -> None:
    devices = some_devices(400, 500)
    lines = np.arange(400), np.arange(500)
    ideal = 0.2 * devices.g.astype(np.float64)
    relative = (read(devices, *lines, 0, 0.2, 0.05, 0.0, 9) - ideal) / (0.05 * ideal)
    absolute = (read(devices, *lines, 0, 0.2, 0.0, 1e-3, 9) - ideal) / 1e-3
    both = (read(devices, *lines, 0, 0.2, 0.05, 1e-3, 9) - ideal) / np.hypot(0.05 * ideal, 1e-3)
    for z in (relative, absolute, both):
        assert stats.kstest(z.ravel()[::2], "norm").statistic < 1.95 / np.sqrt(z.size / 2) + 2e-4
    assert abs(np.corrcoef(relative.ravel(), absolute.ravel())[0, 1]) < 4 / np.sqrt(ideal.size)


@settings(max_examples=50)
@given(st.integers(2, 16), st.floats(1e-9, 10.0), st.integers(0, 100))
def test_an_adc_answers_the_nearest_code_and_marks_what_lies_beyond_its_range(
    bits: int, full: float, seed: int
) -> None:
    x = np.random.default_rng(seed).normal(0, full, (5, 40)).astype(np.float32)
    converted = x.copy()
    clipped = adc(converted, bits, full)
    step = full / (2 ** (bits - 1) - 1)
    expected = (
        np.clip(np.round(x.astype(np.float64) / step), -(2 ** (bits - 1) - 1), 2 ** (bits - 1) - 1) * step
    )
    np.testing.assert_array_equal(clipped, np.abs(x) > np.float32(full))
    wrong = np.abs(converted - expected) > 1e-6 * full
    # A value on the edge of two codes may fall to either in single precision.
    assert np.all(np.abs(converted - expected)[wrong] < 1.001 * step)
    assert np.all(np.abs(np.abs(x / step - np.round(x / step))[wrong] - 0.5) < 0.01)


def test_zero_bits_leave_values_as_they_are_and_nan_stays_nan() -> None:
    x = np.array([-3.0, 0.1, np.nan, 5.0], np.float32)
    ideal, bounded, coded = x.copy(), x.copy(), x.copy()
    assert not adc(ideal, 0, np.inf).any()
    np.testing.assert_array_equal(ideal, x)
    np.testing.assert_array_equal(adc(bounded, 0, 4.0), [False, False, False, True])
    np.testing.assert_array_equal(bounded, np.array([-3.0, 0.1, np.nan, 4.0], np.float32))
    adc(coded, 3, 3.0)
    np.testing.assert_array_equal(coded, np.array([-3.0, 0.0, np.nan, 3.0], np.float32))


def test_a_dac_answers_a_copy_on_its_codes() -> None:
    volts = np.array([[0.0, 0.34, -0.9], [1.0, 0.1, -0.17]])
    out = dac(volts, 3, 0.9)
    np.testing.assert_allclose(out, [[0.0, 0.3, -0.9], [0.9, 0.0, -0.3]], rtol=1e-6)
    assert volts[0, 1] == pytest.approx(0.34)
