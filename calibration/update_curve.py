"""How devices answer pulses: potentiation and depression staircases over cycles, and all that they tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration.common import Common, Floats, check_dose, chunks, kinds_found, program, step_at
from calibration.curve_summary import summarise
from calibration.noise_fit import fit_shifted
from calibration.staircase import Noise
from hil.calibrate.contracts import Result, Target
from hil.calibrate.tape import Step
from hil.errors import ConfigError
from hil.plan import Plan
from hil.schedule import Answer, Op, Program, ReadAnswer
from hil.units import counted, format_quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hil.calibrate.record import Record


@final
class UpdateCurve(Common):
    """LTP and LTD staircases over cycles: range, steps, nonlinearity, asymmetry, symmetry point, c2c, d2d.

    All devices of the region are brought to the low end, then go up and down together, with a reading after
    every ``stride`` pulses and several at the turning points, which tell the read noise.
    """

    name: Literal["update-curve"] = "update-curve"
    cycles: int = Field(default=8, ge=3, description="staircases up and down; intervals come from them")
    points: int = Field(default=64, ge=8, description="about so many readings while the range is crossed")
    stride: int | None = Field(default=None, ge=1, description="pulses between readings; none: from points")
    crossing: float = Field(
        default=2.0, ge=1, le=10, description="pulses a staircase, in units of those that cross the range"
    )
    turning: int = Field(default=4, ge=2, description="readings at each turning point")
    burst: int = Field(default=1000, ge=1, description="most pulses to a device in one operation")
    block: int = Field(default=16, ge=1, description="readings in one transaction")

    def rounds(self, target: Target) -> int:
        """Blocks of all staircases."""
        up, down = (len(chunks(way.points, self.block)) for way in self.ways(target))
        return 2 + self.cycles * (up + down)

    def ways(self, target: Target) -> tuple[Way, Way]:
        """Stride and number of points of the staircases up and down."""
        made: list[Way] = []
        for crossing in step_at(target.info.device):
            stride = max(1, round(crossing / self.points)) if self.stride is None else self.stride
            made.append(Way(stride, max(4, int(np.ceil(self.crossing * crossing / stride)))))
        return made[0], made[1]

    def plan(self, target: Target) -> Plan[None]:
        """A look at what conducts, then to the low end, then staircases, of what neither is open nor shorted.

        Raises
        ------
        ConfigError
            ``limits.dose`` does not allow so many pulses, or no device conducts as one should.
        """
        up, down = self.ways(target)
        to_low = down.points * down.stride
        check_dose(target, "cycles", to_low + self.cycles * (up.points * up.stride + to_low))
        found = yield (*self.half(target, self.turning), *self.read(target, self.turning))
        live = (self._kinds(found.answers, target) == 0).astype(np.int16)
        if not live.any():
            raise ConfigError(
                f"devices: none of {live.size:,} conducts as one that works: they are open or shorted; none "
                "was pulsed. New ones may have to be formed (routine forming)"
            )

        def given(count: int) -> Program:
            return program(target, count * live)

        yield (*(given(-count) for count in chunks(to_low, self.burst)), *self.read(target, self.turning))
        for _ in range(self.cycles):
            for way, sign in ((up, 1), (down, -1)):
                ops: list[Op] = []
                for number in range(1, way.points + 1):
                    times = self.turning if number == way.points else 1
                    ops += (given(sign * way.stride), *self.read(target, times))
                    if number % self.block == 0 or number == way.points:
                        yield tuple(ops)
                        ops = []

    def analyse(self, steps: Sequence[Step], target: Target) -> Result:
        """Fit every device, then the array."""
        curves = read_curves(steps, self.ways(target), self.cycles, self.turning)
        result = summarise(curves, target.shape, target.info.device, self.crossing)
        before = takewhile(lambda step: not isinstance(step.op, Program), steps)
        spared = int(np.count_nonzero(self._kinds([step.answer for step in before], target)))
        told = (
            [f"{counted(spared, 'conducts', 'conduct')} as open or shorted ones do: not pulsed"]
            if spared
            else []
        )
        told += _behind_offset(curves.shift, self.reading(target).voltage_v)
        return replace(result, findings=[*result.findings, *told])

    def _kinds(self, answers: Sequence[Answer], target: Target) -> NDArray[np.uint8]:
        found = [answer for answer in answers if isinstance(answer, ReadAnswer)]
        return kinds_found(found[: self.turning], found[self.turning :], target.info.device)

    def draw(self, record: Record) -> Figure:
        """Staircases, change against conductance, distributions of range, labels and noise over devices."""
        from calibration.figures.update_curve import draw

        return draw(record, self)


def _behind_offset(shift: Floats, volts: float) -> list[str]:
    """Said where noise tells an offset beyond doubt: twice its 95 % interval is on one side of 0."""
    value, low, high = shift
    if abs(value) <= high - low:
        return []
    current, siemens = format_quantity(volts * value, "A", 2), format_quantity(value, "S", 2)
    return [
        f"read noise is as behind an offset of about {current}: g_min, g_max and on_off are as read, with "
        f"{siemens} in them (the routines offset and read-noise measure it; training and twins take it off)"
    ]


class Way(NamedTuple):
    """Staircases of one direction."""

    stride: int
    points: int


class Curves(NamedTuple):
    """What was read: conductances [cycles, points + 1, devices], siemens, and pulses between two points."""

    up: Floats
    down: Floats
    strides: tuple[int, int]
    noise: Noise
    shift: Floats
    """By how much readings are above the conductances that their noise is of, with its 95 % interval [3]."""


def read_curves(steps: Sequence[Step], ways: tuple[Way, Way], cycles: int, turning: int) -> Curves:
    """Order the readings of a complete tape; a staircase begins with the last turning point."""
    blocks: list[list[NDArray[np.float64]]] = []
    pulsed = np.ones(0, np.bool_)
    for step in steps:
        if isinstance(step.op, Program):
            pulsed = pulsed if blocks else step.op.counts.ravel() != 0
            blocks.append([])
        elif blocks and isinstance(step.answer, ReadAnswer):
            blocks[-1].append(step.answer.siemens.astype(np.float64).ravel())
    read = [block for block in blocks if block]
    turns = [np.stack(block) for block in read if len(block) == turning]
    means = np.stack([turn.mean(axis=0)[pulsed] for turn in turns])
    fitted = fit_shifted(means, np.stack([turn.var(axis=0, ddof=1)[pulsed] for turn in turns]), turning - 1)
    level = [block[0] for block in read]  # one reading each, so that all points are equally noisy
    up, down = ways
    per_cycle = up.points + down.points
    ups = [level[c * per_cycle : c * per_cycle + up.points + 1] for c in range(cycles)]
    downs = [level[c * per_cycle + up.points : (c + 1) * per_cycle + 1] for c in range(cycles)]
    relative, floor, shift = (np.nan_to_num(each) for each in fitted)
    square = relative**2 if relative[0] > 0 else floor**2
    unsure = 0.5 * (square[2] - square[1]) / square[0] if square[0] > 0 else 0.0
    noise = Noise(float(relative[0]), float(floor[0]), float(unsure), float(shift[0]))
    return Curves(np.array(ups), np.array(downs), (up.stride, down.stride), noise, shift)
