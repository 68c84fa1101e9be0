"""The 2600 driver against a virtual 2600 over a real socket and a real pseudo-terminal, faults included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from drivers.instruments.keithley_2600 import Keithley2600
from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from drivers.sim.virtual.errorqueue import InjectedError
from drivers.sim.virtual.faults import Fault, Faults
from drivers.sim.virtual.grid import DeviceGrid, Lines
from drivers.sim.virtual.keithley_2600 import Keithley2600 as Virtual2600
from drivers.sim.virtual.keithley_2600 import Virtual2600Settings
from drivers.sim.virtual.server import Carrier, Outlet, serving
from drivers.transport.session import open_session
from drivers.transport.settings import TransportSettings
from hil.conformance.instruments import check_smu
from hil.errors import (
    DesyncError,
    IdentityError,
    InstrumentError,
    InterlockError,
    LimitError,
    ScheduleError,
    SettingError,
)
from hil.instruments import Smu, Sourcing
from tests.socket.smu_lab import Resistor

QUICK = TransportSettings(timeout=5.0, quiet=0.002, open_timeout=5.0)
IMPATIENT = QUICK.model_copy(update={"timeout": 0.5})
SOURCING = Sourcing(compliance_a=1e-4, integration_s=2e-3)
VOLTS = np.array([0.1, -0.1, 0.05])


@dataclass
class Lab:
    """A virtual instrument, its resistor, and a driver connected to it."""

    smu: Keithley2600
    virtual: Virtual2600
    load: Resistor
    outlet: Outlet

    @property
    def volts_now(self) -> float:
        return max(map(abs, self.load.at.values()))


Build = Callable[..., Lab]


@contextmanager
def lab(
    *faults: Fault,
    settings: TransportSettings = QUICK,
    ohms: float = 1e6,
    link: Carrier = "tcp",
    **virtual: Any,
) -> Iterator[Lab]:
    load = Resistor(ohms)
    instrument = Virtual2600(Virtual2600Settings(**virtual), load, Resistor())
    outlet = Outlet(instrument, Faults(list(faults)), link=link)
    with serving([outlet]), open_session(outlet.resource, settings, role="smu") as session:
        smu = Keithley2600(session)
        smu.attach()
        yield Lab(smu, instrument, load, outlet)


@pytest.fixture
def build() -> Iterator[Build]:
    with ExitStack() as stack:
        yield lambda *faults, **virtual: stack.enter_context(lab(*faults, **virtual))


@pytest.mark.parametrize("link", ["tcp", "pty", "vxi11"])
def test_currents_of_a_resistor_are_measured_and_the_output_rests_at_0_volts(
    build: Build, link: Carrier
) -> None:
    bench = build(link=link)
    assert isinstance(bench.smu, Smu)
    readings = bench.smu.measure(VOLTS, SOURCING)
    np.testing.assert_allclose(readings.amperes, VOLTS / 1e6, rtol=1e-8)
    np.testing.assert_allclose(readings.volts, VOLTS, rtol=1e-8)
    assert not readings.clipped.any()
    assert bench.volts_now == 0
    assert bench.virtual.channels["smua"].values["source.output"] == 1


@pytest.mark.parametrize("link", ["tcp", "pty", "vxi11"])
@pytest.mark.parametrize("model", ["2602B", "2612B", "2635B"])
def test_the_driver_conforms(model: str, link: Carrier) -> None:
    @contextmanager
    def smu() -> Iterator[Smu]:
        with lab(ohms=1e6, model=model, link=link) as bench:
            yield bench.smu

    assert not check_smu(smu, volts=0.2, sourcing=SOURCING, ohms=1e6, rtol=1e-6)


def test_connecting_and_identifying_output_nothing(build: Build) -> None:
    bench = build(model="2636B", serial="4089762")
    who = bench.smu.identify()
    assert (who.model, who.serial, who.language) == ("2636B", "4089762", "TSP")
    assert bench.virtual.channels["smua"].times_on == 0


def test_points_cost_one_transaction_once_the_settings_are_in(build: Build) -> None:
    bench = build()
    bench.smu.measure(VOLTS, SOURCING)
    before = bench.smu.transactions
    bench.smu.measure(np.linspace(-0.1, 0.1, 8), SOURCING)
    assert bench.smu.transactions == before + 1
    assert bench.smu.measure(np.linspace(-0.1, 0.1, 50), SOURCING).amperes.shape == (50,)
    assert bench.smu.transactions == before + 1 + 7


def test_small_numbers_keep_their_digits(build: Build) -> None:
    bench = build(ohms=1e12)
    bench.smu.measure(np.array([0.1234567]), Sourcing(1.234567e-10, 1e-4))
    held = bench.virtual.channels["smua"].values
    assert held["source.limiti"] == 1.234567e-10
    assert held["measure.nplc"] == 5e-3


def test_the_smu_reads_the_device_behind_the_closed_crosspoint() -> None:
    wiring = {"main": Lines(np.arange(3), np.arange(3, 5))}
    grid = DeviceGrid(SimBench(SimSettings(), {"main": (3, 2)}, seed=1), wiring, ground=2)
    grid.switch({(0, 2), (2, 4)})
    outlet = Outlet(Virtual2600(Virtual2600Settings(), grid.terminal(0), grid.terminal(1)))
    with serving([outlet]), open_session(outlet.resource, QUICK) as session:
        smu = Keithley2600(session)
        smu.attach()
        amperes = smu.measure(np.full(50, 0.1), Sourcing(1e-3, 1e-3)).amperes
    truth = 0.1 * float(grid.conductances("main")[2, 1])
    assert abs(amperes.mean() - truth) < 0.02 * truth
    assert grid.hot_switches == 0


def test_what_the_model_cannot_do_is_refused_before_anything_is_sent(build: Build) -> None:
    bench = build(model="2602B")
    before = bench.smu.transactions
    for volts, sourcing in (
        (np.array([0.1, 41.0]), SOURCING),
        (np.array([np.nan]), SOURCING),
        (np.array([[0.1]]), SOURCING),
        (np.array([10.0]), Sourcing(1.1, 2e-3)),
        (VOLTS, Sourcing(1e-12, 2e-3)),
        (VOLTS, Sourcing(1e-4, 10.0)),
    ):
        with pytest.raises(LimitError):
            bench.smu.measure(volts, sourcing)
    with pytest.raises(ScheduleError):
        Sourcing(np.nan, 2e-3)
    assert bench.smu.transactions == before
    assert bench.virtual.channels["smua"].times_on == 0


@pytest.mark.parametrize("name", ["source.limiti", "source.rangev", "measure.nplc", "source.func"])
def test_a_setting_that_sticks_is_found_before_the_output_is_on(build: Build, name: str) -> None:
    bench = build(coerced={name: 0.0123})
    with pytest.raises(SettingError, match=f"smua.{name} was set to .* holds 1.23"):
        bench.smu.measure(VOLTS, SOURCING)
    assert bench.virtual.channels["smua"].times_on == 0


@pytest.mark.parametrize("where", ["source.rangev", "source.output=1", "measure.iv"])
@pytest.mark.parametrize(("code", "times"), [(1102, 1), (-286, 3), (-350, 1), (2200, 60)])
def test_errors_of_the_queue_surface_with_the_command_and_leave_the_output_off(
    build: Build, where: str, code: int, times: int
) -> None:
    bench = build(errors=[InjectedError(on=where, code=code, message="it broke", times=times)])
    with pytest.raises(InstrumentError) as caught:
        bench.smu.measure(VOLTS, SOURCING)
    assert caught.value.code == code
    assert where in str(caught.value)
    assert "it broke" in str(caught.value)
    assert ("-350" in str(caught.value)) == (code == -350 or times > 50)
    assert len(bench.virtual.errors) == 0
    assert bench.virtual.channels["smua"].values["source.output"] == 0


@pytest.mark.parametrize("change", ["output=0", "limiti=1e-3", "rangev=20", "func=0"])
def test_a_setting_changed_behind_the_driver_s_back_is_no_reading(build: Build, change: str) -> None:
    """As by the front panel, or by an old command of a closed connection: an output that is off reads 0 A."""
    bench = build()
    bench.smu.measure(VOLTS, SOURCING)
    bench.virtual.receive(f"smua.source.{change}".encode())
    with pytest.raises(SettingError, match=f"smua.source.{change.split('=')[0]} was set to"):
        bench.smu.measure(VOLTS, SOURCING)
    assert bench.virtual.channels["smua"].values["source.output"] == 0
    np.testing.assert_allclose(bench.smu.measure(VOLTS, SOURCING).amperes, VOLTS / 1e6)


def test_an_open_interlock_is_said_and_nothing_is_on(build: Build) -> None:
    bench = build(interlock_open=True)
    bench.smu.measure(VOLTS, SOURCING)
    with pytest.raises(InterlockError, match="interlock"):
        bench.smu.measure(np.array([100.0]), SOURCING)
    assert bench.virtual.channels["smua"].highest_v == 0.1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"serial": "999"}, "serial number 999 answers; the bench names 4089762"),
        ({"prompts": True}, r"prompts|asked|unasked|came after"),
    ],
)
def test_the_wrong_instrument_is_refused(settings: dict[str, Any], message: str) -> None:
    outlet = Outlet(Virtual2600(Virtual2600Settings(**settings), Resistor(), Resistor()))
    with serving([outlet]), open_session(outlet.resource, QUICK, role="smu") as session:
        smu = Keithley2600(session, serial="4089762" if "serial" in settings else None)
        with pytest.raises((IdentityError, DesyncError), match=message):
            smu.attach()


def test_channel_b_of_a_single_channel_model_is_refused() -> None:
    outlet = Outlet(Virtual2600(Virtual2600Settings(model="2635B"), Resistor()))
    with serving([outlet]), open_session(outlet.resource, QUICK, role="smu") as session:
        smu = Keithley2600(session, channel="b")
        with pytest.raises(IdentityError, match="no channel b"):
            smu.attach()
