"""What virtual pulse generators have in common: channels, levels at the terminal, conflicts, triggers.

Levels are kept as the instrument shows them, for the load that it was told; the terminal, with a device of
many kilohms, has the open-circuit voltage of a source of 50 ohms.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from pydantic import Field

from drivers.sim.virtual.errorqueue import Entry, ErrorQueue, Troubles
from drivers.sim.virtual.grid import PulseLoad
from drivers.sim.virtual.scpi import CONFLICT, OUT_OF_RANGE, Call, Handler, RejectedError, ScpiParser
from hil.schedule import Pulse

INFINITE = 9.9e37
TRIGGER_IGNORED = Entry(-211, "Trigger ignored")
BAD_SUFFIX = Entry(-114, "Header suffix out of range")
_SOURCE_OHM = 50.0
_STEEPEST = 0.625


class Limits(NamedTuple):
    """One model's. Volts into an open circuit; the level is that of one side, the span peak to peak."""

    channels: int
    hertz: float
    width_s: float
    edge_s: tuple[float, float]
    level_v: float
    span_v: tuple[float, float]
    period_s: float = 1e6


class VirtualPulserSettings(Troubles):
    """One virtual pulse generator."""

    model: str = Field(description="as in *IDN?")
    serial: str = Field(default="MY57800256", pattern=r"^[0-9A-Za-z]{1,20}$", description="serial number")
    firmware: str = Field(default="5.00", description="firmware revision")
    coerced: dict[str, float | str] = Field(default={}, description='what sticks: "width" to its value')


@dataclass
class Channel:
    """One output and its counters, which no host can touch."""

    load: PulseLoad
    name: str
    values: dict[str, float | str] = field(default_factory=dict[str, float | str])
    pulses: int = 0
    bursts: int = 0
    lost: int = 0
    times_on: int = 0

    def number(self, key: str) -> float:
        """A setting that is a number."""
        value = self.values[key]
        if isinstance(value, str):
            raise TypeError(f"{key} is {value}, no number")
        return value

    @property
    def gain(self) -> float:
        """Share of the open-circuit voltage that the load it was told would see."""
        ohms = self.number("load")
        return ohms / (ohms + _SOURCE_OHM)

    def levels(self) -> tuple[float, float]:
        """(at rest, in a pulse) at the terminal; inverted about the offset they change places."""
        high, low = self.number("high") / self.gain, self.number("low") / self.gain
        rest, active = (low, high) if self.values["polarity"] == "NORM" else (high, low)
        return ((high + low) / 2 if self.values["idle"] == "DC" else rest), active

    def drive(self, waiting: bool) -> None:
        """Tell the terminal's level; without a trigger to wait for, pulses come and come."""
        rest, active = self.levels()
        self.load.drive(self.name, (rest if waiting else active) if self.values["output"] else 0.0)


