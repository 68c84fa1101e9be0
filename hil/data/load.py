"""The one way in: from a spec to a checked data set."""

from pathlib import Path
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from hil.data.dataset import Dataset, Pixels, Raw
from hil.data.spec import DataSpec
from hil.errors import DataError
from hil.units import counted

_CHUNK = 4096
"""Images averaged at a time: bounds the double-precision working copy to some 25 MB for MNIST."""


def load_dataset(spec: DataSpec, data_dir: Path | None = None, seed: int = 0) -> Dataset:
    """Read, check, select, average and scale what ``spec`` names.

    ``data_dir`` is the folder a relative ``spec.path`` starts from (else the current one) and, for ``mnist``
    without a path, the folder that holds the official files. ``seed`` decides which samples are selected and
    split off; a larger ``train`` of the same seed contains the smaller. Without ``train`` the
    order of the file is kept.

    Raises
    ------
    DataError
        Missing, short, corrupt or mislabelled files, more samples asked for than there are, or ``pixels``
        on what is not an image or is smaller.
    """
    if seed < 0:
        raise DataError(f"data set {spec.name!r}: seed {seed} is negative")
    raw = _read(spec, data_dir, seed)
    train_rng, test_rng = (np.random.default_rng((seed, stream)) for stream in (1, 2))
    train = _select(spec.train, len(raw.train_y), train_rng, f"{spec.name}: train")
    test = _select(spec.test, len(raw.test_y), test_rng, f"{spec.name}: test")
    used = Raw(
        train_x=_averaged(raw.train_x[train], spec),
        train_y=raw.train_y[train],
        test_x=_averaged(raw.test_x[test], spec),
        test_y=raw.test_y[test],
        classes=raw.classes,
        source=raw.source,
    )
    shape = used.train_x.shape
    return Dataset(
        name=spec.name,
        train_x=_scaled(used.train_x),
        train_y=used.train_y.copy(),
        test_x=_scaled(used.test_x),
        test_y=used.test_y.copy(),
        classes=used.classes,
        image_shape=(shape[1], shape[2], shape[3]) if len(shape) == 4 else None,
        source=used.source,
        sha256=used.sha256(),
    )


def _read(spec: DataSpec, data_dir: Path | None, seed: int) -> Raw:
    """Call the reader of ``spec.name``; readers are imported when used: the command line stays quick."""
    path = None if spec.path is None else (data_dir or Path()) / spec.path
    if spec.name == "mnist-5k":
        from hil.data.mnist import packaged

        return packaged()
    if spec.name == "mnist":
        from hil.data.mnist import official

        return official(path or data_dir)
    if path is None:
        raise DataError(f"data set {spec.name!r}: no path given")
    if spec.name == "idx":
        from hil.data.idx import read_folder

        return read_folder(path)
    from hil.data import own

    split = own.Split(spec.test_fraction, np.random.default_rng((seed, 0)))
    if spec.name == "csv":
        return own.read_csv(path, split)
    if spec.name == "npz":
        return own.read_npz(path, split)
    assert_never(spec.name)


def _select(
    wanted: int | None, available: int, rng: np.random.Generator, what: str
) -> NDArray[np.int64] | slice:
    if wanted is None:
        return slice(None)
    if wanted > available:
        raise DataError(f"{what}: {counted(wanted, 'sample')} asked for, {available:,} available")
    return rng.permutation(available)[:wanted]


def _averaged(x: Pixels, spec: DataSpec) -> Pixels:
    """Area averages [n, channels, pixels, pixels], on the scale of ``x``.

    A new pixel averages the area it covers, so pixels that straddle its border count in part. The weights are
    integers and the sums doubles: byte images average to the same bits on every machine.
    """
    if spec.pixels is None:
        return x
    if x.ndim != 4:
        raise DataError(f"{spec.name}: pixels = {spec.pixels} asked for, but these samples are not images")
    height, width = x.shape[2:]
    if spec.pixels > min(height, width):
        raise DataError(f"{spec.name}: pixels = {spec.pixels} asked for, but the images are {height}x{width}")
    down, across = _overlaps(height, spec.pixels), _overlaps(width, spec.pixels)
    full_scale = 255.0 if x.dtype == np.uint8 else 1.0
    averaged = np.empty((*x.shape[:2], spec.pixels, spec.pixels), np.float32)
    for at in range(0, len(x), _CHUNK):
        averaged[at : at + _CHUNK] = down @ (x[at : at + _CHUNK] @ across.T) / (height * width * full_scale)
    return averaged


def _overlaps(old: int, new: int) -> NDArray[np.float64]:
    """Overlaps [new, old] of new and old pixels, in units of 1/new of an old one: rows sum to ``old``."""
    edge_new, edge_old = np.arange(new)[:, None] * old, np.arange(old)[None, :] * new
    shared = np.minimum(edge_new + old, edge_old + new) - np.maximum(edge_new, edge_old)
    return np.maximum(shared, 0).astype(np.float64)


def _scaled(x: Pixels) -> NDArray[np.float32]:
    """Flatten to float32 [n, inputs]; bytes are divided by 255."""
    flat = x.reshape(len(x), -1).astype(np.float32)
    if x.dtype == np.uint8:
        flat /= np.float32(255)
    return flat
