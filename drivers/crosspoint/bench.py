"""The bench of single instruments: each device is connected, read or pulsed, and let go; sums are computed.

Relays switch at 0 V alone: both sources rest there between two operations, as their drivers verify.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from drivers.crosspoint.known import Known, sums
from drivers.crosspoint.probe import Probe
from drivers.instrument_bench import StepwiseBench
from drivers.instruments.failure import require_safe
from drivers.ledger import Ledger
from drivers.wiring import WiredArray
from hil.bench import Cost
from hil.errors import ScheduleError
from hil.instruments import Identity, check_same
from hil.region import Region
from hil.schedule import (
    Answer,
    Multiply,
    MultiplyAnswer,
    Nudge,
    NudgeAnswer,
    Op,
    Program,
    Pulse,
    Read,
    ReadAnswer,
    Wait,
)
from hil.wire import WireLog


class CrosspointBench(StepwiseBench):
    """Arrays behind a source-measure unit, a pulse generator and a switch matrix.

    Parameters
    ----------
    probe
        The instruments and how a device is read and pulsed with them.
    arrays
        The arrays by name.
    identities
        Who the instruments are, by role.
    budget, ledger
        The most pulses to a device in its life, and where they are counted; None: they are not.
    always
        Whether sums are made of new readings of all devices, not only of those that were pulsed since.
    release
        Lets go of the lines.
    wire
        Where their messages go; None: nowhere.
    clock, pause
        Seconds on the bench's clock, and waiting for some.
    """

    def __init__(
        self,
        probe: Probe,
        arrays: Mapping[str, WiredArray],
        identities: Mapping[str, Identity],
        *,
        budget: int | None = None,
        ledger: Ledger | None = None,
        always: bool = False,
        release: Callable[[], None] = lambda: None,
        wire: WireLog | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        infos = {name: wired.info for name, wired in arrays.items()}
        who = {role: str(identity) for role, identity in identities.items()}
        super().__init__(infos, who, probe, budget, ledger)
        self.probe = probe
        self._wired = arrays
        self._known = {name: Known(*info.shape) for name, info in infos.items()}
        self._always = always
        self._release = release
        self._wire = wire or WireLog()
        self._clock = clock
        self._pause = pause
        self._began = clock(), probe.tally()
        self._given: list[int] = []
        """Of the operation under way: which of its bursts the generator has confirmed."""

    @property
    def wire(self) -> WireLog:
        """All messages to and from the instruments."""
        return self._wire

    def come_back(self) -> None:
        """Attach every instrument anew, hold it against who it was, and make all safe.

        Raises
        ------
        IdentityError
            Another one answers than before.
        BenchError
            One does not answer, or could not be verified to be safe.
        """
        for role, instrument in self.probe.instruments.items():
            instrument.attach()
            check_same(role, self._identity[role], instrument.identify())
        require_safe(self._calm())

    def close(self) -> None:
        """Make safe and let go of the instruments."""
        self.make_safe()
        self._release()

    def _calm(self) -> tuple[str, ...]:
        for known in self._known.values():
            known.stale[...] = True  # it may have been interrupted between a pulse and its note
        return self.probe.make_safe()

    def _perform(self, op: Op) -> tuple[Answer, Cost]:
        began, before = self._began = self._clock(), self.probe.tally()
        self._given.clear()
        if isinstance(op, Read):
            answer = self._read(op)
        elif isinstance(op, Multiply):
            answer = self._multiply(op)
        elif isinstance(op, Nudge):
            answer = self._nudge(op)
        else:
            answer = None
            if isinstance(op, Program):
                self._program(op)
            else:
                self._wait(op)
        took = self._clock() - began
        cost = self.probe.cost(before, max(took, op.seconds) if isinstance(op, Wait) else took)
        return answer, cost

    def _read(self, op: Read) -> ReadAnswer:
        amperes = np.empty(op.region.shape, np.float64)
        clipped = np.empty(op.region.shape, np.bool_)
        known, nominal = self._known[op.region.array], self.probe.read_v
        devices = list(_devices(op.region))
        lines = [(row, col) for _, _, row, col in devices]
        found = self._measured(op.region.array, lines, op.voltage_v, op.integration_s)
        for (i, j, row, col), reading in zip(devices, found, strict=True):
            amperes[i, j], clipped[i, j] = reading
            if op.voltage_v == nominal:
                known.note(row, col, np.nan if clipped[i, j] else amperes[i, j] / nominal)
        return ReadAnswer(amperes.astype(np.float32), clipped, op.voltage_v)

    def _measured(
        self, array: str, devices: Sequence[tuple[int, int]], volts: float, integration_s: float
    ) -> list[tuple[float, bool]]:
        wired = self._wired[array]
        return self.probe.read_each([wired.line(row, col) for row, col in devices], volts, integration_s)

    def _renew(self, region: Region, integration_s: float, *, all_of_it: bool) -> None:
        """Read what is out of date in a region."""
        known, volts = self._known[region.array], self.probe.read_v
        wanted = known.stale[np.ix_(region.rows, region.cols)]
        places = np.argwhere(wanted | all_of_it).tolist()
        devices = [(int(region.rows[i]), int(region.cols[j])) for i, j in places]
        found = self._measured(region.array, devices, volts, integration_s)
        for (row, col), (amperes, bound) in zip(devices, found, strict=True):
            known.note(row, col, np.nan if bound else amperes / volts)

    def _multiply(self, op: Multiply) -> MultiplyAnswer:
        self._renew(op.region, op.integration_s, all_of_it=self._always)
        return MultiplyAnswer(*sums(op, self._known[op.region.array].part(op.region)), emulated=True)

    def _program(self, op: Program) -> None:
        """Equal counts after each other: every change has to be set up in the pulse generator."""
        starts, places, numbers = op.pulses
        rows = np.repeat(op.region.rows, np.diff(starts))
        for k in np.argsort(numbers, kind="stable"):
            row, col, count = int(rows[k]), int(op.region.cols[places[k]]), int(numbers[k])
            pulse = op.potentiate if count > 0 else op.depress
            self._pulse(op.region.array, row, col, pulse, abs(count))
            self._given.append(int(k))

    def _left(self, op: Op) -> tuple[Op | None, Cost]:
        """Bursts are given one by one, each confirmed: unless one was under way, the others are left."""
        began, before = self._began
        spent = self.probe.cost(before, self._clock() - began)
        if not isinstance(op, Program):
            return super()._left(op)[0], spent
        if self.probe.bursting:
            return None, spent
        starts, places, _ = op.pulses
        rows = np.repeat(np.arange(op.region.rows.size), np.diff(starts))
        counts = op.counts.copy()
        counts[rows[self._given], places[self._given]] = 0
        return Program(op.region, counts, op.potentiate, op.depress), spent

    def _pulse(self, array: str, row: int, col: int, pulse: Pulse, count: int) -> None:
        known = self._known[array]
        known.stale[row, col] = True
        self.probe.pulse(*self._wired[array].line(row, col), pulse, count, known.siemens[row, col])

    def _nudge(self, op: Nudge) -> NudgeAnswer:
        """Each point is read, pulsed, read, its column's sums computed, and pulsed back."""
        if op.potentiate is None or op.depress is None:
            raise ScheduleError(f"nudge of kind {op.kind} on {op.region.array}: this bench nudges by pulses")
        there, back = (op.potentiate, op.depress) if op.size > 0 else (op.depress, op.potentiate)
        array, known = op.region.array, self._known[op.region.array]
        amperes = np.empty((len(op.points), len(op.volts)), np.float32)
        clipped = np.empty(amperes.shape, np.bool_)
        siemens = np.empty(len(op.points))
        for k, (i, j) in enumerate(op.points.tolist()):
            row, col = int(op.region.rows[i]), int(op.region.cols[j])
            own = Region(array, op.region.rows, op.region.cols[j : j + 1])
            at = Region(array, op.region.rows[i : i + 1], op.region.cols[j : j + 1])
            self._renew(own, op.integration_s, all_of_it=self._always)
            before = known.siemens[row, col]
            self._pulse(array, row, col, there, abs(int(op.size)))
            self._renew(at, op.integration_s, all_of_it=True)
            siemens[k] = known.siemens[row, col] - before
            found, flags = sums(Multiply(own, op.volts, op.integration_s), known.part(own))
            amperes[k], clipped[k] = found[:, 0], flags[:, 0]
            self._pulse(array, row, col, back, abs(int(op.size)))
        return NudgeAnswer(amperes, clipped, siemens)

    def _wait(self, op: Wait) -> None:
        self._pause(op.seconds)
        if op.seconds:
            for known in self._known.values():
                known.stale[...] = True


def _devices(region: Region) -> Iterator[tuple[int, int, int, int]]:
    """Positions in a region and lines of the array, row by row."""
    for i, row in enumerate(region.rows.tolist()):
        for j, col in enumerate(region.cols.tolist()):
            yield i, j, row, col
