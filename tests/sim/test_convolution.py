"""Convolution networks on simulated arrays, against a network of loops in float64 that knows no im2col."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pytest

from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from hil.network import (
    Convolution,
    Layer,
    Loss,
    MatrixSize,
    Network,
    Neurons,
    Tile,
    Wanted,
    Weights,
    place,
    wanted_arrays,
)
from hil.network.activations import ActivationName
from hil.network.convolution import PoolName
from hil.network.tile import scale_s
from hil.plan import Plan, run
from hil.schedule import Multiply, MultiplyAnswer
from hil.training.contracts import Batch, Gradient, StepReport, Update
from protocols.gradients.backprop import Backprop
from protocols.gradients.progressive import ProgressiveBp
from protocols.updates.bidirectional import Bidirectional
from protocols.updates.manhattan import Manhattan

IDEAL = SimSettings.model_validate({"device": "ideal"})
CLASSES = 3
T = TypeVar("T")


@dataclass
class Case:
    """Two convolutions and a dense output, one thing varied at a time."""

    pools: tuple[PoolName, PoolName] = ("average", "max")
    stride: int = 1
    padding: int = 0
    activation: ActivationName = "tanh"
    held: Weights = "pair"
    arrays: dict[str, tuple[int, int]] | None = None
    bias: bool = True
    convolutions: list[Convolution] = field(init=False)

    def __post_init__(self) -> None:
        first = Convolution((2, 8, 8), 3, 3, 1, 0, self.pools[0], 2)
        second = Convolution(first.given, 4, 2, self.stride, self.padding, self.pools[1], 2)
        self.convolutions = [first, second]


class Lab:
    """The network of a case on ideal arrays of random weights; wanted changes are noted and pulsed."""

    def __init__(self, case: Case, update: Update[Any] | None = None) -> None:
        self.case = case
        seen = case.convolutions
        n_last = int(np.prod(seen[-1].given))
        matrices = [MatrixSize(f"layer{k}", c.lines + case.bias, c.channels) for k, c in enumerate(seen)]
        matrices.append(MatrixSize("last", n_last + case.bias, CLASSES))
        self.bench = SimBench(IDEAL, case.arrays or wanted_arrays(matrices, case.held), seed=3)
        sheet = next(iter(self.bench.arrays.values())).device
        scale = scale_s(sheet, 2.0, case.held)
        rng = np.random.default_rng(11)
        layers: list[Layer] = []
        names: list[ActivationName] = [case.activation, case.activation, "softmax"]
        placed = place(matrices, self.bench.arrays, case.held)
        for m, blocks, name, c in zip(matrices, placed, names, [*seen, None], strict=True):
            tile = Tile(m.name, m.n_in, m.n_out, blocks, scale, sheet, bounded_inputs=False)
            counts = (rng.integers(-300, 300, (m.n_in, m.n_out)).astype(np.int16) for _ in range(2))
            self.bench.execute(tile.program(*counts))
            layers.append(Layer(tile, name, case.bias, None, c))
        self.network = Network(tuple(layers), Loss("cross-entropy", "softmax"))
        self.update = update
        self.states = [run(update.start(t.tile, 1), self.bench) for t in layers] if update else []
        self.wanted: dict[int, np.ndarray] = {}
        self.deltas: dict[int, np.ndarray] = {}

    def weights(self) -> list[np.ndarray]:
        tiles = [layer.tile for layer in self.network.layers]
        return [tile.weights(run(tile.read(), self.bench)).astype(float) for tile in tiles]

    def batch(self, n: int, rate: float = 0.5) -> Batch:
        rng = np.random.default_rng(n)
        x = rng.uniform(-1, 1, (n, self.network.n_in)).astype(np.float32)
        return Batch(x, rng.integers(0, CLASSES, n), rate, step=0)

    def change(self, changes: Sequence[tuple[int, Wanted]]) -> Plan[None]:
        for number, wanted in changes:
            self.wanted[number] = wanted.dense()
            self.deltas[number] = wanted.delta
            if self.update is not None:
                tile = self.network.layers[number].tile
                self.states[number] = yield from self.update.apply(tile, wanted, self.states[number])

    def step(self, gradient: Gradient, rate: float = 0.5) -> StepReport:
        return run(gradient.step(self.network, self.batch(2, rate), self.change), self.bench)


def convolved(image: np.ndarray, w: np.ndarray, c: Convolution, f: str, bias: bool) -> np.ndarray:
    """One image [channels, height, width] through kernels, activation and pooling, by the definition."""
    p, k = c.padding, c.size
    image = np.pad(image, ((0, 0), (p, p), (p, p)))
    offset = w[:, -1] if bias else np.zeros(len(w))
    kernels = (w[:, :-1] if bias else w).reshape(c.channels, -1, k, k)
    a = np.empty((c.channels, c.down, c.across))
    for o, y, x in np.ndindex(a.shape):
        seen = image[:, y * c.stride : y * c.stride + k, x * c.stride : x * c.stride + k]
        z = (seen * kernels[o]).sum() + offset[o]
        a[o, y, x] = np.tanh(z) if f == "tanh" else 1 / (1 + np.exp(-z)) if f == "sigmoid" else max(z, 0)
    pooled = np.empty(c.given)
    for o, y, x in np.ndindex(pooled.shape):
        size = c.pool_size
        square = a[o, y * size : (y + 1) * size, x * size : (x + 1) * size]
        pooled[o, y, x] = square.max() if c.pool == "max" else square.mean()
    return pooled


def float_costs(weights: Sequence[np.ndarray], case: Case, batch: Batch) -> np.ndarray:
    """-ln p of each sample's class."""
    costs: list[float] = []
    for x, label in zip(batch.x.astype(float), batch.labels, strict=True):
        image = x.reshape(case.convolutions[0].image)
        for w, c in zip(weights, case.convolutions, strict=False):
            image = convolved(image, w, c, case.activation, case.bias)
        z = weights[-1] @ (np.r_[image.ravel(), 1] if case.bias else image.ravel())
        costs.append(float(np.log(np.exp(z).sum()) - z[label]))
    return np.array(costs)