class VirtualPulser(ABC):
    """The instrument. ``loads`` are what its outputs are connected to."""

    maker: ClassVar[str]
    models: ClassVar[Mapping[str, Limits]]
    most_cycles: ClassVar[float]
    source: ClassVar[str]
    """The trigger source for which a command triggers."""
    clips: ClassVar[bool] = False
    """Whether a value out of range becomes the limit; it is an error either way."""

    def __init__(self, settings: VirtualPulserSettings, *loads: PulseLoad) -> None:
        self.settings = settings
        self.limits = self.models[settings.model]
        self.errors = ErrorQueue(20)
        self.seconds = 0.0
        self._enabled = 0.0
        self.channels = [
            Channel(load, f"{settings.serial}:{n}")
            for n, load in zip(range(1, self.limits.channels + 1), loads, strict=False)
        ]
        self._reset()
        common: dict[str, Handler] = {
            "*IDN?": lambda _: f"{self.maker},{settings.model},{settings.serial},{settings.firmware}",
            "*RST!": self._command(self._reset),
            "*CLS!": self._command(self.errors.clear),
            "*OPC?": lambda _: "1",  # bursts take no real time
            "*ESE": self._event_enable,
            "*TRG!": lambda _: self._fire(self.channels),
            ":SYSTem:ERRor[:NEXT]?": self._next_error,
        }
        self._parser = ScpiParser({**common, **self._headers()}, self.errors)

    @abstractmethod
    def _headers(self) -> Mapping[str, Handler]:
        """The commands of this instrument."""

    @abstractmethod
    def printed(self, value: float) -> str:
        """A number as this instrument answers it."""

    def receive(self, line: bytes) -> bytes:
        """One message; its answer."""
        return self._parser.hear(line, self.settings, Entry(-102, "Syntax error"))

    def _reset(self) -> None:
        for channel in self.channels:
            channel.values = {
                "output": 0.0, "function": "SIN", "period": 1e-3, "width": 1e-4, "leading": 1e-8,
                "trailing": 1e-8, "delay": 0.0, "late": 0.0, "hold": "WIDT", "high": 0.05, "low": -0.05,
                "load": 50.0, "polarity": "NORM", "burst": 0.0, "mode": "TRIG", "count": 1.0, "phase": 0.0,
                "source": "IMM", "sense": "EDGE", "idle": "END",
            }  # fmt: skip
            self._fit(channel)
            channel.drive(self._waiting(channel))

    def _command(self, act: Callable[[], object]) -> Handler:
        def handler(_: Call) -> None:
            act()

        return handler

    def _next_error(self, call: Call) -> str:
        entry = self.errors.next()
        return f'{entry.code},"{entry.message}"' if entry else '0,"No error"'

    def _event_enable(self, call: Call) -> str | None:
        if call.query:
            return str(int(self._enabled))
        self._enabled = call.number()
        return None

    def _chosen(self, call: Call) -> Channel:
        number = call.suffixes[0] if call.suffixes else 1
        if number > len(self.channels):
            raise RejectedError(BAD_SUFFIX)
        return self.channels[number - 1]

    def _number(self, key: str) -> Handler:
        def handler(call: Call) -> str | None:
            channel = self._chosen(call)
            if call.query:
                return self.printed(channel.number(key))
            least, most = self._range(channel, key)
            words = {"MIN": least, "MINIMUM": least, "MAX": most, "MAXIMUM": most}
            value = call.number(0, **words, INF=INFINITE, INFINITY=INFINITE)
            if not least <= value <= most:
                self.errors.add(OUT_OF_RANGE)
                value = min(max(value, least), most)
                if not self.clips:
                    return None
            self._assign(channel, key, value)
            return None

        return handler

    def _switch(self, key: str) -> Handler:
        def handler(call: Call) -> str | None:
            channel = self._chosen(call)
            if call.query:
                return "1" if channel.values[key] else "0"
            self._assign(channel, key, float(call.boolean()))
            return None

        return handler

    def _word(self, key: str, *words: str, shared: bool = False) -> Handler:
        """``shared`` by all channels."""

        def handler(call: Call) -> str | None:
            if call.query:
                return str(self._chosen(call).values[key])
            word = call.choice(*words)
            for channel in self.channels if shared else [self._chosen(call)]:
                self._assign(channel, key, word)
            return None

        return handler

    def _range(self, channel: Channel, key: str) -> tuple[float, float]:
        limits, level = self.limits, self.limits.level_v * channel.gain * (1 + 1e-4)
        edge, width = limits.edge_s, limits.width_s
        return {
            "period": (1 / limits.hertz, limits.period_s),
            "width": (width, limits.period_s),
            "leading": edge,
            "trailing": edge,
            "high": (-level, level),
            "low": (-level, level),
            "load": (1.0, INFINITE),
            "count": (1.0, self.most_cycles),
            "phase": (-360.0, 360.0),
        }.get(key, (0.0, INFINITE))

    def _assign(self, channel: Channel, key: str, value: float | str) -> None:
        value = self.settings.coerced.get(key, value)
        before = channel.gain
        if key in ("high", "low") and not self._apart(channel, key, value):
            self.errors.add(CONFLICT)
            return
        channel.times_on += key == "output" and bool(value) and not channel.values[key]
        channel.values[key] = value
        if key == "load":  # the same open-circuit voltage, shown for another load
            for level in ("high", "low"):
                channel.values[level] = channel.number(level) * channel.gain / before
        if channel.values["function"] == "PULS" and self._fit(channel):
            self.errors.add(CONFLICT)
        channel.drive(self._waiting(channel))

    def _apart(self, channel: Channel, key: str, value: float | str) -> bool:
        levels = {"high": channel.number("high"), "low": channel.number("low"), key: value}
        least, most = (volts * channel.gain for volts in self.limits.span_v)
        span = float(levels["high"]) - float(levels["low"])
        return least * (1 - 1e-9) <= span <= most * (1 + 1e-9)

    def _fit(self, channel: Channel) -> bool:
        """Width and edges give way to the period; whether they had to."""
        period, least = channel.number("period"), self.limits.width_s
        width = max(least, min(channel.number("width"), period - least))
        steepest = max(self.limits.edge_s[0], _STEEPEST * min(width, period - width))
        fitted = {
            "width": width,
            "leading": max(self.limits.edge_s[0], min(channel.number("leading"), steepest)),
            "trailing": max(self.limits.edge_s[0], min(channel.number("trailing"), steepest)),
        }
        changed = any(abs(value - channel.number(key)) > 1e-6 * value for key, value in fitted.items())
        channel.values.update(fitted)
        return changed

    def _offset(self, call: Call) -> str | None:
        channel = self._chosen(call)
        high, low = channel.number("high"), channel.number("low")
        if call.query:
            return self.printed((high + low) / 2)
        offset, half = call.number(), (high - low) / 2
        if abs(offset) + half > self.limits.level_v * channel.gain * (1 + 1e-9):
            self.errors.add(OUT_OF_RANGE)
            return None
        channel.values.update(high=offset + half, low=offset - half)
        channel.drive(self._waiting(channel))
        return None

    def _waiting(self, channel: Channel) -> bool:
        """Whether nothing comes until it is triggered."""
        values = channel.values
        return bool(values["burst"]) and values["mode"] == "TRIG" and values["source"] == self.source

    def _fire(self, channels: list[Channel]) -> None:
        """A burst of each channel that waits for a trigger; it goes on whatever becomes of the host."""
        ready = [channel for channel in channels if self._waiting(channel)]
        if not ready:
            raise RejectedError(TRIGGER_IGNORED)
        for channel in ready:
            count, (_, active) = int(channel.number("count")), channel.levels()
            period, width = channel.number("period"), channel.number("width")
            channel.bursts += 1
            self.seconds += count * period
            if not (channel.values["output"] and channel.values["function"] == "PULS" and active):
                channel.lost += count
                continue
            channel.pulses += count
            channel.load.pulse(channel.name, Pulse(active, width, period - width), count)
