"""The virtual SCPI source-measure units answer as their manuals say: messages and their answers, errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.sim.virtual.keithley_2400 import Keithley2400, Virtual2400Settings
from drivers.sim.virtual.keithley_2450 import Keithley2450, Virtual2450Settings
from drivers.sim.virtual.keysight_b2900 import KeysightB2900, VirtualB2900Settings
from drivers.sim.virtual.scpi_smu import VirtualScpiSmu


class Resistor:
    """1 MOhm."""

    def __init__(self) -> None:
        self.volts = 0.0

    def drive(self, source: str, volts: float) -> None:
        self.volts = volts

    def current(self, volts: float, integration_s: float) -> float:
        return volts / 1e6


MAKE: dict[str, Callable[[object], VirtualScpiSmu]] = {
    "2400": lambda given: Keithley2400(Virtual2400Settings.model_validate(given), Resistor()),
    "2450": lambda given: Keithley2450(Virtual2450Settings.model_validate(given), Resistor()),
    "b2900": lambda given: KeysightB2900(VirtualB2900Settings.model_validate(given), Resistor(), Resistor()),
}


def say(name: str, messages: str, **given: object) -> str:
    """Messages are lines; their answers are joined by "|"."""
    virtual = MAKE[name](given)
    return "|".join(virtual.receive(each.encode()).decode().rstrip("\n") for each in messages.split("\n"))


RUN_2400 = (
    ":SOUR:VOLT:MODE LIST;:SOUR:LIST:VOLT 0.1,-0.2;:TRIG:COUN 2;:OUTP ON;:SENS:FUNC 'VOLT','CURR';"
    ":FORM:ELEM STAT,CURR,VOLT;:READ?"
)
SWEEP_2450 = (
    ':SOUR:VOLT:RANG 2;:SOUR:LIST:VOLT 0.1,-0.2;:SOUR:SWE:VOLT:LIST 1,0,1,OFF,"defbuffer1";:INIT;*WAI'
)
RUN_B2900 = (
    ':SOUR1:VOLT:MODE LIST;:SOUR1:LIST:VOLT 0.1,-0.2;:TRIG1:COUN 2;:SENS1:FUNC "VOLT","CURR";'
    ":FORM:ELEM:SENS VOLT,CURR,STAT;:READ:ARR? (@1)"
)


@pytest.mark.parametrize(
    ("name", "messages", "answer"),
    [
        ("2400", "*IDN?", "KEITHLEY INSTRUMENTS INC.,MODEL 2400,4000001,C33 Mar 31 2015 09:32:39/A02 /J/K"),
        ("2400", "*ESE 77;*ESE?;:SYST:ERR?", '77;0,"No error"'),
        ("2400", ":sense:current:protection:level 1e-6;:SENS:CURR:PROT?", "+1.000000E-06"),
        ("2400", ":SENS:CURR:RANG 3e-6;:SENS:CURR:RANG?", "+1.000000E-05"),
        ("2400", ":SOUR:VOLT:RANG 20.5;:SOUR:VOLT:RANG?", "+2.000000E+01"),
        ("2400", ":FORM:ELEM?;:SENS:FUNC?", 'VOLT,CURR,RES,TIME,STAT;"CURR:DC"'),
        ("2400", ":SOUR:DEL 1.2345678e-3;:SOUR:DEL?", "0.00123"),
        ("2400", ":OUTP ON;:FORM:ELEM CURR,VOLT;:SOUR:VOLT 1;:READ?", "+1.000000E+00,+1.000000E-06"),
        ("2400", ":OUTP ON;:READ?", "+0.000000E+00,+0.000000E+00,+9.910000E+37,+2.100000E-02,+2.048400E+04"),
        (
            "2400",
            RUN_2400,
            "+1.000000E-01,+1.000000E-07,+2.253200E+04,-2.000000E-01,-2.000000E-07,+2.253200E+04",
        ),
        ("2450", "*IDN?;*LANG?", "KEITHLEY INSTRUMENTS,MODEL 2450,4000001,1.7.12b;SCPI"),
        ("2450", ":SYST:ERR?", '0,"No error;0;0 0"'),
        ("2450", ':SENS:FUNC "CURR";:SENS:FUNC?', '"CURR:DC"'),
        ("2450", SWEEP_2450 + ";:OUTP?;:TRAC:ACT?", "0;2"),
        ("2450", SWEEP_2450 + ";:TRAC:DATA? 1,2,\"defbuffer1\"", "1.000000E-07, -2.000000E-07"),
        ("2450", SWEEP_2450 + ';:TRAC:DATA? 2,2,"defbuffer1",SOUR,SOURSTAT,STAT', "-2.000000E-01, 136, 0"),
        ("b2900", "*IDN?", "Keysight Technologies,B2912A,MY51140001,3.4.1911.5910"),
        ("b2900", ":SYST:ERR?;:STAT:QUES:COND?", '+0,"No error";+0'),
        ("b2900", ":SENS2:CURR:APER 1e-9;:SENS2:CURR:APER?", "+8.000000E-06"),
        ("b2900", ":VOLT 1;:SOUR1:VOLT?;:SOUR2:VOLT?", "+1.000000E+00;+0.000000E+00"),
        (
            "b2900",
            RUN_B2900,
            "+1.000000E-01,+1.000000E-07,+0.000000E+00,-2.000000E-01,-2.000000E-07,+0.000000E+00",
        ),
        (
            "b2900",
            ':SENS1:FUNC "CURR";:FORM:ELEM:SENS CURR;:TRIG1:COUN 2;:READ:ARR? (@1,2)',
            "+0.000000E+00,+9.910000E+37,+0.000000E+00,+9.910000E+37",
        ),
    ],
)  # fmt: skip
def test_a_message_is_answered_as_the_manual_says(name: str, messages: str, answer: str) -> None:
    assert say(name, messages) == answer
    assert say(name, f"{messages}\n:SYST:ERR?").split("|")[-1].lstrip("+").startswith('0,"No error')


@pytest.mark.parametrize(
    ("name", "message", "code"),
    [
        ("2400", "*LANG?", -113),
        ("2400", ":SOUR2:VOLT 1", -113),
        ("2400", ":SOUR:VOLT 211", -222),
        ("2400", ":SOUR:VOLT:RANG 2;:SOUR:VOLT 3", -222),
        ("2400", ":SOUR:VOLT:MODE LIST;:SOUR:VOLT 1", -221),
        ("2400", ":SOUR:LIST:VOLT " + ",".join(["0"] * 101), -223),
        ("2400", ":SENS:CURR:NPLC 11", -222),
        ("2400", ":TRIG:COUN 2501", -222),
        ("2400", ":ARM:COUN 2;:TRIG:COUN 1300", -221),
        ("2400", ":READ?", 803),
        ("2400", ":SENS:CURR:RANG 1e-4;:SENS:CURR:PROT 0.9e-7", 822),
        ("2400", ":SENS:CURR:PROT 1e-6;:SENS:CURR:RANG 1e-3", 824),
        ("2400", ":SOUR:VOLT:RANG 200;:SENS:CURR:PROT 1", 826),
        ("2400", ":SENS:CURR:PROT 1;:SOUR:VOLT:RANG 200", -221),
        ("2400", ":FORM:ELEM OHMS", -224),
        ("2450", ":SOUR:LIST:VOLT " + ",".join(["0"] * 101), -223),
        ("2450", ":SOUR:SWE:VOLT:LIST 1", -222),
        ("2450", ":SOUR:LIST:VOLT 0,0;:SOUR:SWE:VOLT:LIST 1,1e-5", -222),
        ("2450", ':SOUR:LIST:VOLT 0,0;:SOUR:SWE:VOLT:LIST 1,0,1,OFF,"mine"', -224),
        ("2450", ":INIT", -221),
        ("2450", ':TRAC:DATA? 1,1,"defbuffer1",READ', -222),
        ("2450", SWEEP_2450 + ';:TRAC:DATA? 1,2,"defbuffer1",OHMS', -224),
        ("2450", ":SOUR:VOLT:ILIM 0.9e-9", -222),
        ("2450", ":SENS:CURR:RANG 1;:SOUR:VOLT:ILIM 0.9e-3", -221),
        ("2450", ":SENS:CURR:PROT 1e-3", -113),
        ("b2900", ":READ:ARR? (@3)", -104),
        ("b2900", ":SENS:CURR:PROT 1e-3;:SOUR:VOLT:RANG 200;:SENS:CURR:PROT 1", -221),
        ("b2900", ":SOUR3:VOLT 1", -113),
        ("b2900", ":TRIG1:COUN 100001", -222),
        ("b2900", ":SENS1:FUNC \"OHMS\"", -224),
    ],
)  # fmt: skip
def test_what_is_wrong_is_in_the_error_queue_once(name: str, message: str, code: int) -> None:
    *_, first, second = say(name, f"{message}\n:SYST:ERR?\n:SYST:ERR?").split("|")
    assert int(first.split(",")[0]) == code
    assert int(second.split(",")[0]) == 0


def test_a_single_channel_model_has_no_second() -> None:
    assert say("b2900", ":SOUR2:VOLT 1\n:SYST:ERR?", model="B2911A").endswith(
        '|-114,"Header suffix out of range"'
    )
    assert ',"Header suffix' in say("b2900", ":READ:ARR? (@1:2)\n:SYST:ERR?", model="B2901B")


@pytest.mark.parametrize(("name", "size"), [("2400", 10), ("2450", 50), ("b2900", 50)])
def test_the_error_queue_overflows_into_minus_350(name: str, size: int) -> None:
    lines = "\n".join(["?"] * (size + 5) + [":SYST:ERR?"] * (size + 1))
    *answers, last, end = say(name, lines).split("|")
    assert [int(each.split(",")[0]) for each in answers if each] == [-113] * (size - 1)
    assert last.startswith("-350,")
    assert int(end.split(",")[0]) == 0


@pytest.mark.parametrize(
    ("name", "prepare", "run", "bits"),
    [
        (
            "2400",
            ":SENS:CURR:PROT 1e-6;:OUTP 1;:SOUR:VOLT 2;:FORM:ELEM STAT;:SENS:FUNC 'CURR'",
            ":READ?",
            1 << 3,
        ),
        (
            "2400",
            ":SENS:CURR:PROT 1e-4;:SENS:CURR:RANG 1e-6;:OUTP 1;:SOUR:VOLT 2;:FORM:ELEM STAT",
            ":READ?",
            1 << 16,
        ),
        ("2450", ":SOUR:VOLT:RANG 2;:SOUR:VOLT:ILIM 1e-6;:SOUR:LIST:VOLT 2;:SOUR:SWE:VOLT:LIST 1;:INIT",
         ':TRAC:DATA? 1,1,"defbuffer1",SOURSTAT', 1 << 5),
        ("b2900", ":SENS1:CURR:RANG 1e-6;:SENS1:CURR:PROT 1e-6;:SOUR1:VOLT 2;:FORM:ELEM:SENS STAT",
         ":READ:ARR? (@1)", 1 << 1),
    ],
)  # fmt: skip
def test_the_status_word_says_that_the_source_was_limited(
    name: str, prepare: str, run: str, bits: int
) -> None:
    limited = 1 << 3 | 1 << 16 if name == "2400" else bits
    assert int(float(say(name, f"{prepare}\n{run}").split("|")[-1])) & limited == bits


def test_a_resistor_is_at_the_level_while_the_output_is_on_and_at_0_volts_otherwise() -> None:
    load = Resistor()
    smu = Keithley2400(Virtual2400Settings(), load)
    seen: list[float] = []
    for message in (":SOUR:VOLT 1", ":OUTP ON", ":SOUR:VOLT 2", ":OUTP OFF", ":OUTP ON", "*RST", ":OUTP ON"):
        smu.receive(message.encode())
        seen.append(load.volts)
    assert seen == [0, 1, 2, 0, 2, 0, 0]


def test_the_2450_sweep_leaves_the_output_off_and_the_b2900_switches_on_by_itself_unless_told() -> None:
    assert say("2450", f":OUTP ON\n{SWEEP_2450}\n:OUTP?;:SOUR:VOLT?") == "||0;-2.000000E-01"
    assert say("b2900", ":READ:ARR? (@1);:OUTP1?").endswith(";1")
    assert say("b2900", ":OUTP1:ON:AUTO 0;:READ:ARR? (@1);:OUTP1?").endswith(";0")