CASES = {
    "plain": Case(),
    "padded, no bias": Case(pools=("max", "average"), padding=1, bias=False),
    "strided, sigmoid": Case(stride=2, padding=1, activation="sigmoid"),
    "relu": Case(pools=("max", "max"), activation="relu"),
    "reference": Case(held="reference"),
    "kernels cut to small arrays": Case(arrays={f"a{k}": (6, 6) for k in range(24)}),
    "on two arrays each": Case(held="split-pair", arrays={f"a{k}": (7, 5) for k in range(24)}),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@each_case
def test_the_cost_and_the_changes_backprop_wants_are_those_of_the_float_network(case: Case) -> None:
    """A change of a shared weight is checked by moving that weight at all positions at once."""
    lab = Lab(case)
    weights = lab.weights()
    batch = lab.batch(2)
    report = run(Backprop().step(lab.network, batch, lab.change), lab.bench)
    assert report.cost == pytest.approx(float_costs(weights, case, batch).sum(), rel=1e-4)
    rng = np.random.default_rng(5)
    for number, matrix in enumerate(weights):
        for flat in rng.permutation(matrix.size)[:12].tolist():
            index = divmod(flat, matrix.shape[1])
            costs: list[float] = []
            for step in (1e-5, -1e-5):
                moved = [w.copy() for w in weights]
                moved[number][index] += step
                costs.append(float_costs(moved, case, batch).mean())
            slope = (costs[0] - costs[1]) / 2e-5
            assert lab.wanted[number][index] == pytest.approx(-0.5 * slope, rel=3e-3, abs=3e-5)


@each_case
def test_progressive_error_first_wants_and_pulses_what_backprop_does(case: Case) -> None:
    one, other = Lab(case, Bidirectional()), Lab(case, Bidirectional())
    for _ in range(2):
        one.step(Backprop())
        other.step(ProgressiveBp(order="error-first"))
    for number, wanted in one.wanted.items():
        assert other.wanted[number] == pytest.approx(wanted, rel=1e-6, abs=1e-9)
    for ours, theirs in zip(one.weights(), other.weights(), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)


def test_the_cosine_of_a_convolution_is_between_the_errors_of_whole_samples() -> None:
    used, exact = Lab(CASES["plain"], Bidirectional()), Lab(CASES["plain"], Bidirectional())
    exact.step(Backprop(), rate=2.0)
    found = used.step(ProgressiveBp(cosine_every=1), rate=2.0).cosine
    cosines: list[float] = []
    for layer in (0, 1):
        one, other = (lab.deltas[layer].reshape(2, -1).astype(float) for lab in (used, exact))
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        cosines.extend((one * other).sum(axis=1) / lengths)
    assert found == pytest.approx(np.mean(cosines), rel=1e-5)
    assert found is not None
    assert found < 0.999


@each_case
def test_one_step_moves_the_shared_weights_by_the_sum_over_positions(case: Case) -> None:
    lab = Lab(case, Bidirectional(max_pulses=10_000))
    before = lab.weights()
    lab.step(Backprop(), rate=0.05)
    tile = lab.network.layers[0].tile
    pulse = tile.sheet.step_up_s / tile.scale_s
    for number, after in enumerate(lab.weights()):
        assert np.abs(after - before[number] - lab.wanted[number]).max() < 2 * pulse * 1.01


def test_manhattan_moves_shared_weights_by_the_sign_of_the_sum() -> None:
    lab = Lab(CASES["plain"], Manhattan())
    before = lab.weights()
    lab.step(Backprop())
    for number, after in enumerate(lab.weights()):
        assert lab.wanted[number].all()
        assert (np.sign(after - before[number]) == np.sign(lab.wanted[number])).all()


def watched(
    plan: Plan[T], bench: SimBench, bound: tuple[int, int] | None = None
) -> tuple[T, list[tuple[int, int]]]:
    """Run a plan, say of one sum (vector, line) of each answer that it is only a bound, and note the vectors
    and lines that were driven.
    """
    driven: list[tuple[int, int]] = []
    try:
        schedule = next(plan)
        while True:
            execution = bench.execute(schedule)
            for op, answer in zip(schedule, execution.answers, strict=True):
                assert isinstance(op, Multiply)
                assert isinstance(answer, MultiplyAnswer)
                driven.append((op.volts.shape[0], op.volts.shape[1]))
                if bound is not None:
                    answer.clipped[bound] = True
            schedule = plan.send(execution)
    except StopIteration as end:
        return end.value, driven


def test_all_positions_of_a_batch_are_vectors_of_one_multiply() -> None:
    lab = Lab(CASES["plain"])
    _, driven = watched(lab.network.forward(lab.batch(5).x), lab.bench)
    assert driven == [(5 * 36, 19), (5 * 4, 13), (5, 5)]


def test_a_bound_at_one_position_silences_only_what_rests_on_it() -> None:
    lab = Lab(CASES["plain"])
    first = lab.network.layers[0]
    delta = np.random.default_rng(0).standard_normal((2 * 36, 3)).astype(np.float32)
    error, _ = watched(first.backward(delta), lab.bench, bound=(36 + 7, 4))
    silent = np.zeros((2, 2, 8, 8), np.bool_)
    silent[1, 0, 1 + 1, 1 + 1] = True  # line 4 is the middle of the kernel, position 7 begins at (1, 1)
    assert (error.clipped.reshape(silent.shape) == silent).all()
    trace, _ = watched(first.forward(lab.batch(2).x), lab.bench, bound=(36 + 7, 1))
    assert np.argwhere(trace.clipped).tolist() == [[36 + 7, 1]]
    passed, clipped = run(lab.network.pass_back(1, np.ones((2 * 4, 4), np.float32), trace), lab.bench)
    assert clipped == 0
    assert np.argwhere(passed == 0).tolist() == [[36 + 7, 1]]


def test_the_circuit_of_a_kernel_is_the_same_at_all_positions() -> None:
    lab = Lab(CASES["plain"])
    plain = lab.network.layers[0]
    neurons = Neurons(np.array([0.5, 1, 2], np.float32), np.array([0, 0.3, -0.3], np.float32))
    varied = Layer(plain.tile, plain.activation, plain.bias, neurons, plain.convolution)
    x = lab.batch(2).x
    trace = run(varied.forward(x), lab.bench)
    z = run(plain.forward(x), lab.bench).z
    expected = np.tanh(neurons.gain * z + neurons.offset)
    squares = expected.reshape(2, 3, 2, 3, 2, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2)
    assert trace.a == pytest.approx(squares.reshape(2, -1), rel=1e-5, abs=1e-6)
    error = np.ones((2, varied.features_out), np.float32)
    assert varied.through(trace, error) == pytest.approx((1 - np.tanh(z) ** 2) / 4, rel=1e-4, abs=1e-6)
