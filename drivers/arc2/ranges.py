"""What an ArC TWO can put out, by the documents of pyarc2 and libarc2; what is beyond is refused.

The library itself refuses little: voltages beyond the DAC's range are clipped in silence, widths below 40 ns
are lengthened to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from drivers.line.lowering import Ticks
from hil.errors import LimitError, ScheduleError
from hil.schedule import MAX_COUNT, Pulse
from hil.units import format_quantity

VOLTS = 10.0
"""Of a channel in its standard range, of either sign; also the most that is asked of a pulse."""
SHORTEST_NS, LONGEST_NS = 40, 499_999_999
"""Of a pulse by the fast drivers. From 500 ms on the library holds a voltage until it is told otherwise."""
LONGEST_GAP_NS = 20 * (2**32 - 1)
"""Of one delay: 32 bits of 20 ns."""
CLUSTER = 8
"""Channels that one pulse driver's timing and polarity are common to."""
_FLOAT32 = 1 + 2**-23

NS = Ticks(1)
"""Times are whole nanoseconds."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """Holds voltages and pulses against the hardware; see `drivers.checks.Hardware`."""

    volts: ClassVar[float] = VOLTS

    def check_volts(self, volts: NDArray[np.floating[Any]], where: str) -> None:
        """Refuse what a channel cannot be put to: ScheduleError for NaN, LimitError beyond 10 V."""
        most = float(np.abs(volts).max(initial=0.0))
        if math.isnan(most):
            raise ScheduleError(f"a voltage to drive {where} with is NaN; nothing was output")
        if most > VOLTS * _FLOAT32:
            raise LimitError(
                f"asked to drive {where} with {most:.9g} V; an ArC TWO drives up to {VOLTS:g} V; "
                "nothing was output"
            )

    def check_pulses(self, pulse: Pulse, count: int, where: str) -> None:
        """Refuse a pulse that cannot be put out, with LimitError."""
        if abs(pulse.amplitude_v) > VOLTS:
            raise LimitError(
                f"asked for a pulse of {pulse.amplitude_v:g} V on {where}; up to {VOLTS:g} V of either sign "
                "is allowed; nothing was output"
            )
        width = NS.of("pulse width", pulse.width_s)
        if not SHORTEST_NS <= width <= LONGEST_NS:
            raise LimitError(
                f"asked for a pulse of {format_quantity(pulse.width_s, 's', None)} on {where}; "
                f"{SHORTEST_NS} ns to less than 500 ms is allowed; nothing was output"
            )
        if NS.of("pulse gap", pulse.gap_s) > LONGEST_GAP_NS:
            raise LimitError(
                f"asked for a gap of {pulse.gap_s:g} s on {where}; up to {LONGEST_GAP_NS / 1e9:.1f} s is "
                "allowed; nothing was output"
            )
        if count > MAX_COUNT:
            raise LimitError(f"asked for {count} pulses on {where}; up to {MAX_COUNT} are allowed at once")


def clusters(channels: Sequence[int]) -> set[int]:
    """The pulse drivers that serve some channels."""
    return {channel // CLUSTER for channel in channels}
