"""What a line bench refuses before anything of a schedule is sent: lines, volts, widths, counts, doses."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from drivers.line.answers import BoardLimits
from hil.bench import ArrayInfo
from hil.errors import LimitError, ScheduleError
from hil.limits import MAX_DOSE, largest_admitted
from hil.region import Floats, Region
from hil.schedule import Multiply, Nudge, Op, Program, Pulse, Read, Schedule, Wait
from hil.units import format_quantity


class Checks:
    """Holds schedules against the arrays and the board, and counts pulses.

    Parameters
    ----------
    arrays
        The arrays by name.
    limits
        What the board holds now.
    doses
        Pulses that each device had before, uint32 [rows, cols] by array.
    budget
        The most that one device may have; None leaves it at what can be counted.
    """

    def __init__(
        self,
        arrays: Mapping[str, ArrayInfo],
        limits: BoardLimits,
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
            More than the board, or a device's dose, allows.
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
            self._check_volts(np.array([op.voltage_v]), op.region)
        elif isinstance(op, Multiply):
            self._check_volts(op.volts, op.region)
            if op.variants is not None:
                self._check_volts(op.variants.volts, op.region)
        elif isinstance(op, Program):
            self._check_pulses((op.potentiate, op.depress), op.region)
            self._count(op.region, np.abs(op.counts.astype(np.int64)))
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

    def _check_volts(self, volts: Floats, region: Region) -> None:
        largest = float(np.abs(volts).max(initial=0))
        if math.isnan(largest):
            raise ScheduleError(f"volts on {region.array} hold NaN; finite voltages are needed")
        if not largest <= largest_admitted(self._limits.vread, volts.dtype.char):
            asked, most = format_quantity(largest, "V", 9), format_quantity(self._limits.vread, "V")
            raise LimitError(
                f"volts on {region.array}: asked for {asked}; the board allows {most} when sensing"
            )

    def _check_pulses(self, pulses: tuple[Pulse, Pulse], region: Region) -> None:
        limits = self._limits
        for pulse in pulses:
            if not abs(pulse.amplitude_v) <= limits.vpulse:
                asked, most = (format_quantity(volts, "V") for volts in (pulse.amplitude_v, limits.vpulse))
                raise LimitError(f"pulse on {region.array}: asked for {asked}; the board allows {most}")
            if not limits.width_min <= round(pulse.width_s * 1e9) <= limits.width_max:
                asked = format_quantity(pulse.width_s, "s")
                low, high = (format_quantity(ns / 1e9, "s") for ns in (limits.width_min, limits.width_max))
                raise LimitError(
                    f"pulse on {region.array}: asked for {asked}; the board allows {low} to {high}"
                )

    def _check_nudge(self, op: Nudge) -> None:
        self._check_volts(op.volts, op.region)
        if op.kind != "pulse" or op.potentiate is None or op.depress is None:
            raise ScheduleError(
                f"nudge of kind {op.kind!r} on {op.region.array}: this bench nudges by pulses"
            )
        self._check_pulses((op.potentiate, op.depress), op.region)
        given = np.zeros(op.region.shape, np.int64)
        np.add.at(given, (op.points[:, 0], op.points[:, 1]), 2 * abs(int(op.size)))
        self._count(op.region, given, abs(int(op.size)))

    def _count(self, region: Region, given: NDArray[np.int64], at_once: int | None = None) -> None:
        largest = int(given.max(initial=0)) if at_once is None else at_once
        if largest > self._limits.pulses:
            raise LimitError(
                f"{region!r}: asked for {largest} pulses at once; the board allows {self._limits.pulses}"
            )
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
