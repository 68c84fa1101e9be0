"""What programming one device does to those that share its lines: change against the number of shots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration.common import Common, Floats, check_dose, chunks, program, step_at, uniform
from calibration.intervals import of_mean, undetermined
from hil.calibrate.contracts import Estimate, Result, Target, certain
from hil.calibrate.tape import Step
from hil.errors import ConfigError
from hil.plan import Plan
from hil.schedule import Op, Program, ReadAnswer
from hil.units import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hil.calibrate.record import Record

_SIGMA_OF_MAD = 1.4826
_BEYOND_NOISE = 5.0


@final
class Disturb(Common):
    """Half-select disturb: one device is pulsed again and again, its row and column are watched.

    All devices are first brought to the middle of the range. A neighbour's change is held against the step
    that one full pulse makes there by the data sheet; devices that share no line are the control.
    """

    name: Literal["disturb"] = "disturb"
    shots: int = Field(default=2000, ge=10, description="pulses to the target, each way")
    points: int = Field(default=8, ge=2, le=1000, description="readings on the way, evenly in log shots")
    repeats: int = Field(default=8, ge=2, description="readings of each device every time")
    burst: int = Field(default=1000, ge=1, description="most pulses to a device in one operation")

    def rounds(self, target: Target) -> int:
        """Preparation and points, each way."""
        return 2 * (1 + len(self.stops()))

    def stops(self) -> list[int]:
        """Shots after which is read."""
        return sorted({round(float(n)) for n in np.geomspace(min(10, self.shots), self.shots, self.points)})

    def plan(self, target: Target) -> Plan[None]:
        """Prepare, read, pulse the device in the middle, read; up, then down.

        Raises
        ------
        ConfigError
            The region has too few lines for neighbours and a control, or ``limits.dose`` allows fewer pulses.
        """
        rows, cols = target.shape
        if rows < 3 or cols < 3:
            raise ConfigError(f"devices: {rows} x {cols} lines; 3 x 3 or more have neighbours and a control")
        up, down = step_at(target.info.device)
        ready = round(2 * down), max(1, round(0.5 * up))
        check_dose(target, "shots", 2 * (sum(ready) + self.shots))
        for sign in (1, -1):
            ops: list[Op] = [uniform(target, -n) for n in chunks(ready[0], self.burst)]
            ops += [uniform(target, n) for n in chunks(ready[1], self.burst)]
            yield (*ops, *self.read(target, self.repeats))
            given = 0
            for stop in self.stops():
                counts = target.zeros()
                counts[rows // 2, cols // 2] = sign
                shots = [program(target, counts * n) for n in chunks(stop - given, self.burst)]
                given = stop
                yield (*shots, *self.read(target, self.repeats))

    def analyse(self, steps: Sequence[Step], target: Target) -> Result:
        """Change of neighbours, in steps of a full pulse, for one shot."""
        levels = self._levels(steps)
        number = 1 + len(self.stops())
        row, col = target.shape[0] // 2, target.shape[1] // 2
        on_row, on_col = np.zeros(target.shape, np.bool_), np.zeros(target.shape, np.bool_)
        on_row[row], on_col[:, col] = True, True
        on_row[row, col] = on_col[row, col] = False
        apart = ~(on_row | on_col)
        apart[row, col] = False
        shots = np.array([0, *self.stops()], dtype=np.float64)
        estimates: dict[str, Estimate] = {}
        maps: dict[str, NDArray[Any]] = {"shots": shots}
        moved = False
        for sign, name, block in ((1, "up", levels[:number]), (-1, "down", levels[number:])):
            change = block - block[0]
            full = target.info.device.curve.steps(block[0])[0 if sign > 0 else 1]
            full = np.where(full > 0, full, np.nan)
            base = np.median(change[:, apart], axis=1)
            moved = moved or _moved(sign * change[-1], full, (row, col), apart)
            for where, mask in (("row", on_row), ("column", on_col)):
                one = sign * (change[-1] - base[-1])[mask] / full[mask] / shots[-1]
                about = f"step of a device on the target's {where} for one shot {name}, in full steps"
                estimates[f"{where}_{name}"] = of_mean("", about, one)
                maps[f"{where}_{name}_s"] = np.median(change[:, mask], axis=1)
            maps[f"control_{name}_s"] = base
            maps[f"change_{name}_s"] = change[-1]
        if not moved:
            why = "the device that was pulsed did not move: a full step could not be measured"
            estimates = {name: undetermined("", each.about, why) for name, each in estimates.items()}
        estimates = certain(estimates, target.info)
        return Result(estimates, maps, self._findings(estimates))

    def _levels(self, steps: Sequence[Step]) -> Floats:
        """Mean conductances [readings, rows, cols], one for each run of readings."""
        found: list[list[Floats]] = []
        pulsed = True
        for step in steps:
            if isinstance(step.op, Program):
                pulsed = True
            elif isinstance(step.answer, ReadAnswer):
                if pulsed:
                    found.append([])
                found[-1].append(step.answer.siemens.astype(np.float64))
                pulsed = False
        return np.stack([np.mean(block, axis=0) for block in found])

    def _findings(self, estimates: dict[str, Estimate]) -> list[str]:
        seen = [name for name, each in estimates.items() if each.low > 0]
        against = [name for name, each in estimates.items() if each.high < 0]
        found: list[str] = []
        if seen:
            worst = max(estimates[name].value for name in seen)
            shots = counted(round(1 / worst), "shot to one device moves", "shots to one device move")
            found.append(f"{shots} those on its lines by a full step")
        elif whys := {each.why for each in estimates.values() if np.isnan(each.value)}:
            found.append(f"not determined: {'; '.join(sorted(whys))}")
        elif not against:
            found.append("no disturb beyond noise")
        if against:
            found.append(
                f"{', '.join(against)}: beyond noise, but against the pulses, which is no half-select disturb"
            )
        return found

    def draw(self, record: Record) -> Figure:
        """Change of neighbours and of the control against shots, and maps of the change."""
        from calibration.figures.disturb import draw

        return draw(record, self._levels(record.steps))


def _moved(change: Floats, full: Floats, at: tuple[int, int], apart: NDArray[np.bool_]) -> bool:
    """Whether the device ``at`` a place moved its pulses' way by a full step at least, and beyond the noise
    with which those that got no pulse (``apart``) were read. ``change``: [rows, cols], positive that way.
    """
    middle = np.median(change[apart])
    noise = _SIGMA_OF_MAD * np.median(np.abs(change[apart] - middle))
    return bool(change[at] - middle > np.fmax(full[at], _BEYOND_NOISE * noise))
