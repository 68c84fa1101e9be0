"""The B1500A's pulse generator driver against a virtual one over a socket: no pulse too many, or too few."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from drivers.sim.virtual.errorqueue import InjectedError
from drivers.sim.virtual.faults import Fault, FaultKind
from hil.conformance.instruments import check_pulser
from hil.errors import (
    BenchError,
    DesyncError,
    DisconnectedError,
    InstrumentError,
    SettingError,
    TimeoutError_,
)
from hil.instruments import Pulser
from hil.schedule import Pulse
from tests.socket.b1500_lab import (
    IMPATIENT,
    KINDS,
    PULSE,
    SOURCING,
    VOLTS,
    Build,
    lab,
)


@pytest.fixture
def build() -> Iterator[Build]:
    with ExitStack() as stack:
        yield lambda *faults, **given: stack.enter_context(lab(*faults, **given))


def test_the_pulse_generator_conforms() -> None:
    @contextmanager
    def pulser() -> Iterator[Pulser]:
        with lab() as bench:
            assert isinstance(bench.pulser, Pulser)
            yield bench.pulser

    assert not check_pulser(pulser, pulse=PULSE)


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


@pytest.mark.parametrize(("on", "doubt"), [("SPPER ", "none"), ("SRP", "at most 3")])
def test_errors_of_a_burst_surface_with_the_command(build: Build, on: str, doubt: str) -> None:
    bench = build(errors=[InjectedError(on=on, code=2103, message="it broke")])
    with pytest.raises(InstrumentError, match=f"{on}.*2103 'it broke'") as caught:
        bench.pulser.burst(PULSE, 3)
    assert doubt in caught.value.__notes__[-1]
    assert bench.virtual.spgu.on() == []
    assert bench.virtual.spgu.starts == (on == "SRP")


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
