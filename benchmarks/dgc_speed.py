"""A whole DGC gradient through the bench contract, beside the network run again in numpy for every weight.

Both have fresh noise on every reading and float32 weights; they take turns in one process, by CPU seconds.
    OMP_NUM_THREADS=1 python -m benchmarks.dgc_speed
Epochs are extrapolated from some steps on the digits that come with the package.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from hil.data.load import load_dataset
from hil.data.spec import DataSpec
from hil.limits import LimitedBench, Limits
from hil.network import (
    Convolution,
    Layer,
    Loss,
    MatrixSize,
    Network,
    Tile,
    Wanted,
    Weights,
    place,
    wanted_arrays,
)
from hil.network.tile import scale_s
from hil.plan import Plan, run
from hil.training.contracts import Batch
from protocols.gradients.dgc import Dgc
from protocols.gradients.hybrid import Hybrid

F32 = NDArray[np.float32]
NOISE = 0.005
H = 0.1


def built(sizes: tuple[int, int, int], held: Weights) -> tuple[LimitedBench, Network]:
    """A bench of random weights, read with noise, and its network."""
    n_in, hidden, n_out = sizes
    matrices = [MatrixSize("layer1", n_in + 1, hidden), MatrixSize("layer2", hidden + 1, n_out)]
    bench, tiles = written(matrices, held, {"device": "ideal", "read": {"noise": NOISE}})
    layers = Layer(tiles[0], "tanh"), Layer(tiles[1], "softmax")
    return bench, Network(layers, Loss("cross-entropy", "softmax"))


def written(
    matrices: Sequence[MatrixSize], held: Weights, settings: Mapping[str, object]
) -> tuple[LimitedBench, list[Tile]]:
    """A bench, and tiles of random weights on it."""
    sim = SimBench(SimSettings.model_validate(settings), wanted_arrays(matrices, held), seed=1)
    sheet = next(iter(sim.arrays.values())).device
    bench = LimitedBench(sim, Limits(read_v=sheet.read_voltage_v))
    blocks = place(matrices, bench.arrays, held)
    scale = scale_s(sheet, 1.0, held)
    tiles = [Tile(m.name, m.n_in, m.n_out, b, scale, sheet) for m, b in zip(matrices, blocks, strict=True)]
    rng = np.random.default_rng(2)
    for tile in tiles:
        plus, minus = (rng.integers(-60, 60, (tile.n_in, tile.n_out)).astype(np.int16) for _ in "+-")
        bench.execute(tile.program(plus, minus))
    return bench, tiles


def convolution(what: str, settings: Mapping[str, object], rounds: int) -> None:
    """Milliseconds of a step of the LeNet of examples/studies/hybrid-lenet.yaml, batch 4."""
    first = Convolution((1, 28, 28), 6, 5, pool="max", pool_size=2)
    second = Convolution(first.given, 16, 5, pool="max", pool_size=2)
    shapes = (first.lines, 6), (second.lines, 16), (256, 32), (32, 10)
    matrices = [MatrixSize(f"layer{k}", n_in + 1, n_out) for k, (n_in, n_out) in enumerate(shapes, 1)]
    bench, tiles = written(matrices, "pair", settings)
    layers = (
        Layer(tiles[0], "tanh", convolution=first), Layer(tiles[1], "tanh", convolution=second),
        Layer(tiles[2], "tanh"), Layer(tiles[3], "softmax"),
    )  # fmt: skip
    network = Network(layers, Loss("cross-entropy", "softmax"))
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 1, (4, 784)).astype(np.float32) * (rng.random((4, 784)) < 0.5)
    batch = Batch(x, rng.integers(0, 10, 4), 0.1, step=0)
    for gradient in (Dgc(), Hybrid()):
        run(gradient.step(network, batch, ignore), bench)
        taken = np.empty(rounds)
        for turn in range(rounds):
            began = time.process_time()
            run(gradient.step(network, batch, ignore), bench)
            taken[turn] = time.process_time() - began
        print(
            f"LeNet, batch 4, {what}, {gradient.name}: {1e3 * np.median(taken):.0f} ms a step "
            f"({1e3 * taken.min():.0f} to {1e3 * taken.max():.0f})"
        )


class Naive:
    """The forward pass run again for a weight: its weight changed, every sum with noise of its own."""

    def __init__(self, weights: Sequence[F32], batch: Batch) -> None:
        ones = np.ones((len(batch.x), 1), np.float32)
        self._w, self._x, self._labels = list(weights), np.concatenate([batch.x, ones], axis=1), batch.labels
        self._ones = ones
        self._rng = np.random.default_rng(0)
        self._base = self.cost()

    def _sums(self, a: F32, w: F32) -> F32:
        z = a @ w.T
        spread: F32 = np.float32(NOISE) * np.sqrt(np.square(a) @ np.square(w).T)
        z += spread * self._rng.standard_normal(z.shape, dtype=np.float32)
        return z

    def cost(self) -> float:
        """Of the batch, summed."""
        a = np.tanh(self._sums(self._x, self._w[0]))
        z = self._sums(np.concatenate([a, self._ones], axis=1), self._w[1])
        z -= z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        return -float(log_p[np.arange(len(z)), self._labels].sum())

    def slope(self, layer: int, out: int, line: int) -> float:
        """One weight's part of the gradient."""
        w = self._w[layer]
        w[out, line] += H
        cost = self.cost()
        w[out, line] -= H
        return (cost - self._base) / H


