"""R8 and R9: whatever an instrument answers, a parser gives the right value or a ValueError, at once."""

from __future__ import annotations

import math
import random
import string
from collections.abc import Callable, Sequence
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.instruments.flex import datum, learnt
from drivers.instruments.replies import logical, measured, named, number, whole
from drivers.instruments.scpi import queued, split
from drivers.instruments.scpi_smu import word_point

Parser: TypeAlias = Callable[[str], object]
PLAIN = (
    "1.234567890e-06",
    "9.910000000e+37",
    "true",
    "Keithley Instruments Inc., Model 2636B, 4089762, 3.3.5",
)
PARSERS: tuple[tuple[Parser, Sequence[str]], ...] = (
    *((parse, PLAIN) for parse in (number, whole, measured, logical, named)),
    (queued, ('-113,"Undefined header; x"', '0,"No error;0;0 0"')),
    (lambda text: [number(each) for each in split(text)], ("1.0;2.5e-7;0", "3;4")),
    (lambda text: word_point(text.split(","), 8), ("+1.000000E-01,+2.000000E-08,+4.200000E+04",)),
    (datum, ("NAI+1.234567E-06", "CAI+199.999E+99")),
    (learnt, ("DV1,12,+0.0000E+00,+1.0000E-04;CL2", "CN1,2")),
)
CASES = 10_000


NO_VALUE = "9.91E37 +9.910000E+37 -9.91E37 9.9E37 9.9100E+37 -9.9E+37 9.91000e+37 199.999E99 NAN nan INF -INF"


@pytest.mark.parametrize("text", NO_VALUE.split())
def test_what_stands_for_no_value_is_flagged_and_is_no_number(text: str) -> None:
    value, bound = measured(text)
    assert bound
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.23456789e-10", 1.23456789e-10),
        ("-5.0E-12", -5e-12),
        ("+1", 1.0),
        (".5", 0.5),
        ("0.00000e+00", 0.0),
    ],
)
def test_measured_values_keep_all_their_digits(text: str, value: float) -> None:
    assert measured(text) == (value, False)


@pytest.mark.parametrize(
    "text", ["", " 1", "1,5", "1.0A", "0x10", "1_0", "1e", "--1", "1e9999", "nil", "N1.0", "\u0661"]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no number|beyond"):
        measured(text)
    with pytest.raises(ValueError, match=r"no number|beyond"):
        number(text)


def test_settings_have_no_infinity_and_counts_no_fraction() -> None:
    for text in ("nan", "inf"):
        with pytest.raises(ValueError, match="no number"):
            number(text)
    assert whole("3.00000e+00") == 3
    with pytest.raises(ValueError, match="no whole number"):
        whole("3.5")


@pytest.mark.parametrize(("parse", "right"), PARSERS)
def test_ten_thousand_broken_answers_are_refused_or_read_never_a_crash(
    parse: Parser, right: Sequence[str]
) -> None:
    chance = random.Random(8)
    refused = 0
    for _ in range(CASES):
        text = list(chance.choice(right))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(text) + 1)
            text[at : at + chance.randint(0, 3)] = chance.choice(
                ["", "\x00", "\xff", "e", "-", ",", ";", '"', "9" * 400, "E+"]
            )
        try:
            parse("".join(text))
        except ValueError:
            refused += 1
    assert refused > CASES / 4


@settings(max_examples=300)
@given(st.text(string.printable, max_size=40))
def test_a_number_is_what_python_reads_or_nothing(text: str) -> None:
    try:
        value = number(text)
    except ValueError:
        return
    assert value == float(text)


@given(st.floats(min_value=-1e29, max_value=1e29))
def test_a_printed_number_comes_back_the_same(value: float) -> None:
    assert measured(f"{value:.16e}") == (value, False)
