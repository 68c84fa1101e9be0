"""The devices that all virtual instruments of a crosspoint bench share: what one does, the others find.

Relays of a matrix connect buses (its rows: the terminals of instruments, and ground) to lines of arrays (its
columns). A device is between a source and ground when its two lines are; it has a selector, so that lines
that are connected to nothing carry nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from hil.region import Index, Region
from hil.schedule import Multiply, Program, Pulse, Read, ReadAnswer


class Load(Protocol):
    """What a source-measure unit is connected to."""

    def drive(self, source: str, volts: float) -> None:
        """A source's terminal is at so many volts from now on; 0 when off."""
        ...

    def current(self, volts: float, integration_s: float) -> float:
        """Amperes that flow at a voltage, averaged over a time."""
        ...


class PulseLoad(Protocol):
    """What a pulse generator is connected to."""

    def drive(self, source: str, volts: float) -> None:
        """A source's terminal rests at so many volts from now on; 0 when off."""
        ...

    def pulse(self, source: str, pulse: Pulse, count: int) -> None:
        """So many identical pulses, as they are at the terminal."""
        ...


class Relays(Protocol):
    """What a switch matrix switches."""

    def switch(self, closed: Collection[tuple[int, int]]) -> None:
        """Exactly these crosspoints (row, column of the matrix, from 0) are closed from now on."""
        ...


class Lines(NamedTuple):
    """Columns of the matrix that the rows and columns of an array are on, int [rows] and [cols]."""

    rows: Index
    cols: Index


@dataclass
class DeviceGrid:
    """Simulated arrays behind the relays of one matrix, with counters that no host can touch.

    Parameters
    ----------
    bench
        The devices.
    lines
        The wiring of each of its arrays.
    ground
        The row of the matrix that is grounded.
    """

    bench: SimBench
    lines: Mapping[str, Lines]
    ground: int

    def __post_init__(self) -> None:
        self.pulses: dict[str, NDArray[np.int64]] = {
            name: np.zeros(info.shape, np.int64) for name, info in self.bench.arrays.items()
        }
        self.pulsed_s = 0.0
        self.hot_switches = 0
        self.switchings = 0
        self.broke_before_make = True
        self.volts: dict[str, float] = {}
        self._closed: frozenset[tuple[int, int]] = frozenset()
        self._between: dict[int, Sequence[tuple[Region, int]]] = {}
        self._where = {
            int(line): (name, axis, position)
            for name, lines in self.lines.items()
            for axis, channels in enumerate(lines)
            for position, line in enumerate(channels)
        }

    @property
    def closed(self) -> frozenset[tuple[int, int]]:
        """Crosspoints closed now."""
        return self._closed

    def conductances(self, array: str) -> NDArray[np.float32]:
        """The truth, siemens [rows, cols]."""
        return self.bench.conductances(array)

    def terminal(self, bus: int) -> Terminal:
        """What an instrument on a row of the matrix sees."""
        return Terminal(self, bus)

    def switch(self, closed: Collection[tuple[int, int]]) -> None:
        """Relays change; hot if any source is not at 0 V."""
        now = frozenset(closed)
        changed = len(now ^ self._closed)
        self.switchings += changed
        if changed and any(self.volts.values()):
            self.hot_switches += changed
        if now - self._closed and self._closed - now:
            self.broke_before_make = False
        self._closed = now
        self._between.clear()

    def between(self, bus: int) -> Sequence[tuple[Region, int]]:
        """Devices between a bus and ground, one by one; +1 where the bus is on the row, -1 on the column."""
        if bus not in self._between:
            self._between[bus] = list(self._found(bus))
        return self._between[bus]

    def _found(self, bus: int) -> Iterator[tuple[Region, int]]:
        here = sorted(self._where[line] for row, line in self._closed if row == bus and line in self._where)
        there = sorted(
            self._where[line] for row, line in self._closed if row == self.ground and line in self._where
        )
        for array, axis, position in here:
            for other, other_axis, across in there:
                if other == array and other_axis != axis:
                    row, col = (position, across) if axis == 0 else (across, position)
                    yield Region(array, np.array([row]), np.array([col])), 1 - 2 * axis


def warm(physics: SimSettings, sizes: Mapping[str, tuple[int, int]]) -> None:
    """Compile what an instrument asks of devices, on arrays of its own: the first time that lasts a minute,
    and no host would wait for it.
    """
    bench = SimBench(physics, dict(sizes), 0)
    name = next(iter(sizes))
    device, spare = bench.arrays[name].device, Region(name, np.array([0]), np.array([0]))
    read_v, integration_s = device.read_voltage_v, device.integration_s
    volts = np.full((1, 1), read_v, np.float32)
    for count in (1, -1):
        bench.execute((Program(spare, np.full((1, 1), count), device.potentiate, device.depress),))
    bench.execute((Read(spare, read_v, integration_s), Multiply(spare, volts, integration_s)))
    bench.execute((Multiply(spare, volts, integration_s, transpose=True),))


@dataclass(frozen=True)
class Terminal:
    """One row of the matrix, as the instrument that is wired to it sees it: a `Load` and a `PulseLoad`."""

    grid: DeviceGrid
    bus: int

    def drive(self, source: str, volts: float) -> None:
        """See `Load.drive`."""
        self.grid.volts[source] = volts

    def current(self, volts: float, integration_s: float) -> float:
        """Amperes through all devices between this terminal and ground."""
        if volts == 0:
            return 0.0
        total = 0.0
        for region, sign in self.grid.between(self.bus):
            answer = self.grid.bench.execute((Read(region, sign * volts, integration_s),)).answers[0]
            if not isinstance(answer, ReadAnswer):
                raise TypeError("the simulated bench answered a Read otherwise")
            total += sign * float(answer.amperes[0, 0])
        return total

    def pulse(self, source: str, pulse: Pulse, count: int) -> None:
        """So many identical pulses to all devices between this terminal and ground."""
        for region, sign in self.grid.between(self.bus):
            device = self.grid.bench.arrays[region.array].device
            seen = Pulse(sign * pulse.amplitude_v, pulse.width_s, pulse.gap_s)
            rising = seen.amplitude_v * device.potentiate.amplitude_v > 0
            counts = np.full((1, 1), count if rising else -count)
            shapes = (seen, device.depress) if rising else (device.potentiate, seen)
            self.grid.bench.execute((Program(region, counts, *shapes),))
            self.grid.pulses[region.array][np.ix_(region.rows, region.cols)] += count
            self.grid.pulsed_s += count * (pulse.width_s + pulse.gap_s)


class Unconnected:
    """What a terminal that is wired to nothing sees: a `Load` and a `PulseLoad`."""

    def drive(self, source: str, volts: float) -> None:
        """No effect."""

    def current(self, volts: float, integration_s: float) -> float:
        """None flows."""
        return 0.0

    def pulse(self, source: str, pulse: Pulse, count: int) -> None:
        """No effect."""
