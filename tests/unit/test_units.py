"""Quantities: what a file may say, what it means in SI, and what is refused with which words."""

import json
import math
import re
import subprocess
import sys
from typing import Annotated

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from hil.errors import ConfigError
from hil.units import (
    PositiveSeconds,
    Quantity,
    Seconds,
    Siemens,
    Unit,
    Volts,
    counted,
    format_quantity,
    parse_quantity,
    rounded,
)


class Pulse(BaseModel):
    amplitude: Volts = 1.2
    width: PositiveSeconds = 1e-7
    gap: Annotated[Seconds, Field(ge=1e-9)] = 1e-6
    target: Siemens | None = None


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("100 ns", "s", 1e-7),
        ("100ns", "s", 1e-7),
        ("  1e2\tns ", "s", 1e-7),
        ("3 min", "s", 180.0),
        ("2 h", "s", 7200.0),
        ("0.1 d", "s", 8640.0),
        ("50 uA", "A", 5e-5),
        ("50 \u00b5A", "A", 5e-5),
        ("50 \u03bcA", "A", 5e-5),
        ("1.2 V", "V", 1.2),
        ("-3 V", "V", -3.0),
        ("+.5 V", "V", 0.5),
        ("5. mV", "V", 5e-3),
        ("0 V", "V", 0.0),
        ("5 mS", "S", 5e-3),
        ("10 kohm", "ohm", 1e4),
        ("10 k\u03a9", "ohm", 1e4),
        ("10 k\u2126", "ohm", 1e4),
        ("0.1 J", "J", 0.1),
        ("1.5 aJ", "J", 1.5e-18),
        ("20 MHz", "Hz", 2e7),
        ("4.7 pF", "F", 4.7e-12),
        ("3 mW", "W", 3e-3),
    ],
)
def test_a_number_with_a_unit_is_its_si_value(text: str, unit: Unit, value: float):
    assert parse_quantity(text, unit) == value


@pytest.mark.parametrize("mantissa", ["0.3", "1.1", "7.7", "123.456", "2.675", "9.9999999999999999"])
def test_scaling_by_a_prefix_does_not_round_twice(mantissa: str):
    assert parse_quantity(f"{mantissa} nA", "A") == float(f"{mantissa}e-9")
    assert parse_quantity(f"{mantissa} TV", "V") == float(f"{mantissa}e12")


@pytest.mark.parametrize(
    ("text", "unit", "words"),
    [
        ("100", "s", '100 has no unit; write "100 s" if s is meant, else e.g. "100 ns"'),
        ("0.001", "s", 'write "1 ms" if s is meant, else e.g. "0.001 ns"'),
        ("1e-6", "A", 'write "1 uA" if A is meant, else e.g. "1e-6 uA"'),
        ("1e999", "s", '1e999 has no unit; write e.g. "1e999 ns"'),
        ("5", "V", '5 has no unit; write e.g. "5 V"'),
        ("5 V", "s", "5 V is a voltage, a time is needed"),
        ("5 mS", "s", "5 mS is a conductance, a time is needed (s is the second, S the siemens)"),
        ("10 kohm", "S", '10 kohm is a resistance, a conductance is needed; that is "100 uS"'),
        ("0 ohm", "S", "0 ohm is a resistance, a conductance is needed"),
        ("3 mhz", "Hz", "unknown unit 'mhz'; did you mean 'mHz' or 'MHz'?"),
        ("1 qV", "V", "unknown unit 'qV'"),
        ("1 m", "V", "unknown unit 'm'"),
        ("1 h 30 min", "s", "not one number with one unit"),
        ("5 V 3 A", "V", "not one number with one unit"),
        ("5 V*s", "V", "not one number with one unit"),
        ("1,5 V", "V", "not one number with one unit"),
        ("1_000 V", "V", "not one number with one unit"),
        ("10\u00b2 V", "V", "not one number with one unit"),
        ("\u0663 V", "V", "not one number with one unit"),
        ("nan V", "V", "not one number with one unit"),
        ("-inf V", "V", "not one number with one unit"),
        ("V", "V", "not one number with one unit"),
        ("", "V", "'' is not one number with one unit"),
        ("1" * 65 + " V", "V", "not one number with one unit"),
        ("1e309 V", "V", "too large"),
        ("1e300 TV", "V", "too large"),
        ("1e-400 V", "V", "too small"),
        ("1e99999 V", "V", "not one number with one unit"),
    ],
)
def test_what_is_not_one_quantity_of_the_right_kind_is_refused(text: str, unit: Unit, words: str):
    with pytest.raises(ConfigError, match=re.escape(words)):
        parse_quantity(text, unit)


