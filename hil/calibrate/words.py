"""Estimates as people read them, on a command line, in a notebook, in a table: one way to write each."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, get_args

from hil.units import Unit, format_quantity

if TYPE_CHECKING:
    from hil.calibrate.contracts import Estimate

_SHORT = 40
_LONG_WORDS = re.compile(r"(['\"])(?:(?!\1).){60,}\1")
_NOTHING = ("?", "not determined")
_SEVERAL = 3


def said(each: Estimate) -> tuple[str, str]:
    """Value and 95 % interval as text: "52.3 uS", "51.9 uS to 52.7 uS"; "?" for a value that is not
    determined, with the end that is known; "" for an interval that nobody asked for (neither end nor reason).
    """
    low, high = (_quantity(end, each.unit) if math.isfinite(end) else "" for end in (each.low, each.high))
    ended = not (math.isinf(each.low) or math.isinf(each.high))
    value = _quantity(each.value, each.unit) if math.isfinite(each.value) and ended else "?"
    if low and high:
        return value, f"{low} to {high}"
    if value != "?" and not each.why:
        return value, ""
    return value, _NOTHING[1] + (f", at least {low}" if low else f", at most {high}" if high else "")


def about(each: Estimate) -> str:
    """What it is, and why it is not told, if it is not."""
    return f"{each.about}; not told: {each.why}" if each.why else each.about


def in_short(reason: str) -> str:
    """Why a calibration ended, with what was said to an instrument by its beginning alone; the record has it
    in full.
    """
    return _LONG_WORDS.sub(lambda found: f"{found[1]}{found[0][1:_SHORT]} ...{found[1]}", reason)


def lines(estimates: Mapping[str, Estimate]) -> list[str]:
    """Name, value, interval and words of each, in columns."""
    rows, untold = listed(estimates)
    name, value, interval = (max((len(row[column]) for row in rows), default=0) for column in range(3))
    return [f"{row[0]:<{name}}  {row[1]:>{value}}  {row[2]:<{interval}}  {row[3]}" for row in rows] + untold


def html(estimates: Mapping[str, Estimate]) -> str:
    """The same as a table of a notebook."""
    rows, untold = listed(estimates)
    cells = ("".join(f"<td>{escape(text)}</td>" for text in row) for row in rows)
    table = f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
    return "<br>".join([table, *map(escape, untold)])


def listed(estimates: Mapping[str, Estimate]) -> tuple[list[tuple[str, str, str, str]], list[str]]:
    """Rows of name, value, interval and words; and a line for each reason for which several of them are not
    told at all, which have no row.
    """
    untold = {name: each.why for name, each in estimates.items() if each.why and said(each) == _NOTHING}
    times = Counter(untold.values())
    rows = [
        (name, *said(each), about(each))
        for name, each in estimates.items()
        if times[untold.get(name, "")] < _SEVERAL
    ]
    reasons = [
        f"not determined ({why}): {', '.join(name for name, own in untold.items() if own == why)}"
        for why, number in times.items()
        if number >= _SEVERAL
    ]
    return rows, reasons


def _quantity(value: float, unit: str) -> str:
    if unit in get_args(Unit):
        return format_quantity(value, unit, 4)  # pyright: ignore[reportArgumentType]
    return f"{value:.4g}" + (f" {unit}" if unit else "")
