"""The same network trained in float on the host: the weights that are then written to devices, and how good
they are before that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from hil.config.experiment import SoftwareSettings
from hil.data import Dataset, batches
from hil.errors import BenchError
from hil.network import Network, Tile
from hil.network.tile import F32, Signal
from hil.plan import Plan
from hil.training.evaluation import Scores, evaluate

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class HostTile(Tile):
    """A tile that needs no bench: its plans yield nothing, ``matrix`` float32 [out, in] is what it holds."""

    matrix: F32 = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def forward(self, inputs: F32) -> Plan[Signal]:
        """W inputs: [n, in] to [n, out]."""
        yield from ()
        return _exact(inputs @ self.matrix.T)

    def backward(self, delta: F32) -> Plan[Signal]:
        """Delta W: [n, out] to [n, in]."""
        yield from ()
        return _exact(delta @ self.matrix)


@dataclass(frozen=True, slots=True, eq=False)
class Software:
    """Weights [in, out] of each layer, and how they do on the test samples."""

    weights: tuple[F32, ...]
    scores: Scores


def on_host(network: Network, weights: tuple[F32, ...]) -> Network:
    """The network with weights [in, out] of its layers on the host, and neurons that are all alike.

    Weights whose transpose is C-contiguous are not copied: what changes in them later is seen.
    """
    layers = [
        replace(layer, tile=_host_tile(layer.tile, matrix.T), neurons=None)
        for layer, matrix in zip(network.layers, weights, strict=True)
    ]
    return replace(network, layers=tuple(layers))


def assess(network: Network, weights: tuple[F32, ...], data: Dataset) -> Software:
    """How weights [in, out] do on the test samples, in float."""
    return Software(weights, _run(evaluate(on_host(network, weights), data.test_x, data.test_y)))


def train_in_software(
    network: Network,
    data: Dataset,
    weights: tuple[F32, ...],
    settings: SoftwareSettings,
    rng: np.random.Generator,
    stop: Callable[[], bool] = lambda: False,
) -> Software:
    """Plain SGD from ``weights`` [in, out]; no weight leaves what its layer's devices can hold.

    ``stop`` is asked between epochs.
    """
    held = [np.ascontiguousarray(matrix.T) for matrix in weights]
    model = on_host(network, tuple(matrix.T for matrix in held))
    rate = settings.rate
    for _ in range(settings.epochs):
        for index in batches(len(data.train_y), settings.batch, rng):
            changes = _run(_gradients(model, data, index))
            for matrix, gradient, layer in zip(held, changes, network.layers, strict=True):
                matrix -= np.float32(rate / index.size) * gradient
                np.clip(matrix, -layer.tile.w_max, layer.tile.w_max, out=matrix)
        rate *= settings.rate_decay
        if stop():
            break
    return assess(network, tuple(matrix.T for matrix in held), data)


def _gradients(
    model: Network, data: Dataset, index: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Plan[list[F32]]:
    """dC/dW [out, in] of each layer, summed over the samples."""
    traces = yield from model.forward(np.array(data.train_x[index]))
    delta = model.output_error(traces, data.train_y[index]).delta
    gradients: list[F32] = []
    for number in reversed(range(len(model.layers))):
        gradients.insert(0, delta.T @ traces[number].inputs)
        if number:
            delta, _ = yield from model.pass_back(number, delta, traces[number - 1])
    return gradients


def _host_tile(tile: Tile, matrix: F32) -> HostTile:
    return HostTile(
        tile.name,
        tile.n_in,
        tile.n_out,
        tile.blocks,
        tile.scale_s,
        tile.sheet,
        tile.bounded_inputs,
        np.ascontiguousarray(matrix),
    )


def _exact(values: F32) -> Signal:
    return Signal(values, np.zeros(values.shape, np.bool_))


def _run(plan: Plan[T]) -> T:
    """A plan that asks nothing of any bench, to its end."""
    try:
        next(plan)
    except StopIteration as end:
        return end.value
    raise BenchError("a network on the host asked for a bench; this is a fault of its layers")