def test_a_terminal_escape_in_a_quantity_is_not_echoed_raw():
    with pytest.raises(ConfigError) as refused:
        parse_quantity("1 \x1b[2J", "V")
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1e-7, "s", "100 ns"),
        (7200.0, "s", "7200 s"),
        (999.96, "V", "1 kV"),
        (-0.05, "A", "-50 mA"),
        (1e4, "ohm", "10 kohm"),
        (0.0, "V", "0 V"),
        (-0.0, "V", "0 V"),
        (1.23456e-5, "S", "12.35 uS"),
        (2e-19, "J", "0.2 aJ"),
        (1e-30, "J", "1e-30 J"),
        (1e300, "V", "1e+300 V"),
        (math.nan, "V", "nan V"),
        (-math.inf, "V", "-inf V"),
    ],
)
def test_values_are_written_with_engineering_prefixes(value: float, unit: Unit, text: str):
    assert format_quantity(value, unit) == text


def test_python_gives_si_floats_and_text_alike():
    assert Pulse(width=1e-7) == Pulse.model_validate({"width": "100 ns"})
    assert Pulse(amplitude=-3).amplitude == -3.0


@pytest.mark.parametrize("value", [math.nan, math.inf, True, [1], "x"])
def test_python_values_that_are_no_finite_number_are_refused(value: object):
    with pytest.raises(ValidationError):
        Pulse.model_validate({"amplitude": value})


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("100", '100 has no unit; write "100 s" if s is meant, else e.g. "100 ns"'),
        ("true", "must be a number with a unit"),
        ("[1]", "must be a number with a unit"),
        ("0", "0 has no"),
    ],
)
def test_a_file_must_write_the_unit(written: str, words: str):
    with pytest.raises(ValidationError, match=re.escape(words)):
        Pulse.model_validate_json(f'{{"width": {written}}}')


@pytest.mark.parametrize("field", [{"width": "0 s"}, {"width": -1e-9}, {"gap": "1 ps"}, {"gap": 0.0}])
def test_bounds_hold_for_text_and_floats(field: dict[str, object]):
    with pytest.raises(ValidationError, match="greater than"):
        Pulse.model_validate(field)


def test_json_writes_text_that_reads_back_as_the_same_model():
    pulse = Pulse(amplitude=0.1 + 0.2, width=1e-7, gap=1 / 3, target=5e-5)
    written = json.loads(pulse.model_dump_json())
    assert written["width"] == "100 ns"
    assert written["target"] == "50 uS"
    assert Pulse.model_validate_json(pulse.model_dump_json()) == pulse
    assert pulse.model_dump()["width"] == 1e-7


@pytest.mark.parametrize(
    ("unit", "good", "bad"),
    [
        ("s", ["100 ns", "1 \u00b5s", "1\u03bcs", "2 h", "-1e-3 s"], ["100", "5 V", "1 sec", "nan s"]),
        ("ohm", ["10 kohm", "3 \u03a9", "1 M\u2126"], ["1 S", "1 kOhm"]),
    ],
)
def test_the_json_schema_pattern_agrees_with_the_parser(unit: Unit, good: list[str], bad: list[str]):
    schema = TypeAdapter(Annotated[float, Quantity(unit)]).json_schema()
    assert schema["type"] == "string"
    for text in [*good, *schema["examples"]]:
        assert re.search(schema["pattern"], text)
        parse_quantity(text, unit)
    for text in bad:
        assert not re.search(schema["pattern"], text)
        with pytest.raises(ConfigError):
            parse_quantity(text, unit)


@pytest.mark.parametrize(("value", "text"), [(134.0, "130"), (0.0123, "0.012"), (99.6, "100"), (-3.0, "-3")])
def test_a_plain_number_is_written_out(value: float, text: str):
    assert rounded(value) == text


def test_one_thing_is_no_things() -> None:
    assert [counted(n, "pulse") for n in (0, 1, 2, 12345)] == [
        "0 pulses",
        "1 pulse",
        "2 pulses",
        "12,345 pulses",
    ]
    assert [counted(n, "device works", "devices work") for n in (1, 2)] == [
        "1 device works",
        "2 devices work",
    ]


def test_importing_units_loads_neither_numpy_nor_pydantic():
    code = "import sys, hil.units; sys.exit(bool({'numpy', 'pydantic', 'yaml'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
