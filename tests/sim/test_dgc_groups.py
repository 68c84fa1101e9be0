"""Nudges of a kernel measured by the hundred in one transaction, against one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from hil.plan import run
from hil.schedule import Multiply, Nudge
from protocols.gradients.dgc import Dgc
from protocols.gradients.upward import by_channels, to_top
from tests.sim.test_convolution import Case, Lab

NOISE = 0.02
NONE = np.zeros(1, np.int64)


class NoisyLab(Lab):
    """The same weights on devices that are read with noise."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        noisy = SimSettings.model_validate({"device": "ideal", "read": {"noise": NOISE}})
        held = self.bench
        self.bench = SimBench(noisy, {name: info.shape for name, info in held.arrays.items()}, seed=4)
        for name in held.arrays:
            self.bench._arrays[name].devices.g[...] = held.conductances(name)


def some_nudges(lab: Lab, k: int) -> tuple[Any, Any, Any]:
    """Sums of the first layer for two samples, and k changes of them."""
    traces = run(lab.network.forward(lab.batch(2).x), lab.bench)
    rng = np.random.default_rng(1)
    outs = rng.integers(0, lab.network.layers[0].tile.n_out, k)
    return traces[0].z, outs, rng.normal(0, 0.3, (k, len(traces[0].z))).astype(np.float32)


def in_groups(lab: Lab, z: Any, outs: Any, changes: Any, group: int) -> tuple[Any, Any]:
    layers = lab.network.layers
    seen = layers[0].convolution
    assert seen is not None
    tops = run(by_channels(layers, seen, z, outs, changes, group), lab.bench)
    return np.stack(tops.z), np.concatenate([moved.changes() for moved in tops.moved], axis=1).transpose(
        1, 2, 0
    )


def whole_alone(lab: Lab, z: Any, out: int, change: Any) -> Any:
    """The change of the last sums by one nudge, every sum of the layer put through all layers above."""
    sums = np.stack([z, z])
    sums[1, :, out] += change
    top, _ = run(to_top(lab.network.layers, sums, np.zeros(2, np.int64)), lab.bench)
    return top[1] - top[0]


CASES = (
    Case(),
    Case(pools=("max", "average"), padding=1),
    Case(stride=2, padding=1, activation="relu", held="reference"),
    Case(bias=False, activation="sigmoid"),
)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("group", [2, 4, 100])
def test_each_nudge_changes_what_it_changes_alone(case: Case, group: int) -> None:
    lab = Lab(case)
    z, outs, changes = some_nudges(lab, 11)
    tops, moved = in_groups(lab, z, outs, changes, group)
    assert len(tops) == -(-11 // group)
    for q in range(11):
        assert moved[q] == pytest.approx(whole_alone(lab, z, outs[q], changes[q]), abs=2e-5)


def test_readings_of_a_group_have_one_noise_in_common_and_each_its_own() -> None:
    """Moments and distribution beside the naive way: each nudge alone, beside a reading of its own."""
    lab = NoisyLab(Case())
    z, outs, changes = some_nudges(lab, 1)
    outs, changes = np.repeat(outs, 4), np.repeat(changes, 4, axis=0)
    grouped = np.array([in_groups(lab, z, outs, changes, 2)[1] for _ in range(700)])  # [times, 4, n, out]
    alone = np.array([whole_alone(lab, z, outs[0], changes[0]) for _ in range(2000)])
    for sample, out in np.ndindex(alone.shape[1:]):
        naive, found = alone[:, sample, out], grouped[:, :, sample, out]
        assert stats.ks_2samp(found[:, 0], naive).pvalue > 1e-3
        assert stats.ks_2samp(found[:, 3], naive).pvalue > 1e-3
        assert found.mean() == pytest.approx(naive.mean(), abs=5 * naive.std() / np.sqrt(1000))
        assert found.std(axis=0) == pytest.approx(naive.std(), rel=0.12)
        between = np.corrcoef(found.T)  # two differences from one reading share half of their variance
        assert between[0, 1] == pytest.approx(0.5, abs=0.12)
        assert between[2, 3] == pytest.approx(0.5, abs=0.12)
        assert np.abs(between[:2, 2:]).max() < 0.15


def test_every_nudge_is_read_at_all_positions_and_every_group_has_a_reading_without() -> None:
    lab = Lab(Case())
    batch, (first, above, _) = lab.batch(2), lab.network.layers
    plan = Dgc(size=0.1).gradient(lab.network, 0, first.vectors(batch.x), batch)
    nudges = vectors = 0
    try:
        schedule = next(plan)
        while True:
            done = lab.bench.execute(schedule)
            for op, cost in zip(schedule, done.costs, strict=True):
                if isinstance(op, Nudge):
                    nudges += len(op.points)
                    assert cost.reads == len(op.points) * 2 * first.positions
                elif isinstance(op, Multiply) and op.region is above.tile.blocks[0].region:
                    vectors += len(op.volts)
            schedule = plan.send(done)
    except StopIteration:
        pass
    assert nudges == first.tile.n_in * first.tile.n_out
    assert vectors == (nudges + 1) * 2 * above.positions


def test_the_same_seed_gives_the_same_bits() -> None:
    found = []
    for _ in range(2):
        lab = NoisyLab(Case())
        run(Dgc(size=0.1).step(lab.network, lab.batch(2), lab.change), lab.bench)
        found.append(np.concatenate([lab.wanted[number].ravel() for number in range(3)]))
    assert (found[0] == found[1]).all()
