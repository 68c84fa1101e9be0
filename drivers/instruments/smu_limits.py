"""What a source-measure unit can do at DC, and the refusal of all else before anything is sent."""

from __future__ import annotations

import bisect
from typing import NamedTuple

import numpy as np

from hil.errors import LimitError
from hil.instruments import Sourcing
from hil.region import Floats


class Family(NamedTuple):
    """Ranges (full scale) of source and meter, and what may be sourced at once at DC.

    ``safe``: up to so many volts at most so many amperes, ascending volts. ``least_a`` is the lowest
    compliance.
    """

    volts: tuple[float, ...]
    amperes: tuple[float, ...]
    safe: tuple[tuple[float, float], ...]
    least_a: float

    def range_v(self, highest_v: float) -> float:
        """The lowest voltage range that holds a voltage."""
        return self.volts[bisect.bisect_left(self.volts, highest_v)]

    def range_a(self, highest_a: float) -> float:
        """The lowest current range that holds a current."""
        return self.amperes[bisect.bisect_left(self.amperes, highest_a)]


def highest(volts: Floats) -> float:
    """The largest magnitude of a list of voltages, 0 of an empty one."""
    return float(np.max(np.abs(volts), initial=0.0))


def check_limits(
    role: str,
    family: Family,
    volts: Floats,
    sourcing: Sourcing,
    integration_s: tuple[float, float],
    settle_s: float,
) -> None:
    """Refuse what the model cannot do: ``integration_s`` is (shortest, longest), ``settle_s`` the longest.

    Raises LimitError with what was asked and what is allowed.
    """
    top = family.volts[-1]
    if volts.ndim != 1:
        raise LimitError(f"{role}: voltages of shape {volts.shape}; a list is needed")
    for volt in volts:
        if not abs(volt) <= top:
            raise LimitError(f"{role}: asked for {volt:g} V; this model sources up to {top:g} V")
    most = next(amperes for limit, amperes in family.safe if highest(volts) <= limit)
    if not family.least_a <= sourcing.compliance_a <= most:
        raise LimitError(
            f"{role}: compliance: asked for {sourcing.compliance_a:g} A; at {highest(volts):g} V this model "
            f"takes {family.least_a:g} A to {most:g} A"
        )
    shortest, longest = integration_s
    if not shortest <= sourcing.integration_s <= longest:
        raise LimitError(
            f"{role}: integration: asked for {sourcing.integration_s:g} s; this model takes "
            f"{shortest:g} s to {longest:g} s"
        )
    if not sourcing.settle_s <= settle_s:
        raise LimitError(
            f"{role}: settling: asked for {sourcing.settle_s:g} s; this model waits up to {settle_s:g} s"
        )
