"""The B1500A's drivers, an SMU and two pulse generators on one line, against a virtual one with faults."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from drivers.instruments.keysight_b1500 import KeysightB1500Smu
from drivers.instruments.keysight_spgu import KeysightB1500Spgu
from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from drivers.sim.virtual.errorqueue import InjectedError
from drivers.sim.virtual.faults import Fault, FaultKind, Faults
from drivers.sim.virtual.grid import DeviceGrid, Lines
from drivers.sim.virtual.keysight_b1500 import KeysightB1500, VirtualB1500Settings
from drivers.sim.virtual.server import Outlet, serving
from drivers.transport.session import open_session
from drivers.transport.settings import TransportSettings
from hil.conformance.instruments import check_pulser, check_smu
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
from hil.instruments import Pulser, Smu, Sourcing
from hil.schedule import Pulse

QUICK = TransportSettings(timeout=5.0, quiet=0.002, open_timeout=5.0, read_termination="crlf")
IMPATIENT = QUICK.model_copy(update={"timeout": 0.4})
SOURCING = Sourcing(compliance_a=1e-4, integration_s=2e-3)
VOLTS = np.array([0.1, -0.1, 0.05])
PULSE = Pulse(1.234567, 1e-7, 2e-7)


@dataclass
class Resistor:
    """What everything is connected to; it notes what was done to it."""

    ohms: float = 1e6
    at: dict[str, float] = field(default_factory=dict[str, float])
    pulses: list[tuple[str, Pulse, int]] = field(default_factory=list[tuple[str, Pulse, int]])

    def drive(self, source: str, volts: float) -> None:
        self.at[source] = volts

    def current(self, volts: float, integration_s: float) -> float:
        return volts / self.ohms

    def pulse(self, source: str, pulse: Pulse, count: int) -> None:
        self.pulses.append((source, pulse, count))


@dataclass
class Behind:
    """Once it lags, the first answers ever given come again instead of new ones."""

    virtual: Any
    lags: bool = False
    first: list[bytes] = field(default_factory=list[bytes])

    def receive(self, line: bytes) -> bytes:
        answer = self.virtual.receive(line)
        if self.lags:
            return self.first.pop(0) if answer and self.first else answer
        self.first += [answer] * bool(answer)
        return answer


@dataclass
class Lab:
    smu: KeysightB1500Smu
    pulser: KeysightB1500Spgu
    other: KeysightB1500Spgu
    virtual: KeysightB1500
    load: Resistor

    @property
    def count(self) -> int:
        return sum(count for *_, count in self.load.pulses)


@contextmanager
def lab(
    *faults: Fault,
    settings: TransportSettings = QUICK,
    ohms: float = 1e6,
    slot: int = 1,
    channel: int = 501,
    serial: str | None = None,
    **virtual: Any,
) -> Iterator[Lab]:
    load = Resistor(ohms)
    loads = dict.fromkeys((1, 2, 3), load)
    pulse_loads = dict.fromkeys((501, 502), load)
    instrument = KeysightB1500(VirtualB1500Settings.model_validate(virtual), loads, pulse_loads)
    outlet = Outlet(instrument, Faults(list(faults)))
    with serving([outlet]), open_session(outlet.resource, settings, role="b1500") as session:
        smu = KeysightB1500Smu(session, slot=slot, serial=serial)
        pulser = KeysightB1500Spgu(session, channel=channel, serial=serial, settle_s=0)
        other = KeysightB1500Spgu(session, channel=502, settle_s=0)
        for each in (smu, pulser, other):
            each.attach()
        yield Lab(smu, pulser, other, instrument, load)


Build = Callable[..., Lab]


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


def test_the_pulse_generator_conforms() -> None:
    @contextmanager
    def pulser() -> Iterator[Pulser]:
        with lab() as bench:
            assert isinstance(bench.pulser, Pulser)
            yield bench.pulser

    assert not check_pulser(pulser, pulse=PULSE)


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


def test_a_pulse_is_as_asked_for_and_comes_as_often(build: Build) -> None:
    bench = build()
    bench.pulser.burst(PULSE, 3)
    bench.pulser.burst(Pulse(-2.5, 1e-6, 1e-6), 2)
    (_, first, three), (_, second, two) = bench.load.pulses
    assert (three, two) == (3, 2)
    assert first.amplitude_v == pytest.approx(1.234567, rel=1e-3)  # the share of 50 ohms at 1 Mohm
    assert (first.width_s, first.gap_s) == pytest.approx((1e-7, 2e-7))
    assert (second.amplitude_v, second.width_s) == pytest.approx((-2.5, 1e-6), rel=1e-3)
    assert set(bench.load.at.values()) == {0.0}


def test_the_same_burst_again_costs_three_transactions(build: Build) -> None:
    bench = build()
    bench.pulser.burst(PULSE, 3)
    before = bench.pulser.transactions
    bench.pulser.burst(PULSE, 3)
    assert bench.pulser.transactions == before + 3
    bench.pulser.burst(PULSE, 4)
    assert bench.pulser.transactions == before + 3 + 5


def test_channels_that_are_started_together_pulse_one_at_a_time(build: Build) -> None:
    bench = build()
    bench.pulser.burst(PULSE, 3)
    bench.other.burst(PULSE, 2)
    bench.pulser.burst(PULSE, 1)
    assert [(name, count) for name, _, count in bench.load.pulses] == [
        ("B1500A:501", 3), ("B1500A:502", 2), ("B1500A:501", 1)
    ]  # fmt: skip
    assert bench.virtual.spgu.starts == 3


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
    second = KeysightB1500Smu(bench.smu.session, slot=2)
    second.attach()
    for seconds in (2e-3, 2e-3, 4e-3):
        before = bench.virtual.seconds
        bench.smu.measure(VOLTS, SOURCING)
        assert bench.virtual.seconds - before == pytest.approx(6 * 2e-3)
        before = bench.virtual.seconds
        second.measure(VOLTS, Sourcing(1e-5, seconds))
        assert bench.virtual.seconds - before == pytest.approx(6 * seconds)


def test_a_burst_is_waited_for(build: Build) -> None:
    bench = build(polls=3)
    waited: list[float] = []
    bench.pulser.pause = waited.append
    bench.pulser.burst(Pulse(1.0, 0.5, 0.5), 2)
    assert waited[:2] == [0, pytest.approx(2.0)]
    assert len(waited) == 2 + 3


def test_a_burst_that_does_not_end_is_stopped(build: Build) -> None:
    bench = build(polls=10_000, settings=IMPATIENT)
    bench.pulser.pause = lambda _: None
    with pytest.raises(TimeoutError_, match="have not ended") as caught:
        bench.pulser.burst(PULSE, 7)
    assert caught.value.__notes__ == [
        "made safe: channel 501 stopped and off, read back",
        "b1500: 0 of 7 pulses are known to have come; at most 7 are in doubt",
    ]
    assert bench.virtual.spgu.on() == []


def test_pulses_that_nobody_here_started_are_no_time_for_a_burst(build: Build) -> None:
    bench = build(polls=3)
    bench.virtual.receive(b"SRP")
    with pytest.raises(InstrumentError, match="nobody here started"):
        bench.pulser.burst(PULSE, 1)
    assert bench.count == 0


def test_the_bench_s_devices_are_read_and_pulsed() -> None:
    wiring = {"main": Lines(np.arange(3), np.arange(3, 5))}
    grid = DeviceGrid(SimBench(SimSettings(), {"main": (3, 2)}, seed=1), wiring, ground=2)
    virtual = KeysightB1500(
        VirtualB1500Settings(modules={1: "B1517A", 5: "B1525A"}),
        {1: grid.terminal(0)},
        {501: grid.terminal(1)},
    )
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


def test_what_an_instrument_rounds_to_its_resolution_is_no_fault(build: Build) -> None:
    bench = build(coerced={"compliance": 1.00003e-4, "SPV": 1.2347})
    assert not bench.smu.measure(VOLTS, SOURCING).clipped.any()
    bench.pulser.burst(PULSE, 1)
    assert bench.count == 1


@pytest.mark.parametrize(
    ("name", "value"), [("SPPER", 1e-6), ("SPRM", 9), ("SPV", 0.5), ("SPT", 2e-7), ("SER", 50.0)]
)
def test_a_setting_of_the_pulse_generator_that_sticks_is_found_before_any_pulse(
    build: Build, name: str, value: float
) -> None:
    bench = build(coerced={name: value})
    with pytest.raises(SettingError, match=rf"'{name}\?.*' is answered") as caught:
        bench.pulser.burst(PULSE, 3)
    assert caught.value.__notes__[-1].endswith("none was started")
    assert bench.virtual.spgu.starts == 0
    assert bench.virtual.spgu.on() == []


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


@pytest.mark.parametrize(("on", "doubt"), [("SPPER ", "none"), ("SRP", "at most 3")])
def test_errors_of_a_burst_surface_with_the_command(build: Build, on: str, doubt: str) -> None:
    bench = build(errors=[InjectedError(on=on, code=2103, message="it broke")])
    with pytest.raises(InstrumentError, match=f"{on}.*2103 'it broke'") as caught:
        bench.pulser.burst(PULSE, 3)
    assert doubt in caught.value.__notes__[-1]
    assert bench.virtual.spgu.on() == []
    assert bench.virtual.spgu.starts == (on == "SRP")


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


KINDS: tuple[FaultKind, ...] = (
    "silent", "late", "late-next", "truncated", "cut-line", "garbage", "nul", "bad-utf8", "extra-line",
    "huge", "disconnect-before", "disconnect-within", "disconnect-after",
)  # fmt: skip


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


@pytest.mark.parametrize("kind", [*KINDS, "separator"])
def test_after_any_fault_at_a_start_no_pulse_is_sent_again(build: Build, kind: FaultKind) -> None:
    bench = build(Fault(kind=kind, on="SRP", numbers=[2], delay=0.6), settings=IMPATIENT)
    bench.pulser.burst(PULSE, 4)
    with pytest.raises(BenchError) as caught:
        bench.pulser.burst(PULSE, 3)
    assert isinstance(caught.value, TimeoutError_ | DesyncError | DisconnectedError)
    assert caught.value.__notes__[0] == "made safe: channel 501 stopped and off, read back"
    assert "at most 3 are in doubt" in caught.value.__notes__[1]
    assert bench.virtual.spgu.on() == []
    assert bench.count == (4 if kind == "disconnect-before" else 7)
    bench.pulser.burst(PULSE, 1)
    assert bench.count == (5 if kind == "disconnect-before" else 8)


def test_a_line_that_is_not_understood_is_an_instrument_error_not_a_time_out(build: Build) -> None:
    bench = build(broken="TI ", settings=IMPATIENT)
    with pytest.raises(InstrumentError, match="100 'Undefined GPIB command") as caught:
        bench.smu.measure(VOLTS, SOURCING)
    assert isinstance(caught.value.__cause__, TimeoutError_)


def test_make_safe_reports_what_it_could_not_verify_and_never_raises() -> None:
    load = Resistor()
    outlet = Outlet(KeysightB1500(VirtualB1500Settings(), {1: load, 2: load}, {501: load, 502: load}))
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
    talker = Behind(KeysightB1500(VirtualB1500Settings(), {1: load, 2: load}))
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
