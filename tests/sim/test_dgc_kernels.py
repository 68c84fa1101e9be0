"""The compiled loops of nudges, against the definition in float64, at any number of samples and of nudges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from drivers.sim.kernels import multiply_nudged, multiply_variants
from hil.kernels import largest, neighbours, repeated
from protocols.gradients.cost_kernels import softmax_cost_changes
from protocols.gradients.nudge_kernels import add_changes, own_change, with_lines
from protocols.gradients.upward import Moved
from tests.sim.test_kernels_multiply import some_devices, whitened

SAMPLES = st.sampled_from([1, 2, 7, 10, 64, 200])
NUDGES = st.sampled_from([1, 3, 64, 300])
F32 = np.float32


@settings(max_examples=25)
@given(SAMPLES, NUDGES, st.integers(2, 12), st.sampled_from([1e-5, 1e-2, 3.0]))
def test_the_change_of_the_cost_is_that_of_cross_entropy(n: int, k: int, m: int, size: float) -> None:
    rng = np.random.default_rng(n + k + m)
    z, changes = rng.normal(size=(n, m)), rng.normal(size=(m, k, n)) * size
    gain, labels = rng.uniform(0.5, 2, m), rng.integers(0, m, n)

    def cost(sums: np.ndarray) -> np.ndarray:
        seen = gain * sums
        own = np.take_along_axis(seen, np.broadcast_to(labels[:, None], (*seen.shape[:-1], 1)), axis=-1)
        return np.log(np.exp(seen).sum(axis=-1)) - own[..., 0]

    p = np.exp(gain * z) / np.exp(gain * z).sum(axis=1, keepdims=True)
    exact = (cost(z + changes.transpose(1, 2, 0)) - cost(z)).sum(axis=1)
    moved = Moved.by(changes.astype(F32))
    found = softmax_cost_changes(*moved, p.astype(F32), gain.astype(F32), labels)
    assert found == pytest.approx(exact, rel=2e-4, abs=1e-5 * size * n)


@pytest.mark.parametrize(
    ("moved", "label", "change"), [(100.0, 1, 0.0), (100.0, 0, 80.0), (-100.0, 1, 80.0), (np.nan, 0, np.nan)]
)
def test_a_change_beyond_float32_counts_as_80_for_the_true_class_too(
    moved: float, label: int, change: float
) -> None:
    p = np.array([[0.5, 0.5]], F32)
    changes = np.array([0.0, moved], F32).reshape(2, 1, 1)
    found = softmax_cost_changes(*Moved.by(changes), p, np.ones(2, F32), np.array([label]))
    assert found == pytest.approx(np.log(0.5) + change, abs=1e-4, nan_ok=True)


@settings(max_examples=25)
@given(SAMPLES, NUDGES, st.sampled_from(["pair", "reference", "plus", "minus"]))
def test_what_columns_say_of_sums_is_plus_less_minus(n: int, k: int, held: str) -> None:
    rng = np.random.default_rng(n + k)
    m, first, first_sum = 4, 2, 1
    columns = {"pair": 2 * m, "reference": m + 1, "plus": m, "minus": m}[held]
    plus, minus = (-1 if held == "minus" else 0), {"plus": -1, "minus": 0}.get(held, m)
    amperes, base = rng.random((columns, k, n)).astype(F32), rng.random((n, columns)).astype(F32)
    per_ampere = rng.random(n).astype(F32)
    before = rng.random((6, k + 3, n)).astype(F32)
    out = before.copy()
    add_changes(out, first, first_sum, amperes, base, per_ampere, m, plus, minus)
    moved = (amperes - base.T[:, np.newaxis]) * per_ampere
    exact = before.copy()
    for j in range(m):
        added = (moved[j] if plus >= 0 else 0) - (moved[min(minus + j, columns - 1)] if minus >= 0 else 0)
        exact[first_sum + j, first : first + k] += added
    np.testing.assert_allclose(out, exact, atol=1e-5)
    moved = Moved(amperes, base, per_ampere, plus, minus)
    np.testing.assert_allclose(
        moved.changes(), (exact - before)[first_sum : first_sum + m, first : first + k], atol=1e-5
    )
    p, gain, labels = np.full((n, m), 1 / m, F32), rng.uniform(0.5, 2, m).astype(F32), rng.integers(0, m, n)
    found = softmax_cost_changes(*moved, p, gain, labels)
    assert found == pytest.approx(
        softmax_cost_changes(*Moved.by(moved.changes()), p, gain, labels), abs=1e-5 * n
    )


@settings(max_examples=25)
@given(SAMPLES, NUDGES, st.booleans())
def test_a_nudge_changes_the_sum_of_its_own_column(n: int, k: int, sorted_by_column: bool) -> None:
    rng = np.random.default_rng(n + k)
    amperes, base = rng.random((k, n)).astype(F32), rng.random((n, 5)).astype(F32)
    cols, per_ampere = rng.integers(0, 5, k), rng.random(n).astype(F32)
    cols = np.sort(cols) if sorted_by_column else cols
    found = own_change(amperes, base, cols, per_ampere)
    np.testing.assert_allclose(found, (amperes - base.T[cols]) * per_ampere, atol=1e-6)


def test_lines_put_anew_are_those_of_the_nudge_and_none_where_there_is_none() -> None:
    held = np.arange(12, dtype=F32).reshape(2, 6)
    values = -np.arange(1, 13, dtype=F32).reshape(3, 2, 2)
    found = with_lines(held, values, np.array([0, 2, 4]), np.array([-1, 2, 0])).reshape(3, 2, 6)
    np.testing.assert_array_equal(found[0], held)
    np.testing.assert_array_equal(found[1], np.concatenate([held[:, :4], values[2]], axis=1))
    np.testing.assert_array_equal(found[2], np.concatenate([values[0], held[:, 2:]], axis=1))


@given(st.integers(1, 3000))
def test_loops_take_some_thousand_numbers_and_full_lanes_where_they_can(n: int) -> None:
    rows = neighbours(n)
    assert rows >= 1
    assert rows == 1 or rows * n <= 1280
    assert rows * n % 64 == 0 or rows == max(1, 1280 // n)
    values = np.arange(2 * n, dtype=F32).reshape(n, 2)
    np.testing.assert_array_equal(repeated(values, 3), np.tile(values.T, 3))


def test_the_largest_magnitude_is_nan_where_any_is() -> None:
    volts = np.array([[-3.5, 2.0], [0.0, -0.0]], F32)
    assert largest(volts) == 3.5
    assert largest(volts[:0]) == 0
    volts[1, 0] = -np.inf
    assert largest(volts) == np.inf
    for nan in (np.nan, -np.nan):
        volts[0, 1] = nan
        assert np.isnan(largest(volts))


@pytest.mark.parametrize(("n", "columns"), [(1, 4), (3, 5), (40, 4), (10, 1)])
def test_noise_of_variants_and_nudges_is_that_of_single_readings_added_up(n: int, columns: int) -> None:
    """Against every reading v g (1 + sigma x) drawn on its own, of the line driven and the device
    nudged.
    """
    devices, sigma, k = some_devices(6, columns), 0.05, 3000
    rng = np.random.default_rng(n)
    rows, cols = np.arange(6), np.arange(columns)
    v = rng.uniform(-1, 1, (n, 6)).astype(F32)
    lines, instead = np.sort(rng.integers(0, 2, k)) * 3, np.tile(rng.uniform(-1, 1, n).astype(F32), (k, 1))
    found = multiply_variants(devices, rows, cols, 0, v, lines, instead, sigma, 3).amperes
    for line in (0, 3):
        driven = v.copy()
        driven[:, line] = instead[0]
        some = found[lines == line]
        x = rng.standard_normal((len(some), 6, columns))
        naive = np.einsum("i,ij,kij->kj", driven[-1], devices.g, 1 + sigma * x)
        for column in range(columns):
            assert stats.ks_2samp(some[:, -1, column], naive[:, column]).pvalue > 1e-3
        z = np.stack([whitened(each, driven, devices.g, sigma) for each in some])
        assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
        flat = z.reshape(len(z), -1)
        assert np.abs(np.corrcoef(flat[:, :40].T) - np.eye(min(40, flat.shape[1]))).max() < 0.12
        assert np.abs(np.mean(flat[:-1] * flat[1:])) < 4 / np.sqrt(flat.size)
    j = columns - 1
    points, change = np.tile([[2, j]], (k, 1)), np.full(k, 0.3, F32)
    nudged = multiply_nudged(devices, rows, cols, 0, v, points, change, sigma, 4).amperes
    g = devices.g.copy()
    g[2, j] += 0.3
    z = whitened(nudged[:, :, np.newaxis], v, g[:, j : j + 1], sigma)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    naive = np.einsum("i,i,ki->k", v[-1], g[:, j], 1 + sigma * rng.standard_normal((k, 6)))
    assert stats.ks_2samp(nudged[:, -1], naive).pvalue > 1e-3
    assert np.abs(np.mean(z[:-1] * z[1:])) < 4 / np.sqrt(z.size)
