"""The hybrid on simulated arrays: each layer by its own method, and what does not go together refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from hil.errors import ConfigError
from hil.plan import run
from hil.schedule import Multiply, Nudge
from hil.training.contracts import Batch, Gradient
from protocols.gradients.backprop import Backprop
from protocols.gradients.dgc import Dgc, Nudges
from protocols.gradients.hybrid import Hybrid
from protocols.gradients.progressive import ProgressiveBp
from tests.sim import test_convolution
from tests.sim.test_convolution import Case
from tests.sim.test_gradients import Lab

EXACT = Nudges(size=0.01, sides="two")


def operations(lab: Any, gradient: Gradient, batch: Batch) -> list[Any]:
    """All operations of a step, which is run on the lab's bench."""
    plan, seen = gradient.step(lab.network, batch, lab.change), []
    try:
        schedule = next(plan)
        while True:
            seen += schedule
            schedule = plan.send(lab.bench.execute(schedule))
    except StopIteration:
        return seen


@pytest.mark.parametrize("layers", [("layer1",), ("layer2",), ("layer3", "layer1"), ("layer1", "layer2")])
def test_with_backprop_every_layer_wants_what_backprop_wants(layers: tuple[str, ...]) -> None:
    exact, lab = Lab(), Lab()
    exact.step(Backprop(), 4)
    lab.step(Hybrid(layers=layers, dgc=EXACT), 4)
    for number in range(3):
        within = 0.01 if f"layer{number + 1}" in layers else 1e-6
        assert lab.wanted[number] == pytest.approx(exact.wanted[number], rel=within, abs=within / 100)
        assert f"layer{number + 1}" in layers or (lab.wanted[number] == exact.wanted[number]).all()


@pytest.mark.parametrize("order", ["update-first", "error-first"])
def test_with_progressive_the_dense_layers_do_as_progressive_does(order: Any) -> None:
    alone, lab = Lab(pulse=True), Lab(pulse=True)
    alone.step(ProgressiveBp(order=order, cosine_every=0), 2)
    lab.step(Hybrid(layers=("layer1",), others="progressive-bp", order=order, dgc=EXACT), 2)
    assert lab.order == [2, 1, 0]
    for number in (2, 1):
        assert (lab.wanted[number] == alone.wanted[number]).all()


def test_an_error_may_go_back_through_a_layer_of_dgc_where_it_is_read_first() -> None:
    exact, lab = Lab(pulse=True), Lab(pulse=True)
    exact.step(Backprop(), 2)
    lab.step(Hybrid(layers=("layer2",), others="progressive-bp", order="error-first", dgc=EXACT), 2)
    for number in (2, 0):
        assert (lab.wanted[number] == exact.wanted[number]).all()


def test_kernels_are_nudged_where_nothing_is_named_and_no_error_goes_back_to_them() -> None:
    lab = test_convolution.Lab(Case())
    rng = np.random.default_rng(0)
    batch = Batch(rng.uniform(-1, 1, (2, lab.network.n_in)).astype(np.float32), np.array([0, 2]), 0.5, 0)
    run(Backprop().step(lab.network, batch, lab.change), lab.bench)
    exact = dict(lab.wanted)
    seen = operations(lab, Hybrid(dgc=EXACT), batch)
    kernels = {layer.tile.blocks[0].region.array for layer in lab.network.layers[:2]}
    assert {op.region.array for op in seen if isinstance(op, Nudge)} == kernels
    assert not any(op.transpose for op in seen if isinstance(op, Multiply) and op.region.array in kernels)
    for number in range(3):
        assert lab.wanted[number] == pytest.approx(exact[number], rel=0.02, abs=3e-4)


def test_it_takes_fewer_readings_than_dgc_by_the_ratio_of_the_weights_that_are_nudged() -> None:
    lab = Lab()
    seen = {}
    for gradient in (Dgc(size=0.01), Hybrid(layers=("layer3",), dgc=Nudges(size=0.01))):
        lab.step(Backprop(), 2)
        ops = operations(lab, gradient, lab.batch)
        seen[gradient.name] = sum(len(op.points) for op in ops if isinstance(op, Nudge))
    assert seen["hybrid"] / seen["dgc"] == pytest.approx(
        lab.network.layers[2].tile.n_in * lab.network.layers[2].tile.n_out / lab.network.weights
    )


def test_what_does_not_go_together_is_refused_by_its_key() -> None:
    lab = Lab()

    def refused(**keys: Any) -> str:
        with pytest.raises(ConfigError) as refusal:
            Hybrid(**keys).check(lab.network, lab.bench.arrays)
        return str(refusal.value)

    assert refused().startswith("gradient.layers: missing; this network has no convolution")
    assert "did you mean 'layer2'?" in refused(layers=("layer1", "layr2"))
    assert refused(layers=("layer1", "layr2")).startswith("gradient.layers.1: ")
    assert "gradient: dgc" in refused(layers=("layer1", "layer2", "layer3"))
    between = refused(layers=("layer2",), others="progressive-bp")
    assert between.startswith(
        "gradient.order: asked for update-first; the error for layer1 goes back through"
    )
    wrong = refused(layers=("layer1",), dgc=Nudges(smallest=1.0))
    assert wrong.startswith("gradient.dgc.smallest: ")
    Hybrid(layers=("layer1",), others="progressive-bp").check(lab.network, lab.bench.arrays)
    Hybrid(layers=("layer2",), others="progressive-bp", order="error-first").check(
        lab.network, lab.bench.arrays
    )
    with pytest.raises(ValidationError, match="no layer is left to dgc"):
        Hybrid(layers=())
    with pytest.raises(ValidationError, match="others is backprop"):
        Hybrid(layers=("layer1",), order="error-first")
