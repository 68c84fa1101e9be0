"""The suites for instruments pass on right ones and name the check that each planted fault breaks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from hil.conformance.instruments import InstrumentConformanceError, check_matrix, check_pulser, check_smu
from hil.errors import LimitError, TimeoutError_
from hil.instruments import Crosspoint, Identity, Readings, Sourcing
from hil.region import Floats
from hil.schedule import Pulse

SOURCING = Sourcing(1e-3, 1e-3)
OHMS = 1e5


class Right:
    """What all the reference instruments have in common."""

    def __init__(self) -> None:
        self.transactions = 0
        self.who = Identity("house", "reference", "1", "1.0", "none")

    def identify(self) -> Identity:
        self.transactions += 1
        return self.who

    def make_safe(self) -> tuple[str, ...]:
        self.transactions += 1
        return ()


class RightSmu(Right):
    def measure(self, volts: Floats, sourcing: Sourcing) -> Readings:
        if not (np.all(np.abs(volts) <= 10) and sourcing.compliance_a <= 1):
            raise LimitError("too much")
        self.transactions += 1
        amperes = volts / OHMS
        clipped = np.abs(amperes) > sourcing.compliance_a
        return Readings(volts, np.clip(amperes, -sourcing.compliance_a, sourcing.compliance_a), clipped)


class RightPulser(Right):
    def burst(self, pulse: Pulse, count: int) -> None:
        if not (count > 0 and abs(pulse.amplitude_v) <= 10):
            raise LimitError("too much")
        self.transactions += 1


class RightMatrix(Right):
    shape = (4, 4)

    def connect(self, closed: Collection[Crosspoint]) -> None:
        if not all(0 <= row < 4 and 0 <= col < 4 for row, col in closed):
            raise LimitError("not there")
        self.transactions += 1


class Reversed(RightSmu):
    """answers_in_order"""

    def measure(self, volts: Floats, sourcing: Sourcing) -> Readings:
        return Readings(*(part[::-1] for part in super().measure(volts, sourcing)))


class Silent(RightSmu):
    """compliance_is_flagged"""

    def measure(self, volts: Floats, sourcing: Sourcing) -> Readings:
        volts, amperes, clipped = super().measure(volts, sourcing)
        return Readings(volts, amperes, np.zeros_like(clipped))


class Unsigned(RightSmu):
    """follows_the_load"""

    def measure(self, volts: Floats, sourcing: Sourcing) -> Readings:
        volts, amperes, clipped = super().measure(volts, sourcing)
        return Readings(volts, np.abs(amperes), clipped)


class Clipping(RightSmu):
    """impossible_is_refused"""

    def measure(self, volts: Floats, sourcing: Sourcing) -> Readings:
        return super().measure(np.clip(np.nan_to_num(volts), -10, 10), replace(sourcing, compliance_a=1e-3))


class Padded(RightSmu):
    """nothing_asked"""

    def measure(self, volts: Floats, sourcing: Sourcing) -> Readings:
        return super().measure(volts if volts.size else np.zeros(1), sourcing)


class Once(RightSmu):
    """works_after_make_safe"""

    safe = False

    def make_safe(self) -> tuple[str, ...]:
        self.safe = True
        return ()

    def measure(self, volts: Floats, sourcing: Sourcing) -> Readings:
        if self.safe:
            raise TimeoutError_("asleep")
        return super().measure(volts, sourcing)


class Uncounted(RightSmu):
    """transactions_counted"""

    def measure(self, volts: Floats, sourcing: Sourcing) -> Readings:
        self.transactions -= 1
        return super().measure(volts, sourcing)


class Unsafe(RightSmu):
    """safe"""

    def make_safe(self) -> tuple[str, ...]:
        return ("output still on",)


class Nameless(RightSmu):
    """identity"""

    def identify(self) -> Identity:
        return Identity("house", "reference", "", "1.0", "none")


SMUS = [Reversed, Silent, Unsigned, Clipping, Padded, Once, Uncounted, Unsafe, Nameless]


def smu_checked(kind: Callable[[], RightSmu]) -> None:
    assert not check_smu(lambda: nullcontext(kind()), volts=0.5, sourcing=SOURCING, ohms=OHMS)


def test_right_instruments_pass() -> None:
    smu_checked(RightSmu)
    assert not check_pulser(lambda: nullcontext(RightPulser()), pulse=Pulse(1.0, 1e-6))
    assert not check_matrix(lambda: nullcontext(RightMatrix()), closed=[Crosspoint(0, 1), Crosspoint(3, 3)])


def test_what_needs_a_known_load_is_skipped_and_said_without_one() -> None:
    skipped = check_smu(lambda: nullcontext(RightSmu()), volts=0.5, sourcing=SOURCING)
    assert skipped == ["follows_the_load", "compliance_is_flagged"]


@pytest.mark.parametrize("kind", SMUS)
def test_a_planted_fault_of_an_smu_is_found_by_its_check(kind: type[RightSmu]) -> None:
    with pytest.raises(InstrumentConformanceError) as caught:
        smu_checked(kind)
    assert f"\n{kind.__doc__}: " in str(caught.value)


def test_a_pulser_that_takes_no_pulse_and_a_matrix_that_wraps_are_found() -> None:
    class Lax(RightPulser):
        def burst(self, pulse: Pulse, count: int) -> None:
            super().burst(Pulse(1.0, pulse.width_s), max(count, 1))

    class Wrapping(RightMatrix):
        def connect(self, closed: Collection[Crosspoint]) -> None:
            super().connect([Crosspoint(row % 4, col % 4) for row, col in closed])

    with pytest.raises(InstrumentConformanceError, match=r"1 of 5.*\nimpossible_is_refused.*\n.*0 pulses"):
        check_pulser(lambda: nullcontext(Lax()), pulse=Pulse(1.0, 1e-6))
    with pytest.raises(InstrumentConformanceError, match=r"1 of 5.*\nimpossible_is_refused"):
        check_matrix(lambda: nullcontext(Wrapping()), closed=[Crosspoint(0, 1)])
