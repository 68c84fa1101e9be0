"""Lookup tables of measured devices, as CrossSim keeps them: the change of one pulse against conductance and
quantile; a pair of text files, or one .npz of several devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.errors import DataError

Floats = NDArray[np.float64]

_QUANTILES = 101
_ARRAYS = ("G", "cdf", "dG_inc", "dG_dec")


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """Devices by tables, siemens: ``low``, ``high`` [kinds]; ``up``, ``down`` [kinds, quantiles, points], on
    points evenly from low to high and quantiles evenly from 0 to 1.
    """

    low: Floats
    high: Floats
    up: Floats
    down: Floats


def is_lookup(path: Path) -> bool:
    """Whether a file is such a table."""
    if path.suffix.lower() == ".npz":
        return True
    try:
        with path.open("rb") as file:
            return b"Gbins" in file.readline(400)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def read_lookup(files: Sequence[Path]) -> Lookup:
    """One .npz, or two text files: one of each way.

    Raises
    ------
    DataError
        Another number of files, or one that is no such table; with file, and line or array.
    """
    if len(files) == 1 and files[0].suffix.lower() == ".npz":
        return _of_npz(files[0])
    if len(files) != 2 or any(path.suffix.lower() == ".npz" for path in files):
        raise DataError(f"{files[0]}: give one .npz, or two text files: steps up and steps down")
    texts = sorted((_of_text(path) for path in files), key=lambda one: float(one[1].mean()))
    (g_down, down), (g_up, up) = texts
    if not (g_down.shape == g_up.shape and np.allclose(g_down, g_up, rtol=1e-3)):
        raise DataError(f"{files[1]}: its conductances are not those of {files[0]}")
    return Lookup(g_up[:1], g_up[-1:], up[np.newaxis], down[np.newaxis])


def line_through(steps: Floats) -> Floats:
    """The straight line nearest to steps [points] at even conductances: those of an exponential device."""
    x = np.linspace(-1, 1, steps.size)
    return steps.mean() + x * float(x @ steps) / float(x @ x)


def _of_npz(path: Path) -> Lookup:
    try:
        with np.load(path, allow_pickle=False) as file:
            found: dict[str, NDArray[Any]] = {name: file[name] for name in file.files}
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # whatever a damaged archive makes numpy and zlib raise
        raise DataError(f"{path}: not a lookup table (.npz), or damaged: {error}") from error
    missing = [name for name in _ARRAYS if name not in found]
    if missing:
        raise DataError(f"{path}: {', '.join(missing)} missing; a lookup table has {', '.join(_ARRAYS)}")
    g, cdf, up, down = (np.asarray(found[name], np.float64) for name in _ARRAYS)
    wanted = (len(g), cdf.size, g.shape[-1])
    for name, values in (("dG_inc", up), ("dG_dec", down)):
        if g.ndim != 2 or cdf.ndim != 1 or values.shape != wanted:
            raise DataError(f"{path}: {name}: shape {values.shape} given; {wanted} is needed")
    for name, values in zip(_ARRAYS, (g, cdf, up, down), strict=True):
        if not np.isfinite(values).all():
            raise DataError(f"{path}: {name}: NaN or infinite in places")
    if not (np.diff(g, axis=1) > 0).all():
        raise DataError(f"{path}: G: conductances must rise")
    return Lookup(
        g[:, 0],
        g[:, -1],
        *(np.stack([_even(g[k], cdf, part[k]) for k in range(len(g))]) for part in (up, down)),
    )


def _of_text(path: Path) -> tuple[Floats, Floats]:
    """Conductances [points] and changes [quantiles, points]."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    rows: list[Floats] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        try:
            row = np.array([float(cell) for cell in line.split(",")])
        except ValueError as error:
            raise DataError(f"{path}:{number}: {error}") from error
        if not np.isfinite(row).all():
            raise DataError(f"{path}:{number}: NaN or infinite")
        if len(rows) > 2 and row.size != rows[0].size:
            raise DataError(f"{path}:{number}: {row.size} values; there are {rows[0].size} conductances")
        rows.append(row)
    if len(rows) < 4 or len(rows) - 2 != rows[1].size or rows[2].size != rows[0].size:
        raise DataError(f"{path}: conductances, quantiles and a row of changes for each quantile are needed")
    if not (np.diff(rows[0]) > 0).all():
        raise DataError(f"{path}:2: conductances must rise")
    return rows[0], _even(rows[0], rows[1], np.stack(rows[2:]))


def _even(g: Floats, cdf: Floats, change: Floats) -> Floats:
    """Changes [quantiles, points] on even quantiles and even conductances."""
    quantiles, places = np.linspace(0, 1, _QUANTILES), np.linspace(float(g[0]), float(g[-1]), g.size)
    even: Floats = np.empty((_QUANTILES, g.size))
    for n in range(g.size):
        even[:, n] = np.interp(quantiles, cdf, change[:, n])
    for n in range(_QUANTILES):
        even[n] = np.interp(places, g, even[n])
    return even
