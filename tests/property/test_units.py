"""Whatever the float or the text: quantities round-trip exactly, and nothing but ConfigError comes out."""

from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.errors import ConfigError
from hil.units import Unit, format_quantity, parse_quantity

units = st.sampled_from(get_args(Unit))
numbers = st.floats(allow_nan=False, allow_infinity=False)
scale = {"a": -18, "f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}


@given(numbers, units)
def test_every_float_survives_being_written_and_read(value: float, unit: Unit):
    assert parse_quantity(format_quantity(value, unit, digits=None), unit) == value
    # Rounding up the largest float to 17 digits stays within it.
    assert parse_quantity(format_quantity(value, unit, digits=17), unit) == value


@given(st.floats(1e-15, 1e9), units, st.integers(1, 16))
def test_fewer_digits_are_a_rounding_to_that_many(value: float, unit: Unit, digits: int):
    read = parse_quantity(format_quantity(value, unit, digits), unit)
    assert read == pytest.approx(value, rel=0.5000001 * 10.0 ** (1 - digits))


@given(st.decimals("-1e6", "1e6", places=9), st.sampled_from(sorted(scale)), units)
def test_a_prefix_is_an_exact_power_of_ten(number: Decimal, prefix: str, unit: Unit):
    assert parse_quantity(f"{number:f} {prefix}{unit}", unit) == float(f"{number:f}e{scale[prefix]}")


@given(
    st.text() | st.from_regex(r"[+-]?[0-9.]{1,5}(e[0-9-]{1,6})? ?[a-zA-Z\u00b5\u03a9]{0,4}", fullmatch=True),
    units,
)
def test_any_text_is_a_finite_float_or_a_config_error(text: str, unit: Unit):
    try:
        value = parse_quantity(text, unit)
    except ConfigError:
        return
    assert abs(value) < float("inf")


@given(numbers.filter(bool), units, units)
def test_a_unit_of_another_dimension_is_always_refused(value: float, written: Unit, wanted: Unit):
    if written != wanted:
        with pytest.raises(ConfigError, match="is needed"):
            parse_quantity(format_quantity(value, written), wanted)
