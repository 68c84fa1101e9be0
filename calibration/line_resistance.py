"""Resistance of the wires of an array, by segments of rows and columns, and what it takes from readings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration.common import Common, Floats, chunks, program, step_at
from calibration.wire_result import States, along_wires, behind_wires
from calibration.zero import intercepts, split
from hil.calibrate.contracts import Result, Target
from hil.calibrate.tape import Step
from hil.errors import ConfigError
from hil.plan import Plan
from hil.schedule import Program, Read, ReadAnswer, Region

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hil.calibrate.record import Record

Flags = NDArray[np.bool_]
_DEALT = 20261122


@final
class LineResistance(Common):
    """IR drop: some devices are pulsed to the high end and back, and how the others then read is watched.

    A device that was not pulsed reads less when others on its lines conduct more, as far as wires and leads
    resist. About half of the devices are pulsed first, unevenly over rows and columns, then the others: each
    crosses its range up once and down once. Where a bench connects one device at a time its lines carry
    nothing else; then all are pulsed up, and their resistance is held against their distance.
    """

    name: Literal["line-resistance"] = "line-resistance"
    repeats: int = Field(default=16, ge=2, description="readings of each device in every state")
    crossing: float = Field(
        default=1.0, gt=0, le=10, description="pulses each way, in units of those that cross the range"
    )
    driven_at: Literal["first", "last"] = Field(
        default="first", description="column at whose side rows are driven"
    )
    sensed_at: Literal["first", "last"] = Field(
        default="last", description="row at whose side columns are sensed"
    )
    open_below: float = Field(default=0.1, ge=0, lt=1, description="open below this part of g_min")
    shorted_above: float = Field(default=3.0, gt=1, description="shorted above this multiple of g_max")
    burst: int = Field(default=1000, ge=1, description="most pulses to a device in one operation")

    def rounds(self, target: Target) -> int:
        """As found, and after every change."""
        return 5 if target.info.parallel_read else 2

    def plan(self, target: Target) -> Plan[None]:
        """Read all, pulse some of the region, read all, and so on; open and shorted devices are left alone.

        Raises
        ------
        ConfigError
            The region has too few lines to tell wires from devices.
        """
        if min(target.shape) < 3:
            rows, cols = target.shape
            raise ConfigError(f"devices: {rows} x {cols} lines; wires are told with 3 x 3 or more")
        reads = (self._whole(target),) * self.repeats
        found = yield (*self._half(target), *reads)
        answers = [answer for answer in found.answers if isinstance(answer, ReadAnswer)]
        sound = self._sound(answers[-self.repeats :], target)
        own = _own(target)
        up, down = (max(1, round(self.crossing * most)) for most in step_at(target.info.device))
        if not target.info.parallel_read:
            yield (*self._pulses(target, sound[own], up), *reads)
            return
        some = _dealt(target.shape)
        for who in (some, ~some):
            for count in (up, -down):
                yield (*self._pulses(target, who & sound[own], count), *reads)

    def _whole(self, target: Target) -> Read:
        """All of the array, whose every device is a load to the others; one at a time, the region alone."""
        nominal, info = self.reading(target), target.info
        if not info.parallel_read:
            return nominal
        every = Region.block(info.name, range(info.rows), range(info.cols))
        return Read(every, nominal.voltage_v, nominal.integration_s)

    def _half(self, target: Target) -> tuple[Read, ...]:
        """At half the voltage, where devices are watched whose currents an offset may be a part of."""
        whole = self._whole(target)
        half = Read(whole.region, 0.5 * whole.voltage_v, whole.integration_s)
        return (half,) * self.repeats if target.info.parallel_read else ()

    def _pulses(self, target: Target, who: Flags, count: int) -> list[Program]:
        sign = 1 if count > 0 else -1
        return [program(target, sign * each * who) for each in chunks(abs(count), self.burst)]

    def _sound(self, answers: Sequence[ReadAnswer], target: Target) -> Flags:
        """Devices that are neither open nor shorted nor beyond the instrument."""
        sheet = target.info.device
        siemens: Floats = np.stack([answer.siemens for answer in answers]).mean(axis=0)  # NaN: only a bound
        low, high = self.open_below * sheet.g_min_s, self.shorted_above * sheet.g_max_s
        return (siemens > low) & (siemens < high)

    def analyse(self, steps: Sequence[Step], target: Target) -> Result:
        """Ohms of wires and leads, and what they take from the readings of the array as found."""
        half = len(self._half(target))
        begun = steps[: half + self.repeats]
        first = [step.answer for step in begun[half:] if isinstance(step.answer, ReadAnswer)]
        sheet, region = target.info.device, target.region
        if not half:
            states = self._states(steps, target, 0.0)
            sound = self._sound(first, target) & ~states.bound
            away = self._turned(np.indices(target.info.shape))[:, region.rows][:, :, region.cols]
            return along_wires(states, sound, target.info.rows - away[0], 1 + away[1], sheet.g_max_s)
        offset = split(intercepts(begun)).amplifier
        states = self._states(steps[half:], target, float(np.nan_to_num(offset.value)))
        sound = self._sound(first, target) & ~states.bound
        shorted = states.bound | (states.seen[0] > self.shorted_above * sheet.g_max_s)
        turned = States(*(self._turned(each) for each in states))
        result = behind_wires(turned, self._turned(sound), self._turned(shorted), sheet.g_max_s)
        maps = {
            name: self._turned(each) if each.shape == target.info.shape else each
            for name, each in result.maps.items()
        }
        return Result({**result.estimates, "offset": offset}, maps, result.findings)

    def _turned(self, values: NDArray[Any]) -> NDArray[Any]:
        """Maps [..., rows, cols] as seen with rows driven at the first column and columns sensed at the last
        row; the same again turns them back.
        """
        rows = slice(None, None, 1 if self.sensed_at == "last" else -1)
        cols = slice(None, None, 1 if self.driven_at == "first" else -1)
        return values[..., rows, cols]

    def _states(self, steps: Sequence[Step], target: Target, offset_a: float) -> States:
        """Mean readings of every state less an offset, what was pulsed before it, where any was a bound."""
        shape = target.info.shape if target.info.parallel_read else target.shape
        seen: list[Floats] = []
        pulsed: list[Flags] = []
        block: list[ReadAnswer] = []
        bound, before = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        for step in steps:
            if isinstance(step.op, Program):
                before[_own(target)] |= step.op.counts != 0
            elif isinstance(step.answer, ReadAnswer):
                block.append(step.answer)
                bound |= step.answer.clipped
            if len(block) == self.repeats:
                mean: Floats = np.stack([a.amperes for a in block]).astype(np.float64).mean(axis=0)
                seen.append((mean - offset_a) / block[0].voltage_v)
                pulsed.append(before)
                block, before = [], np.zeros(shape, np.bool_)
        return States(np.nan_to_num(np.stack(seen)), np.stack(pulsed), bound)

    def draw(self, record: Record) -> Figure:
        """What readings lose, over the array; and what the wires explain of devices that were not pulsed."""
        from calibration.figures.line_resistance import draw

        return draw(record)


def _own(target: Target) -> Any:
    """Where the region is in what is read."""
    return np.ix_(target.region.rows, target.region.cols) if target.info.parallel_read else ...


def _dealt(shape: tuple[int, int]) -> Flags:
    """About half of the devices, always the same ones, and of some rows and columns more than of others:
    without that, what leads do would be the same everywhere.
    """
    rng = np.random.default_rng(_DEALT)
    rows, cols = (rng.permutation(np.resize([0.2, -0.2], lines)) for lines in shape)
    return rng.random(shape) < 0.5 + rows[:, np.newaxis] + cols
