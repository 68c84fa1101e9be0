"""The virtual B1500A answers as its guide says (B1500-90010), and the drivers ask in the guide's words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from drivers.instruments.flex import Learnt, datum, learnt, mainframe
from drivers.instruments.keysight_b1500 import KeysightB1500Smu
from drivers.instruments.keysight_spgu import KeysightB1500Spgu
from drivers.sim.virtual.keysight_b1500 import KeysightB1500, VirtualB1500Settings
from drivers.transport.replay import replay
from drivers.transport.session import Session
from drivers.transport.settings import TransportSettings
from hil.instruments import Sourcing
from hil.schedule import Pulse
from hil.wire import Message

GOOD = '+0,"No Error."'


class Resistor:
    def drive(self, source: str, volts: float) -> None: ...

    def current(self, volts: float, integration_s: float) -> float:
        return volts / 1e6

    def pulse(self, source: str, pulse: Pulse, count: int) -> None: ...


def say(lines: str, **settings: Any) -> str:
    virtual = KeysightB1500(VirtualB1500Settings.model_validate(settings), *[Resistor()] * 502)
    answers = (virtual.receive(line.encode()).decode() for line in lines.split("\n"))
    return "|".join(answer.removesuffix("\r\n").replace("\r\n", "/") for answer in answers)


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ("*IDN?", "Agilent Technologies,B1500A,0,A.06.01.2018.1025"),
        ("UNT?", "B1517A,0;B1511B,0;0,0;0,0;B1525A,0;0,0;0,0;0,0;0,0;0,0"),
        ("ERRX?", GOOD),
        ("*SRE 37;*SRE?", "37"),
        ("UNT?;ERRX?", GOOD),  # only the last query is answered
        ("*LRN? 0\nCN 1,501\n*LRN? 0\nCL\n*LRN? 0", "CL||CN1,501||CL"),
        ("*LRN? 1\nCN 1\n*LRN? 1", "CL1||DV1,200,+0.0000E+00,+1.000000E-04"),
        ("CN 1;DV 1,12,0.5,1E-3\n*LRN? 1", "|DV1,12,+5.0000E-01,+1.000000E-03"),
        ("FMT 11,0;CN 1;DV 1,20,0.5;TI 1,-14;TV 1,20", "NAI+5.000000E-07/NAV+5.000000E-01"),
        ("FMT 1;CN 1;DV 1,20,0.5;TI 1,0", "NAI+5.00000E-07"),
        ("FMT 11;CN 2;DV 2,200,5,1E-6;TI 2,-14;TV 2", "CBI+1.000000E-06/CBV+1.000000E+00"),
        ("FMT 11;CN 1;DV 1,20,2;TI 1,-12", "VAI+199.999E+99"),
        ("CN 1;DV 1,20,1;DZ 1\n*LRN? 1", "|DV1,20,+0.0000E+00,+1.000000E-04"),
        ("AIT 0,3,2E-3\n*LRN? 56", "|AIT0,3,2.000000E-03;AIT1,0,6.000000E+00;AZ0"),
        ("spper 1e-6;spper?", "1.000000E-06"),
        ("SPRM 1,25;SPRM?", "1,25"),
        ("SPT 501,1,0,1E-7,2E-8;SPT? 501,1", "0.000000E+00,1.000000E-07,2.000000E-08,2.000000E-08"),
        ("SPV 501,1,0,-1.5;SPV? 501,1", "0.000000E+00,-1.500000E+00"),
        ("SRP\nSPST?\nSPST?", "|1|0"),
    ],
)
def test_a_line_is_answered_as_the_guide_says(lines: str, answer: str) -> None:
    assert say(lines, polls=1) == answer


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("NONSENSE", 100),
        ("FMT 99", 120),
        ("DV 1,x,0", 102),
        ("DV 1", 200),
        ("CN 1;DV 1", 102),
        ("CN 3", 121),
        ("TI 1,0", 200),
        ("CN 1;DV 1,200,101", 120),
        ("CN 1;DV 1,200,1,0.2", 126),
        ("CN 1;DV 1,400,1,0.06", 126),
        ("AIT 1,3,1E-3", 120),
        ("AIT 0,3,1", 120),
        ("SPRM 1,2000000", 120),
        ("SPV 501,1,0,41", 120),
        ("SPM 503,1", 121),
        ("CN 501;SPPER 1E-7;SPT 501,1,0,9E-8,2E-8;SRP", 2103),
    ],
)
def test_what_is_wrong_is_in_the_error_queue_once(line: str, code: int) -> None:
    _, first, second = say(f"{line}\nERRX?\nERRX?").split("|")
    assert first.startswith(f"+{code},")
    assert second == GOOD


def test_beyond_42_volts_the_interlock_must_be_closed() -> None:
    assert "Interlock" in say("CN 1;DV 1,400,43,1E-3\nERRX?", interlock_open=True)
    assert say("CN 1;DV 1,400,43,1E-3;ERRX?") == GOOD


def test_the_error_queue_holds_thirty_and_a_line_256_characters() -> None:
    assert say("\n".join(["X"] * 40) + "\nERRX?" * 31).endswith(f'+100,"Undefined GPIB command."|{GOOD}')
    assert say("CN 1;" * 60 + "\nERRX?").startswith("|+101,")


def test_a_load_that_was_not_told_gets_another_level() -> None:
    heights: list[float] = []

    class Noting(Resistor):
        def pulse(self, source: str, pulse: Pulse, count: int) -> None:
            heights.append(pulse.amplitude_v)

    virtual = KeysightB1500(VirtualB1500Settings(), *[Noting()] * 501)
    for load in (50, 1e6):
        virtual.receive(f"CN 501;SPM 501,1;SER 501,{load};SPV 501,1,0,1;SRP".encode())
    assert heights == pytest.approx([2.0, 1.0], rel=1e-4)


def test_what_is_no_datum_and_no_setting_is_refused() -> None:
    assert datum("CCI-1.000000E-06")[:3] == ("C", "C", "I")
    assert datum("NAV+199.999E+99").value.bound
    assert learnt("CL1") == [Learnt("CL", [1])]
    assert learnt("CN1,501;AIT0,3,+2.0E-3")[1] == Learnt("AIT", [0, 3, 2e-3])
    for text in ("", "NAI", "NAI+1.0", "+1.000000E-06", "NAI+1.000000E-06,NAV+1.000000E-06"):
        with pytest.raises(ValueError, match="is no measured value"):
            datum(text)
    for text in ("", "1,2", "CL1;;CN1", "CN1,two"):
        with pytest.raises(ValueError, match="is no "):
            learnt(text)


IDENTITY = [
    ("*IDN?", "Agilent Technologies,B1500A,0,A.05.10"),
    ("UNT?", "B1517A,0;0,0;B1525A,1;0,0;0,0;0,0;0,0;0,0;0,0;0,0"),
]
SMU = [
    (
        "FMT 11,0;CM 0;AV 1;AIT 0,3,1.000000e-04;AAD 1,0;CL 1;CN 1;DV 1,5,0,1.234567e-07;ERRX?",
        '0,"No Error."',
    ),
    ("*LRN? 31", "TM1;AV1,0;CM0;FMT11,0;MM16,1"),
    ("*LRN? 55", "AAD1,0"),
    ("*LRN? 56", "AIT0,3,+1.0000E-04;AIT1,0,6;AZ0"),
    ("*LRN? 1", "DV1,5,+0.0000E+00,+1.234567E-07,0,14"),
    (
        "DV 1,5,1.234568e-01;PA 0.0001;TI 1,-14;TV 1,5;DV 1,5,0",
        "CAI+1.234570E-07\r\nNAV+1.234500E-01",
    ),
    ("ERRX?", '0,"No Error."'),
]
SPGU = [
    ("SPST?", "0"),
    (
        "CL 301;SIM 0;SPM 302,0;SPV 302,0,0;SPUPD 302;SPRM 1,3;SPPER 2.000000e-07;SPM 301,1;"
        "SPT 301,1,0,1.000000e-07,2.000000e-08,2.000000e-08;SER 301,1.000000e+06;"
        "SPV 301,1,0,-1.234567e+00;ERRX?",
        '0,"No Error."',
    ),
    ("SIM?", "0"),
    ("SPPER?", "2.000E-7"),
    ("SPM? 301", "1"),
    ("SPT? 301,1", "0.0,1E-7,2E-8,2E-8"),
    ("SER? 301", "1000000"),
    ("SPV? 301,1", "0,-1.234567"),
    ("SPRM?", "1,3"),
    ("CN 301;SPUPD 301;ERRX?", '0,"No Error."'),
    ("SRP;ERRX?", '0,"No Error."'),
    ("SPST?", "1"),
    ("SPST?", "0"),
    ("ERRX?", '0,"No Error."'),
]


def recorded(pairs: list[tuple[str, str]]) -> Session:
    messages = [Message(0.0, "b1500", "event", b"opened TCPIP q", 0.0)]
    for sent, answered in pairs:
        messages.append(Message(0.0, "b1500", "sent", sent.encode() + b"\n", 0.0))
        messages.append(Message(0.0, "b1500", "received", answered.encode() + b"\r\n", 0.0))
    return replay(messages, "b1500", TransportSettings(read_termination="crlf"))


def test_the_exchanges_of_the_smu_keep_the_digits_of_100_na() -> None:
    with recorded(IDENTITY + SMU) as session:
        smu = KeysightB1500Smu(session)
        smu.identify()
        readings = smu.measure(np.array([0.12345678]), Sourcing(1.234567e-7, 1e-4, settle_s=1e-7))
    assert readings.clipped.tolist() == [True]
    assert readings.amperes[0] == 1.23457e-7
    assert session.transactions == len(IDENTITY + SMU)


def test_the_exchanges_of_the_pulse_generator_keep_the_digits_of_100_ns() -> None:
    with recorded(IDENTITY + SPGU) as session:
        pulser = KeysightB1500Spgu(session, channel=301, pause=lambda _: None)
        pulser.identify()
        pulser.burst(Pulse(-1.234567, 1e-7, 1e-7), 3)
        assert mainframe(session).pulses == (301, Pulse(-1.234567, 1e-7, 1e-7), 3)
    assert session.transactions == len(IDENTITY + SPGU)
