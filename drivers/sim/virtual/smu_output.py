"""One output of a virtual source-measure unit: terminals, settings, and counters that no host can touch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from drivers.sim.virtual.grid import Load

Value: TypeAlias = float | str


class Model(NamedTuple):
    """Ranges (full scale), their over-range, what is allowed at once at DC, and where the interlock acts."""

    volts: tuple[float, ...]
    amperes: tuple[float, ...]
    over: float
    safe: tuple[tuple[float, float], ...]  # (up to volts, at most amperes)
    interlock_v: float = math.inf


class Reading(NamedTuple):
    """At the terminals: ``limited`` by the compliance, ``clamped`` by the meter's range, ``overflow``."""

    volts: float
    amperes: float
    limited: bool
    clamped: bool
    overflow: bool


@dataclass
class Output:
    """One channel; its settings are by short header."""

    load: Load
    name: str
    model: Model
    defaults: Mapping[str, Value]
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    times_on: int = 0
    readings: int = 0
    highest_v: float = 0.0

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Factory defaults; output off."""
        self.values = dict(self.defaults)
        self.drive()

    def number(self, key: str) -> float:
        """A setting that is a number."""
        return float(self.values[key])

    def drive(self, level: float | None = None) -> None:
        """Put the terminals at a level (the programmed one unless given) if the output is on."""
        volts = self.number("SOUR:VOLT") if level is None else level
        volts = volts if self.values["OUTP"] else 0.0
        self.highest_v = max(self.highest_v, abs(volts))
        self.load.drive(self.name, volts)

    def switch(self, on: bool) -> None:
        """Output on or off."""
        self.times_on += on and not self.values["OUTP"]
        self.values["OUTP"] = float(on)
        self.drive()

    def read(self, level: float, integration_s: float, limit_key: str) -> Reading:
        """Source a level and measure."""
        self.drive(level)
        self.readings += 1
        if not self.values["OUTP"]:
            return Reading(0.0, 0.0, False, False, False)
        limit = self.number(limit_key)
        bound = self.model.over * self.number("SENS:CURR:RANG")
        amperes = self.load.current(level, integration_s)
        most = min(limit, bound)
        if abs(amperes) <= most:
            return Reading(level, amperes, False, False, False)
        held = level * most / abs(amperes)
        return Reading(held, math.copysign(most, amperes), limit <= bound, limit > bound, False)
