"""Measured step tables of real devices (drivers/sim/tables), on the even grids that kernels interpolate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_FOLDER = Path(__file__).with_name("tables")
_QUANTILES = 201


@dataclass(frozen=True, slots=True, eq=False)
class StepTable:
    """Change of one pulse against conductance and quantile, for each of some measured devices.

    ``up``, ``down`` float32 [kinds, quantiles, points], siemens: quantiles evenly from 0 to 1, points evenly
    from ``grid_lo`` to ``grid_hi`` float32 [kinds]. The grid's ends bound the device: some tables step beyond
    them.
    """

    up: Array
    down: Array
    grid_lo: Array
    grid_hi: Array

    def mean_steps(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean change of a potentiating and of a depressing pulse, each [kinds, points], siemens."""
        return mean_over_quantiles(self.up), mean_over_quantiles(self.down)


def step_table(name: str) -> StepTable:
    """The table of a name that `drivers.sim.settings.TableDevice` allows."""
    return _taox() if name == "TaOx_41" else _enode()


def mean_over_quantiles(change: Array) -> NDArray[np.float64]:
    """Mean change [kinds, points] of a table [kinds, quantiles, points], linear between quantiles."""
    if change.shape[1] == 1:
        return change[:, 0].astype(np.float64)
    inner = change.mean(axis=1, dtype=np.float64) * change.shape[1] - 0.5 * (change[:, 0] + change[:, -1])
    return inner / (change.shape[1] - 1)


@cache
def _taox() -> StepTable:
    with np.load(_FOLDER / "TaOx_all_lut51.npz", allow_pickle=False) as file:
        g = file["G"]
        return StepTable(
            np.ascontiguousarray(file["dG_inc"], dtype=np.float32),
            np.ascontiguousarray(file["dG_dec"], dtype=np.float32),
            np.ascontiguousarray(g[:, 0], dtype=np.float32),
            np.ascontiguousarray(g[:, -1], dtype=np.float32),
        )


@cache
def _enode() -> StepTable:
    siemens, up = _read_text(_FOLDER / "ENODe_dG_increasing.txt")
    _, down = _read_text(_FOLDER / "ENODe_dG_decreasing.txt")
    ends = np.array([siemens[[0]], siemens[[-1]]], np.float32)
    return StepTable(up, down, ends[0], ends[1])


def _read_text(path: Path) -> tuple[NDArray[np.float64], Array]:
    """Conductances [points] and changes [1, quantiles, points] of a file of uneven quantiles."""
    lines = path.read_text(encoding="ascii").splitlines()[1:]
    rows = [np.array([float(value) for value in line.split(",")]) for line in lines if line.strip()]
    siemens, quantile, change = rows[0], rows[1], np.array(rows[2:])
    even = np.linspace(0, 1, _QUANTILES)
    resampled = np.empty((1, _QUANTILES, siemens.size), np.float32)
    for point in range(siemens.size):
        resampled[0, :, point] = np.interp(even, quantile, change[:, point])
    return siemens, resampled
