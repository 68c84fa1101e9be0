"""What all drivers of source-measure units do about bounds and faults, over real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import get_args

import numpy as np
import pytest

from drivers.sim.virtual.faults import Fault, FaultKind
from drivers.sim.virtual.server import Outlet, serving
from drivers.transport.session import open_session
from hil.errors import BenchError, DesyncError, DisconnectedError, InstrumentError, TimeoutError_
from tests.socket.smu_lab import IMPATIENT, QUICK, SMUS, SOURCING, VOLTS, Kind, Lab, Resistor, lab

Build = Callable[..., Lab]


@pytest.fixture(params=SMUS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return SMUS[request.param]


@pytest.fixture
def build(kind: Kind) -> Iterator[Build]:
    with ExitStack() as stack:
        yield lambda *faults, **given: stack.enter_context(lab(kind, *faults, **given))


def test_a_current_at_compliance_is_flagged_point_by_point(build: Build) -> None:
    readings = build(ohms=1e3).smu.measure(np.array([0.01, 0.3, -0.3]), SOURCING)
    assert readings.clipped.tolist() == [False, True, True]
    np.testing.assert_allclose(readings.amperes[1:], [1e-4, -1e-4])


def test_an_overflow_is_flagged_and_is_no_number(build: Build) -> None:
    readings = build(overflow=True).smu.measure(VOLTS, SOURCING)
    assert readings.clipped.all()
    assert np.isnan(readings.amperes).all()


@pytest.mark.parametrize("fault", get_args(FaultKind))
def test_after_any_fault_in_a_measurement_the_output_is_off_and_the_next_one_is_right(
    kind: Kind, build: Build, fault: FaultKind
) -> None:
    bench = build(Fault(kind=fault, on=kind.runs, numbers=[2], delay=0.9), settings=IMPATIENT)
    first = bench.smu.measure(VOLTS, SOURCING)
    if fault == "extra-line":  # the answer itself is whole; the line behind it is found by the next command
        bench.smu.measure(VOLTS, SOURCING)
    with pytest.raises(BenchError) as caught:
        bench.smu.measure(-VOLTS, SOURCING)
    assert isinstance(caught.value, TimeoutError_ | DesyncError | DisconnectedError)
    assert "made safe: output at 0 V and off, read back" in caught.value.__notes__
    assert not bench.on
    assert bench.volts_now == 0
    again = bench.smu.measure(2 * VOLTS, SOURCING)
    np.testing.assert_allclose(again.amperes, 2 * first.amperes, rtol=1e-6)


def test_a_message_that_is_not_understood_is_an_instrument_error_not_a_time_out(
    kind: Kind, build: Build
) -> None:
    bench = build(broken=kind.runs, settings=IMPATIENT)
    with pytest.raises(InstrumentError, match=kind.unknown) as caught:
        bench.smu.measure(VOLTS, SOURCING)
    assert kind.runs in str(caught.value)
    assert isinstance(caught.value.__cause__, TimeoutError_)


def test_make_safe_reports_what_it_could_not_verify_and_never_raises(kind: Kind) -> None:
    outlet = Outlet(kind.virtual([Resistor(), Resistor()]))
    with serving([outlet]):
        session = open_session(outlet.resource, QUICK, role="smu")
        smu = kind.driver(session)
        smu.attach()
        assert smu.make_safe() == smu.make_safe() == ()
    problems = smu.make_safe()
    assert problems
    assert "does not answer" in problems[0]
    session.close()
    assert smu.make_safe()


def test_another_serial_number_after_a_disconnect_is_refused(kind: Kind, build: Build) -> None:
    bench = build(Fault(kind="disconnect-before", on=kind.runs, numbers=[1]))
    other = kind.virtual([Resistor(), Resistor()], serial="999")
    bench.virtual.receive = other.receive
    with pytest.raises(DisconnectedError) as caught:
        bench.smu.measure(VOLTS, SOURCING)
    assert "serial number 999 answers" in caught.value.__notes__[0]
    assert bench.smu.session.state == "desynchronised"
