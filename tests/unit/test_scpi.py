"""SCPI from both sides: the virtual instruments' parser, and what drivers make of answers."""

from __future__ import annotations

import pytest

from drivers.instruments.scpi import ScpiError, queued, split
from drivers.sim.virtual.errorqueue import ErrorQueue
from drivers.sim.virtual.scpi import ILLEGAL_VALUE, OUT_OF_RANGE, Call, RejectedError, ScpiParser


def conversation(*messages: str) -> list[str]:
    errors, volts = ErrorQueue(), dict[tuple[int, ...], float]()

    def level(call: Call) -> str | None:
        if call.query:
            return f"{volts.get(call.suffixes, 0):+.6E}"
        volts[call.suffixes] = call.number(MAX=10)
        if volts[call.suffixes] > 10:
            raise RejectedError(OUT_OF_RANGE)
        return None

    def shape(call: Call) -> str | None:
        return "SQU" if call.query else call.choice("SQUare", "PULSe") and None

    def error(_: Call) -> str:
        entry = errors.next()
        return f'{entry.code},"{entry.message}"' if entry else '+0,"No error"'

    known = {
        ":SOURce[1|2]:VOLTage[:LEVel][:IMMediate]": level,
        ":SOURce[1|2]:FUNCtion": shape,
        ":ABORt!": lambda _: None,
        ":SYSTem:ERRor[:NEXT]?": error,
        "*IDN?": lambda _: "A,B,C,D",
    }
    parser = ScpiParser(known, errors)
    return [parser.receive(message) for message in messages]


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ("*IDN?", "A,B,C,D"),
        (":SOUR:VOLT 1e-7;VOLT?", "+1.000000E-07"),
        (":SOUR:VOLT 1;*IDN?;VOLT?", "A,B,C,D;+1.000000E+00"),
        (":source2:voltage:level 3 V;:SOUR2:VOLT:LEV:IMM?;:SOUR1:VOLT?", "+3.000000E+00;+0.000000E+00"),
        ("sour:volt max;volt?", "+1.000000E+01"),
        (":SOUR:FUNC SQU;FUNC square;FUNC?", "SQU"),
        (":ABOR;:ABORT", ""),
        ("", ""),
    ],
)
def test_headers_are_understood_in_all_forms(message: str, answer: str) -> None:
    assert conversation(message, "SYST:ERR?") == [answer, '+0,"No error"']


@pytest.mark.parametrize(
    ("message", "answer", "code"),
    [
        (":SOUR3:VOLT 1;*IDN?", "", -113),
        (":SOU:VOLT 1", "", -113),
        (":SOUR:VOLT", "", -109),
        (":SOUR:VOLT abc", "", -104),
        (":ABOR?", "", -113),
        (":SYST:ERR", "", -113),
        (":SOUR:FUNC RAMP;*IDN?", "A,B,C,D", ILLEGAL_VALUE.code),
        (":SOUR:VOLT 11;*IDN?", "A,B,C,D", OUT_OF_RANGE.code),
    ],
)
def test_an_error_is_queued_once_and_a_command_error_ends_the_message(
    message: str, answer: str, code: int
) -> None:
    first, error, after = conversation(message, ":SYST:ERR?", ":SYST:ERR:NEXT?")
    assert (first, int(error.split(",")[0]), after) == (answer, code, '+0,"No error"')


def test_answers_are_split_outside_of_quotes() -> None:
    assert split('1;"a;b"; 2') == ["1", '"a;b"', "2"]
    with pytest.raises(ValueError, match="open quotation"):
        split('1;"a')


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ('0,"No error"', (0, "No error")),
        ('+0,"No error;0;0 0"', (0, "No error;0;0 0")),
        ('-113,"Undefined header; a, b"', (-113, "Undefined header; a, b")),
        ("0", (0, "")),
    ],
)
def test_entries_of_error_queues_are_read_in_all_spellings(reply: str, error: tuple[int, str]) -> None:
    assert queued(reply) == ScpiError(*error)


@pytest.mark.parametrize("reply", ["", "No error", '"0",x', "1.5,x"])
def test_what_is_no_entry_is_refused(reply: str) -> None:
    with pytest.raises(ValueError, match=r"number|quotation"):
        queued(reply)
