"""The bench with an ArC TWO: vectors driven and currents sensed at once, pulses slice by slice.

Sums of currents are the board's own: each channel can be at its own voltage while others are sensed at 0 V.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.arc2.instrument import ROLE, Arc2
from drivers.arc2.orders import Drive, Shot, slices
from drivers.arc2.ranges import NS, Ranges
from drivers.instrument_bench import StepwiseBench
from drivers.instruments.failure import require_safe
from drivers.ledger import Ledger
from drivers.wiring import WiredArray
from hil.bench import Cost
from hil.errors import ScheduleError
from hil.instruments import check_same
from hil.region import Floats, Index, Region
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

if TYPE_CHECKING:
    from drivers.arc2.settings import Arc2ReadSettings

Sensed = tuple[NDArray[np.float64], NDArray[np.bool_]]


class Arc2Bench(StepwiseBench):
    """Arrays on the channels of an ArC TWO.

    Parameters
    ----------
    board
        Attached, and safe.
    arrays
        The arrays by name.
    read
        How currents are measured.
    budget, ledger
        The most pulses to a device in its life, and where they are counted; None: they are not.
    durable
        Whether the devices outlive this process.
    clock, pause
        Seconds on the bench's clock, and leaving the arrays alone for some.
    """

    def __init__(
        self,
        board: Arc2,
        arrays: Mapping[str, WiredArray],
        read: Arc2ReadSettings,
        *,
        budget: int | None = None,
        ledger: Ledger | None = None,
        durable: bool = True,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        infos = {name: wired.info for name, wired in arrays.items()}
        super().__init__(infos, {ROLE: str(board.identify())}, Ranges(), budget, ledger)
        self.board = board
        self.durable = durable
        self._wired = arrays
        self._settings = read
        self._clock = clock
        self._pause = pause

    def come_back(self) -> None:
        """Open the board anew, hold it against what it was, and make it safe.

        Raises
        ------
        IdentityError
            Firmware or library are others now, or there are several boards: none tells its serial number.
        BenchError
            It is not there, or could not be verified to be safe.
        """
        self.board.require_alone()
        self.board.attach()
        check_same(ROLE, self._identity[ROLE], self.board.identify())
        require_safe(self._calm())

    def close(self) -> None:
        """Make safe and let go of the board."""
        self.make_safe()
        self.board.close()

    def _calm(self) -> tuple[str, ...]:
        return self.board.make_safe()  # channels at 0 V and connected to ground

    def _perform(self, op: Op) -> tuple[Answer, Cost]:
        began, before = self._clock(), self.board.transactions
        cost = Cost()
        if isinstance(op, Wait):
            self._pause(op.seconds)
            answer = None
        elif isinstance(op, Program):
            answer = self._program(op, cost)
        elif isinstance(op, Read):
            answer = self._read(op, cost)
        elif isinstance(op, Multiply):
            answer = self._multiply(op, cost)
        else:
            answer = self._nudge(op, cost)
        took = self._clock() - began
        cost.seconds = max(took, op.seconds) if isinstance(op, Wait) else took
        cost.transactions = self.board.transactions - before
        return answer, cost

    def _lines(self, region: Region) -> tuple[Index, Index]:
        wired = self._wired[region.array]
        return wired.rows[region.rows], wired.cols[region.cols]

    def _sense(self, volts: Floats, driven: Index, sensed: Index, integration_s: float, cost: Cost) -> Sensed:
        """Currents from driven channels [n, driven] into sensed ones: amperes and flags [n, sensed]."""
        if not volts.size or not sensed.size:
            return np.zeros((len(volts), sensed.size)), np.zeros((len(volts), sensed.size), np.bool_)
        repeats = max(1, math.ceil(integration_s / self._settings.sample * (1 - 1e-9)))
        drives = (
            Drive([(int(channel), float(v)) for channel, v in zip(driven, vector, strict=True)], sensed)
            for vector in np.asarray(volts, np.float64)
        )
        found = np.stack(self.board.sense(drives, repeats, NS.of("settle", self._settings.settle)))
        cost.reads += found.size
        bounds = ~(np.abs(found) < self._settings.ceiling)
        clipped: NDArray[np.bool_] = np.any(bounds, axis=1)
        return -self._settings.sign * found.mean(axis=1), clipped

    def _read(self, op: Read, cost: Cost) -> ReadAnswer:
        """Line after line of the shorter side, all lines of the other at once."""
        rows, cols = self._lines(op.region)
        back = cols.size < rows.size
        driven, sensed = (cols, rows) if back else (rows, cols)
        volts = (-op.voltage_v if back else op.voltage_v) * np.eye(driven.size)
        amperes, clipped = self._sense(volts, driven, sensed, op.integration_s, cost)
        if back:
            amperes, clipped = -amperes.T, clipped.T
        return ReadAnswer(amperes.astype(np.float32), clipped, op.voltage_v)

    def _multiply(self, op: Multiply, cost: Cost) -> MultiplyAnswer:
        rows, cols = self._lines(op.region)
        driven, sensed = (cols, rows) if op.transpose else (rows, cols)
        volts = np.asarray(op.volts, np.float64)
        n, shape = len(volts), (len(volts), sensed.size)
        if op.variants is not None:
            k = op.variants.lines.size
            varied = np.repeat(volts[None], k, axis=0)
            varied[np.arange(k)[:, None], np.arange(n)[None], op.variants.lines[:, None]] = op.variants.volts
            volts, shape = varied.reshape(k * n, driven.size), (k, n, sensed.size)
        amperes, clipped = self._sense(volts, driven, sensed, op.integration_s, cost)
        return MultiplyAnswer(amperes.reshape(shape).astype(np.float32), clipped.reshape(shape))

    def _program(self, op: Program, cost: Cost) -> None:
        self.board.shoot(self._shots(op.region, op.counts, op.potentiate, op.depress, cost))

    def _shots(
        self, region: Region, counts: NDArray[np.int16], potentiate: Pulse, depress: Pulse, cost: Cost
    ) -> Iterator[Shot]:
        rows, cols = self._lines(region)
        for each in slices(counts):
            pulse = potentiate if each.rising else depress
            by_row = each.axis == 0
            low, highs = (
                (rows[each.line], cols[each.others]) if by_row else (cols[each.line], rows[each.others])
            )
            volts = -pulse.amplitude_v if by_row else pulse.amplitude_v  # the library's: from low to highs
            width, gap = NS.of("pulse width", pulse.width_s), NS.of("pulse gap", pulse.gap_s)
            cost.pulses += each.times * highs.size
            here, across = (
                self._infos[region.array].shape[::-1] if by_row else self._infos[region.array].shape
            )
            cost.half_selects += each.times * (here + (across - 2) * highs.size)
            yield Shot(int(low), highs, volts, width, gap, each.times)

    def _nudge(self, op: Nudge, cost: Cost) -> NudgeAnswer:
        """Each point is read, pulsed, read, its column driven and sensed, and pulsed back."""
        if op.potentiate is None or op.depress is None:
            raise ScheduleError(f"nudge of kind {op.kind} on {op.region.array}: this bench nudges by pulses")
        amperes = np.empty((len(op.points), len(op.volts)), np.float32)
        clipped = np.empty(amperes.shape, np.bool_)
        siemens = np.empty(len(op.points))
        count = np.full((1, 1), int(op.size), np.int16)
        for k, (i, j) in enumerate(op.points.tolist()):
            own = Region(op.region.array, op.region.rows, op.region.cols[j : j + 1])
            at = Region(op.region.array, op.region.rows[i : i + 1], op.region.cols[j : j + 1])
            nominal = Read(at, self._settings.voltage, self._settings.integration)
            before = self._read(nominal, cost).siemens[0, 0]
            self.board.shoot(self._shots(at, count, op.potentiate, op.depress, cost))
            siemens[k] = self._read(nominal, cost).siemens[0, 0] - before
            product = self._multiply(Multiply(own, op.volts, op.integration_s), cost)
            amperes[k], clipped[k] = product.amperes[:, 0], product.clipped[:, 0]
            self.board.shoot(self._shots(at, -count, op.potentiate, op.depress, cost))
        return NudgeAnswer(amperes, clipped, siemens)
