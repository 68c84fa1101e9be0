import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from drivers.sim.kernels import Programmed, program
from drivers.sim.state import Devices, TableDevices
from hil.errors import ConfigError


def exponential_devices(rows: int, cols: int, c2c: float = 0.0, seed: int = 0) -> Devices:
    """Devices that differ, from linear (k = 0) to strongly nonlinear; some stuck."""
    rng = np.random.default_rng(seed)
    shape = rows, cols
    lo, hi = rng.uniform(1e-6, 2e-6, shape), rng.uniform(9e-6, 1e-5, shape)
    stuck = rng.random(shape) < 0.1
    hi[stuck] = lo[stuck]
    up_k, down_k = rng.choice([0.0, 1e-5, 0.02, 0.2], shape), rng.choice([0.0, 1e-5, 0.02, 0.2], shape)
    up_a = np.where(up_k == 0, 1e-8, up_k * 1.1 * hi)
    down_a = np.where(down_k == 0, -1e-8, down_k * 0.9 * lo)
    g = lo + rng.random(shape) * (hi - lo)
    single = [x.astype(np.float32) for x in (up_a, up_k, down_a, down_k, lo, hi)]
    return Devices(np.clip(g.astype(np.float32), single[4], single[5]), *single, c2c, c2c)


def one_pulse_at_a_time(
    d: Devices, rows: NDArray[np.int64], cols: NDArray[np.int64], counts: NDArray[np.int16]
) -> tuple[NDArray[np.float64], list[float]]:
    """The definition, in float64: conductances after, and what the kernel reports."""
    g = d.g.astype(np.float64)
    told = [0.0, 0.0]
    for i, r in enumerate(rows):
        for j, c in enumerate(cols):
            n, before = int(counts[i, j]), g[r, c]
            a, k = (d.up_a, d.up_k) if n > 0 else (d.down_a, d.down_k)
            for _ in range(abs(n)):
                g[r, c] += float(a[r, c]) - float(k[r, c]) * g[r, c]
            g[r, c] = min(max(g[r, c], float(d.lo[r, c])), float(d.hi[r, c]))
            told[n < 0] += abs(n) * (before + g[r, c]) / 2
    return g, told


