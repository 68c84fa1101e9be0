"""What single crosspoints of a passive crossbar read behind its wires, and what changes these readings.

An independent solution of the network in `drivers/sim/lines.py`, which routines may not see. Row i is driven
at one end, all other rows and the far ends of all columns are at 0 V. With I the currents of the devices
[rows, cols], K I the volts that they drop in the wires, g the conductances and F what drives each device,

    M I = I / g + K I = F,   F: 1 V at the devices of the row that is driven

M is symmetric. With F' = 1 V at the devices of a column, which is that column driven from where it is sensed,
a reading is s = F'ᵀ M⁻¹ F, and it changes by U V dg - I'ᵀ dK I, with V and U the volts over the devices in
the two cases (the adjoint of the network is itself).

Each row is a ladder: of the volts u of the columns where it crosses them it takes S (F - u), with S =
(1 + g A)⁻¹ g and A the ohms that two of its crosspoints share. Rows are joined from the top down, a column
segment r turning (Y, J) into (1 + r Y)⁻¹ (Y, J), and volts follow from the bottom up. Nothing is divided by a
conductance or a resistance, so open devices and perfect wires are no special cases.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_linalg: Any = np.linalg


class Wires(NamedTuple):
    """Ohms of one segment of a row and of a column, and before the first crosspoint of a row and behind the
    last one of a column, beside the segment that every line has there.

    A row is driven before column 0, a column sensed behind the last row.
    """

    row: float
    col: float
    row_lead: float = 0.0
    col_lead: float = 0.0


class Network(NamedTuple):
    """A crossbar, and how what it reads changes with its devices and wires.

    ``readings`` [..., rows, cols], amperes per volt; ``by_wires`` [4, ..., rows, cols], their change per ohm.
    ``rows`` [..., rows, devices] and ``cols`` [..., cols, devices] are the volts over all devices with a row,
    or a column, at 1 V.
    """

    readings: Floats
    by_wires: Floats
    rows: Floats
    cols: Floats

    def changed(self, siemens: Floats) -> Floats:
        """Changes of the readings with those of the devices, both [n, ..., rows, cols]."""
        number, *states, rows, cols = siemens.shape
        flat: Floats = np.moveaxis(siemens.reshape(number, *states, 1, rows * cols), 0, -3)
        driven: Floats = (self.rows[..., np.newaxis, :, :] * flat).reshape(*states, number * rows, -1)
        found: Floats = driven @ self.cols.swapaxes(-1, -2)
        return np.moveaxis(found.reshape(*states, number, rows, cols), -3, 0)

    def weighed(self, readings: Floats) -> Floats:
        """The transposed of `changed`: sums over readings, by device, both [n, ..., rows, cols]."""
        number, *states, rows, cols = readings.shape
        weights: Floats = np.moveaxis(readings, 0, -3).reshape(*states, number * rows, cols)
        over: Floats = (weights @ self.cols).reshape(*states, number, rows, rows * cols)
        found: Floats = (self.rows[..., np.newaxis, :, :] * over).sum(axis=-2)
        return np.moveaxis(found, -2, 0).reshape(readings.shape)

    def own(self) -> Floats:
        """Change of each reading with its own device [..., rows, cols]."""
        rows, cols = self.readings.shape[-2:]
        i, j = np.indices((rows, cols))
        return self.rows[..., i, i * cols + j] * self.cols[..., j, i * cols + j]


def readings(siemens: Floats, wires: Wires) -> Floats:
    """Amperes per volt of every crosspoint read by itself [..., rows, cols], wires and all.

    Parameters
    ----------
    siemens
        Conductances [..., rows, cols], 0 or more; of several states of the devices at once.
    wires
        Ohms; so far below 0 as a fit may try, as long as the network stays passive.

    Raises
    ------
    FloatingPointError
        The wires are no wires of a passive network.
    """
    ladders, joined = _joined(siemens, wires, siemens.shape[-2])
    del ladders
    return joined[-1][1].swapaxes(-1, -2)


def network(siemens: Floats, wires: Wires) -> Network:
    """The same with its derivatives; takes 16 rows cols (rows + cols) bytes for each state.

    Raises
    ------
    FloatingPointError
        As in `readings`.
    """
    rows, cols = siemens.shape[-2:]
    ladders, joined = _joined(siemens, wires, rows + cols)
    along = _along(wires.row, wires.row_lead, cols)
    amperes = np.empty((*siemens.shape, rows + cols))
    volts = np.empty_like(amperes)
    below: Floats = np.zeros((*siemens.shape[:-2], cols, rows + cols))
    for row in range(rows - 1, -1, -1):
        admittance, current = joined[row]
        below = below + _ohm(wires, row, rows) * (current - admittance @ below)
        driven = -below
        driven[..., row] += 1
        driven[..., rows:] += np.eye(cols)
        amperes[..., row, :, :] = ladders[..., row, :, :] @ driven
        volts[..., row, :, :] = driven - along @ amperes[..., row, :, :]
    flat: Floats = np.moveaxis(volts.reshape(*siemens.shape[:-2], rows * cols, rows + cols), -1, -2)
    by_row, by_col = amperes[..., :rows], amperes[..., rows:]
    return Network(
        joined[-1][1][..., :rows].swapaxes(-1, -2),
        -_per_ohm(by_row, by_col),
        np.ascontiguousarray(flat[..., :rows, :]),
        np.ascontiguousarray(flat[..., rows:, :]),
    )


def _joined(siemens: Floats, wires: Wires, drives: int) -> tuple[Floats, list[tuple[Floats, Floats]]]:
    """Ladders S [..., rows, cols, cols]; and, behind the column segment below each row, admittance and
    currents of all rows above it: [..., cols, cols], [..., cols, drives], of rows driven, then of columns.
    """
    rows, cols = siemens.shape[-2:]
    ohms = wires.row_lead + wires.row * np.arange(1.0, cols + 1)
    ohms = ohms + (wires.col_lead + wires.col * np.arange(rows, 0.0, -1))[:, np.newaxis]
    if not (1 + siemens * ohms > 0).all():
        raise FloatingPointError(f"{wires} are not those of a passive network")
    own = siemens[..., np.newaxis] * np.eye(cols)
    along = _along(wires.row, wires.row_lead, cols)
    ladders: Floats = _linalg.solve(np.eye(cols) + siemens[..., np.newaxis] * along, own)
    admittance = np.zeros((*siemens.shape[:-2], cols, cols))
    current = np.zeros((*siemens.shape[:-2], cols, drives))
    joined: list[tuple[Floats, Floats]] = []
    for row in range(rows):
        ladder = ladders[..., row, :, :]
        current[..., row] += ladder.sum(axis=-1)
        if drives > rows:
            current[..., rows:] += ladder
        both = np.concatenate([admittance + ladder, current], axis=-1)
        behind: Floats = _linalg.solve(np.eye(cols) + _ohm(wires, row, rows) * both[..., :cols], both)
        admittance, current = behind[..., :cols], behind[..., cols:]
        joined.append((admittance, current.copy()))
    return ladders, joined


def _ohm(wires: Wires, row: int, rows: int) -> float:
    """Between a row and the next one in a column, or the end of the column."""
    return wires.col + (wires.col_lead if row == rows - 1 else 0.0)


def _along(segment: float, lead: float, crosspoints: int) -> Floats:
    """Ohms [n, n] of a line that the currents of two crosspoints share."""
    near = np.arange(1.0, crosspoints + 1)
    return lead + segment * np.minimum(near[:, np.newaxis], near)


def _per_ohm(by_row: Floats, by_col: Floats) -> Floats:
    """I'ᵀ dK I for the four wires [4, ..., rows, cols], of currents [..., rows, cols, driven rows] and
    [..., rows, cols, driven columns]: products of the currents in each segment, summed.
    """

    def product(one: Floats, other: Floats) -> Floats:
        return np.einsum("...abi,...abj->...ij", one, other, optimize=True)

    def onward(amperes: Floats, axis: int) -> Floats:
        return np.flip(np.cumsum(np.flip(amperes, axis), axis=axis), axis)

    one, other = (onward(each, -2) for each in (by_row, by_col))
    down, beside = (np.cumsum(each, axis=-3) for each in (by_row, by_col))
    return np.stack([
        product(one, other),
        product(down, beside),
        product(one[..., :1, :], other[..., :1, :]),
        product(down[..., -1:, :, :], beside[..., -1:, :, :]),
    ])  # fmt: skip
