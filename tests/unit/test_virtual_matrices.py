"""The virtual matrices answer as their manuals say, and the drivers ask in the manuals' words."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest

from drivers.instruments.keithley_700 import Keithley700
from drivers.instruments.keysight_b2200 import KeysightB2200
from drivers.instruments.matrix import RelayMatrix
from drivers.sim.virtual.keithley_700 import Keithley700 as Virtual700
from drivers.sim.virtual.keithley_700 import Virtual700Settings
from drivers.sim.virtual.keithley_3700 import Keithley3700 as Virtual3700
from drivers.sim.virtual.keithley_3700 import Virtual3700Settings
from drivers.sim.virtual.keysight_b2200 import KeysightB2200 as VirtualB2200
from drivers.sim.virtual.keysight_b2200 import VirtualB2200Settings
from drivers.transport.replay import replay
from hil.instruments import Crosspoint
from hil.wire import Message


class Relays:
    def switch(self, closed: Collection[tuple[int, int]]) -> None: ...


def said(instrument: Any, lines: str) -> list[str]:
    return [instrument.receive(line.encode()).decode().rstrip("\n") for line in lines.split("\n")]


def k707(lines: str, **settings: Any) -> str:
    return "|".join(said(Virtual700(Virtual700Settings.model_validate(settings), Relays()), lines))


def k3706(lines: str, **settings: Any) -> str:
    return "|".join(said(Virtual3700(Virtual3700Settings.model_validate(settings), Relays()), lines))


def b2200(lines: str, **settings: Any) -> str:
    return "|".join(said(VirtualB2200(VirtualB2200Settings.model_validate(settings), Relays()), lines))


Say = Callable[..., str]
CLOSED = 'print(channel.getclose("allslots"))'
NEXT = "print(errorqueue.next())"


@pytest.mark.parametrize(
    ("say", "line", "answer"),
    [
        (k707, "*IDN?", "KEITHLEY INSTRUMENTS INC.,MODEL 707B,4000001,01.50a"),
        (k707, "print(slot[1].idn)", "7174A,8x12 Low I Matrix,01.01a,1000001"),
        (k707, "print(slot[2].idn, slot[1].pseudocard)", "Empty Slot\tnil"),
        (k707, CLOSED, "nil"),
        (k707, 'channel.close("1B03:1B05") ' + CLOSED, "1B03;1B04;1B05"),
        (k707, "channel.close('1C03;1A12, 1A11') " + CLOSED, "1A11;1A12;1C03"),
        (k707, 'channel.close("1A01,1B02") channel.exclusiveclose("1B02,1C03") ' + CLOSED, "1B02;1C03"),
        (k707, 'channel.close("1A01") channel.exclusiveclose("") ' + CLOSED, "nil"),
        (k707, 'channel.close("1A01:1H12") print(channel.getclose("1A12,1B01,1H12"))', "1A12;1B01;1H12"),
        (k707, 'channel.close("1A01:1A03") channel.open("1A02") ' + CLOSED, "1A01;1A03"),
        (k707, 'channel.close("1A01") channel.open("allslots") ' + CLOSED, "nil"),
        (k707, "print(channel.connectrule, channel.MAKE_BEFORE_BREAK)", "1.00000e+00\t2.00000e+00"),
        (k707, 'channel.setforbidden("1A02,1A01") print(channel.getforbidden("slot1"))', "1A01;1A02"),
        (k707, 'channel.close("1A01") reset() ' + CLOSED, "nil"),
        (k3706, "print(slot[1].rows.matrix, slot[1].columns.matrix)", "6.00000e+00\t1.60000e+01"),
        (k3706, 'channel.close("1101,1616") ' + CLOSED, "1101;1616"),
        (b2200, "*IDN?", "AGILENT,B2200A,0,A.01.00"),
        (b2200, ":ROUT:CLOS (@10101,10202);:ROUT:OPEN? (@10101,10102,10201,10202)", "0,1,1,0"),
        (b2200, ":ROUT:CLOS:LIST (@10101:10103);:ROUT:CLOS:CARD? 1", "@10101,10102,10103"),
        (b2200, "ROUT:CLOS (@10101);OPEN:CARD ALL;:CLOS:CARD? 1", "@"),
        (b2200, ":ROUT:CONN:RULE ALL,FREE;SEQ ALL,BBM;RULE? 1;SEQ? 1", "FREE;BBM"),
        (b2200, ":ROUT:CONN:RULE 1,SROU;:ROUT:CLOS (@10101);:ROUT:CLOS (@10102);:CLOS:CARD? 1", "@10102"),
        (b2200, ":ROUT:BIAS 1,ON;:ROUT:BIAS? 1", "1"),
        (b2200, ":SYST:CTYP? 1;:SYST:CTYP? 2", "AGILENT,B2210A,0,0;NONE,NONE,0,0"),
        (b2200, "*ESE 37;*ESE?;*OPC?", "37;1"),
    ],
)
def test_a_line_is_answered_as_the_manual_says(say: Say, line: str, answer: str) -> None:
    assert say(line) == answer


@pytest.mark.parametrize(
    "line",
    [
        'channel.close("1A13")',
        'channel.close("2A01")',
        'channel.close("allslots")',
        'channel.close("")',
        'channel.open("nonsense")',
        "channel.exclusiveclose(5)",
        'channel.setforbidden("1B02") channel.exclusiveclose("1A01,1B02")',
        "channel.connectrule=7",
        'print(slot[7].idn) channel.close("1B02")',
        'slot[x] channel.close("1B02")',
        "channel.getclose(",
    ],
)
def test_what_a_707b_refuses_is_in_the_error_queue_and_moves_no_relay(line: str) -> None:
    *_, closed, first, second = k707(f"{line}\n{CLOSED}\n{NEXT}\n{NEXT}").split("|")
    assert closed == "nil"
    assert not first.startswith("0.00000e+00")
    assert second.startswith("0.00000e+00\tQueue Is Empty")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (":ROUT:CLOS (@11501)", -222),
        (":ROUT:CLOS (@20101)", -222),
        (":ROUT:CLOS 10101", -224),
        (":ROUT:CLOS", -109),
        (":ROUT:CLOS:CARD? 2", -222),
        (":ROUT:SHUT (@10101)", -113),
        (":ROUT:BIAS ALL,ON;:ROUT:CLOS (@11001)", -221),
        (":ROUT:CONN:RULE ALL,ANY", -224),
    ],
)
def test_what_a_b2200_refuses_is_in_the_error_queue_and_moves_no_relay(line: str, code: int) -> None:
    answers = b2200(f"{line}\n:ROUT:CLOS:CARD? 1\n:SYST:ERR?\n:SYST:ERR?").split("|")
    assert answers[1] == "@"
    assert answers[2].startswith(f"{code},")
    assert answers[3] == '+0,"No error"'


def test_the_e5250a_knows_no_ground_mode() -> None:
    assert b2200(":ROUT:AGND ALL,OFF\n:SYST:ERR?", model="E5250A", cards={1: "E5252A"}).startswith("|-113,")


ZERO = "0.00000000e+00"
PAIRS_707B = [
    ("*IDN?", "KEITHLEY INSTRUMENTS INC.,MODEL 708B,1234567,01.10a"),
    (
        'format.asciiprecision=9 print("q.1",slot[1].idn,localnode.prompts,errorqueue.count)',
        f"q.1\t7174A,8x12 Low I Matrix,01.01a,1234567\t{ZERO}\t{ZERO}",
    ),
    ('print("q.2",errorqueue.next())', f"q.2\t{ZERO}\tQueue Is Empty\t{ZERO}\t1.00000000e+00"),
    (
        'channel.open("allslots") channel.connectrule=1 channel.setforbidden("1H12") '
        'print("q.3",channel.connectrule,channel.getforbidden("allslots"),channel.getclose("allslots"),'
        "errorqueue.count)",
        f"q.3\t1.00000000e+00\t1H12\tnil\t{ZERO}",
    ),
    (
        'channel.connectrule=1 channel.exclusiveclose("1A05,1B12") '
        'print("q.4",channel.connectrule,channel.getclose("allslots"),errorqueue.count)',
        f"q.4\t1.00000000e+00\t1A05;1B12\t{ZERO}",
    ),
]
IDENTIFY_E5250A = [
    ("*IDN?", "HEWLETT-PACKARD,E5250A,0,A.03.00"),
    (
        ":SYST:CTYP? 1;:SYST:CTYP? 2;:SYST:CTYP? 3;:SYST:CTYP? 4;:ROUT:FUNC?",
        "HEWLETT-PACKARD,E5252A,0,0;NONE;NONE;NONE;NCON",
    ),
]
SWITCH_E5250A = [
    (
        ":ROUT:OPEN:CARD ALL;:ROUT:CONN:RULE ALL,FREE;:ROUT:BIAS ALL,OFF;:ROUT:COUP ALL,OFF;"
        ":ROUT:OPEN:CARD ALL;:ROUT:CONN:RULE? 1;:ROUT:BIAS? 1;:ROUT:COUP? 1;:ROUT:CLOS:CARD? 1;:SYST:ERR?",
        'FREE;0;0;@;+0,"No error"',
    ),
    (
        ":ROUT:CLOS (@10105,10212);*OPC?;:ROUT:CLOS:CARD? 1;:SYST:ERR?",
        '1;@10105,10212;+0,"No error"',
    ),
]


@pytest.mark.parametrize(
    ("driver", "pairs", "forbidden"),
    [(Keithley700, PAIRS_707B, [Crosspoint(7, 11)]), (KeysightB2200, IDENTIFY_E5250A + SWITCH_E5250A, [])],
)
def test_the_exchanges_of_the_driver(
    driver: type[RelayMatrix], pairs: list[tuple[str, str]], forbidden: list[Crosspoint]
) -> None:
    messages = [Message(0.0, "matrix", "event", b"opened TCPIP q", 0.0)]
    for sent, answered in pairs:
        messages.append(Message(0.0, "matrix", "sent", sent.encode() + b"\n", 0.0))
        messages.append(Message(0.0, "matrix", "received", answered.encode() + b"\n", 0.0))
    with replay(messages, "matrix") as session:
        matrix = driver(session, forbidden=forbidden)
        if driver is Keithley700:
            matrix.attach()
        else:  # its freshness is proved by a number of chance, which no record holds
            matrix.identify()
        matrix.connect([Crosspoint(0, 4), Crosspoint(1, 11)])
    assert session.transactions == len(pairs)
