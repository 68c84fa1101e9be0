"""Arrays as bytes: npz without pickle, the same for the same arrays; what noise fills is not compressed."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hil.errors import StoreError
from hil.stack import Stack, pieces

_DAMAGE = (
    *(ValueError, OSError, EOFError, KeyError, AttributeError, zipfile.BadZipFile, zlib.error),
    *(RuntimeError, OverflowError, MemoryError),  # compression or encryption nobody knows; an absurd size
)
_QUICK = 1
_SAMPLE = 1 << 16
_WORTH = 0.7
"""Readings come to four fifths of their size in ten times the time that the disk takes for all of it."""


Arrays: TypeAlias = Mapping[str, ArrayLike | Stack]


def pack(arrays: Arrays) -> bytes:
    """Put named arrays into one blob."""
    file = io.BytesIO()
    write(file, arrays)
    return file.getvalue()


def write(file: IO[bytes], arrays: Arrays) -> None:
    """Write named arrays into a file that `numpy.load` opens."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_QUICK) as archive:
        for name, given in arrays.items():
            values = given if isinstance(given, Stack) else np.asarray(given)
            member = f"{name}.npy"
            stored = zipfile.ZipInfo(member)  # its way of compression is: none
            with archive.open(member if _shrinks(values) else stored, "w", force_zip64=True) as out:
                if isinstance(values, Stack):
                    _write_stack(out, values)
                else:
                    np.lib.format.write_array(out, values, allow_pickle=False)


def _write_stack(out: IO[bytes], values: Stack) -> None:
    kind = np.lib.format.dtype_to_descr(values.dtype)
    header = {"descr": kind, "fortran_order": False, "shape": values.shape}
    np.lib.format.write_array_header_1_0(out, header)
    for part in pieces(values):
        out.write(part)


def _shrinks(values: NDArray[Any] | Stack) -> bool:
    """Whether compression gains enough, by the first bytes."""
    sample = bytes(next(pieces(values), b"")[:_SAMPLE])
    return len(zlib.compress(sample, _QUICK)) < _WORTH * len(sample)


def unpack(blob: bytes, where: str) -> dict[str, NDArray[np.generic]]:
    """Take the arrays out again; StoreError naming ``where`` if the bytes are not such a blob."""
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except _DAMAGE as error:
        raise StoreError(f"{where}: the stored array is damaged: {error}") from error
