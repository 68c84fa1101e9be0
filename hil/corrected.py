"""A bench as its calibration records tell it: what devices are like, which do not work, and answers without
the currents that its amplifiers add.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hil.bench import ArrayInfo, Bench, DeviceSheet, Execution
from hil.faults import Faults
from hil.schedule import (
    Answer,
    Floats,
    Multiply,
    MultiplyAnswer,
    Nudge,
    NudgeAnswer,
    Op,
    Read,
    ReadAnswer,
    Schedule,
)


@dataclass(frozen=True, slots=True, eq=False)
class Offsets:
    """Currents that answers carry whatever is driven, amperes: ``devices`` [cols] where single devices are
    read, by their column; ``cols`` [cols] and ``rows`` [rows] where a column or a row is sensed as a sum.
    """

    devices: NDArray[np.float64]
    cols: NDArray[np.float64]
    rows: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known of an array; None: nothing."""

    faults: Faults | None = None
    sheet: DeviceSheet | None = None
    offsets: Offsets | None = None


class CorrectedBench:
    """A bench whose arrays are as measured, and whose answers are without offsets. Costs are the bench's."""

    def __init__(self, bench: Bench, known: Mapping[str, Known]) -> None:
        self._bench = bench
        self._raw = bench.arrays
        self._known = {name: known.get(name, Known()) for name in self._raw}
        self._offset = any(about.offsets is not None for about in self._known.values())
        self._infos = MappingProxyType(
            {
                name: replace(info, device=about.sheet or info.device, faults=about.faults)
                for (name, info), about in zip(self._raw.items(), self._known.values(), strict=True)
            }
        )

    @property
    def arrays(self) -> Mapping[str, ArrayInfo]:
        """The arrays by name, with measured data sheets and known faults."""
        return self._infos

    @property
    def durable(self) -> bool:
        """Whether device state outlives this process."""
        return self._bench.durable

    @property
    def identity(self) -> Mapping[str, str]:
        """Role to identity of everything that takes part."""
        return self._bench.identity

    def make_safe(self) -> None:
        """All outputs at 0 V and off."""
        self._bench.make_safe()

    def close(self) -> None:
        """Make safe and let go of the instruments."""
        self._bench.close()

    def execute(self, schedule: Schedule) -> Execution:
        """As the bench does it, without the offsets of its answers.

        Raises
        ------
        ScheduleError, LimitError, BenchError
            As from the bench.
        """
        done = self._bench.execute(schedule)
        if not self._offset:
            return done
        answers = (self._corrected(op, answer) for op, answer in zip(schedule, done.answers, strict=True))
        return Execution(tuple(answers), done.costs)

    def _corrected(self, op: Op, answer: Answer) -> Answer:
        if not isinstance(op, Read | Multiply | Nudge):
            return answer
        offsets, info = self._known[op.region.array].offsets, self._raw[op.region.array]
        if offsets is None:
            return answer
        if isinstance(op, Read) and isinstance(answer, ReadAnswer):
            amperes = _less(answer.amperes, offsets.devices[op.region.cols])
            return ReadAnswer(amperes, answer.clipped, answer.voltage_v)
        if isinstance(op, Multiply) and isinstance(answer, MultiplyAnswer):
            carried = _summed(op, offsets, info) if answer.emulated else _sensed(op, offsets)
            return MultiplyAnswer(_less(answer.amperes, carried), answer.clipped, answer.emulated)
        if isinstance(op, Nudge) and isinstance(answer, NudgeAnswer):
            own = op.region.cols[op.points[:, 1]][:, np.newaxis]
            carried = offsets.cols[own]
            if "nudge" in info.emulated:
                carried = offsets.devices[own] * _readings(op.volts.sum(axis=1), info)
            return NudgeAnswer(_less(answer.amperes, carried), answer.clipped, answer.siemens)
        return answer


def _less(amperes: Floats, carried: NDArray[np.float64]) -> Floats:
    """Without what they carry, in their own precision."""
    return amperes - carried.astype(amperes.dtype)


def _sensed(op: Multiply, offsets: Offsets) -> NDArray[np.float64]:
    """One amplifier senses a whole sum: its current is in it once, whatever is driven."""
    return offsets.rows[op.region.rows] if op.transpose else offsets.cols[op.region.cols]


def _summed(op: Multiply, offsets: Offsets, info: ArrayInfo) -> NDArray[np.float64]:
    """A sum that is put together from readings of single devices has the offset of each, in the proportion in
    which its line is driven.
    """
    of_cols = offsets.devices[op.region.cols]
    driven = of_cols if op.transpose else np.ones(op.region.rows.size)
    sensed = np.ones(op.region.rows.size) if op.transpose else of_cols
    total = op.volts.astype(np.float64) @ driven
    if op.variants is not None:
        lines = op.variants.lines
        total = total + (op.variants.volts - op.volts[:, lines].T) * driven[lines, np.newaxis]
    return _readings(total, info)[..., np.newaxis] * sensed


def _readings(volts: NDArray[np.float64], info: ArrayInfo) -> NDArray[np.float64]:
    """How many readings at the nominal voltage so many volts amount to."""
    return volts / info.device.read_voltage_v
