"""The update write-verify: what is asked for is in the devices or owed to them, nothing lost or doubled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.sim import driver
from drivers.sim.bench import SimBench
from hil.network import MatrixSize, Tile, Wanted, place
from hil.network.tile import Weights, scale_s
from hil.plan import run
from protocols.updates.write_verify import WriteVerify
from tests.sim.test_training import prepared, trained

N_IN, N_OUT = 30, 20


def tiled(
    weights: Weights = "pair",
    shape: tuple[int, int] = (64, 64),
    device: dict[str, Any] | None = None,
    **settings: Any,
) -> tuple[Tile, SimBench]:
    given = driver.settings(device={"preset": "ideal", **(device or {})}, **settings)
    bench = driver.open(given, {f"array{number}": shape for number in range(12)}, 1)
    blocks = place([MatrixSize("layer", N_IN, N_OUT)], bench.arrays, weights)[0]
    sheet = bench.arrays["array0"].device
    return Tile("layer", N_IN, N_OUT, blocks, scale_s(sheet, 1.0, weights), sheet), bench


def held(tile: Tile, bench: SimBench) -> NDArray[np.float64]:
    return tile.weights(run(tile.read(), bench)).astype(float)


@pytest.mark.parametrize("weights", ["pair", "split-pair", "reference"])
@pytest.mark.parametrize("shape", [(64, 64), (20, 14)])
def test_large_changes_are_in_the_devices_after_one_step(weights: Weights, shape: tuple[int, int]) -> None:
    tile, bench = tiled(weights, shape, {"d2d": {"step": 0.3}})
    update, before = WriteVerify(rounds=8), held(tile, bench)
    change = np.random.default_rng(1).uniform(-0.3, 0.3, (N_OUT, N_IN)).astype(np.float32)
    change[:, 7] = 0
    state = run(update.start(tile, 0), bench)
    run(update.apply(tile, Wanted.measured(-change, -1.0), state), bench)
    off = held(tile, bench) - before - change
    assert np.abs(off).max() <= 2 * 0.76 / 1024 * 2
    np.testing.assert_array_equal(off[:, 7], 0)


def test_changes_below_a_step_add_up_to_it() -> None:
    tile, bench = tiled()
    update, before = WriteVerify(), held(tile, bench)
    rng = np.random.default_rng(2)
    delta, inputs = rng.normal(size=(1, N_OUT)).astype(np.float32), rng.random((1, N_IN)).astype(np.float32)
    state, total = run(update.start(tile, 0), bench), np.zeros((N_OUT, N_IN))
    for _ in range(60):
        wanted = Wanted(delta, inputs, -3e-4)
        assert np.abs(wanted.dense()).max() < 1 / 1024
        total += wanted.dense()
        state = run(update.apply(tile, wanted, state), bench)
    left = held(tile, bench) - before - total
    assert np.abs(total).max() > 10 / 1024
    assert np.abs(left).max() < 2 * 1.01 / 1024, "each device is off by less than a step"
    owed = (state.owed_s[:, 0] - state.owed_s[:, 1]).T / tile.scale_s
    np.testing.assert_allclose(owed, -left, atol=1e-5)


def test_nothing_is_read_while_nothing_is_due() -> None:
    tile, bench = tiled()
    update = WriteVerify()
    state = run(update.start(tile, 0), bench)
    small = Wanted.measured(np.full((N_OUT, N_IN), 0.5 / 1024, np.float32), -1.0)
    with pytest.raises(StopIteration):
        next(update.apply(tile, small, state))
    next(update.apply(tile, Wanted.measured(np.full((N_OUT, N_IN), 2 / 1024, np.float32), -1.0), state))


def test_a_device_at_the_end_of_its_range_is_owed_two_steps_and_no_more() -> None:
    tile, bench = tiled(device={"initial": "g_max"})
    update = WriteVerify()
    state = run(update.start(tile, 0), bench)
    rise = Wanted.measured(np.full((N_OUT, N_IN), -0.2, np.float32), -1.0)
    for _ in range(3):
        state = run(update.apply(tile, rise, state), bench)
    assert np.abs(state.owed_s[:, 0]).max() <= 2.01 * tile.sheet.step_up_s
    assert state.let_go > 0
    assert "let go" in update.remarks(state)[0]
    assert update.remarks(run(update.start(tile, 0), bench)) == ()


def test_a_network_learns_with_it_on_devices_that_differ() -> None:
    device = "{preset: ideal, levels_up: 256, levels_down: 256, nl_up: 2.4, nl_down: 2.4, d2d: {step: 0.3}}"
    outcome, _ = trained(
        prepared("update=write-verify", "training.batch=5", "training.rate=0.15", device=device)
    )
    assert outcome.evaluation is not None
    assert outcome.evaluation.accuracy > 0.83
