"""The rungs that a search for pulses climbs: amplitudes at the nominal width, then widths at the highest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hil.errors import ConfigError
from hil.limits import Limits
from hil.schedule import Pulse
from hil.units import Unit, format_quantity

_WIDEST = 10.0
_DIGITS_V, _DIGITS_S = 3, 2  # instruments and boards hold whole steps of volts and of nanoseconds


class Ladder(NamedTuple):
    """Magnitudes of amplitudes (V), rising, and widths (s) above the nominal one, rising."""

    volts: NDArray[np.float64]
    seconds: NDArray[np.float64]


class Climb(NamedTuple):
    """How to climb: first amplitude and rise in units of the nominal one, and the factor from width to width;
    the highest (V) and longest (s), None: as the data sheet has it, and ten times that within the limits.
    """

    first: float
    rise: float
    widen: float
    most_v: float | None
    most_s: float | None


def ladder(climb: Climb, nominal: Pulse, limits: Limits, least: int) -> Ladder:
    """The rungs of one way.

    Raises
    ------
    ConfigError
        More than the limits is asked for, or there are fewer than ``least`` amplitudes.
    """
    usual = abs(nominal.amplitude_v)
    most = _allowed("most_amplitude", climb.most_v or usual, "V", limits.program_v, "program")
    longest = np.inf if limits.width_max_s is None else limits.width_max_s
    widest = min(_WIDEST * nominal.width_s, longest)
    if climb.most_s is not None:
        widest = _allowed("most_width", climb.most_s, "s", limits.width_max_s, "longest")
    volts = _rising(climb.first * usual, climb.rise * usual, most)
    if len(volts) < least:
        raise ConfigError(
            f"points: asked for {least} amplitudes; there are {len(volts)} from first to most_amplitude"
        )
    seconds: list[float] = []
    while (wider := rounded((seconds or [nominal.width_s])[-1] * climb.widen, _DIGITS_S)) < widest:
        seconds.append(wider)
    if widest > (seconds or [nominal.width_s])[-1]:
        seconds.append(widest)
    return Ladder(np.array(volts), np.array(seconds))


def narrowed(seconds: float, part: float, limits: Limits) -> float:
    """A part of a width; the width itself where the part is not allowed."""
    narrow = rounded(seconds * part, _DIGITS_S) if part < 1 else seconds
    return narrow if narrow >= (limits.width_min_s or 0.0) else seconds


def rounded(value: float, digits: int) -> float:
    """To so many significant digits."""
    return float(f"{value:.{digits - 1}e}")


def _rising(first: float, rise: float, most: float) -> list[float]:
    number = max(0, int(np.floor((most - first) / rise + 1e-9)) + 1)
    below = [rounded(first + n * rise, _DIGITS_V) for n in range(number)]
    below = [volts for volts in below if volts < most - 0.1 * rise]
    return [*below, most] if number else []


def _allowed(key: str, asked: float, unit: Unit, bound: float | None, limit: str) -> float:
    if bound is not None and asked > bound:
        given, allowed = format_quantity(asked, unit), format_quantity(bound, unit)
        raise ConfigError(f"{key}: asked for {given}; limits.{limit} of the bench allows {allowed}")
    return asked
