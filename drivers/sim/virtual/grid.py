"""The devices that all virtual instruments of a crosspoint bench share: what one does, the others find.

Instruments drive two buses through a switch matrix. A device is between them when its crosspoint is closed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from drivers.sim.bench import SimBench
from hil.region import Region
from hil.schedule import Program, Pulse, Read, ReadAnswer


class Load(Protocol):
    """What is connected to a source."""

    def drive(self, source: str, volts: float) -> None:
        """A source's terminal is at so many volts from now on; 0 when off."""
        ...

    def current(self, volts: float, integration_s: float) -> float:
        """Amperes that flow at a voltage, averaged over a time."""
        ...


class DeviceGrid:
    """Devices of one array of a simulated bench behind relays, with counters that no host can touch.

    Parameters
    ----------
    bench, array
        The devices.
    closed
        Crosspoints (row, col) closed to begin with.
    """

    def __init__(self, bench: SimBench, array: str, closed: Collection[tuple[int, int]] = ()) -> None:
        shape = bench.arrays[array].shape
        self.pulses: NDArray[np.int64] = np.zeros(shape, np.int64)
        self.hot_switches = 0
        self.switchings = 0
        self._bench = bench
        self._array = array
        self._closed = frozenset(closed)
        self._volts: dict[str, float] = {}

    @property
    def closed(self) -> frozenset[tuple[int, int]]:
        """Crosspoints closed now."""
        return self._closed

    def conductances(self) -> NDArray[np.float32]:
        """The truth, siemens [rows, cols]."""
        return self._bench.conductances(self._array)

    def switch(self, closed: Collection[tuple[int, int]]) -> None:
        """Relays change; hot if any source is not at 0 V."""
        now = frozenset(closed)
        changed = len(now ^ self._closed)
        self.switchings += changed
        if changed and any(self._volts.values()):
            self.hot_switches += changed
        self._closed = now

    def drive(self, source: str, volts: float) -> None:
        """A source's terminal is at so many volts from now on."""
        self._volts[source] = volts

    def current(self, volts: float, integration_s: float) -> float:
        """Amperes through all closed crosspoints in parallel."""
        if volts == 0:
            return 0.0
        total = 0.0
        for row, col in sorted(self._closed):
            answer = self._bench.execute((Read(self._region(row, col), volts, integration_s),)).answers[0]
            if not isinstance(answer, ReadAnswer):
                raise TypeError("the simulated bench answered a Read otherwise")
            total += float(answer.amperes[0, 0])
        return total

    def pulse(self, pulse: Pulse, count: int) -> None:
        """So many identical pulses to every closed crosspoint."""
        device = self._bench.arrays[self._array].device
        for row, col in sorted(self._closed):
            counts = np.full(
                (1, 1), count if pulse.amplitude_v * device.potentiate.amplitude_v > 0 else -count
            )
            region = self._region(row, col)
            self._bench.execute((Program(region, counts, pulse, pulse),))
            self.pulses[row, col] += count

    def _region(self, row: int, col: int) -> Region:
        return Region(self._array, np.array([row]), np.array([col]))
