"""A network whose weights are in the devices: layers of tiles, with activation, bias and loss on the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.network.activations import ActivationName, Loss, activate, slope, slope_from_output
from hil.network.kernels import correct, with_bias
from hil.network.tile import F32, Signal, Tile
from hil.plan import Plan

Labels: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """Neuron circuits that differ: a = f(gain z + offset), fixed per neuron, float32 [out] each."""

    gain: F32
    offset: F32

    @classmethod
    def drawn(
        cls, n: int, gain_spread: float, offset_spread: float, rng: np.random.Generator
    ) -> Neurons | None:
        """Gains from N(1, gain_spread) and offsets from N(0, offset_spread); None when nothing is spread."""
        if gain_spread == 0 and offset_spread == 0:
            return None
        gain = 1 + gain_spread * rng.standard_normal(n, dtype=np.float32)
        return cls(
            gain.astype(np.float32),
            (offset_spread * rng.standard_normal(n, dtype=np.float32)).astype(np.float32),
        )


@dataclass(slots=True, eq=False)
class Trace:
    """What one layer did for a batch of n samples: ``inputs`` [n positions, in] (bias line included), sums
    ``z`` and where they are only bounds, ``clipped`` [n positions, out], outputs ``a`` [n, features out].
    """

    inputs: F32
    z: F32
    a: F32
    clipped: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A dense layer: a = f(W [x, 1] + neuron offsets), its W in a tile whose last input is the bias line."""

    tile: Tile
    activation: ActivationName
    bias: bool = True
    neurons: Neurons | None = None

    @property
    def positions(self) -> int:
        """How many vectors of a sample are driven through the same weights."""
        return 1

    def unfold(self, a: F32) -> F32:
        """The vectors that a batch [n, features in] drives, [n positions, in] without the bias line."""
        return a

    def forward(self, a: F32) -> Plan[Trace]:
        """Drive a batch [n, features in] through the layer."""
        inputs = self.unfold(a)
        if self.bias:
            inputs = with_bias(inputs)
        signal = yield from self.tile.forward(inputs)
        z = signal.values
        return Trace(inputs, z, self.output(z), signal.clipped)

    def output(self, z: F32) -> F32:
        """What leaves the layer, [n, features out], of its sums z [n positions, out]."""
        if self.neurons is not None:
            return activate(self.activation, self.neurons.gain * z + self.neurons.offset)
        return activate(self.activation, z)

    def backward(self, delta: F32) -> Plan[Signal]:
        """The error this layer passes to its inputs, W^T delta: [n positions, out] to [n, features in], bias
        line left out.
        """
        signal = yield from self.tile.backward(delta)
        return Signal(signal.values[:, :-1], signal.clipped[:, :-1]) if self.bias else signal

    def through(self, trace: Trace, error: F32) -> F32:
        """Delta = dC/dz [n positions, out] of an error dC/da [n, features out] at the layer's outputs."""
        return error * self.slope(trace)

    def slope(self, trace: Trace) -> F32:
        """f'(z) [n positions, out]. The circuit for f' knows nothing of its neuron's gain and offset, so it
        is the nominal one.
        """
        if self.neurons is not None:
            return slope(self.activation, trace.z)
        return slope_from_output(self.activation, trace.a)

    def __repr__(self) -> str:
        spread = "" if self.neurons is None else ", neurons spread"
        return (
            f"Layer({self.tile.n_in - self.bias} -> {self.tile.n_out} {self.activation}{spread}, "
            f"{self.tile!r})"
        )


@dataclass(slots=True, eq=False)
class OutputError:
    """The output layer's verdict on a batch: delta = dC/dz [n, out], the summed cost, correct answers,
    clipped readings.
    """

    delta: F32
    cost: float
    correct: int
    clipped: int


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Layers in order, first to last, and the loss at the end. It holds no weights."""

    layers: tuple[Layer, ...]
    loss: Loss

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        first = self.layers[0]
        return first.tile.n_in - first.bias

    @property
    def n_out(self) -> int:
        """Number of outputs."""
        return self.layers[-1].tile.n_out

    @property
    def weights(self) -> int:
        """Number of weights, biases included."""
        return sum(layer.tile.n_in * layer.tile.n_out for layer in self.layers)

    def forward(self, x: F32) -> Plan[list[Trace]]:
        """Drive a batch [n, in] through all layers; one trace a layer."""
        traces: list[Trace] = []
        a = x
        for layer in self.layers:
            trace = yield from layer.forward(a)
            traces.append(trace)
            a = trace.a
        return traces

    def output_error(self, traces: Sequence[Trace], labels: Labels) -> OutputError:
        """Cost and delta at the output; delta is 0 where the sum it rests on was only a bound."""
        last = traces[-1]
        costs, delta = self.loss.output(last.z, last.a, labels)
        clipped = sum(int(np.count_nonzero(trace.clipped)) for trace in traces)
        if clipped:
            delta = without_bounds(delta, last.clipped)
        return OutputError(delta, float(costs.sum()), int(correct(last.a, labels)), clipped)

    def pass_back(self, number: int, delta: F32, below: Trace) -> Plan[tuple[F32, int]]:
        """Delta of layer ``number - 1`` [n positions, out], read through layer ``number`` as it stands now,
        and how many readings were only bounds.

        (W^T delta) * f'(z of the layer below); 0 where a reading behind it was only a bound.
        """
        error = yield from self.layers[number].backward(delta)
        values = error.values
        clipped = int(np.count_nonzero(error.clipped))
        if clipped:
            values = without_bounds(values, error.clipped)
        passed = self.layers[number - 1].through(below, values)
        return without_bounds(passed, below.clipped), clipped

    def __repr__(self) -> str:
        sizes = " - ".join(str(n) for n in [self.n_in, *(layer.tile.n_out for layer in self.layers)])
        return f"Network({sizes}, {self.weights:,} weights, {self.loss.name})"


def without_bounds(delta: F32, clipped: NDArray[np.bool_]) -> F32:
    """Delta with 0 where the reading behind it was only a bound: such a value never enters a gradient."""
    if np.count_nonzero(clipped):
        return np.where(clipped, np.float32(0), delta)
    return delta
