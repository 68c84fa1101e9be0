"""Arrays as bytes: compressed npz without pickle, the same bytes for the same arrays."""

import io
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hil.errors import StoreError

_DAMAGE = (
    *(ValueError, OSError, EOFError, KeyError, AttributeError, zipfile.BadZipFile, zlib.error),
    *(RuntimeError, OverflowError, MemoryError),  # compression or encryption nobody knows; an absurd size
)


def pack(arrays: Mapping[str, ArrayLike]) -> bytes:
    """Put named arrays into one compressed blob."""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **{k: np.asarray(v) for k, v in arrays.items()})
    return file.getvalue()


def unpack(blob: bytes, where: str) -> dict[str, NDArray[np.generic]]:
    """Take the arrays out again; StoreError naming ``where`` if the bytes are not such a blob."""
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except _DAMAGE as error:
        raise StoreError(f"{where}: the stored array is damaged: {error}") from error
