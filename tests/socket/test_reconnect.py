"""R6: the line is cut in the middle of a question; who is back in time, and is the same, goes on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import pytest

from drivers.instruments.keithley_2600 import Keithley2600
from drivers.sim.virtual.faults import Fault, FaultKind, Faults
from drivers.sim.virtual.keithley_2600 import Keithley2600 as Virtual2600
from drivers.sim.virtual.keithley_2600 import Virtual2600Settings
from drivers.sim.virtual.server import Outlet, serving
from drivers.transport.session import Session
from drivers.transport.settings import TransportSettings
from hil.errors import DisconnectedError, IdentityError
from hil.instruments import Sourcing

SOURCING = Sourcing(1e-4, 1e-3)
VOLTS = np.array([0.1])


class Resistor:
    def drive(self, source: str, volts: float) -> None: ...

    def current(self, volts: float, integration_s: float) -> float:
        return volts / 1e6


class Away:
    """An instrument that is cut off at its first measurement and comes back ``after`` virtual seconds."""

    def __init__(self, stack: ExitStack, after: float, kind: FaultKind, serial: str = "4000001") -> None:
        self.seconds = 0.0
        self._stack, self._after, self._serial = stack, after, serial
        self._here = ExitStack()
        self._outlet = self._serve("4000001", 0, Fault(kind=kind, on="measure.iv", numbers=[1]))
        self.resource = self._outlet.resource
        stack.callback(lambda: self._here.close())

    def leave(self) -> None:
        self._here.close()

    def pause(self, seconds: float) -> None:
        before, self.seconds = self.seconds, self.seconds + seconds
        if before < self._after <= self.seconds:
            self._serve(self._serial, self._outlet.port)

    def _serve(self, serial: str, port: int, *faults: Fault) -> Outlet:
        virtual = Virtual2600(Virtual2600Settings(serial=serial), Resistor(), Resistor())
        outlet = Outlet(virtual, Faults(list(faults)), port=port)
        self._here.enter_context(serving([outlet]))
        return outlet


def connected(away: Away, stack: ExitStack, attempts: int) -> Keithley2600:
    settings = TransportSettings(timeout=5.0, quiet=0.002, open_timeout=1.0, retry=1.0, attempts=attempts)
    session = stack.enter_context(Session(away.resource, settings, role="smu", pause=away.pause))
    session.open()
    smu = Keithley2600(session)
    smu.attach()
    return smu


def cut(smu: Keithley2600, away: Away, when: Callable[[], None]) -> None:
    session = smu.session
    with pytest.raises(DisconnectedError):
        session.ask('i=smua.measure.iv() print("x",i)', str)
    when()
    assert session.identify is not None
    session.recover(session.identify)


@pytest.mark.parametrize("kind", ["disconnect-before", "disconnect-within", "disconnect-after"])
@pytest.mark.parametrize("after", [1, 10, 60])
def test_the_same_instrument_goes_on_when_it_is_back(after: int, kind: FaultKind) -> None:
    with ExitStack() as stack:
        away = Away(stack, after, kind)
        smu = connected(away, stack, attempts=70)
        cut(smu, away, away.leave)
        assert away.seconds == after
        np.testing.assert_allclose(smu.measure(VOLTS, SOURCING).amperes, 1e-7)


def test_who_stays_away_too_long_is_reported_and_can_still_come_back_later() -> None:
    with ExitStack() as stack:
        away = Away(stack, 10, "disconnect-within")
        smu = connected(away, stack, attempts=5)
        with pytest.raises(DisconnectedError, match=r"5 attempts to bring TCPIP.* back failed"):
            cut(smu, away, away.leave)
        assert smu.session.state == "desynchronised"
        away.pause(20)
        smu.session.recover(smu.session.identify or pytest.fail("no identity"))
        np.testing.assert_allclose(smu.measure(VOLTS, SOURCING).amperes, 1e-7)


def test_another_serial_number_that_comes_back_is_refused_at_once() -> None:
    with ExitStack() as stack:
        away = Away(stack, 3, "disconnect-within", serial="999")
        smu = connected(away, stack, attempts=70)
        with pytest.raises(IdentityError, match="serial number 999 answers; the bench names 4000001"):
            cut(smu, away, away.leave)
        assert away.seconds == 3
        assert smu.session.state == "desynchronised"
