"""The B1500A's drivers, an SMU and two pulse generators on one line, against a virtual one with faults."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest

from drivers.instruments.keysight_b1500 import KeysightB1500Smu
from drivers.instruments.keysight_spgu import KeysightB1500Spgu
from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from drivers.sim.virtual.errorqueue import InjectedError
from drivers.sim.virtual.faults import Fault, FaultKind
from drivers.sim.virtual.grid import DeviceGrid, Lines
from drivers.sim.virtual.keysight_b1500 import KeysightB1500, VirtualB1500Settings
from drivers.sim.virtual.server import Outlet, serving
from drivers.transport.session import open_session
from hil.conformance.instruments import check_smu
from hil.errors import (
    BenchError,
    DesyncError,
    DisconnectedError,
    IdentityError,
    InstrumentError,
    InterlockError,
    LimitError,
    SettingError,
    TimeoutError_,
)
from hil.instruments import Smu, Sourcing
from hil.schedule import Pulse
from tests.socket.b1500_lab import (
    IMPATIENT,
    KINDS,
    PULSE,
    QUICK,
    SOURCING,
    VOLTS,
    Build,
    Resistor,
    lab,
)
from tests.socket.behind import Behind


@pytest.fixture
def build() -> Iterator[Build]:
    with ExitStack() as stack:
        yield lambda *faults, **given: stack.enter_context(lab(*faults, **given))


@pytest.mark.parametrize(("slot", "module"), [(1, "B1517A"), (2, "B1511B"), (3, "B1510A")])
def test_the_smu_conforms(slot: int, module: str) -> None:
    @contextmanager
    def smu() -> Iterator[Smu]:
        with lab(slot=slot, modules={slot: module, 5: "B1525A"}) as bench:
            assert isinstance(bench.smu, Smu)
            yield bench.smu

    assert not check_smu(smu, volts=0.2, sourcing=SOURCING, ohms=1e6, rtol=1e-5)


def test_attaching_and_identifying_output_nothing(build: Build) -> None:
    bench = build()
    who = bench.smu.identify()
    assert (who.model, who.serial, who.language) == ("B1500A", "0", "FLEX")
    assert bench.pulser.identify() == who
    assert bench.virtual.smus[1].times_on == 0
    assert bench.virtual.spgu.on() == []


def test_currents_are_measured_and_the_output_rests_at_0_volts(build: Build) -> None:
    bench = build()
    volts = np.linspace(-0.2, 0.2, 11)
    readings = bench.smu.measure(volts, SOURCING)
    np.testing.assert_allclose(readings.amperes, volts / 1e6, rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose(readings.volts, volts, rtol=1e-6, atol=1e-12)
    assert not readings.clipped.any()
    assert set(bench.load.at.values()) == {0.0}
    assert bench.virtual.smus[1].on


def test_points_share_transactions_once_the_settings_are_in(build: Build) -> None:
    bench = build()
    bench.smu.measure(VOLTS, SOURCING)
    before = bench.smu.transactions
    bench.smu.measure(VOLTS, SOURCING)
    assert bench.smu.transactions == before + 2
    bench.smu.measure(np.full(20, 0.1), SOURCING)
    assert bench.smu.transactions <= before + 2 + 6


def test_small_numbers_keep_their_digits(build: Build) -> None:
    bench = build(ohms=1e12)
    bench.smu.measure(np.array([0.1234567]), Sourcing(1.234567e-9, 2e-6, settle_s=1.25e-4))
    assert bench.virtual.smus[1].compliance == 1.234567e-9
    assert bench.virtual.seconds == pytest.approx(2e-4 + 2 * 2e-6)  # the wait is rounded up to 0.1 ms


@pytest.mark.parametrize("status", ["T", "X", "F", "G"])
def test_a_current_with_a_status_letter_is_flagged(build: Build, status: str) -> None:
    readings = build(status=status).smu.measure(VOLTS, SOURCING)
    assert readings.clipped.all()
    assert not np.isnan(readings.amperes).any()


def test_compliance_and_overflow_are_flagged_point_by_point(build: Build) -> None:
    readings = build(ohms=1e3).smu.measure(np.array([0.01, 0.3, -0.3]), SOURCING)
    assert readings.clipped.tolist() == [False, True, True]
    np.testing.assert_allclose(readings.amperes[1:], [1e-4, -1e-4])
    lost = build(overflow=True).smu.measure(VOLTS, SOURCING)
    assert lost.clipped.all()
    assert np.isnan(lost.amperes).all()


def test_what_a_module_cannot_do_is_refused_before_anything_is_sent(build: Build) -> None:
    bench = build()
    before = bench.smu.transactions
    for volts, sourcing in (
        (np.array([0.1, 101.0]), SOURCING),
        (np.array([np.nan]), SOURCING),
        (np.array([50.0]), Sourcing(0.03, 2e-3)),
        (VOLTS, Sourcing(1e-13, 2e-3)),
        (VOLTS, Sourcing(1e-4, 0.05)),
        (VOLTS, Sourcing(1e-4, 3e-6)),
        (VOLTS, Sourcing(1e-4, 2e-3, settle_s=100.0)),
    ):
        with pytest.raises(LimitError):
            bench.smu.measure(volts, sourcing)
    for pulse, count in (
        (Pulse(41.0, 1e-7, 1e-7), 1),
        (Pulse(1.0, 3e-8, 1e-7), 1),
        (Pulse(1.0, 1e-7, 3e-8), 1),
        (Pulse(1.0, 1.05e-7, 1e-7), 1),
        (Pulse(1.0, 6.0, 6.0), 1),
        (PULSE, 1_000_001),
        (PULSE, 0),
    ):
        with pytest.raises(LimitError):
            bench.pulser.burst(pulse, count)
    assert bench.smu.transactions == before


def test_smu_and_pulse_generator_share_one_line(build: Build) -> None:
    bench = build()
    for _ in range(2):
        np.testing.assert_allclose(bench.smu.measure(VOLTS, SOURCING).amperes, VOLTS / 1e6)
        bench.pulser.burst(PULSE, 1)
    before = bench.smu.transactions
    bench.smu.measure(VOLTS, SOURCING)
    bench.pulser.burst(PULSE, 1)
    assert bench.smu.transactions == before + 2 + 3
    assert bench.smu.make_safe() == ()
    assert bench.virtual.spgu.on() == [501]


def test_two_smus_on_one_line_do_not_take_each_other_s_integration(build: Build) -> None:
    bench = build()
    second = KeysightB1500Smu(bench.smu.session, channel=2)
    second.attach()
    for seconds in (2e-3, 2e-3, 4e-3):
        before = bench.virtual.seconds
        bench.smu.measure(VOLTS, SOURCING)
        assert bench.virtual.seconds - before == pytest.approx(6 * 2e-3)
        before = bench.virtual.seconds
        second.measure(VOLTS, Sourcing(1e-5, seconds))
        assert bench.virtual.seconds - before == pytest.approx(6 * seconds)


def test_the_bench_s_devices_are_read_and_pulsed() -> None:
    wiring = {"main": Lines(np.arange(3), np.arange(3, 5))}
    grid = DeviceGrid(SimBench(SimSettings(), {"main": (3, 2)}, seed=1), wiring, ground=2)
    modules = VirtualB1500Settings(modules={1: "B1517A", 5: "B1525A"})
    virtual = KeysightB1500(modules, grid.terminal(0), *[grid.terminal(1)] * 500)
    outlet = Outlet(virtual)
    with serving([outlet]), open_session(outlet.resource, QUICK) as session:
        smu, pulser = KeysightB1500Smu(session), KeysightB1500Spgu(session, channel=501)
        smu.attach()
        grid.switch({(0, 2), (2, 4)})
        amperes = smu.measure(np.full(20, 0.1), Sourcing(1e-3, 1e-3)).amperes
        truth = 0.1 * float(grid.conductances("main")[2, 1])
        assert abs(amperes.mean() - truth) < 0.02 * truth
        pulser.attach()
        grid.switch({(1, 2), (2, 4)})
        pulser.burst(Pulse(1.0, 1e-6, 1e-6), 5)
    assert grid.pulses["main"].sum() == grid.pulses["main"][2, 1] == 5
    assert grid.hot_switches == 0


@pytest.mark.parametrize(("name", "value"), [("compliance", 5e-5), ("AIT", 1e-3)])
def test_a_setting_of_the_smu_that_sticks_is_found_before_any_voltage(
    build: Build, name: str, value: float
) -> None:
    bench = build(coerced={name: value})
    with pytest.raises(SettingError, match=r"was set; \*LRN\? \d+ tells") as caught:
        bench.smu.measure(VOLTS, SOURCING)
    assert caught.value.__notes__ == ["made safe: slot 1 at 0 V and off, read back"]
    assert bench.virtual.smus[1].highest_v == 0
    assert not bench.virtual.smus[1].on


@pytest.mark.parametrize("on", ["FMT", "DV 1,5,0,", "TI "])
@pytest.mark.parametrize(("code", "times"), [(305, 1), (-350, 1), (120, 40)])
def test_errors_of_a_measurement_surface_with_the_command(
    build: Build, on: str, code: int, times: int
) -> None:
    bench = build(errors=[InjectedError(on=on, code=code, message="it broke", times=times)])
    with pytest.raises(InstrumentError, match="it broke") as caught:
        bench.smu.measure(VOLTS, SOURCING)
    assert caught.value.code == code
    assert on in str(caught.value) or "measurements of slot 1" in str(caught.value)
    assert bench.virtual.parser.errors == []
    assert not bench.virtual.smus[1].on


@pytest.mark.parametrize("drops_rest", [False, True])
def test_an_open_interlock_is_said(build: Build, drops_rest: bool) -> None:
    bench = build(interlock_open=True, drops_rest=drops_rest, settings=IMPATIENT)
    with pytest.raises(InterlockError, match="Interlock circuit must be closed"):
        bench.smu.measure(np.array([60.0]), Sourcing(1e-4, 2e-3))
    assert bench.virtual.smus[1].highest_v == 0
    assert not bench.virtual.smus[1].on


def test_an_output_switched_off_behind_the_driver_s_back_is_no_reading(build: Build) -> None:
    bench = build(settings=IMPATIENT)
    bench.smu.measure(VOLTS, SOURCING)
    bench.virtual.receive(b"CL 1")
    with pytest.raises(InstrumentError, match="Channel output switch must be ON"):
        bench.smu.measure(VOLTS, SOURCING)
    np.testing.assert_allclose(bench.smu.measure(VOLTS, SOURCING).amperes, VOLTS / 1e6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "B1505A"}, "B1505A answers; a Keysight B1500A is needed"),
        ({"serial": "999"}, "serial number 0 answers; the bench names 999"),
        ({"slot": 4}, "slot 4 holds nothing"),
        ({"slot": 5}, "slot 5 holds B1525A"),
        ({"channel": 101}, "slot 1 holds B1517A; a B1525A"),
        ({"channel": 503}, "channel 503"),
    ],
)
def test_the_wrong_instrument_or_module_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(IdentityError, match=message), lab(**given):
        pass


@pytest.mark.parametrize("kind", KINDS)
def test_after_any_fault_in_a_measurement_the_output_is_off_and_the_next_one_is_right(
    build: Build, kind: FaultKind
) -> None:
    bench = build(Fault(kind=kind, on="TI ", numbers=[2], delay=0.6), settings=IMPATIENT)
    bench.smu.measure(VOLTS, SOURCING)
    with pytest.raises(BenchError) as caught:
        bench.smu.measure(-VOLTS, SOURCING)
    assert isinstance(caught.value, TimeoutError_ | DesyncError | DisconnectedError)
    assert caught.value.__notes__ == ["made safe: slot 1 at 0 V and off, read back"]
    assert not bench.virtual.smus[1].on
    assert set(bench.load.at.values()) == {0.0}
    np.testing.assert_allclose(bench.smu.measure(2 * VOLTS, SOURCING).amperes, 2 * VOLTS / 1e6)


def test_a_line_that_is_not_understood_is_an_instrument_error_not_a_time_out(build: Build) -> None:
    bench = build(broken="TI ", settings=IMPATIENT)
    with pytest.raises(InstrumentError, match="100 'Undefined GPIB command") as caught:
        bench.smu.measure(VOLTS, SOURCING)
    assert isinstance(caught.value.__cause__, TimeoutError_)


def test_make_safe_reports_what_it_could_not_verify_and_never_raises() -> None:
    load = Resistor()
    outlet = Outlet(KeysightB1500(VirtualB1500Settings(), *[load] * 502))
    with serving([outlet]):
        session = open_session(outlet.resource, QUICK, role="b1500")
        both = KeysightB1500Smu(session), KeysightB1500Spgu(session, channel=501)
        for each in both:
            each.attach()
            assert each.make_safe() == each.make_safe() == ()
    for each in both:
        assert "does not answer" in each.make_safe()[0]
    session.close()
    for each in both:
        assert each.make_safe()


def test_old_answers_to_who_is_there_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    words = itertools.count(7)
    monkeypatch.setattr("drivers.instruments.flex.secrets.randbelow", lambda limit: next(words) % limit)
    load = Resistor()
    talker = Behind(KeysightB1500(VirtualB1500Settings(), load))
    outlet, once = Outlet(talker), QUICK.model_copy(update={"attempts": 1})
    with serving([outlet]), open_session(outlet.resource, once, role="b1500") as session:
        smu = KeysightB1500Smu(session)
        smu.attach()
        talker.lags = True
        with pytest.raises(DesyncError):
            smu.attach()
        talker.first.clear()
        smu.attach()
        np.testing.assert_allclose(smu.measure(VOLTS, SOURCING).amperes, VOLTS / 1e6)
