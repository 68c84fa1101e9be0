"""What may be asked of a bench, checked on whole schedules before the first volt; and the wear of every device.

Wrap any bench in :class:`LimitedBench`. A limit refuses, it never clips: a lowered voltage is another experiment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from types import MappingProxyType
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from hil.bench import ArrayInfo, Bench, Execution
from hil.errors import ConfigError, LimitError, ScheduleError
from hil.schedule import (
    MAX_COUNT,
    Counts,
    Floats,
    Index,
    Multiply,
    Nudge,
    Op,
    Program,
    Pulse,
    Read,
    Region,
    Schedule,
    Wait,
)

MAX_DOSE = 2**31
"""Pulses to one device at which its counter is full, whatever the budget: far beyond any endurance known to us."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that may be asked; None leaves a quantity unbounded. Combine limits of different origin with ``&``.

    Only what is exact before any output is here. A current depends on the conductances, so its bound is the
    instrument's compliance, not a limit.

    Parameters
    ----------
    read_v
        Magnitude of every voltage of Read, Multiply and Nudge, compared in the precision of the volts (a float32
        0.2 passes a limit of 0.2).
    program_v
        Magnitude of every programming pulse, used or not.
    width_min_s, width_max_s
        Width of every programming pulse, used or not.
    pulses_per_op
        Pulses to one device in one operation. A pulse nudge gives its device twice its size.
    dose
        Pulses to one device over its life, as far as the doses given to `LimitedBench` tell.

    Raises
    ------
    ConfigError
        A bound is negative or NaN, or the shortest width is above the longest.
    """

    read_v: float | None = None
    program_v: float | None = None
    width_min_s: float | None = None
    width_max_s: float | None = None
    pulses_per_op: int | None = None
    dose: int | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            bound = getattr(self, item.name)
            if bound is not None and not bound >= 0:
                raise ConfigError(f"limit {item.name}: asked for {bound!r}; a number of 0 or more is needed")
        low, high = self.width_min_s, self.width_max_s
        if low is not None and high is not None and low > high:
            raise ConfigError(f"limits: width_min_s {low:g} s is above width_max_s {high:g} s")

    def __and__(self, other: Limits) -> Limits:
        """What both allow: hardware & bench & run."""
        return Limits(
            read_v=_tighter(self.read_v, other.read_v, min),
            program_v=_tighter(self.program_v, other.program_v, min),
            width_min_s=_tighter(self.width_min_s, other.width_min_s, max),
            width_max_s=_tighter(self.width_max_s, other.width_max_s, min),
            pulses_per_op=_tighter(self.pulses_per_op, other.pulses_per_op, min),
            dose=_tighter(self.dose, other.dose, min),
        )


def _tighter[T: float](one: T | None, other: T | None, choose: Callable[[T, T], T]) -> T | None:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)
