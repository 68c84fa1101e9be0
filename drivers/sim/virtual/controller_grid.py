"""The array behind a virtual controller: operations of its buffer become operations on simulated devices.

Checks of the protocol are here too; what passes is run by the simulated bench, so that devices move by
exactly its physics.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from drivers.sim.virtual.controller_lines import Refused, channels, decimal, only, vector, whole
from hil.bench import Execution
from hil.errors import LimitError, ScheduleError
from hil.schedule import Multiply, Op, Program, Pulse, Read, Region, Variants, Wait

_COUNTS = re.compile("[0-9]{1,5}(?:,[0-9]{1,5})*")
_NS = 1e9  # nanoseconds divided by it are the nearest float64 to the decimal seconds


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a controller is able to do; times in ns, watchdog in ms."""

    rows: int
    cols: int
    vread: float
    vpulse: float
    bias: str = "V/2"
    width_min: int = 10
    width_max: int = 10_000_000_000
    tick: int = 1
    pulses: int = 32767
    line: int = 65536
    ops: int = 4096
    bytes: int = 4 * 1024 * 1024
    watchdog: int = 2000

    def narrowed(self, values: dict[str, str]) -> Hardware:
        """With limits of a host, none of them wider than these; ``Refused`` else."""
        only(values, (), ("vread", "vpulse", "width_min", "width_max", "watchdog"))
        asked = {key: decimal(values, key) for key in ("vread", "vpulse") if key in values}
        asked |= {key: whole(values, key) for key in ("width_min", "width_max", "watchdog") if key in values}
        for key, value in asked.items():
            bound = getattr(self, key)
            if value < 0 or (value < bound if key == "width_min" else value > bound):
                raise Refused(8, f"{key}={value:g}: the hardware allows {bound:g}")
        return replace(self, **asked)  # pyright: ignore[reportArgumentType] - the keys are of these types


@dataclass(frozen=True, slots=True)
class Order:
    """One operation of the buffer, checked; ``extra_s`` is what the host's waits add to its time."""

    op: Op
    extra_s: float = 0.0
    shots: int = 0


@dataclass(slots=True)
class Counters:
    """What a controller counts since it was made; ``each`` are the pulses of every device [rows, cols]."""

    each: NDArray[np.uint32]
    programs: int = 0
    shots: int = 0
    pulses: int = 0
    on_ns: int = 0


