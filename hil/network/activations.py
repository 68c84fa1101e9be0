"""Activation functions and losses of the host: what is not in the devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.errors import ConfigError
from hil.network.kernels import softmax, softmax_error

F32: TypeAlias = NDArray[np.float32]
ActivationName: TypeAlias = Literal["tanh", "sigmoid", "relu", "softmax", "linear"]
LossName: TypeAlias = Literal["cross-entropy", "mse"]


def activate(name: ActivationName, z: F32) -> F32:
    """f(z), [n, out] to [n, out]."""
    if name == "tanh":
        return np.tanh(z)
    if name == "sigmoid":
        return _sigmoid(z)
    if name == "relu":
        return np.maximum(z, 0)
    if name == "softmax":
        return softmax(z)
    return z


def slope(name: ActivationName, z: F32) -> F32:
    """f'(z), elementwise, [n, out]. Softmax has no elementwise slope and is only allowed at the output."""
    if name == "tanh":
        a = np.tanh(z)
        return 1 - a * a
    if name == "sigmoid":
        a = _sigmoid(z)
        return a * (1 - a)
    if name == "relu":
        return (z > 0).astype(np.float32)
    if name == "linear":
        return np.ones_like(z)
    raise ConfigError("softmax has no elementwise slope; it can only be the activation of the last layer")


def slope_from_output(name: ActivationName, a: F32) -> F32:
    """f'(z) written in a = f(z), for neurons without spread:
    the same as :func:`slope`, without a second exp.
    """
    if name == "tanh":
        return 1 - a * a
    if name == "sigmoid":
        return a * (1 - a)
    if name == "relu":
        return (a > 0).astype(np.float32)
    return slope(name, a)


def bounded(name: ActivationName) -> bool:
    """Whether |f(z)| never exceeds 1, so that outputs can drive lines without being scaled."""
    return name in ("tanh", "sigmoid", "softmax")


def _sigmoid(z: F32) -> F32:
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * z) + np.float32(1))


@dataclass(frozen=True, slots=True)
class Loss:
    """The cost of an output layer and its derivative.

    ``cross-entropy`` goes with softmax (C = -ln p of the true class) or sigmoid (sum of binary entropies);
    ``mse`` is C = 1/2 sum (a - t)^2 with t the one-hot target, or +1/-1 where the output is tanh.
    """

    name: LossName
    activation: ActivationName

    def __post_init__(self) -> None:
        if self.name == "cross-entropy" and self.activation not in ("softmax", "sigmoid"):
            raise ConfigError(
                "loss cross-entropy goes with a softmax or sigmoid output, the last layer is "
                f"{self.activation}; "
                "use loss: mse, or another last activation"
            )

    def output(self, z: F32, a: F32, labels: NDArray[np.int64]) -> tuple[NDArray[np.float64], F32]:
        """Cost of each sample [n] and delta = dC/dz [n, out], from z, a = f(z) [n, out] and the true classes
        [n].
        """
        if self.name == "cross-entropy" and self.activation == "softmax":
            delta, cost = softmax_error(a, labels)
            return cost, delta
        low = -1.0 if self.activation == "tanh" else 0.0
        target = np.full(a.shape, low, np.float32)
        target[np.arange(labels.size), labels] = 1
        error = a - target
        if self.name == "cross-entropy":
            p = np.clip(a.astype(np.float64), 1e-30, 1 - 1e-16)
            return -(target * np.log(p) + (1 - target) * np.log1p(-p)).sum(axis=1), error
        cost = 0.5 * np.square(error, dtype=np.float64).sum(axis=1)
        if self.activation == "softmax":
            return cost, a * (error - (error * a).sum(axis=1, keepdims=True))
        return cost, error * slope(self.activation, z)
