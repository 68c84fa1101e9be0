"""What operations take where one device at a time is reached, as behind a switch matrix."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from drivers.sim.operations import Done
from drivers.sim.settings import TimingSettings
from hil.bench import ArrayInfo
from hil.schedule import Multiply, Nudge, Op, Program, Wait


class OneByOne:
    """Seconds and readings of operations, device after device; sums are made of readings.

    A device is read again for a sum when it was pulsed since it was read, and all are after a wait.
    ``settle`` is of each reading then, and ``shot`` of each burst of pulses to a device.
    """

    def __init__(self, arrays: Mapping[str, ArrayInfo], timing: TimingSettings) -> None:
        self._settle_s = timing.settle
        self._burst_s = timing.shot
        self._stale: dict[str, NDArray[np.bool_]] = {
            name: np.ones(info.shape, np.bool_) for name, info in arrays.items()
        }

    def of(self, op: Op, done: Done) -> Done:
        """The same, with the seconds and readings of such a bench."""
        if isinstance(op, Wait):
            for stale in self._stale.values():
                stale[...] = stale | (op.seconds > 0)
            return done
        lines = np.ix_(op.region.rows, op.region.cols)
        stale = self._stale[op.region.array]
        if isinstance(op, Program):
            counts = np.abs(op.counts.astype(np.int64))
            stale[lines] |= counts > 0
            up = int(counts[op.counts > 0].sum())
            pulses_s = up * (op.potentiate.width_s + op.potentiate.gap_s)
            pulses_s += (int(counts.sum()) - up) * (op.depress.width_s + op.depress.gap_s)
            return done._replace(seconds=pulses_s + int(np.count_nonzero(counts)) * self._burst_s)
        if isinstance(op, Nudge):
            return done
        reads = op.region.rows.size * op.region.cols.size
        if isinstance(op, Multiply):
            reads = int(np.count_nonzero(stale[lines]))
        stale[lines] = False
        return done._replace(seconds=reads * (op.integration_s + self._settle_s), reads=reads)
