"""The virtual pulse generators answer as their manuals say, and the drivers ask in the manuals' words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from drivers.instruments.keysight_33500 import Keysight33500
from drivers.sim.virtual.keysight_33500 import Keysight33500 as Virtual33500
from drivers.sim.virtual.keysight_33500 import Virtual33500Settings
from drivers.sim.virtual.keysight_81150 import Keysight81150 as Virtual81150
from drivers.sim.virtual.keysight_81150 import Virtual81150Settings
from drivers.sim.virtual.scpi_pulser import VirtualPulser
from drivers.sim.virtual.tektronix_afg import TektronixAfg as VirtualAfg
from drivers.sim.virtual.tektronix_afg import VirtualAfgSettings
from drivers.transport.replay import replay
from hil.schedule import Pulse
from hil.wire import Message


@dataclass
class Scope:
    """What an oscilloscope at the output would show."""

    level: float = 0.0
    pulses: list[tuple[float, float, int]] = field(default_factory=list[tuple[float, float, int]])

    def drive(self, source: str, volts: float) -> None:
        self.level = round(volts, 6)

    def pulse(self, source: str, pulse: Pulse, count: int) -> None:
        self.pulses.append((round(pulse.amplitude_v, 3), pulse.width_s, count))


def ks33500(scope: Scope) -> VirtualPulser:
    return Virtual33500(Virtual33500Settings(), scope, Scope())


def ks81150(scope: Scope) -> VirtualPulser:
    return Virtual81150(Virtual81150Settings(), scope, Scope())


def afg(scope: Scope) -> VirtualPulser:
    return VirtualAfg(VirtualAfgSettings(), scope, Scope())


Make = Callable[[Scope], VirtualPulser]


def say(virtual: VirtualPulser, *messages: str) -> str:
    return "|".join(virtual.receive(each.encode()).decode().rstrip("\n") for each in messages)


@pytest.mark.parametrize(
    ("make", "message", "answer"),
    [
        (ks33500, "*IDN?", "Keysight Technologies,33522B,MY57800256,5.00"),
        (ks33500, ":OUTP1:LOAD?;:SYST:ERR?", '+5.000000000000000E+01;+0,"No error"'),
        (ks33500, "OUTPUT:LOAD INFINITY;LOAD?", "+9.9E+37"),
        (ks33500, "SOURCE1:BURST:NCYCLES 5;NCYC?;MODE?;STAT?", "+5.000000000000000E+00;TRIG;0"),
        (ks33500, "FUNC:PULS:WIDT MIN;WIDT?", "+1.600000000000000E-08"),
        (ks33500, "FUNC PULS;FUNC?;:TRIG2:SOUR BUS;SOUR?;:TRIG1:SOUR?", "PULS;BUS;IMM"),
        (ks33500, "*ESE 17;*ESE?;*OPC?", "17;1"),
        (ks81150, "*IDN?", "Agilent Technologies,81150A,MY57800256,5.00"),
        (ks81150, ":ARM:SOUR1 MAN;:ARM:SOUR1?;:ARM:SENS1?;:ARM:SOUR2?", "MAN;EDGE;IMM"),
        (ks81150, ":OUTP1:IMP:EXT 1000000OHM;:OUTP1:IMP:EXT?;:SYST:ERR?", '1.000000E+06;0,"No error"'),
        (ks81150, ":PULS:PER1 2E-6;:PULS:PER1?;:TRIG:COUN1 7;:TRIG:COUN1?", "2.000000E-06;7.000000E+00"),
        (afg, "*IDN?", "TEKTRONIX,AFG31252,C010001,SCPI:99.0 FV:1.6.1"),
        (afg, "SOUR1:BURS:IDLE START;IDLE?;:OUTP1:IMP INF;IMP?", "STAR;9.900000000E+37"),
        (afg, "TRIG:SOUR EXT;SOUR?;:SYST:ERR?", 'EXT;0,"No error"'),
    ],
)  # fmt: skip
def test_a_message_is_answered_as_the_manual_says(make: Make, message: str, answer: str) -> None:
    assert say(make(Scope()), message) == answer


@pytest.mark.parametrize(
    ("make", "message", "code"),
    [
        (ks33500, "SOUR1:PULS:WIDT 1E-6", -113),
        (ks33500, "SOUR1:BURS:NCYC 100000001", -222),
        (ks33500, "OUTP1:LOAD INF;:VOLT:HIGH 10.5", -222),
        (ks33500, "VOLT:HIGH 6", -222),
        (ks33500, "VOLT:LOW 1", -221),
        (ks33500, "FUNC PULS;FUNC:PULS:PER 50E-6", -221),
        (ks33500, "FUNC PULS;FUNC:PULS:WIDT 0.999999999E-3", -221),
        (ks33500, "FUNC PULS;FUNC:PULS:WIDT 1E-7;TRAN:LEAD 9E-8", -221),
        (ks33500, "FUNC:PULS:TRAN:LEAD 2E-6", -222),
        (ks33500, "OUTP1:POL SIDEWAYS", -224),
        (ks33500, "TRIG:SOUR MAN", -224),
        (ks33500, "TRIG1", -211),
        (ks33500, "SOUR3:FUNC PULS", -113),
        (ks81150, ":SOUR1:BURS:STAT 1", -113),
        (ks81150, ":ABOR", -113),
        (ks81150, ":TRIG:COUN1 1000001", -222),
        (ks81150, ":TRIG1", -211),
        (ks81150, ":VOLT1:HIGH 15", -222),
        (afg, "TRIG:SOUR BUS", -224),
        (afg, "SOUR1:BURS:NCYC 1000001", -222),
        (afg, "*TRG", -211),
    ],
)
def test_what_is_wrong_is_in_the_error_queue_once(make: Make, message: str, code: int) -> None:
    _, first, second = say(make(Scope()), message, "SYST:ERR?", "SYST:ERR?").split("|")
    assert first.startswith(f"{code},")
    assert second.endswith('0,"No error"')


def test_a_single_channel_model_has_no_channel_2_and_an_afg3000c_no_idle_level() -> None:
    single = Virtual33500(Virtual33500Settings(model="33521B"), Scope())
    assert say(single, "OUTP2 ON;:OUTP1?", "SYST:ERR?") == '|-114,"Header suffix out of range"'
    older = VirtualAfg(VirtualAfgSettings(model="AFG3022C"), Scope(), Scope())
    assert say(older, "SOUR1:BURS:IDLE END", "SYST:ERR?") == '|-113,"Undefined header"'


PULSE = {
    ks33500: "OUTP1:LOAD INF;:FUNC:PULS:WIDT 1E-6;PER 2E-6;:FUNC PULS;:TRIG1:SOUR BUS;:BURS:STAT 1;NCYC 3",
    ks81150: ":OUTP1:IMP:EXT 1E6;:PULS:WIDT1 1E-6;PER1 2E-6;:FUNC1 PULS;:ARM:SOUR1 MAN;:TRIG:COUN1 3",
    afg: "OUTP1:IMP INF;:PULS:WIDT 1E-6;PER 2E-6;:FUNC PULS;:TRIG:SOUR EXT;:BURS:STAT 1;NCYC 3",
}
MAKERS = pytest.mark.parametrize("make", list(PULSE), ids=lambda make: make.__name__)


@MAKERS
@pytest.mark.parametrize(
    ("levels", "polarity", "rest", "pulses"),
    [
        ("HIGH 1;LOW 0", "NORM", 0.0, [(1.0, 1e-6, 3)]),
        ("LOW -1;HIGH 0", "INV", 0.0, [(-1.0, 1e-6, 3)]),
        ("LOW -1;HIGH 0", "NORM", -1.0, []),
        ("HIGH 1;LOW 0", "INV", 1.0, []),
    ],
)
def test_a_pulse_rests_at_its_low_level_and_inverted_at_its_high_one(
    make: Make, levels: str, polarity: str, rest: float, pulses: list[tuple[float, float, int]]
) -> None:
    scope = Scope()
    virtual, volt = make(scope), ":VOLT1:" if make is ks81150 else ":VOLT:"
    set_up = f"{PULSE[make]};{volt}{levels};:OUTP1:POL {polarity};:OUTP1 ON;:SYST:ERR?"
    assert say(virtual, set_up).endswith('0,"No error"')
    np.testing.assert_allclose(scope.level, rest, atol=1e-3)
    say(virtual, "*TRG")
    assert scope.pulses == pulses


@MAKERS
def test_an_output_that_is_off_loses_its_pulses_and_the_count_of_the_lost_is_known(make: Make) -> None:
    scope = Scope()
    virtual = make(scope)
    say(virtual, PULSE[make], "*TRG", ":OUTP1 ON", "*TRG", ":OUTP1 OFF", "*TRG")
    channel = virtual.channels[0]
    assert (channel.pulses, channel.lost, channel.bursts, channel.times_on) == (3, 6, 3, 1)
    assert scope.level == 0


@MAKERS
def test_without_a_trigger_to_wait_for_pulses_come_as_soon_as_the_output_is_on(make: Make) -> None:
    scope = Scope()
    virtual = make(scope)
    loose = "TRIG:SOUR TIM" if make is afg else ":ARM:SOUR1 IMM" if make is ks81150 else "TRIG1:SOUR IMM"
    volt = ":VOLT1:" if make is ks81150 else ":VOLT:"
    say(virtual, f"{PULSE[make]};{volt}HIGH 1;LOW 0;:{loose.lstrip(':')};:OUTP1 ON")
    assert scope.level == pytest.approx(1.0, rel=1e-3)


def test_a_load_of_50_ohms_that_is_not_there_doubles_what_comes_out() -> None:
    scope = Scope()
    virtual = ks33500(scope)
    say(virtual, PULSE[ks33500], "OUTP1:LOAD 50;:VOLT:HIGH 1;LOW 0;:OUTP1 ON", "TRIG1")
    assert scope.pulses == [(2.0, 1e-6, 3)]
    assert say(virtual, "OUTP1:LOAD INF;:VOLT:HIGH?") == "+2.000000000000000E+00"


def test_trig1_is_for_its_channel_alone_and_trg_for_both() -> None:
    first, second = Scope(), Scope()
    virtual = Virtual33500(Virtual33500Settings(), first, second)
    say(virtual, PULSE[ks33500], PULSE[ks33500].replace("OUTP1", "OUTP2").replace("TRIG1", "TRIG2")
        .replace(":FUNC", ":SOUR2:FUNC").replace(":BURS", ":SOUR2:BURS"), "OUTP1 ON;:OUTP2 ON")  # fmt: skip
    say(virtual, "TRIG1")
    assert (len(first.pulses), len(second.pulses)) == (1, 0)
    say(virtual, "*TRG")
    assert (len(first.pulses), len(second.pulses)) == (2, 1)


HELD = (
    ":TRIG1:SOUR?;:OUTP1:LOAD?;:SOUR1:FUNC:PULS:HOLD?;:SOUR1:FUNC:PULS:PER?;:SOUR1:FUNC?;"
    ":SOUR1:FUNC:PULS:WIDT?;:SOUR1:FUNC:PULS:TRAN:LEAD?;:SOUR1:FUNC:PULS:TRAN:TRA?;:SOUR1:VOLT:LOW?;"
    ":SOUR1:VOLT:HIGH?;:OUTP1:POL?;:SOUR1:BURS:MODE?;:SOUR1:BURS:PHAS?;:SOUR1:BURS:STAT?;:SOUR1:BURS:NCYC?;"
    ":SYST:ERR?"
)
VALUES = (
    "BUS;+9.9E+37;WIDT;+1.123500000000000E-06;PULS;+1.234567000000000E-07;+2.000000000000000E-08;"
    "+2.000000000000000E-08;-1.235000000000000E-01;+0.000000000000000E+00;INV;TRIG;+0.000000000000000E+00;1;"
    '+7.000000000000000E+00;+0,"No error"'
)
PAIRS = [
    (
        ":OUTP1 0;:TRIG1:SOUR BUS;:OUTP1:LOAD INF;:SOUR1:FUNC:PULS:HOLD WIDT;:SOUR1:FUNC:PULS:TRAN:LEAD MIN;"
        ":SOUR1:FUNC:PULS:TRAN:TRA MIN;:SOUR1:FUNC:PULS:WIDT MIN;:SOUR1:FUNC:PULS:PER 1.123457e-06;"
        ":SOUR1:FUNC PULS;:SOUR1:FUNC:PULS:WIDT 1.234567e-07;:SOUR1:FUNC:PULS:TRAN:LEAD 2.000000e-08;"
        ":SOUR1:FUNC:PULS:TRAN:TRA 2.000000e-08;:SOUR1:VOLT:OFFS 0.000000e+00;:SOUR1:VOLT:LOW -1.234567e-01;"
        ":SOUR1:VOLT:HIGH 0.000000e+00;:OUTP1:POL INV;:SOUR1:BURS:MODE TRIG;:SOUR1:BURS:PHAS 0.000000e+00;"
        f":SOUR1:BURS:STAT 1;:SOUR1:BURS:NCYC 7;*OPC?;:OUTP1?;{HELD}",
        f"1;0;{VALUES}",
    ),
    (f":OUTP1 1;*OPC?;:OUTP1?;{HELD}", f"1;1;{VALUES}"),
    (f":TRIG1;*OPC?;:OUTP1?;{HELD}", f"1;1;{VALUES}"),
]


def test_the_exchanges_of_a_burst_keep_the_digits_and_take_what_the_instrument_rounded() -> None:
    messages = [Message(0.0, "pulser", "event", b"opened TCPIP q", 0.0)]
    for sent, answered in PAIRS:
        messages.append(Message(0.0, "pulser", "sent", sent.encode() + b"\n", 0.0))
        messages.append(Message(0.0, "pulser", "received", answered.encode() + b"\n", 0.0))
    waited: list[float] = []
    with replay(messages, "pulser") as session:
        Keysight33500(session, pause=waited.append).burst(Pulse(-0.1234567, 1.234567e-7, 1e-6), 7)
    assert session.transactions == len(PAIRS)
    assert waited == [0.0, 0.05]
