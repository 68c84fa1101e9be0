"""The virtual 2600 answers as its manual says (2600BS-901-01), and the driver asks in the manual's words."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.instruments.keithley_2600 import Keithley2600
from drivers.sim.virtual.keithley_2600 import Keithley2600 as Virtual2600
from drivers.sim.virtual.keithley_2600 import Virtual2600Settings
from drivers.transport.replay import replay
from hil.instruments import Sourcing
from hil.wire import Message

ON = "smua.source.levelv=0.5 smua.source.output=smua.OUTPUT_ON "
LENGTHS = "9.00000e+00\t6.00000e+00\t0.00000e+00"
EMPTY = "0.00000e+00\tQueue Is Empty\t0.00000e+00\t1.00000e+00"


class Resistor:
    def drive(self, source: str, volts: float) -> None: ...

    def current(self, volts: float, integration_s: float) -> float:
        return volts / 1e6


def say(line: str, **settings: object) -> str:
    virtual = Virtual2600(Virtual2600Settings.model_validate(settings), Resistor(), Resistor())
    return "|".join(virtual.receive(each.encode()).decode().rstrip("\n") for each in line.split("\n"))


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("*IDN?", "Keithley Instruments Inc., Model 2636B, 4000001, 3.3.5"),
        ("print(errorqueue.count)", "0.00000e+00"),
        ("print(errorqueue.next())", EMPTY),
        ("print(nonsense)", "nil"),
        ("x=2 y=x*3-1 print(x,y)", "2.00000e+00\t5.00000e+00"),
        ("x,y=1 print(x,y)", "1.00000e+00\tnil"),
        ("format.asciiprecision=10 print(1/3)", "3.333333333e-01"),
        ("print(smua.source.compliance, smua.OUTPUT_DCVOLTS)", "false\t1.00000e+00"),
        (ON + "print(smua.measure.iv())", "5.00000e-07\t5.00000e-01"),
        (ON + "print(smua.measure.iv(), 7)", "5.00000e-07\t7.00000e+00"),
        (ON + "smua.source.limiti=1e-7 print(smua.measure.v(), smua.source.compliance)", "1.00000e-01\ttrue"),
        (ON + "smua.measure.rangei=1e-8 print(smua.measure.i())", "9.91000e+37"),
        (
            "smua.source.rangev=0.5 print(smua.source.rangev, smua.source.autorangev)",
            "2.00000e+00\t0.00000e+00",
        ),
        (ON + "smua.reset() print(smua.source.output, smua.source.levelv)", "0.00000e+00\t0.00000e+00"),
        ('print("a b", true, -1e-3)', "a b\ttrue\t-1.00000e-03"),
        ("""print('say "a b"', "it's") -- and "no more""", """say "a b"\tit's"""),
        ("function f(a,b) return b,a end print(f(1,2))", "2.00000e+00\t1.00000e+00"),
        ("function f() end print(f(), 7)", "nil\t7.00000e+00"),
        ("x=1 function f(x) local y=x+1 x=9 return y end print(f(4), x, y)", "5.00000e+00\t1.00000e+00\tnil"),
        ("function f(a) if a==1 then return true end return false end print(f(1), f(2))", "true\tfalse"),
        ('if 1~=2 and not_there==nil then print("a".."b") end', "ab"),
        ('print(nil or "x", false and 1, 2 and 3, 1=="1")', "x\tfalse\t3.00000e+00\tfalse"),
        ("if 0 then print(0 or 5, 0 and 2, false or 0) end", "0.00000e+00\t2.00000e+00\t0.00000e+00"),
        ('print(string.len("1A01;1C10"), string.find("1A01;1C10","1C10",1,true), 0)', LENGTHS),
        ('print(string.find("1A01","B"), tsplink.state, node[1].model)', "nil\toffline\t2636B"),
        ('print("a", "b")\nprint("b", "a")\nprint("a", 1)', "a\tb|b\ta|a\t1.00000e+00"),
    ],
)
def test_a_line_is_answered_as_the_manual_says(line: str, answer: str) -> None:
    assert say(line) == answer
    assert float(say(f"{line}\nprint(errorqueue.count)").split("|")[-1]) == 0


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("print(", "-2.85"),
        ("for k=1,3 do print(k) end", "-2.85"),
        ("smua.source.levelv=", "-2.85"),
        ("function f(a return a end", "-2.85"),
        ("if 1==1 print(1) end", "-2.85"),
        ("if 1==1 then print(1)", "-2.85"),
        ("local x=1", "-2.85"),
        ('print("a"..1)', "-2.86"),
        ("f(1)", "-2.86"),
        ("node[2].channel.close(1)", "-2.86"),
        ("tsplink.reset()", "1.205"),
        ("@", "-2.85"),
        ("smuc.source.levelv=1", "-2.86"),
        ("smua.nonsense()", "-2.86"),
        ("print(1+nil)", "-2.86"),
        ("smua.source.compliance=1", "-2.86"),
        ("smua.source.levelv=250", "1.102"),
        ("smua.source.rangev=1 smua.source.levelv=5", "1.102"),
        ("smua.measure.nplc=1e-4", "1.103"),
        ("smua.source.rangev=200 smua.source.limiti=1", "5.007"),
    ],
)
def test_what_is_wrong_is_in_the_error_queue_once(line: str, code: str) -> None:
    _, first, second = say(f"{line}\nprint(errorqueue.next())\nprint(errorqueue.next())").split("|")
    assert first.startswith(code)
    assert second == EMPTY


