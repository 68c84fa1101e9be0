"""What a simulated bench refuses, before anything of the schedule has run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.sim.response import Response
from hil.bench import ArrayInfo
from hil.errors import LimitError, ScheduleError
from hil.jit import lean
from hil.limits import largest_admitted
from hil.schedule import Floats, Index, Multiply, Nudge, Op, Program, Read, Region, Wait

_REMEMBERED = 1024
_SHORT = 64
"""Vectors shorter than this are looked at as one: SIMD lanes would not be full."""


class Checks:
    """Holds operations against the arrays and the DAC's range; regions that passed are remembered."""

    def __init__(self, arrays: Mapping[str, ArrayInfo], range_v: float, response: Response) -> None:
        self._arrays = arrays
        self._range_v = range_v
        self._response = response
        self._passed: dict[int, Region] = {}  # holding them keeps their ids from being given to others

    def check(self, op: Op) -> None:
        """Refuse an operation that does not fit.

        Raises
        ------
        ScheduleError
            No such array, a line outside it, a voltage that is NaN, a nudge below 0 S, or a pulse that
            devices have no answer to.
        LimitError
            A voltage beyond the range.
        """
        if isinstance(op, Wait):
            return
        region = op.region
        lines = region if region.whole is None else region.whole
        if self._passed.get(id(lines)) is not lines:
            self._check_region(lines)
        if isinstance(op, Multiply):
            self._check_volts(op.volts, region)
            if op.variants is not None:
                self._check_volts(op.variants.volts, region)
        elif isinstance(op, Nudge):
            self._check_volts(op.volts, region)
            if op.kind == "gate" and op.size < -1:
                raise ScheduleError(
                    f"nudge on {region.array}: asked for a relative change of {op.size:g}; "
                    "-1 takes all of a conductance, so more is none"
                )
            if op.potentiate is not None and op.depress is not None:
                self._response.factors(op.potentiate, op.depress)
        elif isinstance(op, Read):
            if not abs(op.voltage_v) <= self._range_v:
                self._refuse(abs(op.voltage_v), region)
        elif isinstance(op, Program):  # pyright: ignore[reportUnnecessaryIsInstance]
            self._response.factors(op.potentiate, op.depress)
        else:
            raise ScheduleError(
                f"asked for {op!r}; Read, Multiply, Program, Nudge and Wait are what a bench does"
            )

    def _check_region(self, region: Region) -> None:
        info = self._arrays.get(region.array)
        if info is None:
            raise ScheduleError(f"no array {region.array!r} here; this bench has {', '.join(self._arrays)}")
        highest_row, highest_col = _highest(region.rows), _highest(region.cols)
        for name, highest, count in (("row", highest_row, info.rows), ("column", highest_col, info.cols)):
            if highest >= count:
                raise ScheduleError(
                    f"{region!r} asks for {name} {highest}; array {info.name!r} has {name}s 0 to {count - 1}"
                )
        if len(self._passed) >= _REMEMBERED:
            self._passed.clear()
        self._passed[id(region)] = region

    def _check_volts(self, volts: Floats, region: Region) -> None:
        if volts.shape[1] < _SHORT and volts.flags.c_contiguous:
            volts = volts.reshape(1, -1)
        if not _within(volts, largest_admitted(self._range_v, volts.dtype.char)):
            self._refuse(float(np.abs(volts).max()), region)

    def _refuse(self, volts: float, region: Region) -> None:
        if np.isnan(volts):
            raise ScheduleError(f"volts on {region.array} hold NaN; finite voltages are needed")
        raise LimitError(
            f"volts on {region.array}: asked for {volts:.9g} V; the DAC's range is ±{self._range_v:g} V"
        )


@lean
def _highest(lines: Index) -> np.int64:
    highest = np.int64(-1)
    for i in range(lines.size):
        highest = max(highest, lines[i])
    return highest


@lean
def _within(volts: NDArray[Any], limit: float) -> bool:
    outside = 0
    for i in range(volts.shape[0]):
        row = volts[i]
        for j in range(row.size):
            outside += 0 if abs(row[j]) <= limit else 1  # a NaN is not <= anything
    return outside == 0
