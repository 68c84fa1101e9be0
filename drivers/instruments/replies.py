"""Strict parsers of what instruments answer: ValueError for all that is not exactly what was expected."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

_DECIMAL = re.compile(r"[+-]?(?:\d{1,32}\.?\d{0,32}|\.\d{1,32})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_WORDS = {
    "nan": math.nan, "-nan": math.nan, "+nan": math.nan, "inf": math.inf, "+inf": math.inf, "-inf": -math.inf
}  # fmt: skip
_BOUND = 1e30


class Measured(NamedTuple):
    """One measured value; ``bound`` if it is none: an overflow (9.91E37, 9.9E37, 199.999E99), INF or NaN.

    The value is NaN then, so that it cannot enter a mean or a gradient unseen.
    """

    value: float
    bound: bool


def number(text: str) -> float:
    """A finite decimal number, as a setting is answered."""
    if not _DECIMAL.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no number")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]!r} is beyond all numbers")
    return value


def whole(text: str) -> int:
    """A whole number, also as the float that TSP makes of it: 3.00000e+00."""
    value = number(text)
    if value != int(value):
        raise ValueError(f"{text[:40]!r} is no whole number")
    return int(value)


def measured(text: str) -> Measured:
    """A measured value: a decimal number, or a word or number by which instruments say that there is none."""
    value = _WORDS.get(text.lower())
    if value is None:
        value = number(text)
    bound = not abs(value) < _BOUND
    return Measured(math.nan if bound else value, bound)


def logical(text: str) -> bool:
    """The words true and false, as TSP prints them."""
    if text not in ("true", "false"):
        raise ValueError(f"{text[:40]!r} is neither true nor false")
    return text == "true"


class Named(NamedTuple):
    """The four fields of *IDN? (IEEE 488.2, 10.14)."""

    maker: str
    model: str
    serial: str
    firmware: str


def named(text: str) -> Named:
    """The answer to *IDN?; firmware may hold commas."""
    fields = [field.strip() for field in text.split(",", 3)]
    if len(fields) != 4 or not all(fields):
        raise ValueError(f"{text[:80]!r} does not have the four fields of *IDN?")
    return Named(*fields)
