"""A virtual Keithley Series 2600B source-measure unit, from its reference manual (2600BS-901-01 Rev. F).

Commands: section 9. Errors: section 6. Ranges: the Series' data sheet. It knows no socket; see `server`.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import Field

from drivers.sim.virtual.errorqueue import Entry
from drivers.sim.virtual.grid import Load
from drivers.sim.virtual.tsp_node import TspNode, TspSettings, nil, numeric
from drivers.sim.virtual.tsp_values import TspError, Value

_OVERFLOW = 9.91e37
_TOO_BIG = Entry(1102, "Parameter too big")
_TOO_SMALL = Entry(1103, "Parameter too small")
_UNSAFE = Entry(5007, "Operation would exceed safe operating area of the instrument")
_INTERLOCK = Entry(802, "OUTPUT blocked by interlock")


class _Family(NamedTuple):
    volts: tuple[float, ...]
    amperes: tuple[float, ...]
    safe: tuple[tuple[float, float], ...]  # (up to volts, at most amperes), DC
    interlock_v: float


_SMALL = tuple(10.0**k for k in range(-7, 0))
_FAMILIES = {
    "260": _Family((0.1, 1, 6, 40), (*_SMALL, 1, 3), ((6, 3), (40, 1)), math.inf),
    "261": _Family((0.2, 2, 20, 200), (*_SMALL, 1, 1.5), ((20, 1.5), (200, 0.1)), 20.0),
    "263": _Family((0.2, 2, 20, 200), (1e-9, 1e-8, *_SMALL, 1, 1.5), ((20, 1.5), (200, 0.1)), 20.0),
}
_CONSTANTS = {
    "OUTPUT_OFF": 0, "OUTPUT_ON": 1, "OUTPUT_HIGH_Z": 2, "OUTPUT_NORMAL": 0, "OUTPUT_ZERO": 2,
    "OUTPUT_DCAMPS": 0, "OUTPUT_DCVOLTS": 1, "AUTORANGE_OFF": 0, "AUTORANGE_ON": 1, "AUTOZERO_OFF": 0,
    "AUTOZERO_ONCE": 1, "AUTOZERO_AUTO": 2, "DELAY_OFF": 0, "DELAY_AUTO": -1, "SENSE_LOCAL": 0,
    "SENSE_REMOTE": 1,
}  # fmt: skip


class Virtual2600Settings(TspSettings):
    """One virtual Series 2600B."""

    model: str = Field(default="2636B", pattern=r"^26[013][1-6]B$", description="as in *IDN?")
    firmware: str = Field(default="3.3.5", description="firmware revision")
    line_hz: float = Field(default=50.0, gt=0, description="power line frequency")
    interlock_open: bool = Field(default=False, description="outputs over 42 V are blocked")
    coerced: dict[str, float] = Field(default={}, description='what sticks: "source.limiti" to its value')
    overflow: bool = Field(default=False, description="every current overflows the meter")


@dataclass
class Channel:
    """One source-measure channel and its counters."""

    load: Load
    name: str
    family: _Family
    seconds_on: float = 0.0
    times_on: int = 0
    readings: int = 0
    highest_v: float = 0.0
    values: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Factory defaults; output off."""
        top_v, top_a = self.family.volts[0], self.family.amperes[-2]
        self.values = {
            "source.func": 1, "source.levelv": 0, "source.leveli": 0, "source.rangev": top_v,
            "source.rangei": 1e-7, "source.limitv": 20, "source.limiti": min(0.1, top_a), "source.output": 0,
            "source.offmode": 0, "source.autorangev": 1, "source.autorangei": 1, "source.delay": 0,
            "measure.nplc": 1, "measure.autorangei": 1, "measure.autorangev": 1, "measure.rangei": 1e-7,
            "measure.rangev": top_v, "measure.autozero": 2, "measure.delay": 0, "sense": 0,
        }  # fmt: skip
        self.load.drive(self.name, 0.0)

    def driven(self, line_hz: float) -> tuple[float, float, bool]:
        """(volts, amperes, in compliance) at the terminals now, averaged over the measuring time."""
        if not self.values["source.output"]:
            return 0.0, 0.0, False
        volts, limit = self.values["source.levelv"], self.values["source.limiti"]
        amperes = self.load.current(volts, self.values["measure.nplc"] / line_hz)
        if abs(amperes) <= limit:
            return volts, amperes, False
        return volts * limit / abs(amperes), math.copysign(limit, amperes), True


