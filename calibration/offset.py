"""What a reading carries beside the device: the current at 0 V by column, an offset of the voltage, leakage,
and what can be said of series resistance without pulsing anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration.common import Common, Floats
from calibration.intervals import of_mean, spread_between, t_factor
from calibration.zero import Intercepts, Split, intercepts, split
from hil.calibrate.contracts import Estimate, Result, Target, certain
from hil.calibrate.tape import Step
from hil.errors import ConfigError
from hil.plan import Plan
from hil.schedule import Multiply, MultiplyAnswer, Op, Read
from hil.units import format_quantity, rounded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hil.calibrate.record import Record


@final
class Offset(Common):
    """Offset of currents and of the voltage, leakage, and a bound of the series resistance; without a pulse.

    Devices are read at voltages of both signs: what an even share of the current has at 0 V flows without any
    voltage. Benches that sum currents themselves also drive all lines with 0 V and sense the other side.
    """

    name: Literal["offset"] = "offset"
    repeats: int = Field(default=12, ge=3, description="readings of each device at every voltage")
    voltages: tuple[float, ...] = Field(
        default=(0.1, 0.5, 1.0), min_length=1, description="voltages, parts of the nominal one, above 0"
    )
    both_signs: bool = Field(
        default=True,
        description="read at negative voltages too; false for devices or selectors that do not bear it: then "
        "the current is taken as a straight line in the voltage, and two voltages or more are needed",
    )
    open_below: float = Field(default=0.1, ge=0, lt=1, description="open below this part of g_min")

    def rounds(self, target: Target) -> int:
        """One for each repeat."""
        return self.repeats

    def parts(self) -> list[float]:
        """Voltages that are read at, parts of the nominal one.

        Raises
        ------
        ConfigError
            They are not above 0, or too few for a line.
        """
        sizes = sorted(set(self.voltages))
        if not all(0 < each < np.inf for each in sizes):
            raise ConfigError(f"voltages: asked for {list(self.voltages)}; numbers above 0 are needed")
        if not self.both_signs and len(sizes) < 2:
            raise ConfigError(f"voltages: {sizes}; with both_signs: false two or more are needed")
        return sizes + ([-each for each in sizes] if self.both_signs else [])

    def plan(self, target: Target) -> Plan[None]:
        """All voltages, and 0 V on all lines, again and again: what drifts between repeats widens intervals.

        Raises
        ------
        ConfigError
            Voltages that tell no offset.
        """
        nominal = self.reading(target)
        reads = [
            Read(target.region, part * nominal.voltage_v, nominal.integration_s) for part in self.parts()
        ]
        schedule: tuple[Op, ...] = (*reads, *self._at_zero(target))
        for _ in range(self.repeats):
            yield schedule

    def _at_zero(self, target: Target) -> list[Multiply]:
        """All lines of a side at 0 V; nothing where the bench would only compute it from readings."""
        info, integration_s = target.info, self.reading(target).integration_s
        rows, cols = (np.zeros((1, lines)) for lines in target.shape)
        found = [] if "multiply" in info.emulated else [Multiply(target.region, rows, integration_s)]
        if info.transpose and "transpose" not in info.emulated:
            found.append(Multiply(target.region, cols, integration_s, transpose=True))
        return found

    def analyse(self, steps: Sequence[Step], target: Target) -> Result:
        """Intercepts of all devices, split into amplifier and voltage; what flows with all lines at 0 V."""
        found = intercepts(steps)
        apart = split(found)
        half = t_factor(self.repeats) * found.error
        estimates = self._estimates(found, apart, target)
        zeros = {way: _zeros(steps, way == "back") for way in ("forward", "back")}
        for way, each in zeros.items():
            if each is not None:
                about = f"current of a {'row' if way == 'back' else 'column'} with all lines at 0 V"
                estimates[f"zero_{way}"] = of_mean("A", f"{about}, mean over repeats", each.mean(axis=1))
        maps: dict[str, NDArray[Any]] = {
            "offset_a": found.value, "offset_a_low": found.value - half, "offset_a_high": found.value + half,
            "siemens": found.siemens, "even_a": found.even, "even_at_v": found.volts,
            "column_a": apart.column.value, "column_a_low": apart.column.low,
            "column_a_high": apart.column.high,
        }  # fmt: skip
        maps |= {f"zero_{way}_a": each.mean(axis=0) for way, each in zeros.items() if each is not None}
        estimates = certain(estimates, target.info)
        return Result(estimates, maps, self._findings(estimates, target))

    def _estimates(self, found: Intercepts, apart: Split, target: Target) -> dict[str, Estimate]:
        column = apart.column
        spread = spread_between("", column.value, column.low, column.high, apart.freedom + 1)
        is_open = np.abs(found.siemens) < self.open_below * target.info.device.g_min_s
        most = float(np.nanmax(found.siemens, initial=0.0))
        return {
            "offset": apart.offset,
            "offset_columns": replace(spread, unit="A", about="spread of the offset from column to column"),
            "amplifier": apart.amplifier,
            "voltage_offset": apart.volts,
            "rectification": found.rectification,
            "leakage": of_mean("S", "conductance of open crosspoints", found.siemens[is_open]),
            "series": Estimate(
                *(np.nan, 0.0, 1 / most if most > 0 else np.inf, "ohm", "resistance in series with a device"),
                why="a bound alone: readings do not tell it from that of the device",
            ),
        }

    def _findings(self, estimates: dict[str, Estimate], target: Target) -> list[str]:
        offset, sheet = estimates["offset"], target.info.device
        device = sheet.g_min_s * self.reading(target).voltage_v
        largest = max(abs(offset.low), abs(offset.high))
        found = [
            f"the offset is at most {rounded(100 * largest / device)} % of the current of a device at g_min"
        ]
        if offset.low <= 0 <= offset.high:
            found.append(f"no offset beyond {format_quantity(largest, 'A', 2)} is seen")
        if not np.isfinite(estimates["voltage_offset"].value):
            found.append(
                "conductances are too alike to tell an offset of the voltage from one of the current"
            )
        if not np.isfinite(estimates["leakage"].value):
            found.append("leakage beside the devices is not told: that takes two open crosspoints or more")
        bound = estimates["series"].high
        if np.isfinite(bound):
            found.append(
                f"series resistance is below {format_quantity(bound, 'ohm', 3)}, that of the crosspoint that "
                "conducts most; readings alone tell no more, line-resistance may"
            )
        if "zero_forward" not in estimates:
            found.append("0 V is not measured: this bench sums single readings; offsets are extrapolated")
        return found

    def draw(self, record: Record) -> Figure:
        """Even part of the current against voltage, offsets of columns, and their map."""
        from calibration.figures.offset import draw

        return draw(record)


def _zeros(steps: Sequence[Step], back: bool) -> Floats | None:
    """Currents with all lines at 0 V [repeats, lines], of columns or, ``back``, of rows; NaN: clipped."""
    found = [
        np.where(step.answer.clipped, np.nan, step.answer.amperes)[0]
        for step in steps
        if isinstance(step.op, Multiply)
        and isinstance(step.answer, MultiplyAnswer)
        and step.op.transpose == back
    ]
    return np.stack(found).astype(np.float64) if found else None
