"""What single crosspoints of a passive crossbar read behind its wires.

An independent solution of the network in `drivers/sim/lines.py`, which routines may not see. Row i is driven
at one end, all other rows and the far ends of all columns are at 0 V. With I the currents of the devices
[rows, cols], K I the volts that they drop in the wires, and g the conductances,

    I / g + K I = v, that is (1/m + h K h) x = h v, I = h x, with h = √(g/m), m = 1 + g diag(K)

K is symmetric and not negative, so conjugate gradients converge, the quicker the less is lost; m keeps
shorted devices from slowing them. Nothing is divided by a conductance or a resistance, so open devices and
perfect wires are no special cases.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EXACT = 1e-9
_STEPS = 500
_AT_ONCE = 1 << 16


class Wires(NamedTuple):
    """Ohms of one segment of a row and of a column, and before the first crosspoint of a row and behind the
    last one of a column, beside the segment that every line has there.

    A row is driven before column 0, a column sensed behind the last row.
    """

    row: float
    col: float
    row_lead: float = 0.0
    col_lead: float = 0.0


def readings(siemens: Floats, wires: Wires) -> Floats:
    """Amperes per volt of every crosspoint read by itself [rows, cols], wires and all.

    Parameters
    ----------
    siemens
        Conductances [rows, cols], 0 or more.
    wires
        Ohms; so far below 0 as a fit may try, as long as the network stays passive.

    Raises
    ------
    FloatingPointError
        It did not converge: the wires are no wires of a passive network.
    """
    rows, cols = siemens.shape
    row: Floats = wires.row_lead + wires.row * np.arange(1.0, cols + 1)
    col: Floats = wires.col_lead + wires.col * np.arange(rows, 0.0, -1)
    ohms: Floats = row + col[:, np.newaxis]
    damped: Floats = 1 + siemens * ohms
    if not (damped > 0).all():
        raise FloatingPointError(f"{wires} are not those of a passive network")
    root = np.sqrt(siemens / damped)
    some = max(1, _AT_ONCE // (rows * cols))
    parts = [np.arange(begun, min(begun + some, rows)) for begun in range(0, rows, some)]
    return np.concatenate([_driven(root, 1 / damped, wires, part) for part in parts])


def _driven(root: Floats, own: Floats, wires: Wires, driven: NDArray[np.int64]) -> Floats:
    """Currents of columns [driven, cols], one row after the other at 1 V; ``root`` is h, ``own`` 1 / m."""
    volts = np.zeros((driven.size, *root.shape))
    volts[np.arange(driven.size), driven] = root[driven]
    x = np.zeros_like(volts)
    left, way = volts.copy(), volts.copy()
    size = _square(left)
    enough = _EXACT**2 * size
    for _ in range(_STEPS):
        if np.all(size <= enough):
            return np.einsum("ij,dij->dj", root, x)
        along = own * way + root * _lost(root * way, wires)
        steep = np.einsum("dij,dij->d", way, along)
        if not np.all((steep > 0) | (size <= enough)):
            break
        far = np.divide(size, steep, out=np.zeros_like(size), where=size > enough)
        x += far[:, np.newaxis, np.newaxis] * way
        left -= far[:, np.newaxis, np.newaxis] * along
        before, size = size, _square(left)
        turn = np.divide(size, before, out=np.zeros_like(size), where=before > enough)
        way = left + turn[:, np.newaxis, np.newaxis] * way
    raise FloatingPointError(f"currents behind {wires} did not converge")


def _square(values: Floats) -> Floats:
    return np.einsum("dij,dij->d", values, values)


def _lost(amperes: Floats, wires: Wires) -> Floats:
    """K I: two crosspoints of a line share the segments before the nearer one, and the lead."""
    rows, cols = amperes.shape[-2:]
    along_row = wires.row_lead + wires.row * _shared(np.arange(1.0, cols + 1))
    along_col = wires.col_lead + wires.col * _shared(np.arange(rows, 0.0, -1))
    return amperes @ along_row + along_col @ amperes


def _shared(segments: Floats) -> Floats:
    """Segments [n, n] that currents of two crosspoints, so many segments from the end, both flow through."""
    return np.minimum(segments[:, np.newaxis], segments)
