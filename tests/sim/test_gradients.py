"""Gradients and updates on simulated arrays, against independent float arithmetic in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from hil.network import Layer, Loss, MatrixSize, Network, Neurons, Tile, Wanted, Weights, place, wanted_arrays
from hil.network.activations import ActivationName
from hil.network.tile import scale_s
from hil.plan import Plan, run
from hil.training.contracts import Batch, Gradient, StepReport
from protocols.gradients.backprop import Backprop
from protocols.gradients.progressive import Order, ProgressiveBp
from protocols.updates.bidirectional import Bidirectional

IDEAL = SimSettings.model_validate({"device": "ideal"})
HIDDEN: tuple[ActivationName, ...] = ("tanh", "tanh", "softmax")


class Lab:
    """A small network on ideal arrays; the changes wanted of it are noted and, if asked for, pulsed."""

    def __init__(
        self,
        sizes: Sequence[int] = (7, 6, 5, 4),
        activations: Sequence[ActivationName] = HIDDEN,
        held: Weights = "pair",
        arrays: dict[str, tuple[int, int]] | None = None,
        pulse: bool = False,
        settings: SimSettings = IDEAL,
    ) -> None:
        matrices = [MatrixSize(f"layer{k}", n + 1, m) for k, (n, m) in enumerate(pairwise(sizes), 1)]
        self.bench = SimBench(settings, arrays or wanted_arrays(matrices, held), seed=3)
        sheet = next(iter(self.bench.arrays.values())).device
        scale = scale_s(sheet, 2.0, held)
        blocks = place(matrices, self.bench.arrays, held)
        self.network = Network(
            tuple(
                Layer(Tile(m.name, m.n_in, m.n_out, b, scale, sheet, bounded_inputs=False), activation)
                for m, b, activation in zip(matrices, blocks, activations, strict=True)
            ),
            Loss("cross-entropy", activations[-1]),
        )
        rng = np.random.default_rng(11)
        for layer in self.network.layers:
            shape = layer.tile.n_in, layer.tile.n_out
            plus, minus = (rng.integers(-300, 300, shape).astype(np.int16) for _ in range(2))
            self.bench.execute(layer.tile.program(plus, minus))
        self.pulse = pulse
        self.wanted: dict[int, np.ndarray] = {}
        self.order: list[int] = []
        self.update = Bidirectional(max_pulses=10_000)
        self.states = [
            run(self.update.start(layer.tile, seed), self.bench)
            for seed, layer in enumerate(self.network.layers)
        ]

    def weights(self) -> list[np.ndarray]:
        return [
            layer.tile.weights(run(layer.tile.read(), self.bench)).astype(float)
            for layer in self.network.layers
        ]

    def change(self, changes: Sequence[tuple[int, Wanted]]) -> Plan[None]:
        for number, wanted in changes:
            self.order.append(number)
            self.wanted[number] = wanted.dense()
            if self.pulse:
                tile = self.network.layers[number].tile
                self.states[number] = yield from self.update.apply(tile, wanted, self.states[number])

    def step(self, gradient: Gradient, n: int = 1, rate: float = 0.5) -> StepReport:
        rng = np.random.default_rng(n)
        x = rng.uniform(-1, 1, (n, self.network.n_in)).astype(np.float32)
        self.batch = Batch(x, rng.integers(0, self.network.n_out, n), rate, step=0)
        return run(gradient.step(self.network, self.batch, self.change), self.bench)


def float_gradients(
    weights: Sequence[np.ndarray], activations: Sequence[str], batch: Batch
) -> tuple[list[np.ndarray], float]:
    """dC/dW of each layer by central differences of the mean cost, in float64, and the summed cost."""

    def cost(w: Sequence[np.ndarray]) -> float:
        a = batch.x.astype(float)
        for matrix, name in zip(w, activations, strict=True):
            z = np.c_[a, np.ones(len(a))] @ matrix.T
            if name == "softmax":
                a = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
            else:
                a = {"tanh": np.tanh(z), "sigmoid": 1 / (1 + np.exp(-z)), "relu": np.maximum(z, 0)}[name]
        return float(-np.log(a[np.arange(len(a)), batch.labels]).sum())

    gradients = []
    for number, matrix in enumerate(weights):
        slope = np.zeros_like(matrix)
        for index in np.ndindex(matrix.shape):
            up, down = [w.copy() for w in weights], [w.copy() for w in weights]
            up[number][index] += 1e-5
            down[number][index] -= 1e-5
            slope[index] = (cost(up) - cost(down)) / 2e-5 / len(batch.labels)
        gradients.append(slope)
    return gradients, cost(weights)


@pytest.mark.parametrize("n", [1, 6])
@pytest.mark.parametrize("hidden", ["tanh", "sigmoid", "relu"])
def test_backprop_wants_minus_rate_times_the_gradient_that_differences_give(
    hidden: ActivationName, n: int
) -> None:
    activations: tuple[ActivationName, ...] = (hidden, hidden, "softmax")
    lab = Lab(activations=activations)
    weights = lab.weights()
    report = lab.step(Backprop(), n)
    gradients, cost = float_gradients(weights, activations, lab.batch)
    assert report.cost == pytest.approx(cost, rel=1e-4)
    for number, gradient in enumerate(gradients):
        assert lab.wanted[number] == pytest.approx(-0.5 * gradient, rel=2e-3, abs=2e-5)


def test_backprop_changes_all_layers_at_the_end_and_progressive_one_after_the_other_from_the_last() -> None:
    lab = Lab()
    lab.step(Backprop())
    assert sorted(lab.order) == [0, 1, 2]
    lab.order.clear()
    lab.step(ProgressiveBp())
    assert lab.order == [2, 1, 0]


@pytest.mark.parametrize("n", [1, 5])
def test_progressive_error_first_wants_and_pulses_what_backprop_does(n: int) -> None:
    """The reference of the method with one sample a step; as errors are read first it holds for more."""
    one, other = Lab(pulse=True), Lab(pulse=True)
    for _ in range(3):
        one.step(Backprop(), n)
        other.step(ProgressiveBp(order="error-first"), n)
    for number in range(3):
        assert other.wanted[number] == pytest.approx(one.wanted[number], rel=1e-6, abs=1e-9)
    for ours, theirs in zip(one.weights(), other.weights(), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)


def test_update_first_passes_the_error_through_the_updated_weights() -> None:
    lab = Lab(pulse=True)
    before = lab.weights()
    lab.step(ProgressiveBp(order="update-first"), rate=2.0)
    after = lab.weights()
    a = [lab.batch.x.astype(float)]
    for matrix in before[:2]:
        a.append(np.tanh(np.c_[a[-1], np.ones(1)] @ matrix.T))
    z = np.c_[a[2], np.ones(1)] @ before[2].T
    delta = np.exp(z) / np.exp(z).sum()
    delta[0, lab.batch.labels[0]] -= 1
    for number in (2, 1):
        delta = (delta @ after[number])[:, :-1] * (1 - a[number] ** 2)
        expected = -2.0 * delta.T @ np.c_[a[number - 1], np.ones(1)]
        assert lab.wanted[number - 1] == pytest.approx(expected, rel=5e-3, abs=1e-5)
    assert not np.allclose(before[2], after[2])


def test_the_cosine_is_that_between_the_error_used_and_the_one_through_the_old_weights() -> None:
    calm, rough = Lab(pulse=True), Lab(pulse=True)
    near = calm.step(ProgressiveBp(cosine_every=1), rate=0.01).cosine
    far = rough.step(ProgressiveBp(cosine_every=1), rate=20.0).cosine
    assert near is not None
    assert far is not None
    assert near > 0.9999
    assert far < near
    assert Lab().step(ProgressiveBp(order="error-first", cosine_every=1)).cosine is None
    assert Lab().step(ProgressiveBp(cosine_every=0)).cosine is None


def test_re_measure_uses_the_error_of_the_network_as_it_stands_after_each_change() -> None:
    lab = Lab(pulse=True, sizes=(5, 6, 4), activations=("tanh", "softmax"))
    first = lab.weights()[0]
    lab.step(ProgressiveBp(order="re-measure"), rate=2.0)
    second = lab.weights()[1]
    gradients, _ = float_gradients([first, second], ("tanh", "softmax"), lab.batch)
    assert lab.wanted[0] == pytest.approx(-2.0 * gradients[0], rel=5e-3, abs=1e-4)


@pytest.mark.parametrize("order", ["update-first", "re-measure"])
def test_a_warning_is_given_where_updated_weights_spoil_the_error(order: Order) -> None:
    network = Lab(activations=("relu", "tanh", "softmax")).network
    assert "relu" in ProgressiveBp(order=order).warnings(network)[0]
    assert not ProgressiveBp(order="error-first").warnings(network)
    assert not ProgressiveBp(order=order).warnings(Lab().network)


LAYOUTS: list[tuple[Weights, dict[str, tuple[int, int]] | None]] = [
    ("pair", None),
    ("split-pair", None),
    ("reference", None),
    ("pair", {f"a{k}": (4, 6) for k in range(12)}),
    ("split-pair", {f"a{k}": (3, 5) for k in range(24)}),
    ("reference", {f"a{k}": (4, 4) for k in range(14)}),
    ("pair", {"one": (64, 64)}),
    ("reference", {"one": (64, 64)}),
]


@pytest.mark.parametrize(("held", "arrays"), LAYOUTS)
def test_wherever_the_weights_lie_sums_and_errors_are_those_of_the_matrix(
    held: Weights, arrays: dict[str, tuple[int, int]] | None
) -> None:
    lab = Lab(held=held, arrays=arrays)
    rng = np.random.default_rng(0)
    for layer, w in zip(lab.network.layers, lab.weights(), strict=True):
        x = rng.uniform(-3, 3, (4, layer.tile.n_in)).astype(np.float32)
        delta = rng.uniform(-1e-3, 1e-3, (4, layer.tile.n_out)).astype(np.float32)
        forward = run(layer.tile.forward(x), lab.bench)
        backward = run(layer.tile.backward(delta), lab.bench)
        assert forward.values == pytest.approx(x @ w.T, rel=1e-4, abs=1e-4)
        assert backward.values == pytest.approx(delta @ w, rel=1e-4, abs=1e-7)
        assert not forward.clipped.any()
        assert not backward.clipped.any()


@pytest.mark.parametrize(("held", "arrays"), LAYOUTS)
def test_wherever_the_weights_lie_the_same_step_ends_in_the_same_weights_up_to_rounding(
    held: Weights, arrays: dict[str, tuple[int, int]] | None
) -> None:
    lab = Lab(held=held, arrays=arrays, pulse=True)
    before = lab.weights()
    lab.step(Backprop(), 3, rate=1.0)
    after = lab.weights()
    sheet, scale = lab.network.layers[0].tile.sheet, lab.network.layers[0].tile.scale_s
    pulse = sheet.step_up_s / scale
    for number in range(3):
        moved = after[number] - before[number]
        assert np.abs(moved - lab.wanted[number]).max() < 2 * pulse * 1.01
        assert np.corrcoef(moved.ravel(), lab.wanted[number].ravel())[0, 1] > 0.95


def test_an_all_zero_error_asks_for_no_volts_and_gives_no_error() -> None:
    tile = Lab().network.layers[0].tile
    bench = Lab().bench
    signal = run(tile.backward(np.zeros((2, tile.n_out), np.float32)), bench)
    assert (signal.values == 0).all()


def test_neurons_gains_on_the_way_back_are_in_the_error_and_in_nothing_else() -> None:
    plain, spread = Lab(), Lab()
    rng = np.random.default_rng(4)
    layers = [
        replace(layer, neurons=Neurons.drawn(layer.tile.n_out, 0.0, 0.0, rng, 0.4))
        for layer in spread.network.layers
    ]
    spread.network = replace(spread.network, layers=tuple(layers))
    one, other = plain.step(Backprop(), 3), spread.step(Backprop(), 3)
    assert one.cost == other.cost
    assert (plain.wanted[2] == spread.wanted[2]).all()
    assert layers[1].neurons is not None
    assert layers[1].neurons.backward is not None
    gains = layers[1].neurons.backward[:, np.newaxis]
    assert spread.wanted[1] == pytest.approx(gains * plain.wanted[1], rel=1e-4, abs=1e-7)
    assert np.std(gains) > 0.1


def test_whether_neurons_err_on_the_way_back_changes_none_of_their_other_errors() -> None:
    one, other = np.random.default_rng(1), np.random.default_rng(1)
    for _ in range(2):
        plain, spread = Neurons.drawn(5, 0.3, 0.2, one), Neurons.drawn(5, 0.3, 0.2, other, 0.3)
        assert plain is not None
        assert spread is not None
        assert (plain.gain == spread.gain).all()
        assert (plain.offset == spread.offset).all()
