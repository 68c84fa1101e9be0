"""What a board answers, as values: limits, state, and the lines of a program's answer put together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from drivers.line.frames import Reply, flags, numbers, vector
from drivers.line.orders import Order, Result
from hil.errors import DesyncError, LimitError, ScheduleError
from hil.limits import largest_admitted
from hil.region import Floats, Index
from hil.schedule import Pulse
from hil.units import format_quantity


@dataclass(frozen=True, slots=True)
class BoardLimits:
    """What the board says it can do now; times in ns, volts as magnitudes."""

    rows: int
    cols: int
    vread: float
    vpulse: float
    width_min: int
    width_max: int
    tick: int
    pulses: int
    bias: tuple[str, ...]
    line: int
    ops: int
    bytes: int
    watchdog: int

    @classmethod
    def of(cls, reply: Reply) -> BoardLimits:
        """As answered by LIMITS."""
        whole = (
            "rows",
            "cols",
            "width_min",
            "width_max",
            "tick",
            "pulses",
            "line",
            "ops",
            "bytes",
            "watchdog",
        )
        limits = cls(
            vread=reply.number("vread"),
            vpulse=reply.number("vpulse"),
            bias=tuple(reply.text("bias").split(",")),
            **{key: reply.whole(key) for key in whole},
        )
        if limits.tick < 1 or limits.line < 1024 + 16 * (limits.rows + limits.cols) or limits.ops < 1:
            raise DesyncError(f"the board's limits make no sense: {limits}")
        return limits

    def check_volts(self, volts: Floats, where: str) -> None:
        """See `drivers.checks.Hardware`."""
        largest = float(np.abs(volts).max(initial=0))
        if math.isnan(largest):
            raise ScheduleError(f"volts on {where} hold NaN; finite voltages are needed")
        if not largest <= largest_admitted(self.vread, volts.dtype.char):
            asked, most = format_quantity(largest, "V", 9), format_quantity(self.vread, "V")
            raise LimitError(f"volts on {where}: asked for {asked}; the board allows {most} when sensing")

    def check_pulses(self, pulse: Pulse, count: int, where: str) -> None:
        """See `drivers.checks.Hardware`."""
        if not abs(pulse.amplitude_v) <= self.vpulse:
            asked, most = (format_quantity(volts, "V") for volts in (pulse.amplitude_v, self.vpulse))
            raise LimitError(f"pulse on {where}: asked for {asked}; the board allows {most}")
        if not self.width_min <= round(pulse.width_s * 1e9) <= self.width_max:
            asked = format_quantity(pulse.width_s, "s")
            low, high = (format_quantity(ns / 1e9, "s") for ns in (self.width_min, self.width_max))
            raise LimitError(f"pulse on {where}: asked for {asked}; the board allows {low} to {high}")
        if not 0 <= count <= self.pulses:
            raise LimitError(f"pulse on {where}: asked for {count} at once; the board allows {self.pulses}")

    def check_channels(self, rows: Index, cols: Index) -> None:
        """Refuse channels that the board has not, with LimitError."""
        for name, lines, count in (("row", rows, self.rows), ("column", cols, self.cols)):
            if lines.size and not (lines.min() >= 0 and lines.max() < count):
                raise LimitError(f"asked for {name}s {lines.tolist()}; the board has 0 to {count - 1}")


@dataclass(frozen=True, slots=True)
class BoardState:
    """What the board says of its last program."""

    boot: int
    seq: int
    run: str
    op: int
    shots: int
    out: int
    errors: int

    @classmethod
    def of(cls, reply: Reply) -> BoardState:
        """As answered by STATE."""
        keys = ("boot", "seq", "op", "shots", "out", "errors")
        return cls(run=reply.text("run"), **{key: reply.whole(key) for key in keys})


class Done(NamedTuple):
    """A program's results, and how many errors wait in the board's queue."""

    results: list[Result]
    errors: int


class Answer:
    """DATA and TIME lines of a program, put together; whatever is not exactly next is a DesyncError."""

    def __init__(self, orders: Sequence[Order]) -> None:
        self._amperes = [np.zeros(order.values, np.float32) for order in orders]
        self._clipped = [np.zeros(order.values, np.bool_) for order in orders]
        self._filled = [0] * len(orders)
        self._ns: list[float] = []
        self._joules: list[float] = []
        self._lines = 0

    def take(self, reply: Reply) -> None:
        """One line."""
        self._lines += 1
        at = reply.whole("at")
        if reply.kind == "TIME" and at == len(self._ns):
            ns = numbers(reply.text("ns"), "ns")
            joules = numbers(reply.values["j"], "j") if "j" in reply.values else [0.0] * len(ns)
            if len(joules) == len(ns) and min(ns) >= 0:
                self._ns += ns
                self._joules += joules
                return
        elif reply.kind == "DATA":
            i, n = reply.whole("i"), reply.whole("n")
            if i < len(self._filled) and at == self._filled[i] and at + n <= self._amperes[i].size:
                self._amperes[i][at : at + n] = vector(reply.text("x"), n, "<f4")
                self._clipped[i][at : at + n] = flags(reply.text("c"), n)
                self._filled[i] += n
                return
        raise DesyncError(
            f"not the next line of a program's answer: {reply.kind[:20]} {str(reply.values)[:100]}"
        )

    def results(self, lines: int) -> list[Result]:
        """All of it, once it is complete."""
        whole = all(f == a.size for f, a in zip(self._filled, self._amperes, strict=True))
        if lines != self._lines or len(self._ns) != len(self._filled) or not whole:
            raise DesyncError(
                f"{self._lines} lines of a program's answer came, {lines} were sent; some are missing"
            )
        parts = zip(self._amperes, self._clipped, self._ns, self._joules, strict=True)
        return [Result(amperes, clipped, ns / 1e9, joules) for amperes, clipped, ns, joules in parts]
