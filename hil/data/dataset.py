"""A data set as training sees it, and as a reader found it.

The two differ in scale only: a reader keeps image bytes as bytes, so hashing is exact and cheap.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.errors import ConfigError, DataError

Pixels = NDArray[np.uint8] | NDArray[np.float32]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples and labels, checked and read-only.

    Attributes
    ----------
    train_x, test_x
        float32 [n, inputs]; images and bytes lie in 0..1, flattened row-major; other features are as given.
    train_y, test_y
        int64 [n], in 0..classes-1.
    image_shape
        (channels, height, width), or None where the samples are not images.
    source
        Where the data came from, in a sentence.
    sha256
        Of the content actually used (after selection and averaging, before scaling to 0..1). Equal
        content has an equal hash, by whatever name it was loaded.

    Raises
    ------
    DataError
        Shapes, types or labels that contradict the above.
    """

    name: str
    train_x: NDArray[np.float32]
    train_y: NDArray[np.int64]
    test_x: NDArray[np.float32]
    test_y: NDArray[np.int64]
    classes: int
    image_shape: tuple[int, int, int] | None
    source: str
    sha256: str

    def __post_init__(self) -> None:
        for part, x, y in (("train", self.train_x, self.train_y), ("test", self.test_x, self.test_y)):
            if x.dtype != np.float32 or y.dtype != np.int64:
                raise DataError(
                    f"{self.name}: {part} is {x.dtype} with {y.dtype} labels, not float32 and int64"
                )
            if x.ndim != 2 or x.size == 0 or y.shape != x.shape[:1] or x.shape[1] != self.inputs:
                raise DataError(
                    f"{self.name}: {part}_x {list(x.shape)} and {part}_y {list(y.shape)} are not "
                    f"[n, {self.inputs}] and [n]"
                )
            if y.min() < 0 or y.max() >= self.classes:
                raise DataError(f"{self.name}: {part}_y leaves the range 0..{self.classes - 1}")
        if self.image_shape is not None and np.prod(self.image_shape) != self.inputs:
            raise DataError(f"{self.name}: images of {self.image_shape} do not have {self.inputs} pixels")
        for array in (self.train_x, self.train_y, self.test_x, self.test_y):
            array.setflags(write=False)

    @property
    def inputs(self) -> int:
        """Features of one sample: the width of the first layer."""
        return self.train_x.shape[1]

    def __repr__(self) -> str:
        shape = "" if self.image_shape is None else f" ({'x'.join(map(str, self.image_shape))})"
        return (
            f"<Dataset {self.name}: {len(self.train_x)} training and {len(self.test_x)} test samples, "
            f"{self.inputs} inputs{shape}, {self.classes} classes, sha256 {self.sha256[:12]}>"
        )


@dataclass(frozen=True, eq=False)
class Raw:
    """What a reader found: x uint8 or float32, [n, inputs] or [n, channels, height, width]; y int64 [n]."""

    train_x: Pixels
    train_y: NDArray[np.int64]
    test_x: Pixels
    test_y: NDArray[np.int64]
    classes: int
    source: str

    def sha256(self) -> str:
        """Hash type, shape and bytes of the four arrays, little-endian."""
        digest = hashlib.sha256()
        for array in (self.train_x, self.train_y, self.test_x, self.test_y):
            little: NDArray[Any] = np.ascontiguousarray(
                array.astype(array.dtype.newbyteorder("<"), copy=False)
            )
            digest.update(f"{little.dtype.str}{little.shape}".encode())
            digest.update(little.data)
        return digest.hexdigest()


def batches(n: int, batch_size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Shuffle one epoch: each index 0..n-1 once, as int64 [batch_size]; the last batch may be shorter.

    Raises
    ------
    ConfigError
        ``n`` or ``batch_size`` below 1; raised by the call, not by the first batch.
    """
    if n < 1 or batch_size < 1:
        raise ConfigError(f"batches: {n} samples in batches of {batch_size}; both must be at least 1")
    order = rng.permutation(n)
    return (order[at : at + batch_size] for at in range(0, n, batch_size))
