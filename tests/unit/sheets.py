"""The data sheet that tests of placing and correcting lay over their arrays."""

from __future__ import annotations

import numpy as np

from hil.bench import DeviceSheet, StepCurve
from hil.schedule import Pulse

STEP = 1e-7


def linear_sheet(low: float = 1e-6, high: float = 11e-6, read_v: float = 0.1) -> DeviceSheet:
    """Linear devices between two conductances, siemens, pulsed with 1 V and -1 V for a microsecond."""
    ends = np.array([low, high])
    curve = StepCurve(ends, np.full(2, STEP), np.full(2, -STEP))
    return DeviceSheet(low, high, STEP, STEP, curve, Pulse(1.0, 1e-6), Pulse(-1.0, 1e-6), read_v, 1e-6)