class Keithley2600(TspNode):
    """The instrument. ``loads`` are what channels a and b are connected to."""

    def __init__(self, settings: Virtual2600Settings, *loads: Load) -> None:
        super().__init__(settings, settings.model)
        self.settings = settings
        family = _FAMILIES[settings.model[:3]]
        count = 1 if settings.model[3] in "15" else 2
        self.channels = {
            f"smu{letter}": Channel(load, f"{settings.serial}:smu{letter}", family)
            for letter, load in zip("ab"[:count], loads, strict=False)
        }

    def identity(self) -> str:
        """The answer to ``*IDN?``."""
        s = self.settings
        return f"Keithley Instruments Inc., Model {s.model}, {s.serial}, {s.firmware}"

    def reset(self) -> None:
        """Factory defaults; outputs off."""
        for channel in self.channels.values():
            channel.reset()

    def wait(self, seconds: float) -> None:
        """Time passes, for outputs that are on too."""
        super().wait(seconds)
        for channel in self.channels.values():
            channel.seconds_on += seconds * bool(channel.values["source.output"])

    def get(self, path: str) -> Value:
        """Value of a name."""
        head, _, rest = path.partition(".")
        if head in self.channels:
            return self._channel_value(self.channels[head], rest)
        return self.settings.line_hz if path == "localnode.linefreq" else super().get(path)

    def set(self, path: str, value: Value) -> None:
        """Assign to a name."""
        head, _, rest = path.partition(".")
        if head in self.channels:
            self._set_channel(self.channels[head], rest, value)
        else:
            super().set(path, value)

    def call(self, path: str, arguments: Sequence[Value]) -> tuple[Value, ...]:
        """Call a function."""
        head, _, rest = path.partition(".")
        if head in self.channels:
            return self._measure(self.channels[head], rest)
        return super().call(path, arguments)

    def _channel_value(self, channel: Channel, rest: str) -> Value:
        if rest == "source.compliance":
            return channel.driven(self.settings.line_hz)[2]
        if rest in _CONSTANTS:
            return float(_CONSTANTS[rest])
        value = channel.values.get(rest)
        if value is None and rest.count(".") and rest.split(".")[0] not in ("source", "measure"):
            raise nil(rest.split(".")[0])
        return None if value is None else float(value)

    def _measure(self, channel: Channel, function: str) -> tuple[Value, ...]:
        if function == "reset":
            channel.reset()
            return ()
        if function not in ("measure.i", "measure.v", "measure.iv"):
            raise TspError(
                -286, f"TSP Runtime error at line 1: attempt to call field `{function}' (a nil value)"
            )
        self.wait(channel.values["measure.nplc"] / self.settings.line_hz)
        channel.readings += 1
        volts, amperes, _ = channel.driven(self.settings.line_hz)
        bound = 1.02 * (
            channel.family.amperes[-1]
            if channel.values["measure.autorangei"]
            else channel.values["measure.rangei"]
        )
        if self.settings.overflow or abs(amperes) > bound:
            amperes = _OVERFLOW
        return {"measure.i": (amperes,), "measure.v": (volts,), "measure.iv": (amperes, volts)}[function]

    def _set_channel(self, channel: Channel, rest: str, value: Value) -> None:
        if rest not in channel.values:
            if rest.split(".")[0] not in ("source", "measure", "sense"):
                raise nil(rest)
            raise TspError(-286, f"TSP Runtime error at line 1: `{rest}' is read-only or unknown")
        number = numeric(value)
        wrong = self._wrong(channel, rest, number)
        if wrong is not None:
            self.errors.add(wrong)
            return
        ranges = {"source.rangev": channel.family.volts, "measure.rangei": channel.family.amperes}.get(rest)
        if ranges is not None:  # the lowest range that holds it; a fixed range ends autoranging
            number = ranges[bisect.bisect_left(ranges, abs(number) * (1 - 1e-9))]
            channel.values[rest.replace(".range", ".autorange")] = 0
        channel.values[rest] = self.settings.coerced.get(rest, number)
        if rest == "source.output" and number == 1:
            channel.times_on += 1
        if rest in ("source.output", "source.levelv"):
            at = channel.values["source.levelv"] if channel.values["source.output"] else 0.0
            channel.highest_v = max(channel.highest_v, abs(at))
            channel.load.drive(channel.name, at)

    def _wrong(self, channel: Channel, rest: str, number: float) -> Entry | None:
        family, values = channel.family, channel.values
        lowest, highest = {
            "source.levelv": (-1.01 * family.volts[-1], 1.01 * family.volts[-1]),
            "source.rangev": (-family.volts[-1], family.volts[-1]),
            "source.limiti": (0.1 * family.amperes[0], family.amperes[-1]),
            "measure.rangei": (-family.amperes[-1], family.amperes[-1]),
            "measure.nplc": (0.001, 25.0),
            "source.output": (0.0, 2.0),
        }.get(rest, (-math.inf, math.inf))
        if not number <= highest:
            return _TOO_BIG
        if number < lowest:
            return _TOO_SMALL
        if rest == "source.levelv" and not values["source.autorangev"]:
            return _TOO_BIG if abs(number) > 1.01 * values["source.rangev"] else None
        if rest == "source.limiti":
            most = next(amperes for volts, amperes in family.safe if values["source.rangev"] <= volts)
            return _UNSAFE if number > most else None
        blocked = self.settings.interlock_open and values["source.rangev"] > family.interlock_v
        return _INTERLOCK if rest == "source.output" and number == 1 and blocked else None
