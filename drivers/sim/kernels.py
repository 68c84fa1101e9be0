"""The compiled core of the simulated bench, as the bench calls it; its parts lie in the files kernels_*.

Every function takes the devices of one array and the lines of a region, and is deterministic: the same key
gives the same bits. :func:`warm_up` compiles (or loads) all of it.
"""

from __future__ import annotations

import numpy as np

from drivers.sim.kernels_convert import adc, dac, read
from drivers.sim.kernels_multiply import Converters, Multiplied, multiply
from drivers.sim.kernels_program import Programmed, program
from drivers.sim.kernels_variants import multiply_nudged, multiply_variants
from drivers.sim.state import Devices, TableDevices

__all__ = [
    "Converters",
    "Multiplied",
    "Programmed",
    "adc",
    "dac",
    "multiply",
    "multiply_nudged",
    "multiply_variants",
    "program",
    "read",
    "warm_up",
]


def warm_up() -> None:
    """Call every kernel once on two devices, so that later calls are timed without compilation.

    Answers are megabytes that come and go. Once an array of 16 MB was given back, glibc keeps up to twice as
    much for the next ones, where it would fetch each from the system again, page by page.
    """
    np.empty(1 << 24, np.uint8)
    lines, line = np.arange(2), np.zeros(1, np.int64)
    full = [np.full((2, 2), value, np.float32) for value in (0.5, 0.01, 0.0, -0.01, 0.0, 0.0, 1.0)]
    devices = Devices(*full, c2c_up=0.01, c2c_down=0.01)
    table = np.zeros((1, 2, 2), np.float32)
    ends = np.zeros(1, np.float32), np.ones(1, np.float32)
    tabled = TableDevices(full[0], full[5], full[6], np.zeros((2, 2), np.int16), table, table, *ends)
    volts = np.ones((1, 2), np.float32)
    counts = np.ones((2, 2), np.int16)
    for some in (devices, tabled):
        program(some, lines, lines, 0, counts, 0)
    adc(multiply(devices, lines, lines, 0, dac(volts, 8, 1.0), 0.01, 0).amperes, 8, 1.0)
    multiply_variants(devices, lines, lines, 0, volts, line, volts[:, :1], 0.01, 0)
    multiply_nudged(devices, lines, lines, 0, volts, np.zeros((1, 2), np.int64), full[1][0, :1], 0.01, 0)
    read(devices, lines, lines, 0, 0.1, 0.01, 0.0, 0)
