"""What a bench of instruments refuses before anything of a schedule is sent: lines, volts, pulses, doses."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hil.bench import ArrayInfo
from hil.errors import LimitError, ScheduleError
from hil.limits import MAX_DOSE
from hil.region import Region
from hil.schedule import Floats, Multiply, Nudge, Op, Program, Pulse, Read, Schedule, Wait


class Hardware(Protocol):
    """What can be put out at all."""

    def check_volts(self, volts: Floats, where: str) -> None:
        """Refuse what cannot be driven while sensing.

        Raises
        ------
        ScheduleError
            A voltage is NaN.
        LimitError
            A voltage is beyond the limit.
        """
        ...

    def check_pulses(self, pulse: Pulse, count: int, where: str) -> None:
        """Refuse a pulse, or so many of it at once, that cannot be put out, with LimitError."""
        ...


class Checks:
    """Holds schedules against the arrays and the hardware, and counts pulses.

    Parameters
    ----------
    arrays
        The arrays by name.
    limits
        What can be put out.
    doses
        Pulses that each device had before, uint32 [rows, cols] by array.
    budget
        The most that one device may have; None leaves it at what can be counted.
    """

    def __init__(
        self,
        arrays: Mapping[str, ArrayInfo],
        limits: Hardware,
        doses: Mapping[str, NDArray[np.uint32]],
        budget: int | None,
    ) -> None:
        self._arrays = arrays
        self._limits = limits
        self._doses = dict(doses)
        self._budget = MAX_DOSE if budget is None else min(budget, MAX_DOSE)

    @property
    def doses(self) -> Mapping[str, NDArray[np.uint32]]:
        """Pulses to each device so far, those of failed schedules included."""
        return MappingProxyType(self._doses)

    @contextmanager
    def counted(self, schedule: Schedule) -> Generator[None]:
        """Check all of a schedule and count its pulses; an error inside takes them back: nothing was sent.

        Raises
        ------
        ScheduleError
            No such array or line, a voltage that is not finite, a nudge of a kind that is not here.
        LimitError
            More than the hardware, or a device's dose, allows.
        """
        before = dict(self._doses)
        try:
            for op in schedule:
                self._check(op)
            yield
        except BaseException:
            self._doses = before
            raise

    def _check(self, op: Op) -> None:
        if isinstance(op, Wait):
            return
        self._check_region(op.region)
        if isinstance(op, Read):
            self._limits.check_volts(np.array([op.voltage_v]), op.region.array)
        elif isinstance(op, Multiply):
            self._limits.check_volts(op.volts, op.region.array)
            if op.variants is not None:
                self._limits.check_volts(op.variants.volts, op.region.array)
        elif isinstance(op, Program):
            given = np.abs(op.counts.astype(np.int64))
            for pulse in (op.potentiate, op.depress):
                self._limits.check_pulses(pulse, int(given.max(initial=0)), op.region.array)
            self._count(op.region, given)
        else:
            self._check_nudge(op)

    def _check_region(self, region: Region) -> None:
        info = self._arrays.get(region.array)
        if info is None:
            raise ScheduleError(f"no array {region.array!r} here; this bench has {', '.join(self._arrays)}")
        for name, lines, count in (("row", region.rows, info.rows), ("column", region.cols, info.cols)):
            if lines.max(initial=-1) >= count:
                raise ScheduleError(
                    f"{region!r} asks for {name} {lines.max()}; {info.name!r} has {name}s 0 to {count - 1}"
                )

    def _check_nudge(self, op: Nudge) -> None:
        self._limits.check_volts(op.volts, op.region.array)
        if op.kind != "pulse" or op.potentiate is None or op.depress is None:
            raise ScheduleError(
                f"nudge of kind {op.kind!r} on {op.region.array}: this bench nudges by pulses"
            )
        for pulse in (op.potentiate, op.depress):
            self._limits.check_pulses(pulse, abs(int(op.size)), op.region.array)
        given = np.zeros(op.region.shape, np.int64)
        np.add.at(given, (op.points[:, 0], op.points[:, 1]), 2 * abs(int(op.size)))
        self._count(op.region, given)

    def _count(self, region: Region, given: NDArray[np.int64]) -> None:
        if not given.any():
            return
        dose, where = self._doses[region.array].copy(), np.ix_(region.rows, region.cols)
        total = dose[where] + given
        over = (total > self._budget) & (given > 0)
        if over.any():
            row, col = np.argwhere(over)[0]
            raise LimitError(
                f"asked for {given[row, col]} pulses to the device at row {region.rows[row]}, column "
                f"{region.cols[col]} of {region.array}, which had {dose[where][row, col]}; its dose "
                f"is {self._budget}; nothing was output"
            )
        dose[where] = total
        self._doses[region.array] = dose