def test_a_syntax_error_stops_the_whole_line_and_a_run_time_error_the_rest() -> None:
    assert say("smua.source.output=1 print(\nprint(smua.source.output)") == "|0.00000e+00"
    assert (
        say("smua.source.output=1 nothing() smua.source.output=0\nprint(smua.source.output)")
        == "|1.00000e+00"
    )


def test_the_error_queue_overflows_into_minus_350() -> None:
    lines = "\n".join(["@"] * 60) + "\nprint(errorqueue.count)"
    assert say(lines).endswith("|5.00000e+01")
    last = say("\n".join(["@"] * 60) + "\nprint(errorqueue.next())" * 50).split("|")[-1]
    assert last.startswith("-3.50000e+02\tQueue overflow")


HELD = (
    "smua.source.output,smua.source.func,smua.source.levelv,smua.source.rangev,smua.source.limiti,"
    "smua.measure.nplc,smua.source.delay"
)
VALUES = (
    "1.00000000e+00\t1.00000000e+00\t0.00000000e+00\t2.00000000e-01\t1.23456700e-07\t5.00000000e-03\t"
    "0.00000000e+00"
)
PAIRS = [
    ("*IDN?", "Keithley Instruments Inc., Model 2612B, 1234567, 3.2.2"),
    (
        'format.asciiprecision=9 print("q.1",localnode.linefreq,localnode.prompts,errorqueue.count)',
        "q.1\t5.00000000e+01\t0.00000000e+00\t0.00000000e+00",
    ),
    (
        'print("q.2",errorqueue.next())',
        "q.2\t0.00000000e+00\tQueue Is Empty\t0.00000000e+00\t1.00000000e+00",
    ),
    (
        "smua.source.output=0 smua.source.func=1 smua.source.levelv=0 smua.source.limiti=1.234567e-07 "
        "smua.source.rangev=2.000000e-01 smua.source.limiti=1.234567e-07 smua.measure.rangei=1.234567e-07 "
        'smua.measure.nplc=5.000000e-03 smua.source.delay=0 print("q.3",smua.source.output,smua.source.func,'
        "smua.source.levelv,smua.source.rangev,smua.source.limiti,smua.measure.nplc,smua.source.delay,"
        "errorqueue.count)",
        "q.3\t0.00000000e+00\t1.00000000e+00\t0.00000000e+00\t2.00000000e-01\t1.23456700e-07\t"
        "5.00000000e-03\t0.00000000e+00\t0.00000000e+00",
    ),
    ('print("q.4",smua.measure.rangei,errorqueue.count)', "q.4\t1.00000000e-06\t0.00000000e+00"),
    (
        f'smua.source.output=1 print("q.5",{HELD},errorqueue.count)',
        f"q.5\t{VALUES}\t0.00000000e+00",
    ),
    (
        "smua.source.levelv=1.234568e-01 delay(1.000000e-07) i0,v0=smua.measure.iv() "
        f'c0=smua.source.compliance smua.source.levelv=0 print("q.6",i0,v0,c0,{HELD},errorqueue.count)',
        f"q.6\t-9.91000000e+37\t1.23450000e-01\tfalse\t{VALUES}\t0.00000000e+00",
    ),
]


def test_the_exchanges_of_the_driver_keep_the_digits_of_100_ns_and_100_na() -> None:
    messages = [Message(0.0, "smu", "event", b"opened TCPIP q", 0.0)]
    for sent, answered in PAIRS:
        messages.append(Message(0.0, "smu", "sent", sent.encode() + b"\n", 0.0))
        messages.append(Message(0.0, "smu", "received", answered.encode() + b"\n", 0.0))
    with replay(messages, "smu") as session:
        smu = Keithley2600(session)
        smu.attach()
        readings = smu.measure(np.array([0.12345678]), Sourcing(1.234567e-7, 1e-4, settle_s=1e-7))
    assert session.transactions == len(PAIRS)
    assert np.isnan(readings.amperes[0])
    assert readings.clipped[0]
