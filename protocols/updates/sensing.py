"""What is known of a tile's devices between two readings: their states in bits, and their expected steps.

State g is the conductance in units of the typical range, (G - g_min) / (g_max - g_min); steps are those of
the typical device's curve.
"""

from __future__ import annotations

import numpy as np

from hil.bench import DeviceSheet
from hil.network.tile import F32


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
    up, down = sheet.curve.steps(siemens)
    known = ~np.isnan(siemens)
    up = np.where(known, np.maximum(up, smallest * sheet.step_up_s), sheet.step_up_s)
    down = np.where(known, np.maximum(down, smallest * sheet.step_down_s), sheet.step_down_s)
    return up.astype(np.float32), down.astype(np.float32)