def ignore(_: Sequence[tuple[int, Wanted]]) -> Plan[None]:
    """Nothing is pulsed: the gradient alone is timed."""
    yield from ()


def compare(sizes: tuple[int, int, int], n: int, held: Weights, rounds: int, naive_weights: int) -> None:
    bench, network = built(sizes, held)
    rng = np.random.default_rng(3)
    x = rng.uniform(0.01, 1, (n, sizes[0])).astype(np.float32)  # no zero: every weight is nudged
    batch = Batch(x, rng.integers(0, sizes[2], n), 0.1, step=0)
    gradient = Dgc(size=H)
    run(gradient.step(network, batch, ignore), bench)  # compiled
    naive = Naive(
        [tile.weights(run(tile.read(), bench)) for tile in (la.tile for la in network.layers)], batch
    )
    picked = rng.integers(0, sizes[1] * (sizes[0] + 1), naive_weights)
    ours, theirs = np.empty(rounds), np.empty(rounds)
    for turn in range(rounds):
        began = time.process_time()
        run(gradient.step(network, batch, ignore), bench)
        ours[turn] = time.process_time() - began
        began = time.process_time()
        for q in picked:
            naive.slope(0, *divmod(int(q), sizes[0] + 1))
        theirs[turn] = (time.process_time() - began) / naive_weights * network.weights
    million, ratios = network.weights * n / 1e6, theirs / ours
    print(
        f"{sizes[0]}-{sizes[1]}-{sizes[2]}, batch {n}, weights: {held}; {network.weights:,} weights, "
        f"{million:.2f} M weight-readings\n"
        f"  dgc    {1e3 * np.median(ours):8.1f} ms ({1e3 * ours.min():.1f} to {1e3 * ours.max():.1f}), "
        f"{million / np.median(ours):.1f} M weight-readings/s (best {million / ours.min():.1f})\n"
        f"  naive  {1e3 * np.median(theirs):8.0f} ms ({1e3 * theirs.min():.0f} to {1e3 * theirs.max():.0f}), "
        f"by {naive_weights} weights\n"
        f"  ratio  {np.median(ratios):8.0f}    ({ratios.min():.0f} to {ratios.max():.0f})"
    )


def epoch(x: F32, labels: NDArray[np.int64], n: int, gradient: Dgc) -> None:
    """Seconds of gradients for an epoch of 60,000 such samples, of 784-32-10."""
    bench, network = built((784, 32, 10), "pair")
    samples = len(x)
    run(gradient.step(network, Batch(x[:n], labels[:n], 0.1, 0), ignore), bench)
    began = time.process_time()
    for step, first in enumerate(range(0, samples, n)):
        part = slice(first, first + n)
        run(gradient.step(network, Batch(x[part], labels[part], 0.1, step), ignore), bench)
    taken = time.process_time() - began
    print(
        f"784-32-10, batch {n}, size {gradient.size}: {60_000 * taken / samples:.0f} s for 60,000 images, "
        f"by {samples}"
    )


def epochs(steps: int) -> None:
    """Epochs on the digits that come with the package, at a given size of the nudge and at one chosen."""
    digits = load_dataset(DataSpec(name="mnist-5k"))
    for gradient, n in product((Dgc(size=H), Dgc()), (1, 10)):
        epoch(digits.train_x[: steps * n], digits.train_y[: steps * n], n, gradient)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--naive-weights", type=int, default=500)
    parser.add_argument("--steps", type=int, default=200, help="of which the seconds of an epoch are taken")
    parser.add_argument("--only", choices=("gradient", "lenet", "epoch"), help="one of the three parts alone")
    asked = parser.parse_args()
    for held in ("pair", "reference") if asked.only in (None, "gradient") else ():
        compare((784, 128, 10), 10, held, asked.rounds, asked.naive_weights)
    if asked.only in (None, "lenet"):
        convolution("ideal devices", {"device": "ideal"}, asked.rounds)
        noisy = {"device": "ideal", "read": {"noise": NOISE}, "dac": {"bits": 8}, "adc": {"bits": 10}}
        convolution("noise and converters", noisy, asked.rounds)
    if asked.only in (None, "epoch"):
        epochs(asked.steps)


if __name__ == "__main__":
    main()
