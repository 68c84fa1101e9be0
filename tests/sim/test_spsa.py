"""Simultaneous perturbation on simulated arrays: what one step says, and that steps descend."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivers.sim.settings import SimSettings
from hil.errors import ConfigError
from hil.network import Weights
from hil.plan import run
from hil.schedule import Multiply, Program
from hil.training.contracts import Batch
from protocols.gradients.backprop import Backprop
from protocols.gradients.spsa import Spsa
from tests.sim.test_gradients import Lab


def joined(lab: Lab) -> np.ndarray:
    return np.concatenate([lab.wanted[number].ravel() for number in range(3)])


@pytest.mark.parametrize("held", ["pair", "split-pair", "reference"])
def test_a_steps_wanted_change_is_the_slope_along_its_signs(held: Weights) -> None:
    """On linear devices: (g . s) s, with the exact gradient g of backprop."""
    lab = Lab(held=held)
    before = lab.weights()
    lab.step(Backprop(), 4)
    exact = joined(lab)
    run(Spsa(pulses=2).step(lab.network, replace(lab.batch, seed=7), lab.change), lab.bench)
    found = joined(lab)
    signs = np.sign(found)
    assert np.abs(found) == pytest.approx(np.abs(found).mean(), rel=1e-5)
    assert found == pytest.approx((exact @ signs) * signs, rel=0.02)
    for old, new in zip(before, lab.weights(), strict=True):
        assert new == pytest.approx(old, abs=1e-5)


def test_over_many_signs_the_mean_is_the_gradient_and_its_length_grows_as_the_root_of_the_weights() -> None:
    lab = Lab()
    lab.step(Backprop(), 4)
    exact = joined(lab)
    seen = []
    for step in range(600):
        run(Spsa().step(lab.network, replace(lab.batch, step=step), lab.change), lab.bench)
        seen.append(joined(lab))
    mean = np.mean(seen, axis=0)
    assert (mean @ exact) / np.linalg.norm(mean) / np.linalg.norm(exact) > 0.9
    assert (mean @ exact) / (exact @ exact) == pytest.approx(1, abs=0.15)
    lengths = np.sqrt(np.mean(np.square(seen).sum(axis=1))) / np.linalg.norm(exact)
    assert lengths == pytest.approx(np.sqrt(lab.network.weights), rel=0.1)


def test_signs_come_from_seed_and_step_alone() -> None:
    lab = Lab()
    lab.step(Backprop(), 2)

    def signs(seed: int, step: int) -> np.ndarray:
        run(Spsa().step(lab.network, replace(lab.batch, seed=seed, step=step), lab.change), lab.bench)
        return np.sign(joined(lab)) * np.sign(joined(lab)[0])

    first = signs(1, 1)
    assert (first == signs(1, 1)).all()
    for other in (signs(2, 1), signs(1, 2)):
        assert 0.3 < (first == other).mean() < 0.7


def test_it_takes_two_readings_of_the_cost_and_leaves_alone_what_nothing_drives() -> None:
    lab = Lab()
    x = np.zeros((2, 7), np.float32)
    x[0, 2], x[1, 2] = 0.5, -0.5
    plan = Spsa(pulses=3).step(lab.network, Batch(x, np.array([0, 1]), 0.5, step=0), lab.change)
    readings, pulses = 0, 0
    try:
        schedule = next(plan)
        while True:
            readings += sum(isinstance(op, Multiply) for op in schedule)
            pulses += sum(int(np.abs(op.counts).sum()) for op in schedule if isinstance(op, Program))
            schedule = plan.send(lab.bench.execute(schedule))
    except StopIteration:
        pass
    assert readings == 2 * len(lab.network.layers)
    driven = lab.network.weights - 6 * lab.network.layers[0].tile.n_out
    assert pulses == 2 * 4 * 3 * driven
    assert np.flatnonzero(lab.wanted[0].any(axis=0)).tolist() == [2, 7]


def test_its_steps_lower_the_cost() -> None:
    lab = Lab(pulse=True)
    costs = []
    for step in range(150):
        lab.batch = Batch(
            np.random.default_rng(9).uniform(-1, 1, (8, 7)).astype(np.float32), np.arange(8) % 4, 0.02, step
        )
        costs.append(run(Spsa().step(lab.network, lab.batch, lab.change), lab.bench).cost / 8)
    assert np.mean(costs[-10:]) < 0.7 * costs[0]


def test_devices_whose_up_and_down_differ_keep_a_residue() -> None:
    device = {"model": "exponential", "levels_up": 512, "levels_down": 512, "g_min": "1 uS"}
    device |= {"g_max": "101 uS", "nl_up": 4.88, "nl_down": -4.88}
    device |= {"potentiate": {"amplitude": "1 V", "width": "1 us"}}
    device |= {"depress": {"amplitude": "-1 V", "width": "1 us"}}
    lab = Lab(settings=SimSettings.model_validate({"device": device}))
    before = lab.weights()
    lab.step(Spsa(), 2)
    assert max(np.abs(new - old).max() for new, old in zip(lab.weights(), before, strict=True)) > 1e-3


def test_pulses_beyond_the_range_are_refused_and_the_price_is_told() -> None:
    lab = Lab()
    with pytest.raises(ConfigError, match=r"^gradient\.pulses: asked for 600, .*up to 512 are allowed"):
        Spsa(pulses=600).check(lab.network, lab.bench.arrays)
    Spsa(pulses=512).check(lab.network, lab.bench.arrays)
    assert "noise" in Spsa().warnings(lab.network)[0]