@st.composite
def regions(draw: st.DrawFn) -> tuple[int, int, NDArray[np.int64], NDArray[np.int64], int, NDArray[np.int16]]:
    rows, cols = draw(st.integers(1, 9)), draw(st.sampled_from([1, 3, 64, 255, 257, 300]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    r = rng.permutation(rows)[: draw(st.integers(0, rows))]
    start = int(rng.integers(0, cols))
    width = int(rng.integers(1, cols - start + 1))
    neighbours = draw(st.booleans())
    c = np.arange(start, start + width) if neighbours else rng.permutation(cols)[:width]
    size = draw(st.sampled_from([1, 3, 40]))
    asked = rng.random((r.size, width)) < draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    counts = (rng.integers(-size, size + 1, (r.size, width)) * asked).astype(np.int16)
    return rows, cols, r, c, start if neighbours else -1, counts


@settings(max_examples=60)
@given(regions())
def test_pulses_without_noise_follow_the_definition_one_pulse_at_a_time(
    region: tuple[int, int, NDArray[np.int64], NDArray[np.int64], int, NDArray[np.int16]],
) -> None:
    rows, cols, r, c, start, counts = region
    devices = exponential_devices(rows, cols)
    expected, told = one_pulse_at_a_time(devices, r, c, counts)
    before = devices.g.copy()
    done = program(devices, r, c, start, counts, key=1)
    np.testing.assert_allclose(devices.g, expected, rtol=3e-6)
    np.testing.assert_allclose(done, told, rtol=1e-5)
    untouched = np.ones_like(before, dtype=bool)
    untouched[np.ix_(r, c)] = counts == 0
    np.testing.assert_array_equal(devices.g[untouched], before[untouched])


@pytest.mark.parametrize("k", [0.0, 1e-9, 1e-6, 1e-3, 0.5])
def test_closed_form_stays_exact_for_32767_pulses_and_for_vanishing_nonlinearity(k: float) -> None:
    one = np.ones((1, 1), np.float32)
    devices = Devices(
        0 * one, np.float32(1e-5) * one, np.float32(k) * one, 0 * one, 0 * one, 0 * one, 100 * one
    )
    line = np.zeros(1, np.int64)
    program(devices, line, line, 0, np.full((1, 1), 32767, np.int16), key=0)
    rate = float(np.float32(k))
    total = 32767 if k == 0 else -np.expm1(32767 * np.log1p(-rate)) / rate
    assert devices.g[0, 0] == pytest.approx(1e-5 * total, rel=3e-6)


@pytest.mark.parametrize("n", [3, 20, 1000, 32767])
def test_steps_that_grow_on_the_way_carry_a_device_to_the_end_of_its_range(n: int) -> None:
    one = np.ones((1, 1), np.float32)
    k, a = np.float32(-0.3), np.float32(1e-3)
    devices = Devices(0 * one, a * one, k * one, 0 * one, 0 * one, 0 * one, one)
    line = np.zeros(1, np.int64)
    program(devices, line, line, 0, np.full((1, 1), n, np.int16), key=0)
    assert devices.g[0, 0] == pytest.approx(min(1.0, float(a) * (1.3 ** min(n, 500) - 1) / 0.3), rel=1e-5)


def linear_devices(rows: int, cols: int, c2c: float) -> Devices:
    """At mid range, no step of their own, range 1 S: what moves them is noise."""
    flat = [np.full((rows, cols), x, np.float32) for x in (0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)]
    return Devices(*flat, c2c, 2 * c2c)


@pytest.mark.parametrize("n", [1, 9, -1, -4])
@pytest.mark.parametrize("share", [1.0, 0.03])
def test_programming_noise_grows_with_the_root_of_the_pulses_and_has_its_own_size_by_polarity(
    n: int, share: float
) -> None:
    devices = linear_devices(400, 512, 0.01)
    asked = np.random.default_rng(2).random((400, 512)) < share
    program(devices, np.arange(400), np.arange(512), 0, (n * asked).astype(np.int16), key=3)
    moved = (devices.g[asked] - 0.5).astype(np.float64) / ((0.01 if n > 0 else 0.02) * np.sqrt(abs(n)))
    error = 4 / np.sqrt(asked.sum())
    assert abs(moved.mean()) < error
    assert abs(moved.std() - 1) < error
    np.testing.assert_array_equal(devices.g[~asked], np.float32(0.5))


def test_noise_of_a_device_depends_on_key_and_place_but_not_on_what_else_is_asked() -> None:
    rng = np.random.default_rng(0)
    counts = rng.choice(np.array([-1, 1], np.int16), (40, 300))
    whole, parts, apart, other = (exponential_devices(40, 300, c2c=0.02) for _ in range(4))
    program(whole, np.arange(40), np.arange(300), 0, counts, key=7)
    program(parts, np.arange(20, 40), np.arange(300), 0, counts[20:], key=7)
    program(parts, np.arange(20), np.arange(100), 0, np.ascontiguousarray(counts[:20, :100]), key=7)
    program(parts, np.arange(20), np.arange(100, 300), 100, np.ascontiguousarray(counts[:20, 100:]), key=7)
    program(apart, np.arange(40), np.arange(300)[::-1].copy(), -1, counts[:, ::-1], key=7)
    program(other, np.arange(40), np.arange(300), 0, counts, key=8)
    np.testing.assert_array_equal(parts.g, whole.g)
    np.testing.assert_allclose(apart.g, whole.g, rtol=1e-6)
    assert np.mean(other.g != whole.g) > 0.8


def test_stuck_devices_stay_and_the_others_stay_in_their_range() -> None:
    devices = exponential_devices(50, 300, c2c=0.5)
    stuck = devices.lo == devices.hi
    before = devices.g[stuck].copy()
    program(devices, np.arange(50), np.arange(300), 0, np.full((50, 300), 5, np.int16), key=0)
    np.testing.assert_array_equal(devices.g[stuck], before)
    assert np.all((devices.lo <= devices.g) & (devices.g <= devices.hi))


def table_devices(rows: int, cols: int, quantiles: int) -> TableDevices:
    """Two kinds on a grid of 5 points from 0 to 1 S: steps that fall with G and spread evenly around their
    mean.
    """
    grid = np.linspace(0, 1, 5)
    spread = np.linspace(-1, 1, quantiles)[:, None] if quantiles > 1 else np.zeros((1, 1))
    one = 0.02 * (1.2 - grid) + 0.005 * spread
    up = np.stack([one, 2 * one]).astype(np.float32)
    kind = (np.arange(cols) % 2 * np.ones((rows, 1))).astype(np.int16)
    flat = [np.full((rows, cols), x, np.float32) for x in (0.3, 0.0, 1.0)]
    ends = np.zeros(2, np.float32), np.ones(2, np.float32)
    return TableDevices(*flat, kind, up, -up, *ends)


def test_table_devices_with_one_quantile_follow_linear_interpolation_pulse_by_pulse() -> None:
    devices = table_devices(3, 4, quantiles=1)
    counts = np.array([[3, -2, 0, 100], [1, 1, 1, 1], [-50, 0, 0, -1]], np.int16)
    expected = devices.g.astype(np.float64)
    for (r, c), n in np.ndenumerate(counts):
        for _ in range(abs(n)):
            table = (devices.up if n > 0 else devices.down)[devices.kind[r, c], 0]
            expected[r, c] += np.interp(expected[r, c], np.linspace(0, 1, 5), table)
            expected[r, c] = np.clip(expected[r, c], 0, 1)
    done = program(devices, np.arange(3), np.arange(4), 0, counts, key=0)
    np.testing.assert_allclose(devices.g, expected, rtol=2e-6)
    sums = np.abs(counts) * (np.float32(0.3) + expected) / 2
    np.testing.assert_allclose(done, (sums[counts > 0].sum(), sums[counts < 0].sum()), rtol=1e-5)


def test_table_devices_draw_a_fresh_even_quantile_for_each_pulse() -> None:
    devices = table_devices(400, 500, quantiles=3)
    program(devices, np.arange(400), np.arange(500), 0, np.ones((400, 500), np.int16), key=4)
    drawn = ((devices.g - 0.3)[:, ::2].astype(np.float64) - 0.02 * 0.9) / 0.005
    assert abs(drawn.mean()) < 4 * np.sqrt(1 / 3 / drawn.size)
    assert drawn.std() == pytest.approx(np.sqrt(1 / 3), rel=0.01)
    program(devices, np.arange(400), np.arange(500), 0, np.full((400, 500), -2, np.int16), key=5)
    halves = devices.g[:, ::2].astype(np.float64)
    assert abs(np.corrcoef(drawn.ravel(), halves.ravel())[0, 1]) < 0.7


def test_devices_refuse_what_the_kernels_could_not_take() -> None:
    good = [np.full((2, 2), x, np.float32) for x in (0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)]
    with pytest.raises(ConfigError, match="float64"):
        Devices(good[0].astype(np.float64), *good[1:])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match=r"\[0, 0\].*range"):
        Devices(good[0] + np.float32(1), *good[1:])
    with pytest.raises(ConfigError, match="range"):
        Devices(good[0] * np.float32(np.nan), *good[1:])
    with pytest.raises(ConfigError, match="up_k"):
        Devices(good[0], good[1], good[1] + np.float32(1), *good[3:])
    with pytest.raises(ConfigError, match="c2c_up"):
        Devices(*good, c2c_up=float("nan"))


def test_nothing_asked_is_nothing_done() -> None:
    devices = exponential_devices(2, 3, c2c=0.1)
    lines = np.zeros(0, np.int64)
    assert program(devices, lines, np.arange(3), 0, np.zeros((0, 3), np.int16), key=0) == Programmed(0, 0)
