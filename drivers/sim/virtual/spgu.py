"""The pulse generator modules (B1525A) of a virtual B1500A: what all channels share, and each channel.

Written from the B1500 Programming Guide (B1500-90010), chapter 2 (SPGU module) and 4 (SP… commands).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from drivers.sim.virtual.errorqueue import Entry
from drivers.sim.virtual.flex import CHANNEL, VALUE, Handler, RefusedError
from drivers.sim.virtual.grid import Load, PulseLoad
from hil.schedule import Pulse

_OHMS = 50.0
_SETUP = Entry(2103, "SPGU pulse timing does not fit its period.")


class Connection(Load, PulseLoad, Protocol):
    """What a channel of either kind is connected to."""


@dataclass
class Channel:
    """One output; it pulses at a start if it is on and in a pulse mode."""

    load: PulseLoad
    name: str
    on: bool = False
    mode: int = 1
    direct: float = 0.0
    levels: tuple[float, float] = (0.0, 0.0)
    timing: tuple[float, float, float, float] = (0.0, 1e-7, 2e-8, 2e-8)
    expected_ohms: float = 50.0
    pulses: int = 0
    bursts: list[tuple[Pulse, int]] = field(default_factory=list[tuple[Pulse, int]])

    def at_load(self, volts: float) -> float:
        """What a level is into an open circuit, when another load was expected."""
        return volts * (self.expected_ohms + _OHMS) / self.expected_ohms

    def rest(self) -> None:
        """Put out the base, or the DC level."""
        level = self.direct if self.mode == 0 else self.levels[0]
        self.load.drive(self.name, self.at_load(level) if self.on else 0.0)


class Spgu:
    """All modules; period, run mode and start are common to them.

    ``load`` tells what a channel is connected to, ``polls`` how often SPST? tells 1 after a start, as no time
    passes here.
    """

    def __init__(
        self,
        modules: Mapping[int, str],
        load: Callable[[int], PulseLoad],
        coerced: Mapping[str, float],
        polls: int,
    ) -> None:
        self.channels = {
            number: Channel(load(number), f"B1500A:{number}")
            for slot, model in modules.items()
            if model == "B1525A"
            for number in (100 * slot + 1, 100 * slot + 2)
        }
        self.starts = 0
        self._coerced = coerced
        self._polls = polls
        self._left = 0
        self._mode = 0.0
        self._run: tuple[float, float] = (1.0, 1.0)
        self._period = 1e-6

    def handlers(self) -> dict[str, Handler]:
        """Its commands."""
        return {
            "SIM": self._set_mode,
            "SIM?": lambda _: f"{self._mode:.0f}",
            "SPRM": self._set_run,
            "SPRM?": lambda _: f"{self._run[0]:.0f},{self._run[1]:.0f}",
            "SPPER": self._set_period,
            "SPPER?": lambda _: f"{self._period:.6E}",
            "SPM": self._set_levels_mode,
            "SPM?": lambda p: str(self._channel(p[0]).mode),
            "SPV": self._set_levels,
            "SPV?": lambda p: ",".join(f"{v:.6E}" for v in self._channel(p[0]).levels),
            "SPT": self._set_timing,
            "SPT?": lambda p: ",".join(f"{t:.6E}" for t in self._channel(p[0]).timing),
            "SER": self._set_load,
            "SER?": lambda p: f"{self._channel(p[0]).expected_ohms:.6E}",
            "SPUPD": self._update,
            "SRP": lambda _: self._start(),
            "SPP": lambda _: self.stop(),
            "SPST?": lambda _: self._status(),
        }

    def switch(self, number: int, on: bool) -> None:
        """Output switch of a channel; 0 V until SPUPD."""
        channel = self.channels[number]
        channel.on = on
        channel.load.drive(channel.name, 0.0)

    def on(self) -> list[int]:
        """Channels whose switch is closed."""
        return [number for number, channel in self.channels.items() if channel.on]

    def stop(self) -> None:
        """Pulses end; channels rest at their base."""
        self._left = 0

    def _channel(self, number: float) -> Channel:
        found = self.channels.get(int(number))
        if found is None:
            raise RefusedError(CHANNEL)
        return found

    def _update(self, p: Sequence[float]) -> None:
        for number in p:
            self._channel(number).rest()

    def _set_mode(self, p: Sequence[float]) -> None:
        _allowed(p[0] in (0, 1))
        self._mode = p[0]
        for channel in self.channels.values():
            channel.load.drive(channel.name, 0.0)

    def _set_run(self, p: Sequence[float]) -> None:
        _allowed(p[0] in (0, 1, 2) and (p[0] != 1 or 1 <= p[1] <= 1_000_000))
        self._run = (p[0], self._coerced.get("SPRM", p[1] if len(p) > 1 else 0.0))

    def _set_period(self, p: Sequence[float]) -> None:
        _allowed(20e-9 <= p[0] <= 10)
        self._period = self._coerced.get("SPPER", p[0])

    def _set_levels_mode(self, p: Sequence[float]) -> None:
        _allowed(p[1] in (0, 1, 2, 3))
        self._channel(p[0]).mode = int(p[1])

    def _set_levels(self, p: Sequence[float]) -> None:
        """SPV channel, source, base, peak, in steps of 1 mV; source 0 is the DC level."""
        channel = self._channel(p[0])
        _allowed(p[1] in (0, 1, 2) and all(abs(each) <= 40 for each in p[2:]))
        levels = [round(each, 3) for each in p[2:]]
        if p[1] == 0:
            channel.direct = levels[0]
        else:
            channel.levels = (levels[0], self._coerced.get("SPV", levels[1]))

    def _set_timing(self, p: Sequence[float]) -> None:
        """SPT channel, source, delay, width, leading, trailing; the width is that at half height."""
        channel = self._channel(p[0])
        delay, width, leading = p[2:5]
        trailing = p[5] if len(p) > 5 else leading
        _allowed(delay >= 0 and width >= 10e-9 and min(leading, trailing) >= 8e-9)
        channel.timing = (delay, self._coerced.get("SPT", width), leading, trailing)

    def _set_load(self, p: Sequence[float]) -> None:
        _allowed(0.1 <= p[1] <= 1e6)
        self._channel(p[0]).expected_ohms = self._coerced.get("SER", p[1])

    def _start(self) -> None:
        pulsing = [each for each in self.channels.values() if each.on and each.mode]
        for channel in pulsing:
            delay, width, leading, trailing = channel.timing
            if delay + width + (leading + trailing) / 2 / 0.8 > self._period:
                raise RefusedError(_SETUP)
        self.starts += 1
        self._left = self._polls
        for channel in pulsing:
            base, peak = channel.levels
            if self._run[0] == 1 and peak != base:
                width, count = channel.timing[1], int(self._run[1])
                pulse = Pulse(channel.at_load(peak - base), width, self._period - width)
                channel.pulses += count
                channel.bursts.append((pulse, count))
                channel.load.pulse(channel.name, pulse, count)

    def _status(self) -> str:
        busy, self._left = int(self._left > 0), max(0, self._left - 1)
        return str(busy)


def _allowed(condition: bool) -> None:
    if not condition:
        raise RefusedError(VALUE)
