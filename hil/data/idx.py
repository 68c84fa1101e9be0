"""The idx format of MNIST, read so that a damaged or swapped file is named instead of trained on.

Format (http://yann.lecun.com/exdb/mnist/): two zero bytes, a type byte, the number of dimensions, each
dimension as a big-endian 32-bit count, then the values. Only unsigned bytes (type 0x08) are images or labels.
"""

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hil.data.checks import check_label_values, class_count
from hil.data.dataset import Raw
from hil.errors import DataError

FILES: Final = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
"""The four files of a folder, in the order of :func:`read_folder`'s arrays; each also as ``.gz``."""

_UBYTE: Final = 0x08
_HOLDS: Final = {1: "labels", 3: "images"}


def parse_idx(content: bytes, ndim: int, where: str) -> NDArray[np.uint8]:
    """Parse an uncompressed idx file of bytes into a read-only view, [n] (labels) or [n, h, w] (images).

    Raises
    ------
    DataError
        Anything but exactly one non-empty array of ``ndim`` dimensions; the message starts with ``where``.
    """
    header = 4 + 4 * ndim
    if len(content) < 4:
        raise DataError(f"{where}: {len(content)} bytes are too short for an idx file")
    zeros, kind, dims = struct.unpack_from(">HBB", content)
    if zeros != 0:
        raise DataError(f"{where}: not an idx file (it starts with {content[:4].hex()}, not with 0000)")
    if kind != _UBYTE:
        raise DataError(f"{where}: idx type 0x{kind:02x}; only unsigned bytes (0x08) are images or labels")
    if dims != ndim:
        found = _HOLDS.get(dims, "neither images nor labels")
        raise DataError(
            f"{where}: {_HOLDS[ndim]} ({ndim} dimensions) expected, but it holds {found} ({dims})"
        )
    if len(content) < header:
        raise DataError(f"{where}: truncated inside its header ({len(content)} of {header} bytes)")
    shape: tuple[int, ...] = struct.unpack_from(f">{ndim}I", content, 4)
    size = math.prod(shape)
    if size == 0:
        raise DataError(f"{where}: empty (its header says {'x'.join(map(str, shape))})")
    if len(content) != header + size:
        what = "truncated" if len(content) < header + size else "too long"
        raise DataError(
            f"{where}: {what}: its header says {'x'.join(map(str, shape))}, which is {size} bytes, "
            f"but {len(content) - header} follow"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_bytes(path: Path) -> bytes:
    """Content of a file, unpacked where it is gzip (told by its first bytes, whatever the name says).

    Raises
    ------
    DataError
        A file that cannot be read, or gzip that is truncated or corrupt.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: truncated or corrupt gzip ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def read_folder(folder: Path, official: Mapping[str, str] | None = None) -> Raw:
    """Read the four idx files of a folder, plain or ``.gz``.

    ``official`` maps file names to the SHA-256 of their uncompressed content and makes labels 0..9.

    Raises
    ------
    DataError
        A missing, damaged or swapped file, counts or image sizes that disagree, labels that are not 0..k-1,
        or content that is not the official one. The message names the file.
    """
    paths = [_find(folder, name) for name in FILES]
    train_x, train_y, test_x, test_y = (
        _read(path, 3 if "images" in name else 1, name, official)
        for path, name in zip(paths, FILES, strict=True)
    )
    for images, labels, image_path, label_path in (
        (train_x, train_y, paths[0], paths[1]),
        (test_x, test_y, paths[2], paths[3]),
    ):
        if len(images) != len(labels):
            raise DataError(f"{image_path}: {len(images)} images, but {label_path} has {len(labels)} labels")
    if train_x.shape[1:] != test_x.shape[1:]:
        raise DataError(
            f"{paths[2]}: images of {test_x.shape[1:]} pixels, but {paths[0]} has {train_x.shape[1:]}"
        )
    train_labels, test_labels = train_y.astype(np.int64), test_y.astype(np.int64)
    classes = class_count(train_labels, str(paths[1]))
    check_label_values(test_labels, str(paths[3]), classes)
    return Raw(
        train_x=train_x[:, None],
        train_y=train_labels,
        test_x=test_x[:, None],
        test_y=test_labels,
        classes=classes,
        source=f"idx files in {folder}",
    )


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise DataError(f"{folder}: {name} is missing, plain or as .gz")


def _read(path: Path, ndim: int, name: str, official: Mapping[str, str] | None) -> NDArray[np.uint8]:
    content = read_bytes(path)
    array = parse_idx(content, ndim, str(path))
    if official is None:
        return array
    if ndim == 1:
        check_label_values(array.astype(np.int64), str(path), 10)
    found = hashlib.sha256(content).hexdigest()
    if found != official[name]:
        raise DataError(
            f"{path}: not the official MNIST file: uncompressed it has sha256 {found}, the official one has "
            f"{official[name]}; for data of your own use the data set 'idx'"
        )
    return array
