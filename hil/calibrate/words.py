"""Estimates as people read them, on a command line, in a notebook, in a table: one way to write each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, get_args

from hil.units import Unit, format_quantity

if TYPE_CHECKING:
    from hil.calibrate.contracts import Estimate


def said(each: Estimate) -> tuple[str, str]:
    """Value and 95 % interval as text: "52.3 uS", "51.9 uS to 52.7 uS"; "?" for what is not determined, ""
    for an interval that is not known.
    """
    if math.isnan(each.value) and not math.isfinite(each.high - each.low):
        return "?", "not determined"
    value = "?" if math.isnan(each.value) else _quantity(each.value, each.unit)
    if math.isnan(each.low) or math.isnan(each.high):
        return value, ""
    return value, f"{_quantity(each.low, each.unit)} to {_quantity(each.high, each.unit)}"


def about(each: Estimate) -> str:
    """What it is, and why it is not told, if it is not."""
    return f"{each.about}; not told: {each.why}" if each.why else each.about


def _quantity(value: float, unit: str) -> str:
    if unit in get_args(Unit):
        return format_quantity(value, unit, 4)  # pyright: ignore[reportArgumentType]
    return f"{value:.4g}" + (f" {unit}" if unit else "")
