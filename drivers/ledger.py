"""Pulses to each device over all runs, in files that survive the host: counted before they are put out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hil.errors import ConfigError


class Ledger:
    """One file ``ARRAY.npy`` for each array in a folder, uint32 [rows, cols].

    Raises
    ------
    ConfigError
        A file is of another shape than the array, or is none; the folder cannot be written.
    """

    def __init__(self, folder: Path, shapes: Mapping[str, tuple[int, int]]) -> None:
        self._files: dict[str, np.memmap[tuple[int, ...], np.dtype[np.uint32]]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, shape in shapes.items():
                self._files[name] = _counters(folder / f"{name}.npy", shape)
        except OSError as error:
            raise ConfigError(
                f"program.ledger: {folder} cannot be written: {error.strerror or error}"
            ) from error

    @property
    def doses(self) -> dict[str, NDArray[np.uint32]]:
        """What each device has had, copies [rows, cols]."""
        return {name: np.array(file) for name, file in self._files.items()}

    def keep(self, doses: Mapping[str, NDArray[np.uint32]]) -> None:
        """Note what devices will have had, on the disk when this returns."""
        for name, file in self._files.items():
            if not np.array_equal(file, doses[name]):
                file[...] = doses[name]
                file.flush()


def spent(folder: Path, shapes: Mapping[str, tuple[int, int]]) -> dict[str, NDArray[np.uint32]]:
    """What a ledger's devices have had, without opening it to write; an array that it has not counted is not
    there.

    Raises
    ------
    ConfigError
        A file is of another shape than the array, or is none, or cannot be read.
    """
    paths = {name: folder / f"{name}.npy" for name in shapes}
    try:
        found = {name: _opened(path, shapes[name], "r") for name, path in paths.items() if path.exists()}
    except OSError as error:
        raise ConfigError(f"program.ledger: {folder} cannot be read: {error.strerror or error}") from error
    return {name: np.array(file) for name, file in found.items()}


def _counters(path: Path, shape: tuple[int, int]) -> np.memmap[tuple[int, ...], np.dtype[np.uint32]]:
    if not path.exists():
        partial = path.with_name(f".{path.name}.part")
        with partial.open("wb") as file:
            np.save(file, np.zeros(shape, np.uint32), allow_pickle=False)
        partial.replace(path)
    return _opened(path, shape, "r+")


def _opened(
    path: Path, shape: tuple[int, int], mode: Literal["r", "r+"]
) -> np.memmap[tuple[int, ...], np.dtype[np.uint32]]:
    try:
        opened = np.lib.format.open_memmap(path, mode=mode)
    except ValueError as error:
        raise ConfigError(f"program.ledger: {path}: {error}") from error
    if opened.shape != shape or opened.dtype != np.uint32:
        raise ConfigError(
            f"program.ledger: {path} counts {opened.shape} devices as {opened.dtype}; the array has {shape}; "
            "another array needs another ledger"
        )
    return opened
