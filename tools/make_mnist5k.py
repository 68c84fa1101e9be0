"""Make hil/data/mnist5k.npz from the official MNIST files in the folder HIL_DATA/mnist.

Of each class it takes the 500 training and 100 test images whose SHA-256 (of the 784 pixel bytes) comes
first: as good as random, and without a generator whose stream could change between versions. They stay in the
order of the official files. Run: python -m tools.make_mnist5k [OUTPUT]
"""

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hil.data.dataset import Raw
from hil.data.mnist import PACKAGED, official

CLASSES = 10
TRAIN_PER_CLASS = 500
TEST_PER_CLASS = 100


def chosen(x: NDArray[np.uint8], y: NDArray[np.int64], per_class: int) -> NDArray[np.int64]:
    """Return the indices, ascending, of the ``per_class`` images of each class whose SHA-256 comes first."""
    digests = [hashlib.sha256(image.tobytes()).digest() for image in x]
    first = [
        sorted((int(i) for i in np.flatnonzero(y == digit)), key=lambda i: digests[i])[:per_class]
        for digit in range(CLASSES)
    ]
    return np.sort(np.concatenate(first))


def subset(full: Raw) -> dict[str, NDArray[np.uint8]]:
    """Arrays of the packaged file: images [n, 28, 28] and labels [n] of both parts."""
    arrays: dict[str, NDArray[np.uint8]] = {}
    for part, x, y, per_class in (
        ("train", full.train_x, full.train_y, TRAIN_PER_CLASS),
        ("test", full.test_x, full.test_y, TEST_PER_CLASS),
    ):
        images = x.astype(np.uint8)
        index = chosen(images, y, per_class)
        arrays[f"{part}_x"] = images[index, 0]
        arrays[f"{part}_y"] = y[index].astype(np.uint8)
    return arrays


def write(full: Raw, output: Path) -> None:
    """Write the packaged file. Its members carry no date: with the same zlib it is the same bit for bit."""
    np.savez_compressed(output, allow_pickle=False, **subset(full))


if __name__ == "__main__":
    if "HIL_DATA" not in os.environ:
        sys.exit("set HIL_DATA to the folder that holds mnist/ with the four official files")
    write(official(Path(os.environ["HIL_DATA"])), Path(sys.argv[1]) if len(sys.argv) > 1 else PACKAGED)