@dataclass
class Grid:
    """Simulated devices at the crossings of a controller's channels."""

    settings: SimSettings
    name: str
    hardware: Hardware
    seed: int
    bench: SimBench = field(init=False)
    counters: Counters = field(init=False)

    def __post_init__(self) -> None:
        shape = self.hardware.rows, self.hardware.cols
        self.bench = SimBench(self.settings, {self.name: shape}, self.seed)
        self.counters = Counters(np.zeros(shape, np.uint32))

    def run(self, orders: Sequence[Order]) -> Execution:
        """Run them in order and count; ``Refused`` before the first volt where the devices have no answer."""
        try:
            done = self.bench.execute(tuple(order.op for order in orders))
        except LimitError as error:
            raise Refused(8, str(error)) from None
        except ScheduleError as error:
            raise Refused(6, str(error)) from None
        self.counters.programs += 1
        for order, cost in zip(orders, done.costs, strict=True):
            cost.seconds += order.extra_s
            if isinstance(order.op, Wait):
                continue
            self.counters.on_ns += round(cost.seconds * _NS)
            if isinstance(order.op, Program):
                region = order.op.region
                given = np.abs(order.op.counts.astype(np.int64))
                self.counters.each[np.ix_(region.rows, region.cols)] += given.astype(np.uint32)
                self.counters.shots += order.shots
                self.counters.pulses += int(given.sum())
        return done

    def order(self, values: dict[str, str], now: Hardware) -> Order:
        """One OP against the limits of now."""
        kind = values.get("do")
        if kind == "READ":
            return self._read(values, now)
        if kind == "MUL":
            return self._mul(values, now)
        if kind == "SHOT":
            return self._shot(values, now)
        if kind == "WAIT":
            only(values, ("i", "do", "ns"))
            return Order(Wait(_time(values, "ns", now) / _NS))
        raise Refused(6, f"do={str(kind)[:20]}: READ, MUL, SHOT or WAIT is needed")

    def _region(self, values: dict[str, str]) -> Region:
        rows, cols = channels(values, "r", self.hardware.rows), channels(values, "c", self.hardware.cols)
        return Region(self.name, rows, cols)

    def _read(self, values: dict[str, str], now: Hardware) -> Order:
        only(values, ("i", "do", "r", "c", "v", "ns", "wait"))
        region, volts = self._region(values), decimal(values, "v")
        if volts == 0 or not abs(volts) <= now.vread:
            raise Refused(8, f"v={volts:g}: other than 0 and up to {now.vread:g} V is allowed")
        wait_s = _time(values, "wait", now) / _NS * region.rows.size
        return Order(Read(region, volts, _positive(values, "ns", now) / _NS), wait_s)

    def _mul(self, values: dict[str, str], now: Hardware) -> Order:
        varied = "vl" in values or "vx" in values
        only(values, ("i", "do", "side", "r", "c", "n", "x", "ns", "wait", *(("vl", "vx") if varied else ())))
        if values["side"] not in ("rows", "cols"):
            raise Refused(6, f"side={values['side'][:20]}: rows or cols is needed")
        region, back, n = self._region(values), values["side"] == "cols", whole(values, "n", 1_000_000)
        lines = region.shape[1 if back else 0]
        volts = [vector(values, "x", (n, lines))]
        variants = None
        if varied:
            which = channels(values, "vl", lines)
            volts.append(vector(values, "vx", (which.size, n)))
            variants = Variants(which, volts[1])
        largest = max(float(np.abs(each).max(initial=0)) for each in volts)
        if not largest <= now.vread * (1 + 2**-23):  # a float32 step: 0.1 is above 0.1 V there
            raise Refused(8, f"x: {largest:.9g} V; {now.vread:g} V is allowed")
        times = n if variants is None else n * variants.lines.size
        wait_s = _time(values, "wait", now) / _NS * times
        return Order(Multiply(region, volts[0], _positive(values, "ns", now) / _NS, back, variants), wait_s)

    def _shot(self, values: dict[str, str], now: Hardware) -> Order:
        only(values, ("i", "do", "r", "c", "n", "v", "width", "gap", "bias"))
        region, volts = self._region(values), decimal(values, "v")
        counts = _counts(values["n"], region.cols.size, now.pulses)
        width, gap = _positive(values, "width", now), _time(values, "gap", now)
        if values["bias"] != now.bias:
            raise Refused(19, f"bias={values['bias'][:20]}: this board holds unselected lines at {now.bias}")
        if volts == 0 or not abs(volts) <= now.vpulse:
            raise Refused(8, f"v={volts:g}: other than 0 and up to {now.vpulse:g} V is allowed")
        if not now.width_min <= width <= now.width_max:
            raise Refused(8, f"width={width}: {now.width_min} to {now.width_max} ns are allowed")
        sheet = self.bench.arrays[self.name].device
        pulse = Pulse(volts, width / _NS, gap / _NS)
        rising = volts * sheet.potentiate.amplitude_v > 0
        each = np.tile(counts if rising else -counts, (region.rows.size, 1))
        up, down = (pulse, sheet.depress) if rising else (sheet.potentiate, pulse)
        return Order(Program(region, each, up, down), shots=int(counts.max(initial=0)))


def cut(order: Order, shots: int) -> Order:
    """The same order ended after some of its shots."""
    if not isinstance(order.op, Program):
        return order
    op = order.op
    counts = np.clip(op.counts, -shots, shots)
    return Order(
        Program(op.region, counts, op.potentiate, op.depress), order.extra_s, min(shots, order.shots)
    )


def _counts(text: str, cols: int, most: int) -> NDArray[np.int16]:
    if not _COUNTS.fullmatch(text):
        raise Refused(6, f"n={text[:40]}: whole numbers are needed")
    counts = [int(part) for part in text.split(",")]
    if len(counts) not in (1, cols) or max(counts) > most:
        raise Refused(6, f"n: {len(counts)} numbers up to {max(counts)}; {cols} up to {most} are needed")
    return np.array(counts * cols if len(counts) == 1 else counts, np.int16)


def _time(values: dict[str, str], key: str, now: Hardware) -> int:
    time = whole(values, key)
    if time % now.tick:
        raise Refused(9, f"{key}={time}: a multiple of {now.tick} ns is needed")
    return time


def _positive(values: dict[str, str], key: str, now: Hardware) -> int:
    time = _time(values, key, now)
    if time == 0:
        raise Refused(6, f"{key}=0: a time above 0 is needed")
    return time
