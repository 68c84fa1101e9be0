"""What the bench knows of its devices: the last reading of each, and which of them are out of date."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.region import Floats, Region
from hil.schedule import Multiply

Matrix = NDArray[np.float64]


class Known:
    """Last conductances of one array, float64 siemens [rows, cols]; NaN where a reading was only a bound."""

    def __init__(self, rows: int, cols: int) -> None:
        self.siemens: Matrix = np.full((rows, cols), np.nan)
        self.stale: NDArray[np.bool_] = np.ones((rows, cols), np.bool_)

    def note(self, row: int, col: int, siemens: float) -> None:
        """A reading; NaN if it was only a bound."""
        self.siemens[row, col] = siemens
        self.stale[row, col] = False

    def part(self, region: Region) -> Matrix:
        """Of a region, a copy [rows, cols]."""
        return self.siemens[np.ix_(region.rows, region.cols)]


def sums(op: Multiply, siemens: Matrix) -> tuple[Floats, NDArray[np.bool_]]:
    """What a Multiply would sense by Ohm and Kirchhoff: amperes and flags, [n, others] or [k, n, others].

    A sum is flagged where a device that is driven in it is not known; it is the sum of the others then.
    """
    g = siemens.T if op.transpose else siemens
    unknown = np.isnan(g)
    known = np.where(unknown, 0.0, g)
    volts = np.asarray(op.volts, np.float64)
    amperes, flags = volts @ known, (volts != 0) @ unknown
    if op.variants is None:
        return amperes.astype(np.float32), flags
    lines, other = op.variants.lines, np.asarray(op.variants.volts, np.float64)
    change = other - volts[:, lines].T
    varied = amperes[None] + change[:, :, None] * known[lines][:, None, :]
    touched = flags[None] | ((other != 0)[:, :, None] & unknown[lines][:, None, :])
    return varied.astype(np.float32), touched
