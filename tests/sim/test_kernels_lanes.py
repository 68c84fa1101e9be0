"""Many vectors at once: the currents, the power and the noise of each are those it would have alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from drivers.sim.kernels import multiply
from drivers.sim.kernels_lanes import lanes_pay
from tests.sim.test_kernels_multiply import devices_with, some_devices, sparse_volts


@settings(max_examples=25)
@given(
    st.sampled_from([64, 127, 128, 300]), st.integers(1, 40), st.integers(1, 40), st.booleans(),
    st.sampled_from([0.0, 1e-9]), st.integers(0, 1000),
)  # fmt: skip
def test_currents_and_power_of_many_vectors_are_the_matrix_product(
    n: int, r: int, c: int, scattered: bool, sigma: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    devices = some_devices(40, 50)
    rows, first = rng.permutation(40)[:r], int(rng.integers(0, 51 - c))
    cols = rng.permutation(50)[:c] if scattered else np.arange(first, first + c)
    v = sparse_volts(rng, (n, r), 0.9)
    done = multiply(devices, rows, cols, -1 if scattered else first, v, sigma, 0)
    g, exact = devices.g[np.ix_(rows, cols)].astype(np.float64), v.astype(np.float64)
    np.testing.assert_allclose(done.amperes, exact @ g, atol=2e-5)
    np.testing.assert_allclose(done.power_w, exact**2 @ g.sum(axis=1), rtol=1e-5)
    assert lanes_pay(devices.g, rows, cols, v)


def test_noise_of_many_vectors_is_that_of_single_readings_added_up() -> None:
    """Against every reading v g (1 + sigma x) drawn on its own."""
    devices, sigma = some_devices(9, 6), 0.05
    rng = np.random.default_rng(4)
    v = np.tile(rng.uniform(-1, 1, (1, 9)).astype(np.float32), (3000, 1))
    found = multiply(devices, np.arange(9), np.arange(6), 0, v, sigma, 7).amperes
    naive = np.einsum("i,ij,nij->nj", v[0], devices.g, 1 + sigma * rng.standard_normal((3000, 9, 6)))
    for column in range(6):
        assert stats.ks_2samp(found[:, column], naive[:, column]).pvalue > 1e-3
    assert np.var(found, axis=0) == pytest.approx(np.var(naive, axis=0), rel=0.12)
    assert np.abs(np.corrcoef(found.T) - np.eye(6)).max() < 0.08
    assert np.abs([np.corrcoef(found[:-lag, 0], found[lag:, 0])[0, 1] for lag in (1, 128)]).max() < 0.08


def test_a_broken_device_in_a_row_at_0_v_does_no_harm_to_many_vectors() -> None:
    devices = devices_with(np.full((3, 5), 0.5, np.float32))
    devices.g[1] = np.nan
    v = np.tile(np.array([[0.5, 0.0, 0.5]], np.float32), (200, 1))
    done = multiply(devices, np.arange(3), np.arange(5), 0, v, 0.0, 0)
    np.testing.assert_array_equal(done.amperes, np.full((200, 5), 0.5, np.float32))


def test_vectors_that_are_few_or_mostly_at_0_v_are_taken_row_by_row() -> None:
    devices = some_devices(40, 300)
    rows, cols = np.arange(40), np.arange(300)
    rng = np.random.default_rng(0)
    assert not lanes_pay(devices.g, rows, cols, sparse_volts(rng, (10, 40), 1.0))
    assert not lanes_pay(devices.g, rows, cols, sparse_volts(rng, (500, 40), 0.2))
    assert lanes_pay(devices.g, rows, cols[:20], sparse_volts(rng, (500, 40), 0.2))
