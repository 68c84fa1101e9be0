"""The SCPI source-measure units against virtual ones over real sockets and a real pseudo-terminal."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest

from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from drivers.sim.virtual.errorqueue import InjectedError
from drivers.sim.virtual.grid import DeviceGrid, Lines, Load
from drivers.sim.virtual.server import Outlet, serving
from drivers.transport.session import open_session
from hil.conformance.instruments import check_smu
from hil.errors import (
    ConfigError,
    IdentityError,
    InstrumentError,
    InterlockError,
    LimitError,
    SettingError,
    TimeoutError_,
)
from hil.instruments import Smu, Sourcing
from tests.socket.smu_lab import (
    BY_RS_232,
    IMPATIENT,
    KINDS,
    QUICK,
    SOURCING,
    VOLTS,
    Kind,
    Lab,
    Lagging,
    Resistor,
    lab,
)

Build = Callable[..., Lab]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def build(kind: Kind) -> Iterator[Build]:
    with ExitStack() as stack:
        yield lambda *faults, **given: stack.enter_context(lab(kind, *faults, **given))


def test_currents_of_a_resistor_are_measured_and_the_output_rests_at_0_volts(build: Build) -> None:
    bench = build()
    assert isinstance(bench.smu, Smu)
    readings = bench.smu.measure(VOLTS, SOURCING)
    np.testing.assert_allclose(readings.amperes, VOLTS / 1e6, rtol=1e-6)
    np.testing.assert_allclose(readings.volts, VOLTS, rtol=1e-6)
    assert not readings.clipped.any()
    assert bench.volts_now == 0
    assert bench.output.values["OUTP"] == 1
    assert len(bench.virtual.errors) == 0


@pytest.mark.parametrize(
    ("name", "model", "more"),
    [
        ("2400", "2400", {"link": "pty", "settings": BY_RS_232}),
        ("2400", "2400-LV", {}),
        ("2400", "2410", {}),
        ("2400", "2440", {}),
        ("2450", "2450", {}),
        ("2450", "2461", {"link": "vxi11"}),
        ("b2900", "B2901A", {"maker": "Agilent Technologies"}),
        ("b2900", "B2912B", {"driver": {"channel": 2}}),
    ],
)
def test_the_driver_conforms(name: str, model: str, more: dict[str, Any]) -> None:
    @contextmanager
    def smu() -> Generator[Smu]:
        with lab(KINDS[name], ohms=1e4, model=model, **more) as bench:
            yield bench.smu

    assert not check_smu(smu, volts=0.2, sourcing=SOURCING, ohms=1e4, rtol=1e-5)


def test_connecting_and_identifying_output_nothing_and_change_nothing(kind: Kind, build: Build) -> None:
    bench = build(serial="4089762")
    before = dict(bench.output.values)
    who = bench.smu.identify()
    assert (who.model, who.serial, who.language) == (kind.model, "4089762", "SCPI")
    assert bench.output.times_on == 0
    assert bench.output.values == before


def test_a_list_costs_one_transaction_once_the_settings_are_in(kind: Kind, build: Build) -> None:
    bench = build()
    bench.smu.measure(VOLTS, SOURCING)
    before = bench.smu.transactions
    many = np.linspace(-0.1, 0.1, 2 * kind.full_list + 1)
    readings = bench.smu.measure(many, SOURCING)
    assert bench.smu.transactions == before + 3
    np.testing.assert_allclose(readings.volts, many, rtol=1e-5, atol=1e-7)
    bench.smu.measure(VOLTS, SOURCING)
    assert bench.smu.transactions == before + 4


def test_lists_are_as_long_as_asked_for_and_no_longer_than_the_instrument_s(kind: Kind) -> None:
    with lab(kind, driver={"points": 2}) as bench:
        bench.smu.measure(VOLTS, SOURCING)
        before = bench.smu.transactions
        assert bench.smu.measure(VOLTS, SOURCING).volts.shape == (3,)
        assert bench.smu.transactions == before + 2
        for points in (0, 2501):
            with pytest.raises(ConfigError, match=f"points: asked for {points}; 1 to"):
                kind.driver(bench.smu.session, points=points)


@pytest.mark.parametrize(
    ("name", "sourcing"),
    [
        ("2400", Sourcing(1.234567e-7, 2.2e-3, settle_s=1.2e-4)),
        ("2450", Sourcing(1.234567e-8, 2.34567e-4, settle_s=1.234567e-7)),
        ("b2900", Sourcing(1.234567e-7, 8.1e-6, settle_s=1e-7)),
    ],
)
def test_small_numbers_keep_their_digits(name: str, sourcing: Sourcing) -> None:
    kind = KINDS[name]
    with lab(kind, ohms=1e12) as bench:
        readings = bench.smu.measure(np.array([0.1234567]), sourcing)
        held = bench.output.values
        assert held[kind.limit] == sourcing.compliance_a
        settle = {"2400": "SOUR:DEL", "2450": "SOUR:VOLT:DEL", "b2900": "TRIG:ACQ:DEL"}[name]
        assert held[settle] == sourcing.settle_s
        per_second = 1 if name == "b2900" else 50
        assert held[kind.integration] == pytest.approx(sourcing.integration_s * per_second, rel=1e-6)
        np.testing.assert_allclose(readings.volts, [0.1234567], rtol=1e-7)


def test_the_smu_reads_the_device_behind_the_closed_crosspoint(kind: Kind) -> None:
    wiring = {"main": Lines(np.arange(3), np.arange(3, 5))}
    grid = DeviceGrid(SimBench(SimSettings(), {"main": (3, 2)}, seed=1), wiring, ground=2)
    grid.switch({(0, 2), (2, 4)})
    terminals: list[Load] = [grid.terminal(0), grid.terminal(1)]
    outlet = Outlet(kind.virtual(terminals))
    with serving([outlet]), open_session(outlet.resource, QUICK) as session:
        smu = kind.driver(session)
        smu.attach()
        amperes = smu.measure(np.full(50, 0.1), Sourcing(1e-3, 1e-3)).amperes
    truth = 0.1 * float(grid.conductances("main")[2, 1])
    assert abs(amperes.mean() - truth) < 0.02 * truth
    assert not any(grid.volts.values())


def test_what_the_model_cannot_do_is_refused_before_anything_is_sent(build: Build) -> None:
    bench = build()
    before = bench.smu.transactions
    for volts, sourcing in (
        (np.array([0.1, 201.0]), SOURCING),
        (np.array([np.nan]), SOURCING),
        (np.array([[0.1]]), SOURCING),
        (np.array([30.0]), Sourcing(0.2, 2e-3)),
        (VOLTS, Sourcing(1e-12, 2e-3)),
        (VOLTS, Sourcing(1e-4, 10.0)),
        (VOLTS, Sourcing(1e-4, 2e-3, settle_s=1e6)),
    ):
        for refuse in (bench.smu.check, bench.smu.measure):
            with pytest.raises(LimitError):
                refuse(volts, sourcing)
    assert bench.smu.transactions == before
    assert bench.output.times_on == 0


def test_settings_change_from_any_to_any_other(build: Build) -> None:
    """Ranges and compliance constrain each other; the way from one to the other must be legal throughout."""
    bench = build(ohms=1e10)
    for volts, compliance in (
        (0.1, 1e-7), (20.0, 1.0), (200.0, 1e-7), (200.0, 0.1), (0.1, 1.0), (0.1, 1e-7), (200.0, 0.1),
    ):  # fmt: skip
        readings = bench.smu.measure(np.array([volts, -volts]), Sourcing(compliance, 2e-3))
        np.testing.assert_allclose(readings.amperes, [volts / 1e10, -volts / 1e10], rtol=1e-6)
        assert not readings.clipped.any()


@pytest.mark.parametrize("which", ["limit", "integration", "SENS:CURR:RANG", "SOUR:VOLT:RANG"])
def test_a_setting_that_sticks_is_found_before_the_output_is_on(kind: Kind, build: Build, which: str) -> None:
    name = which if ":" in which else getattr(kind, which)
    bench = build(coerced={name: 0.0123})
    asked = name.replace(":", "1:", 1) if kind.model == "B2912A" else name
    with pytest.raises(SettingError, match=f":{asked} .* was set; the instrument holds .*(0.01|1.23)"):
        bench.smu.measure(VOLTS, SOURCING)
    assert bench.output.times_on == 0


@pytest.mark.parametrize("where", ["NPLC|APER", "OUTP 1|OUTP1 1", "runs"])
@pytest.mark.parametrize(("code", "times"), [(-222, 1), (-113, 3), (-350, 1), (900, 60)])
def test_errors_of_the_queue_surface_with_the_command_and_leave_the_output_off(
    kind: Kind, build: Build, where: str, code: int, times: int
) -> None:
    text = kind.runs if where == "runs" else where.split("|")[kind.model == "B2912A"]
    bench = build(errors=[InjectedError(on=text, code=code, message="it broke", times=times)])
    with pytest.raises(InstrumentError) as caught:
        bench.smu.measure(VOLTS, SOURCING)
    assert caught.value.code == code
    assert text in str(caught.value)
    assert "it broke" in str(caught.value)
    assert ("-350" in str(caught.value)) == (code == -350 or times > 50)
    assert len(bench.virtual.errors) == 0
    assert bench.output.values["OUTP"] == 0
    assert bench.volts_now == 0


def test_errors_found_on_connecting_are_kept_and_are_nobody_s_fault(kind: Kind) -> None:
    old = InjectedError(on="*IDN?", code=-113, message="Undefined header")
    with lab(kind, errors=[old]) as bench:
        assert [error.code for error in bench.smu.errors_found] == [-113]


@pytest.mark.parametrize("change", ["output", "limit", "range"])
def test_a_setting_changed_behind_the_driver_s_back_is_no_reading(
    kind: Kind, build: Build, change: str
) -> None:
    """As by the front panel, or by an old command of a closed connection: an output that is off reads 0 A."""
    bench = build()
    bench.smu.measure(VOLTS, SOURCING)
    command = {"output": ":OUTP 0", "limit": f":{kind.limit} 2e-4", "range": ":SOUR:VOLT:RANG 20"}[change]
    bench.virtual.receive(command.encode())
    if kind.model == "2450" and change == "output":  # its sweep switches on by itself
        assert not bench.smu.measure(VOLTS, SOURCING).clipped.any()
        return
    refused = (kind.model, change) == ("2400", "output")
    with pytest.raises(InstrumentError, match="803 'Not permitted" if refused else "was set; the instrument"):
        bench.smu.measure(VOLTS, SOURCING)
    assert bench.output.values["OUTP"] == 0
    np.testing.assert_allclose(bench.smu.measure(VOLTS, SOURCING).amperes, VOLTS / 1e6, rtol=1e-6)


def test_an_open_interlock_is_said_and_nothing_is_on(kind: Kind, build: Build) -> None:
    bench = build(interlock_open=True)
    with pytest.raises(InterlockError, match="interlock"):
        bench.smu.measure(np.array([100.0]), SOURCING)
    assert bench.output.times_on == 0
    if kind.model != "2400":  # its interlock, where it is in use, blocks every voltage
        assert not bench.smu.measure(VOLTS, SOURCING).clipped.any()


@pytest.mark.parametrize(
    ("name", "driver", "virtual", "message"),
    [
        ("2400", {"serial": "1"}, {"serial": "999"}, "serial number 999 answers; the bench names 1"),
        ("2450", {}, {"language": "TSP"}, "the command set is TSP; SCPI is needed"),
        ("2450", {}, {"language": "SCPI2400"}, "the command set is SCPI2400; SCPI is needed"),
        ("b2900", {"channel": 2}, {"model": "B2911A"}, "B2911A has no channel 2"),
        ("b2900", {}, {"maker": "Somebody"}, "Somebody B2912A answers; a Keysight or Agilent B2901"),
    ],
)
def test_the_wrong_instrument_is_refused(
    name: str, driver: dict[str, Any], virtual: dict[str, Any], message: str
) -> None:
    with pytest.raises(IdentityError, match=message), lab(KINDS[name], driver=driver, **virtual):
        pass


def test_a_driver_refuses_the_instruments_of_the_others() -> None:
    for name, kind in KINDS.items():
        for other in KINDS.keys() - {name}:
            outlet = Outlet(KINDS[other].virtual([Resistor(), Resistor()]))
            with (
                serving([outlet]),
                open_session(outlet.resource, QUICK, role="smu") as session,
                pytest.raises(IdentityError, match=f"{KINDS[other].model} answers; a Ke"),
            ):
                kind.driver(session).attach()


def test_old_answers_to_who_is_there_are_not_taken_for_new_ones(kind: Kind) -> None:
    line = Lagging(kind.virtual([Resistor(), Resistor()]))
    outlet = Outlet(line)
    with serving([outlet]), open_session(outlet.resource, IMPATIENT, role="smu") as session:
        smu = kind.driver(session)
        smu.attach()
        line.first.pop()  # of the error queue
        line.behind = True
        with pytest.raises(TimeoutError_) as caught:
            smu.measure(VOLTS, SOURCING)
        assert "made safe: output at 0 V and off, read back" in caught.value.__notes__


def test_an_output_that_stays_on_is_reported(build: Build) -> None:
    bench = build()
    bench.smu.measure(VOLTS, SOURCING)
    bench.output.switch = lambda on: None
    assert "output is 1" in bench.smu.make_safe()[0]
