"""One device at a time: which relays close for it, how it is read and pulsed, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from drivers.crosspoint.safe import Occupied, safe_at_once
from drivers.crosspoint.settings import BusSettings, CrosspointReadSettings
from drivers.instruments.failure import require_safe
from drivers.instruments.tsp_scan import TspScan
from drivers.transport.session import Session
from hil.bench import Cost
from hil.errors import ComplianceError, ScheduleError
from hil.instruments import Crosspoint, Instrument, Pulser, Smu, Sourcing, SwitchMatrix
from hil.region import Floats
from hil.schedule import Pulse

LOWERED = (1.0, 0.5, 0.25, 0.125)
"""Shares of the voltage that are tried where a current reaches the compliance."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What was done so far; ``least_s`` is the time that it cannot have been done in less than."""

    pulses: int = 0
    reads: int = 0
    least_s: float = 0.0
    joules: float = 0.0


class Lines(NamedTuple):
    """The session of each instrument."""

    smu: Session
    pulser: Session
    matrix: Session


@dataclass
class Probe:
    """Reads and pulses single devices, by the columns of the matrix that their two lines are on.

    Parameters
    ----------
    smu, pulser, matrix
        The instruments.
    buses
        Rows of the matrix that they are wired to.
    reading
        How currents are measured.
    lines
        The sessions of source-measure unit and pulse generator, which may be one, and of the matrix.
    scan
        Reads many devices in one exchange where the source-measure unit itself switches the matrix.
    """

    smu: Smu
    pulser: Pulser
    matrix: SwitchMatrix
    buses: BusSettings
    reading: CrosspointReadSettings
    lines: Lines
    scan: TspScan | None = None
    bursting: bool = field(default=False, init=False)
    """Pulses are asked for, and not confirmed; after a failure: they are in doubt."""
    _done: Tally = field(default=Tally(), init=False)
    _cold: bool = field(default=False, init=False)

    @property
    def instruments(self) -> dict[str, Instrument]:
        """By role, sources first."""
        return {"smu": self.smu, "pulser": self.pulser, "matrix": self.matrix}

    @property
    def read_v(self) -> float:
        """The nominal read voltage."""
        return self.reading.voltage

    def check_volts(self, volts: Floats, where: str) -> None:
        """Refuse what the source-measure unit cannot put out; see `drivers.checks.Hardware`."""
        largest = float(np.abs(volts).max(initial=0))
        if np.isnan(largest):
            raise ScheduleError(f"volts on {where} hold NaN; finite voltages are needed")
        self.smu.check(np.array([largest]), self._sourcing(self.reading.integration))

    def check_pulses(self, pulse: Pulse, count: int, where: str) -> None:
        """Refuse what the pulse generator cannot put out; see `drivers.checks.Hardware`."""
        if count:
            self.pulser.check(pulse, count)

    def read_each(
        self, devices: Sequence[tuple[int, int]], volts: float, integration_s: float
    ) -> list[tuple[float, bool]]:
        """As `read`, of many devices, one after the other; a scan stops behind the exchange of a bound."""
        if self.scan is None or not devices:
            return [self.read(row, col, volts, integration_s) for row, col in devices]
        self._make_cold()
        found = self.scan.read(
            [self._crosspoints(self.buses.smu, *each) for each in devices],
            volts,
            self._sourcing(integration_s),
            until_bound=self.reading.at_compliance == "stop",
        )
        amperes, bounds = found.amperes.tolist(), found.clipped.tolist()
        self._count(amperes, volts, integration_s)
        if self.reading.at_compliance == "stop" and any(bounds):
            row, col = devices[int(found.clipped.argmax())]
            raise self._over(row, col, volts)
        again = self.reading.at_compliance == "lower"
        return [
            self._read(*device, volts, integration_s, LOWERED[1:]) if bound and again else (current, bound)
            for device, current, bound in zip(devices, amperes, bounds, strict=True)
        ]

    def read(self, row: int, col: int, volts: float, integration_s: float) -> tuple[float, bool]:
        """Amperes of a device at a voltage, and whether they are only a bound.

        Raises ComplianceError if they are and the bench file says stop.
        """
        factors = LOWERED if self.reading.at_compliance == "lower" else LOWERED[:1]
        amperes, bound = self._read(row, col, volts, integration_s, factors)
        if bound and self.reading.at_compliance == "stop":
            raise self._over(row, col, volts)
        return amperes, bound

    def pulse(self, row: int, col: int, pulse: Pulse, count: int, siemens: float) -> None:
        """So many pulses to a device, of ``siemens`` when last read (NaN: not known), for the energy."""
        self.bursting = False
        self._connect(self.buses.pulser, row, col)
        spent = count * pulse.width_s * pulse.amplitude_v**2 * np.nan_to_num(siemens)
        # Counted before: after a failure it is in doubt how many came, and none may be missing in the count.
        self._add(pulses=count, seconds=count * (pulse.width_s + pulse.gap_s), joules=float(spent))
        self.bursting = True
        self.pulser.burst(pulse, count)
        self.bursting = False

    def tally(self) -> tuple[Tally, int]:
        """What was done so far, and in how many exchanges."""
        return self._done, self._exchanges()

    def cost(self, before: tuple[Tally, int], seconds: float) -> Cost:
        """Since then. Virtual instruments do not wait: it takes at least what it must have taken."""
        then, exchanges = before
        now = self._done
        return Cost(
            pulses=now.pulses - then.pulses,
            reads=now.reads - then.reads,
            transactions=self._exchanges() - exchanges,
            seconds=max(seconds, now.least_s - then.least_s),
            joules=now.joules - then.joules,
        )

    def make_safe(self) -> tuple[str, ...]:
        """Sources off first, both at once, so that relays open cold; what could not be verified."""
        sources: dict[int, Occupied] = {}
        for line, instrument in ((self.lines.smu, self.smu), (self.lines.pulser, self.pulser)):
            sources.setdefault(id(line), Occupied(line, [])).instruments.append(instrument)
        return (*safe_at_once(list(sources.values())), *self.matrix.make_safe())

    def _read(
        self, row: int, col: int, volts: float, integration_s: float, factors: Sequence[float]
    ) -> tuple[float, bool]:
        """At one share of the voltage after the other until a current is not a bound; scaled to all of it."""
        self._connect(self.buses.smu, row, col)
        sourcing = self._sourcing(integration_s)
        amperes, bound = np.nan, True
        for factor in factors:
            found = self.smu.measure(np.array([factor * volts]), sourcing)
            amperes, bound = float(found.amperes[0]) / factor, bool(found.clipped[0])
            self._count([factor * amperes], factor * volts, integration_s)
            if not bound:
                break
        return amperes, bound

    def _connect(self, bus: int, row: int, col: int) -> None:
        self._make_cold()
        self.matrix.connect(self._crosspoints(bus, row, col))

    def _make_cold(self) -> None:
        """Somebody else may have left an output on or a relay closed: the first relay switches cold too."""
        if not self._cold:
            require_safe(self.make_safe())
            self._cold = True

    def _crosspoints(self, bus: int, row: int, col: int) -> tuple[Crosspoint, Crosspoint]:
        return Crosspoint(bus, row), Crosspoint(self.buses.ground, col)

    def _exchanges(self) -> int:
        return sum(line.transactions for line in {id(line): line for line in self.lines}.values())

    def _over(self, row: int, col: int, volts: float) -> ComplianceError:
        return ComplianceError(
            f"the device on columns {row} and {col} of the matrix reached the compliance of "
            f"{self.reading.compliance:g} A at {volts:g} V; read.at_compliance says stop"
        )

    def _sourcing(self, integration_s: float) -> Sourcing:
        return Sourcing(self.reading.compliance, integration_s, self.reading.settle)

    def _count(self, amperes: Sequence[float], volts: float, integration_s: float) -> None:
        """Readings at a voltage."""
        flown = sum(abs(each) for each in amperes if not math.isnan(each)) * abs(volts)
        seconds = len(amperes) * (integration_s + self.reading.settle)
        self._add(reads=len(amperes), seconds=seconds, joules=flown * integration_s)

    def _add(self, *, seconds: float, joules: float, reads: int = 0, pulses: int = 0) -> None:
        done = self._done
        self._done = replace(
            done,
            pulses=done.pulses + pulses,
            reads=done.reads + reads,
            least_s=done.least_s + seconds,
            joules=done.joules + joules,
        )
