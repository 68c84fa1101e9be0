"""A kernel that passes over an image: its positions, the vectors it drives there, pooling over what it gives.

One weight matrix [channels out, channels in x size x size] serves every position: its devices are shared, and
a position is one more vector of the same Multiply (im2col). The wanted change of a shared weight is the sum
over positions, so positions count as samples there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.errors import ConfigError
from hil.network import patches

F32: TypeAlias = NDArray[np.float32]
PoolName: TypeAlias = Literal["average", "max"]
Shape: TypeAlias = tuple[int, int, int]
"""Of an image: channels, height, width."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """The geometry of a convolution layer and its pooling; no weights.

    Parameters
    ----------
    image
        Shape of its inputs.
    channels
        How many it gives: the outputs of its weight matrix.
    size
        Height and width of the kernel, pixels.
    stride
        Pixels between two positions; what is left over at the end is not seen.
    padding
        Pixels of zeros around the image.
    pool, pool_size
        The mean or the largest of each square of positions leaves the layer; 1 pools nothing.

    Raises
    ------
    ConfigError
        No position for the kernel, or positions that squares do not cover evenly; it begins with the key of
        the layer at fault.
    """

    image: Shape
    channels: int
    size: int
    stride: int = 1
    padding: int = 0
    pool: PoolName = "average"
    pool_size: int = 1

    def __post_init__(self) -> None:
        _, height, width = self.image
        if self.size > min(height, width) + 2 * self.padding:
            padded = f" with {self.padding} of padding on each side" if self.padding else ""
            raise ConfigError(
                f"kernel: asked for {self.size} x {self.size}; the image here is {height} x {width}{padded}"
            )
        if self.down % self.pool_size or self.across % self.pool_size:
            raise ConfigError(
                f"pool.size: asked for {self.pool_size}; it must divide the {self.down} x {self.across} "
                "positions of the kernel"
            )

    @property
    def down(self) -> int:
        """Positions in a column."""
        return (self.image[1] + 2 * self.padding - self.size) // self.stride + 1

    @property
    def across(self) -> int:
        """Positions in a row."""
        return (self.image[2] + 2 * self.padding - self.size) // self.stride + 1

    @property
    def positions(self) -> int:
        """Positions of the kernel in one image: how many vectors it drives."""
        return self.down * self.across

    @property
    def lines(self) -> int:
        """Length of a vector: the pixels that the kernel sees, in all channels."""
        return self.image[0] * self.size * self.size

    @property
    def given(self) -> Shape:
        """Shape of what leaves the layer."""
        return self.channels, self.down // self.pool_size, self.across // self.pool_size

    def unfold(self, images: F32) -> F32:
        """The vectors of all positions: [n, features in] to [n positions, lines]."""
        return patches.unfold(images, *self.image, self.size, self.stride, self.padding)

    def fold(self, values: F32) -> F32:
        """Sum over positions of what each passes to a pixel: [n positions, lines or more] to [n, features
        in].
        """
        n = values.shape[0] // self.positions
        return patches.fold(values, n, *self.image, self.size, self.stride, self.padding)

    def pooled(self, outputs: F32) -> F32:
        """What leaves the layer: [n positions, channels] to [n, features out], a flat image."""
        if self.pool == "max":
            return patches.pool_max(outputs, self.down, self.across, self.pool_size)
        return patches.pool_average(outputs, self.down, self.across, self.pool_size)

    def unpooled(self, error: F32, outputs: F32) -> F32:
        """An error [n, features out] at the neurons [n positions, channels]: with average spread evenly, with
        max where ``outputs`` [n positions, channels] were largest.
        """
        if self.pool == "max":
            return patches.unpool_max(error, outputs, self.down, self.across, self.pool_size)
        return patches.unpool_average(error, self.down, self.across, self.pool_size, self.channels)

    def text(self, activation: str) -> str:
        """The layer in words: "conv 6 of 5x5 tanh average 2x2"."""
        steps = f" stride {self.stride}" if self.stride > 1 else ""
        padded = f" padding {self.padding}" if self.padding else ""
        pooled = f" {self.pool} {self.pool_size}x{self.pool_size}" if self.pool_size > 1 else ""
        return f"conv {self.channels} of {self.size}x{self.size}{steps}{padded} {activation}{pooled}"
