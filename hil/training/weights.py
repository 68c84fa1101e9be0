"""Weights of one's own for a network: read from an .npz and held against the layers before anything runs."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from hil.errors import ConfigError
from hil.network import Tile
from hil.network.tile import F32


@dataclass(frozen=True, slots=True)
class Holds:
    """What a layer can take: its name, inputs (bias included), outputs, and largest weight."""

    name: str
    n_in: int
    n_out: int
    w_max: float

    @classmethod
    def of(cls, tile: Tile) -> Holds:
        """What a tile can take."""
        return cls(tile.name, tile.n_in, tile.n_out, tile.w_max)


def load_weights(path: Path, layers: Sequence[Holds]) -> tuple[F32, ...]:
    """Weights float32 [in, out] of each layer, from arrays layer1, layer2 ... of [out, in] each.

    Raises
    ------
    ConfigError
        All that is wrong with the file: not there, no .npz, a layer missing or too many, another shape, a
        value that is not finite or beyond what the layer holds.
    """
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, NpzFile):
            raise ConfigError(f"{path} is no .npz; np.savez(path, layer1=..., layer2=...) writes one")
        with file:
            found: dict[str, NDArray[np.generic]] = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise ConfigError(f"no file {path}") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} is no .npz of plain arrays ({error})") from error
    names = [layer.name for layer in layers]
    problems = [
        f"{name}: no such layer; this network has {', '.join(names)}" for name in found if name not in names
    ]
    weights: list[F32] = []
    for layer in layers:
        given = found.get(layer.name)
        problem = "missing" if given is None else _problem(given, layer)
        if problem:
            problems.append(f"{layer.name}: {problem}")
        elif given is not None:
            weights.append(np.ascontiguousarray(given.T, dtype=np.float32))
    if problems:
        raise ConfigError(f"{path}: {'; '.join(problems)}")
    return tuple(weights)


def _problem(given: NDArray[np.generic], layer: Holds) -> str:
    if given.dtype.kind not in "fiu":
        return f"holds {given.dtype}, numbers are needed"
    if given.shape != (layer.n_out, layer.n_in):
        return (
            f"shape {given.shape}; {(layer.n_out, layer.n_in)} is needed, [outputs, inputs] with the bias "
            "as the last column"
        )
    largest = float(np.abs(given.astype(np.float64)).max())
    if not np.isfinite(largest):
        return "a value is NaN or infinite"
    if largest > layer.w_max * (1 + 1e-6):
        return f"largest weight {largest:.4g}; its devices hold up to w_max {layer.w_max:g}"
    return ""
