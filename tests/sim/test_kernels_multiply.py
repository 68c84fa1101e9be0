import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from drivers.sim.kernels import multiply, multiply_nudged, multiply_variants
from drivers.sim.state import Devices


def devices_with(g: NDArray[np.float32]) -> Devices:
    zero = np.zeros_like(g)
    return Devices(g, zero, zero, zero, zero, zero, np.ones_like(g))


def some_devices(rows: int, cols: int) -> Devices:
    return devices_with(np.random.default_rng(rows * 1000 + cols).random((rows, cols), np.float32))


@st.composite
def drives(
    draw: st.DrawFn,
) -> tuple[Devices, NDArray[np.int64], NDArray[np.int64], int, np.random.Generator, float]:
    rows, cols = draw(st.sampled_from([1, 5, 33, 70])), draw(st.sampled_from([1, 4, 100, 300]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    r = rng.permutation(rows)[: draw(st.integers(1, rows))]
    start = int(rng.integers(0, cols))
    width = int(rng.integers(1, cols - start + 1))
    if draw(st.booleans()):
        return (
            some_devices(rows, cols),
            r,
            np.arange(start, start + width),
            start,
            rng,
            draw(st.sampled_from([0.1, 1.0])),
        )
    return (
        some_devices(rows, cols),
        r,
        rng.permutation(cols)[:width],
        -1,
        rng,
        draw(st.sampled_from([0.1, 1.0])),
    )


def sparse_volts(rng: np.random.Generator, shape: tuple[int, ...], share: float) -> NDArray[np.float32]:
    return (rng.uniform(-1, 1, shape) * (rng.random(shape) < share)).astype(np.float32)


@settings(max_examples=60)
@given(drives(), st.integers(1, 6), st.booleans(), st.sampled_from([0.0, 1e-9]))
def test_currents_are_the_matrix_product_and_power_is_volts_squared_times_conductance(
    drive: tuple[Devices, NDArray[np.int64], NDArray[np.int64], int, np.random.Generator, float],
    n: int,
    transpose: bool,
    sigma: float,
) -> None:
    devices, rows, cols, start, rng, share = drive
    G = devices.g[np.ix_(rows, cols)].astype(np.float64)
    G = G.T if transpose else G
    v = sparse_volts(rng, (n, G.shape[0]), share)
    done = multiply(devices, rows, cols, start, v, sigma, 0, transpose=transpose)
    np.testing.assert_allclose(done.amperes, v @ G, atol=2e-5)
    np.testing.assert_allclose(done.power_w, v.astype(np.float64) ** 2 @ G.sum(axis=1), rtol=1e-5)


@settings(max_examples=30)
@given(drives(), st.booleans(), st.sampled_from([0.0, 1e-9]))
def test_variants_are_the_products_with_one_line_replaced(
    drive: tuple[Devices, NDArray[np.int64], NDArray[np.int64], int, np.random.Generator, float],
    transpose: bool,
    sigma: float,
) -> None:
    devices, rows, cols, start, rng, share = drive
    G = devices.g[np.ix_(rows, cols)].astype(np.float64)
    G = G.T if transpose else G
    v = sparse_volts(rng, (3, G.shape[0]), share)
    lines, instead = rng.integers(0, G.shape[0], 4), sparse_volts(rng, (4, 3), 0.7)
    done = multiply_variants(devices, rows, cols, start, v, lines, instead, sigma, 0, transpose=transpose)
    assert done.amperes.shape == (4, 3, G.shape[1])
    power = 0.0
    for k, line in enumerate(lines):
        driven = v.astype(np.float64)
        driven[:, line] = instead[k]
        np.testing.assert_allclose(done.amperes[k], driven @ G, atol=2e-5)
        power += (driven**2 @ G.sum(axis=1)).sum()
    assert done.power_w == pytest.approx(power, abs=1e-2, rel=1e-5)


@settings(max_examples=30)
@given(drives(), st.sampled_from([0.0, 1e-9]))
def test_nudges_change_their_own_point_alone(
    drive: tuple[Devices, NDArray[np.int64], NDArray[np.int64], int, np.random.Generator, float], sigma: float
) -> None:
    devices, rows, cols, start, rng, share = drive
    G = devices.g[np.ix_(rows, cols)].astype(np.float64)
    v = sparse_volts(rng, (3, G.shape[0]), share)
    points = np.stack([rng.integers(0, G.shape[0], 5), rng.integers(0, G.shape[1], 5)], axis=1)
    change = rng.uniform(-0.5, 0.5, 5).astype(np.float32)
    done = multiply_nudged(devices, rows, cols, start, v, points, change, sigma, 0)
    power = 0.0
    for k, (i, j) in enumerate(points):
        nudged = G.copy()
        nudged[i, j] += change[k]
        np.testing.assert_allclose(done.amperes[k], v @ nudged[:, j], atol=2e-5)
        power += (v.astype(np.float64) ** 2 @ nudged.sum(axis=1)).sum()
    assert done.power_w == pytest.approx(power, abs=1e-2, rel=1e-5)


def whitened(
    amperes: NDArray[np.float32], v: NDArray[np.float32], G: NDArray[np.float32], sigma: float
) -> NDArray[np.float64]:
    """Deviations in units of the exact standard deviation of independent readings v_i g_ij."""
    v64, G64 = v.astype(np.float64), G.astype(np.float64)
    return (amperes - v64 @ G64) / (sigma * np.sqrt(v64**2 @ G64**2))


@pytest.mark.parametrize("transpose", [False, True])
def test_read_noise_of_a_sum_is_that_of_its_independent_readings(transpose: bool) -> None:
    devices = some_devices(60, 90)
    G = devices.g.T if transpose else devices.g
    v = sparse_volts(np.random.default_rng(1), (2000, G.shape[0]), 0.4)
    done = multiply(devices, np.arange(60), np.arange(90), 0, v, 0.1, 11, transpose=transpose)
    z = whitened(done.amperes, v, G, 0.1)
    assert stats.kstest(z.ravel(), "norm").statistic < 1.95 / np.sqrt(z.size) + 2e-4
    assert abs(np.corrcoef(z[:, 0], z[:, 1])[0, 1]) < 0.1


def test_every_variant_and_every_nudge_is_read_afresh() -> None:
    devices = some_devices(30, 40)
    v = sparse_volts(np.random.default_rng(1), (20, 30), 0.9)
    lines = np.zeros(500, np.int64)
    same = np.tile(v[:, 0], (500, 1))
    varied = multiply_variants(devices, np.arange(30), np.arange(40), 0, v, lines, same, 0.1, 5).amperes
    points, nothing = np.zeros((9000, 2), np.int64), np.zeros(9000, np.float32)
    nudged = multiply_nudged(devices, np.arange(30), np.arange(40), 0, v, points, nothing, 0.1, 6).amperes
    for z in (whitened(varied, v, devices.g, 0.1), whitened(nudged[:, :, None], v, devices.g[:, :1], 0.1)):
        assert stats.kstest(z.ravel(), "norm").statistic < 1.95 / np.sqrt(z.size) + 2e-4


def test_the_noise_of_a_variant_is_that_of_the_replaced_line() -> None:
    devices = devices_with(np.full((2, 20_000), 0.5, np.float32))
    v, instead = np.array([[1.0, 0.01]], np.float32), np.array([[0.0]], np.float32)
    lines = np.zeros(1, np.int64)
    done = multiply_variants(devices, np.arange(2), np.arange(20_000), 0, v, lines, instead, 0.1, 5)
    assert done.amperes.std() == pytest.approx(0.1 * 0.005, rel=0.02)


def test_the_same_key_gives_the_same_bits_and_another_key_other_noise() -> None:
    devices = some_devices(50, 60)
    v = sparse_volts(np.random.default_rng(1), (4, 50), 0.5)
    first, again, other = (
        multiply(devices, np.arange(50), np.arange(60), 0, v, 0.1, key).amperes for key in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert np.mean(first != other) > 0.99


def test_rows_at_0_v_are_not_looked_at_so_that_a_broken_one_does_no_harm() -> None:
    g = np.full((3, 5), 0.5, np.float32)
    devices = devices_with(g)
    devices.g[1] = np.nan
    v = np.array([[0.5, 0.0, 0.5]], np.float32)
    for cols, start in ((np.arange(5), 0), (np.arange(5)[::-1].copy(), -1)):
        done = multiply(devices, np.arange(3), cols, start, v, 0.0, 0)
        np.testing.assert_array_equal(done.amperes, np.full((1, 5), 0.5, np.float32))
        assert done.power_w[0] == pytest.approx(2 * 0.25 * 2.5)
    narrow = multiply(devices, np.arange(3), np.arange(2), 0, np.repeat(v, 3, axis=0), 0.0, 0)
    np.testing.assert_array_equal(narrow.amperes, np.full((3, 2), 0.5, np.float32))


def test_a_conductance_that_is_nan_shows_in_every_current_that_it_takes_part_in() -> None:
    devices = devices_with(np.full((3, 5), 0.5, np.float32))
    devices.g[1, 2] = np.nan
    done = multiply(devices, np.arange(3), np.arange(5), 0, np.ones((1, 3), np.float32), 0.1, 0)
    np.testing.assert_array_equal(np.isnan(done.amperes[0]), np.arange(5) == 2)
