"""What is known of a tile's devices between two readings: their states in bits, and their expected steps.

State g is the conductance in units of the typical range, (G - g_min) / (g_max - g_min); steps are those of
the typical device's curve.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hil.bench import DeviceSheet
from hil.network.tile import F32, Tile, read_answer
from hil.plan import Plan
from hil.schedule import MAX_COUNT, Index, Read


def states(siemens: F32, sheet: DeviceSheet, bits: int | None = None) -> F32:
    """States g of conductances, float32 of the same shape; NaN stays NaN.

    With ``bits`` the range is 2^bits equal cells, a state is the middle of its cell, and what lies outside
    the range is in the first or last cell: a converter tells no more.
    """
    g = (siemens - np.float32(sheet.g_min_s)) * np.float32(1 / (sheet.g_max_s - sheet.g_min_s))
    if bits is None:
        return g
    cells = np.float32(2**bits)
    code = np.clip(np.floor(g * cells), 0, cells - 1)
    return (code + np.float32(0.5)) / cells


def expected_steps(siemens: F32, sheet: DeviceSheet, smallest: float) -> tuple[F32, F32]:
    """Expected potentiating and depressing steps (both positive, siemens) at conductances of any shape.

    Nominal where a conductance is not known (NaN); never less than ``smallest`` times the nominal step.
    """
    curve = sheet.curve
    up = np.interp(siemens, curve.siemens, curve.up_s)
    down = -np.interp(siemens, curve.siemens, curve.down_s)
    known = ~np.isnan(siemens)
    up = np.where(known, np.maximum(up, smallest * sheet.step_up_s), sheet.step_up_s)
    down = np.where(known, np.maximum(down, smallest * sheet.step_down_s), sheet.step_down_s)
    return up.astype(np.float32), down.astype(np.float32)


def staircase(sheet: DeviceSheet) -> NDArray[np.float64]:
    """Conductances expected after 0, 1, 2, ... potentiating pulses from g_min, siemens [k], rising; up to
    g_max, or where it stops rising.
    """
    g = [sheet.g_min_s]
    smallest = 1e-3 * sheet.step_up_s
    while g[-1] < sheet.g_max_s and len(g) < MAX_COUNT:
        step = float(np.interp(g[-1], sheet.curve.siemens, sheet.curve.up_s))
        if step < smallest:
            break
        g.append(g[-1] + step)
    return np.asarray(g)


def read_rows(tile: Tile, rows: Index) -> Plan[F32]:
    """Conductances of some inputs, by single readings: float32 siemens [2, in, out] of plus and minus
    devices, NaN for other inputs and where a reading was only a bound.

    A reference stands in every column that is measured against it.
    """
    siemens = np.full((2, tile.n_in, tile.n_out), np.nan, np.float32)
    parts = [
        (block, inside)
        for block in tile.blocks
        if (inside := rows[(rows >= block.first_in) & (rows < block.first_in + block.n_in)]).size
    ]
    voltage_v, integration_s = tile.sheet.read_voltage_v, tile.sheet.integration_s
    execution = yield tuple(
        Read(block.region.with_rows(inside - block.first_in), voltage_v, integration_s)
        for block, inside in parts
    )
    for (block, inside), answer in zip(parts, execution.answers, strict=True):
        found, m = read_answer(answer).siemens, block.n_out
        if block.plus:
            siemens[0, inside, block.outputs] = found[:, :m]
        if block.side != "plus":
            siemens[1, inside, block.outputs] = found[:, m if block.side == "reference" else -m :]
    return siemens
