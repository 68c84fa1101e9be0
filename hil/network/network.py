"""A network whose weights are in the devices: layers of tiles, with activation, bias and loss on the host."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.network.activations import ActivationName, Loss, activate, slope, slope_from_output
from hil.network.convolution import Convolution, Shape
from hil.network.kernels import correct, with_bias
from hil.network.tile import F32, Signal, Tile
from hil.plan import Plan

Labels: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """Neuron circuits that differ: a = f(gain z + offset), fixed per neuron, float32 [out] each.

    ``backward``: gains of the circuits that take the error back, of which backpropagation knows nothing; None
    where they are exact.
    """

    gain: F32
    offset: F32
    backward: F32 | None = None

    @classmethod
    def drawn(
        cls,
        n: int,
        gain_spread: float,
        offset_spread: float,
        rng: np.random.Generator,
        backward_spread: float = 0.0,
    ) -> Neurons | None:
        """Gains from N(1, gain_spread), offsets from N(0, offset_spread) and gains of the way back from N(1,
        backward_spread); None when nothing is spread. The draws of one do not depend on the others.
        """
        if gain_spread == 0 and offset_spread == 0 and backward_spread == 0:
            return None

        def normal(mean: float, spread: float) -> F32:
            drawn = mean + spread * rng.standard_normal(n, dtype=np.float32)
            return drawn.astype(np.float32)

        gain, offset, backward = normal(1, gain_spread), normal(0, offset_spread), normal(1, backward_spread)
        return cls(gain, offset, backward if backward_spread > 0 else None)


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
    """A layer: a = f(W [x, 1] + neuron offsets), its W in a tile whose last input is the bias line.

    A dense layer takes x as it is. With a ``convolution`` x is what its kernel sees at each position of an
    image, and a is pooled. Each output column has one neuron circuit, which serves all positions.
    """

    tile: Tile
    activation: ActivationName
    bias: bool = True
    neurons: Neurons | None = None
    convolution: Convolution | None = None

    @property
    def positions(self) -> int:
        """How many vectors of a sample are driven through the same weights."""
        return 1 if self.convolution is None else self.convolution.positions

    @property
    def features_in(self) -> int:
        """Numbers it takes of a sample."""
        if self.convolution is None:
            return self.tile.n_in - self.bias
        return math.prod(self.convolution.image)

    @property
    def features_out(self) -> int:
        """Numbers it gives of a sample."""
        return self.tile.n_out if self.convolution is None else math.prod(self.convolution.given)

    def unfold(self, a: F32) -> F32:
        """The vectors that a batch [n, features in] drives, [n positions, in] without the bias line."""
        return a if self.convolution is None else self.convolution.unfold(a)

    def vectors(self, a: F32) -> F32:
        """What drives its tile for a batch [n, features in]: [n positions, in], bias line included."""
        inputs = self.unfold(a)
        return with_bias(inputs) if self.bias else inputs

    def forward(self, a: F32) -> Plan[Trace]:
        """Drive a batch [n, features in] through the layer."""
        inputs = self.vectors(a)
        signal = yield from self.tile.forward(inputs)
        z = signal.values
        return Trace(inputs, z, self.output(z), signal.clipped)

    def output(self, z: F32) -> F32:
        """What leaves the layer, [n, features out], of its sums z [n positions, out]."""
        a = self._activated(z)
        return a if self.convolution is None else self.convolution.pooled(a)

    def backward(self, delta: F32) -> Plan[Signal]:
        """The error this layer passes to its inputs, W^T delta summed over the positions that see them:
        [n positions, out] to [n, features in], bias line left out; ``clipped`` where any reading behind it
        was only a bound.
        """
        signal = yield from self.tile.backward(delta)
        if self.convolution is not None:
            values = self.convolution.fold(signal.values)
            if not np.count_nonzero(signal.clipped):
                return Signal(values, np.zeros(values.shape, np.bool_))
            return Signal(values, self.convolution.fold(signal.clipped.astype(np.float32)) > 0)
        return Signal(signal.values[:, :-1], signal.clipped[:, :-1]) if self.bias else signal

    def through(self, trace: Trace, error: F32) -> F32:
        """Delta = dC/dz [n positions, out] of an error dC/da [n, features out] at the layer's outputs.

        The circuit for f' knows nothing of its neuron's gain and offset, so it is the nominal one; what it
        gives has its own gain error, where neurons have one on the way back.
        """
        a = trace.a
        if self.convolution is not None:
            a = self._activated(trace.z)
            error = self.convolution.unpooled(error, a)
        if self.neurons is not None:
            delta = error * slope(self.activation, trace.z)
            return delta if self.neurons.backward is None else delta * self.neurons.backward
        return error * slope_from_output(self.activation, a)

    def _activated(self, z: F32) -> F32:
        if self.neurons is not None:
            return activate(self.activation, self.neurons.gain * z + self.neurons.offset)
        return activate(self.activation, z)

    @property
    def text(self) -> str:
        """The layer in words: "128 tanh"."""
        if self.convolution is None:
            return f"{self.tile.n_out} {self.activation}"
        return self.convolution.text(self.activation)

    def __repr__(self) -> str:
        spread = "" if self.neurons is None else ", neurons spread"
        given = "" if self.convolution is None else f" -> {_shape(self.convolution.given)}"
        return f"Layer({self.taken} -> {self.text}{given}{spread}, {self.tile!r})"

    @property
    def taken(self) -> str:
        """What it takes of a sample, in words: "784" or "1x28x28"."""
        return str(self.features_in) if self.convolution is None else _shape(self.convolution.image)


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
        return self.layers[0].features_in

    @property
    def n_out(self) -> int:
        """Number of outputs."""
        return self.layers[-1].tile.n_out

    @property
    def weights(self) -> int:
        """Number of weights, biases included; those of a kernel count once."""
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
        cost = costs.item() if costs.size == 1 else float(costs.sum())  # batch 1 saves two microseconds
        return OutputError(delta, cost, int(correct(last.a, labels)), clipped)

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
        sizes = [self.layers[0].taken]
        sizes += [str(layer.tile.n_out) if layer.convolution is None else layer.text for layer in self.layers]
        return f"Network({' - '.join(sizes)}, {self.weights:,} weights, {self.loss.name})"


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape))


def without_bounds(delta: F32, clipped: NDArray[np.bool_]) -> F32:
    """Delta with 0 where the reading behind it was only a bound: such a value never enters a gradient."""
    if np.count_nonzero(clipped):
        return np.where(clipped, np.float32(0), delta)
    return delta
