"""The pulse generators' drivers against their virtual instruments over real sockets, faults included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, field, replace
from typing import Any, NamedTuple, get_args

import numpy as np
import pytest

from drivers.instruments.keysight_33500 import Keysight33500
from drivers.instruments.keysight_81150 import Keysight81150
from drivers.instruments.scpi_pulser import ScpiPulser
from drivers.instruments.tektronix_afg import TektronixAfg
from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from drivers.sim.virtual import keysight_33500, keysight_81150, tektronix_afg
from drivers.sim.virtual.errorqueue import InjectedError
from drivers.sim.virtual.faults import Fault, FaultKind, Faults
from drivers.sim.virtual.grid import DeviceGrid, Lines
from drivers.sim.virtual.scpi_pulser import Channel, VirtualPulser, VirtualPulserSettings
from drivers.sim.virtual.server import Outlet, serving
from drivers.transport.session import open_session
from drivers.transport.settings import TransportSettings
from hil import errors
from hil.conformance.instruments import check_pulser
from hil.instruments import Pulser
from hil.schedule import Pulse

QUICK = TransportSettings(timeout=5.0, quiet=0.002, open_timeout=5.0)
IMPATIENT = QUICK.model_copy(update={"timeout": 0.5})
UP, DOWN = Pulse(1.2, 1e-6, 1e-6), Pulse(-0.8, 2e-6, 3e-6)
SAFE = "made safe: output off, read back"


class Family(NamedTuple):
    driver: Callable[..., ScpiPulser]
    virtual: Callable[..., VirtualPulser]
    settings: type[VirtualPulserSettings]
    trigger: str
    width: str
    transactions: int

    def __repr__(self) -> str:
        return self.settings().model


KS33500 = Family(
    Keysight33500, keysight_33500.Keysight33500, keysight_33500.Virtual33500Settings,
    ":TRIG1;", ":SOUR1:FUNC:PULS:WIDT", 1,
)  # fmt: skip
KS81150 = Family(
    Keysight81150, keysight_81150.Keysight81150, keysight_81150.Virtual81150Settings,
    ":TRIG1;", ":PULS:WIDT1", 2,
)  # fmt: skip
AFG = Family(
    TektronixAfg, tektronix_afg.TektronixAfg, tektronix_afg.VirtualAfgSettings,
    "*TRG", ":SOUR1:PULS:WIDT", 2,
)  # fmt: skip
FAMILIES = pytest.mark.parametrize("family", [KS33500, KS81150, AFG], ids=repr)


@dataclass
class Terminal:
    """What comes out: pulses, and the highest level at rest."""

    pulses: list[tuple[Pulse, int]] = field(default_factory=list[tuple[Pulse, int]])
    rest: float = 0.0

    def drive(self, source: str, volts: float) -> None:
        self.rest = max(self.rest, abs(volts))

    def pulse(self, source: str, pulse: Pulse, count: int) -> None:
        self.pulses.append((pulse, count))


@dataclass
class Lab:
    pulser: ScpiPulser
    virtual: VirtualPulser
    terminal: Terminal
    waited: list[float]

    @property
    def channel(self) -> Channel:
        return self.virtual.channels[0]


Build = Callable[..., Lab]


@contextmanager
def lab(
    family: Family,
    *faults: Fault,
    transport: TransportSettings = QUICK,
    edge_s: float = 20e-9,
    **virtual: Any,
) -> Iterator[Lab]:
    terminal, waited = Terminal(), list[float]()
    instrument = family.virtual(family.settings(**virtual), terminal, Terminal())
    outlet = Outlet(instrument, Faults(list(faults)))
    with serving([outlet]), open_session(outlet.resource, transport, role="pulser") as session:
        pulser = family.driver(session, edge_s=edge_s, pause=waited.append)
        pulser.attach()
        yield Lab(pulser, instrument, terminal, waited)


@pytest.fixture
def build() -> Iterator[Build]:
    with ExitStack() as stack:
        yield lambda *parts, **virtual: stack.enter_context(lab(*parts, **virtual))


@FAMILIES
def test_exactly_these_pulses_come_with_0_volts_between_and_after(build: Build, family: Family) -> None:
    bench = build(family)
    asked = [(UP, 5), (DOWN, 3), (DOWN, 4), (DOWN, 4), (UP, 1)]
    for pulse, count in asked:
        bench.pulser.burst(pulse, count)
    assert [count for _, count in bench.terminal.pulses] == [count for _, count in asked]
    for (got, _), (wanted, _) in zip(bench.terminal.pulses, asked, strict=True):
        np.testing.assert_allclose(astuple(got), astuple(wanted), rtol=1e-4)
    assert bench.terminal.rest == 0
    assert bench.channel.values["output"] == 1


@pytest.mark.parametrize(
    ("family", "model", "edge_s"),
    [
        (KS33500, "33510B", 20e-9), (KS33500, "33511B", 20e-9), (KS33500, "33622A", 4e-9),
        (KS81150, "81150A", 20e-9), (KS81150, "81160A", 1e-9),
        (AFG, "AFG3011C", 60e-9), (AFG, "AFG3252C", 20e-9), (AFG, "AFG31021", 20e-9),
    ],
)  # fmt: skip
def test_the_driver_conforms(family: Family, model: str, edge_s: float) -> None:
    @contextmanager
    def pulser() -> Iterator[Pulser]:
        with lab(family, model=model, edge_s=edge_s) as bench:
            assert isinstance(bench.pulser, Pulser)
            yield bench.pulser

    for pulse in (Pulse(1.5, 200e-9, 1e-6), Pulse(-1.5, 1e-3, 200e-9)):
        assert not check_pulser(pulser, pulse=pulse)


@FAMILIES
def test_channel_2_is_driven_and_channel_1_is_left_alone(family: Family) -> None:
    first, second = Terminal(), Terminal()
    outlet = Outlet(family.virtual(family.settings(), first, second))
    with serving([outlet]), open_session(outlet.resource, QUICK) as session:
        pulser = family.driver(session, channel=2, pause=lambda _: None)
        pulser.attach()
        pulser.burst(DOWN, 3)
    assert (first.pulses, [count for _, count in second.pulses]) == ([], [3])


@FAMILIES
def test_connecting_and_identifying_output_nothing(build: Build, family: Family) -> None:
    bench = build(family, serial="MY1")
    who = bench.pulser.identify()
    assert (who.model, who.serial, who.language) == (family.settings().model, "MY1", "SCPI")
    assert bench.channel.times_on == 0


@FAMILIES
def test_the_same_burst_again_costs_least_and_another_count_one_more(build: Build, family: Family) -> None:
    bench = build(family)
    bench.pulser.burst(UP, 5)
    before = bench.pulser.transactions
    bench.pulser.burst(UP, 5)
    assert bench.pulser.transactions == before + family.transactions
    bench.pulser.burst(UP, 6)
    assert bench.pulser.transactions == before + 2 * family.transactions + 1
    assert bench.channel.times_on == 1


@FAMILIES
def test_small_numbers_keep_their_digits(build: Build, family: Family) -> None:
    bench = build(family)
    bench.pulser.burst(Pulse(0.1234567, 1.234567e-7, 1e-6), 1)
    values = bench.channel.values
    assert values["width"] == 1.234567e-7
    assert values["period"] == 1.123457e-6
    assert values["high"] == 0.1234567
    assert values["low"] == 0


@FAMILIES
def test_more_pulses_than_one_burst_has_come_in_several(build: Build, family: Family) -> None:
    bench = build(family)
    most = bench.pulser.cycles
    bench.pulser.burst(UP, 2 * most + 3)
    assert [count for _, count in bench.terminal.pulses] == [most, most, 3]


@pytest.mark.parametrize("family", [KS81150, AFG], ids=repr)
def test_the_host_waits_until_the_burst_is_over_where_the_instrument_cannot_tell(
    build: Build, family: Family
) -> None:
    bench = build(family)
    bench.pulser.burst(UP, 500_000)
    assert sum(bench.waited) > 500_000 * 2e-6


def test_both_polarities_move_the_device_behind_the_closed_crosspoint() -> None:
    wiring = {"main": Lines(np.arange(3), np.arange(3, 5))}
    grid = DeviceGrid(SimBench(SimSettings(), {"main": (3, 2)}, seed=1), wiring, ground=2)
    grid.switch({(0, 2), (2, 4)})
    outlet = Outlet(KS33500.virtual(KS33500.settings(), grid.terminal(0), grid.terminal(1)))
    with serving([outlet]), open_session(outlet.resource, QUICK) as session:
        pulser = Keysight33500(session, pause=lambda _: None)
        pulser.attach()
        device = grid.bench.arrays["main"].device
        start = grid.conductances("main").copy()
        pulser.burst(replace(device.potentiate, gap_s=1e-6), 20)
        risen = grid.conductances("main").copy()
        pulser.burst(replace(device.depress, gap_s=1e-6), 10)
    assert grid.pulses["main"].tolist() == [[0, 0], [0, 0], [0, 30]]
    assert start[2, 1] < risen[2, 1]
    assert grid.conductances("main")[2, 1] < risen[2, 1]
    assert not any(grid.volts.values())


@FAMILIES
def test_what_the_model_cannot_do_is_refused_before_anything_is_sent(build: Build, family: Family) -> None:
    bench = build(family)
    before = bench.pulser.transactions
    for pulse, count in (
        (UP, 0), (UP, -3), (Pulse(-21.0, 1e-6, 1e-6), 1), (Pulse(1e-4, 1e-6, 1e-6), 1), (Pulse(1.0, 1e-6), 1),
        (Pulse(1.0, 1e-9, 1e-6), 1), (Pulse(1.0, 25e-9, 1e-6), 1), (Pulse(1.0, 1e6, 1e6), 1),
    ):  # fmt: skip
        with pytest.raises(errors.LimitError, match=r"asked for .* takes"):
            bench.pulser.burst(pulse, count)
    assert bench.pulser.transactions == before
    assert bench.channel.times_on == 0


@FAMILIES
@pytest.mark.parametrize(
    ("name", "value"),
    [("width", 1.1e-6), ("period", 2.1e-6), ("high", 1.3), ("low", 0.01), ("polarity", "INV"), ("count", 6.0),
     ("function", "SQU"), ("source", "IMM"), ("load", 50.0)],
)  # fmt: skip
def test_a_setting_that_sticks_is_found_before_the_output_is_on(
    build: Build, family: Family, name: str, value: float | str
) -> None:
    bench = build(family, coerced={name: value})
    with pytest.raises(errors.SettingError, match="is wanted; the instrument holds") as caught:
        bench.pulser.burst(UP, 5)
    assert "no other was triggered" in caught.value.__notes__[-1]
    assert bench.channel.times_on == bench.channel.bursts == 0


@pytest.mark.parametrize(
    ("settings", "message", "match"),
    [
        ({"coerced": {"idle": "DC"}}, "*CLS", "IDLE START .* holds DC"),
        ({}, ":OUTP2 1", ":OUTP2 0 .* holds 1"),
    ],
)
def test_an_afg_that_rests_at_the_offset_or_would_trigger_its_other_output_is_not_switched_on(
    build: Build, settings: dict[str, Any], message: str, match: str
) -> None:
    bench = build(AFG, **settings)
    bench.virtual.receive(message.encode())
    with pytest.raises(errors.SettingError, match=match):
        bench.pulser.burst(UP, 5)
    assert bench.channel.times_on == 0


@FAMILIES
@pytest.mark.parametrize("change", [":OUTP1 OFF", "width", "*RST"])
def test_pulses_that_were_lost_or_wrong_are_an_error(build: Build, family: Family, change: str) -> None:
    """As by a key on the front panel, or by an old command of a closed connection."""
    bench = build(family)
    bench.pulser.burst(UP, 5)
    bench.virtual.receive((f"{family.width} 1.5e-6" if change == "width" else change).encode())
    with pytest.raises((errors.SettingError, errors.InstrumentError)) as caught:
        bench.pulser.burst(UP, 5)
    assert "0 of 5 pulses are known to have come; at most 5 more are in doubt" in caught.value.__notes__[-1]
    assert SAFE in caught.value.__notes__
    assert bench.channel.values["output"] == 0
    bench.pulser.burst(UP, 2)
    assert bench.terminal.pulses[-1][1] == 2


@FAMILIES
@pytest.mark.parametrize("where", ["width", ":OUTP1 1", "trigger"])
@pytest.mark.parametrize(("code", "times"), [(-221, 3), (-350, 1), (-113, 25)])
def test_errors_of_the_queue_surface_with_the_command_and_leave_the_output_off(
    build: Build, family: Family, where: str, code: int, times: int
) -> None:
    on = {"width": f"{family.width} 1", "trigger": family.trigger}.get(where, where)
    bench = build(family, errors=[InjectedError(on=on, code=code, message="it broke", times=times)])
    with pytest.raises(errors.InstrumentError, match="it broke") as caught:
        bench.pulser.burst(UP, 5)
    assert caught.value.code == code
    assert on in str(caught.value)
    assert ("-350" in str(caught.value)) == (code == -350 or times > 20)
    assert len(bench.virtual.errors) == 0
    assert bench.channel.values["output"] == 0
    assert ("at most 5" in caught.value.__notes__[-1]) == (where == "trigger")


@FAMILIES
def test_a_message_not_understood_is_an_instrument_error_no_time_out(build: Build, family: Family) -> None:
    bench = build(family, broken=f"{family.width} 1", transport=IMPATIENT)
    with pytest.raises(errors.InstrumentError, match=r"-102 .*Syntax error") as caught:
        bench.pulser.burst(UP, 5)
    assert isinstance(caught.value.__cause__, errors.TimeoutError_)
    assert bench.channel.times_on == 0


@pytest.mark.parametrize(
    ("family", "other", "model", "options", "message"),
    [
        (KS33500, AFG, "AFG31252", {}, "TEKTRONIX AFG31252 answers; a Keysight 33509B to 33522B or 33611A"),
        (KS81150, KS33500, "33522B", {}, "33522B answers; a Keysight 81150A or 81160A is needed"),
        (AFG, KS81150, "81150A", {}, "81150A answers; a Tektronix AFG3011C to AFG3252C or AFG31021"),
        (AFG, AFG, "AFG31252", {"serial": "C9"}, "serial number C010001 answers; the bench names C9"),
        (KS33500, KS33500, "33521B", {"channel": 2}, "33521B has no channel 2"),
    ],
)
def test_the_wrong_instrument_is_refused(
    family: Family, other: Family, model: str, options: dict[str, Any], message: str
) -> None:
    outlet = Outlet(other.virtual(other.settings(model=model), Terminal(), Terminal()))
    with serving([outlet]), open_session(outlet.resource, QUICK, role="pulser") as session:
        pulser = family.driver(session, **options)
        with pytest.raises(errors.IdentityError, match=message):
            pulser.attach()


CASES = [
    *((KS33500, kind) for kind in get_args(FaultKind) if kind != "separator"),
    *((family, kind) for family in (KS81150, AFG) for kind in ("late", "garbage", "disconnect-after")),
]


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_after_any_fault_in_a_burst_nothing_is_sent_again_and_the_doubt_is_told(
    build: Build, family: Family, kind: FaultKind
) -> None:
    fault = Fault(kind=kind, on=family.trigger, numbers=[2], delay=0.8)
    bench = build(family, fault, transport=IMPATIENT)
    bench.pulser.burst(UP, 4)
    if kind == "extra-line":  # the answer itself is whole; the line behind it is found by the next command
        bench.pulser.burst(UP, 5)
    with pytest.raises(errors.BenchError) as caught:
        bench.pulser.burst(UP, 5)
    assert isinstance(caught.value, errors.TimeoutError_ | errors.DesyncError | errors.DisconnectedError)
    notes = caught.value.__notes__
    assert SAFE in notes
    assert notes[-1].endswith("0 of 5 pulses are known to have come; at most 5 more are in doubt")
    # the burst goes on whatever becomes of the line: its pulses came, and no others
    assert bench.channel.pulses == (4 if kind == "disconnect-before" else 9)
    assert bench.channel.values["output"] == 0
    bench.pulser.burst(DOWN, 3)
    assert bench.terminal.pulses[-1][1] == 3
    assert sum(bench.waited) >= 5 * 2e-6  # a burst whose end was not seen is over before the output is on
    assert bench.terminal.rest == 0


def test_after_an_interrupt_in_the_set_up_all_is_set_up_anew(build: Build) -> None:
    bench = build(KS33500)
    bench.pulser.burst(UP, 4)

    def interrupt(_: float) -> None:
        if bench.channel.values["output"] and bench.channel.values["polarity"] == "INV":
            raise KeyboardInterrupt

    bench.pulser.pause = interrupt
    with pytest.raises(KeyboardInterrupt):
        bench.pulser.burst(DOWN, 4)
    bench.pulser.pause = bench.waited.append
    bench.pulser.burst(UP, 4)
    assert [round(pulse.amplitude_v, 3) for pulse, _ in bench.terminal.pulses] == [1.2, 1.2]


def test_make_safe_reports_what_it_could_not_verify_and_never_raises() -> None:
    outlet = Outlet(KS33500.virtual(KS33500.settings(), Terminal(), Terminal()))
    with serving([outlet]):
        session = open_session(outlet.resource, QUICK, role="pulser")
        pulser = Keysight33500(session)
        pulser.attach()
        assert pulser.make_safe() == pulser.make_safe() == ()
    problems = pulser.make_safe()
    assert "does not answer" in problems[0]
    session.close()
    assert pulser.make_safe()


def test_an_output_that_stays_on_is_reported_by_make_safe(build: Build) -> None:
    bench = build(KS33500, coerced={"output": 1.0})
    assert bench.pulser.make_safe() == ("pulser: after ':OUTP1 0;:ABOR' the output is 1",)
