"""Which pulse moves a device by a wanted step: amplitudes, then widths, from below until a step is enough."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration.common import Common, Floats, chunks, program, step_at
from calibration.pulse_found import Found, Wanted, by_law, levels_of
from calibration.pulse_ladder import Climb, Ladder, ladder, narrowed
from calibration.pulse_law import Steps, fit_law
from hil.bench import Execution
from hil.calibrate.contracts import Estimate, Result, Target
from hil.calibrate.tape import Step
from hil.plan import Plan
from hil.schedule import Op, Program, Pulse, ReadAnswer, Region, Schedule
from hil.units import PositiveSeconds, PositiveVolts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hil.calibrate.record import Record

Flags = NDArray[np.bool_]
Way: TypeAlias = Literal["up", "down"]
WAYS: tuple[Way, Way] = ("up", "down")

_OPEN_BELOW, _SHORTED_ABOVE = 0.1, 3.0  # of g_min and of g_max, as in the routine devices
_TRIES = 4


class _Round(NamedTuple):
    """Conductances [rows, cols] before and after pulses that were searched with, and the variance that the
    noise of readings gives their difference; NaN where each was read once.
    """

    before: Floats
    pulses: list[Program]
    after: Floats
    noise: Floats


@final
class PulseSearch(Common):
    """Pulse search: what amplitude and width move a device by ``step`` of the range, up and down.

    The crossings of some lines are brought to the middle of the range by nominal pulses, and back there by
    opposite ones whenever they left it. Single pulses of rising amplitude, then of rising width, are given to
    each until its step is enough. Then each gets ``passes`` times ``points`` single pulses of what it had so
    far, and as many of the wanted one's amplitude at a part of its width: these alone enter the result, for
    their choice does not depend on their own outcome. Devices that are open or shorted are not pulsed.
    """

    name: Literal["pulse-search"] = "pulse-search"
    step: float = Field(default=0.02, gt=0, le=0.5, description="wanted change by one pulse, of the range")
    too_large: float = Field(default=2.0, gt=1, description="a step of so many times that is too large")
    lines: int = Field(
        default=4, ge=1, le=64, description="rows and columns, evenly spread, whose crossings are searched"
    )
    first: float = Field(
        default=0.3, gt=0, le=1, description="lowest amplitude, in units of the data sheet's pulse"
    )
    rise: float = Field(
        default=0.05, gt=0, le=1, description="from one amplitude to the next, in the same units"
    )
    most_amplitude: PositiveVolts | None = Field(
        default=None, description="highest amplitude either way; none: that of the data sheet's pulse"
    )
    most_width: PositiveSeconds | None = Field(
        default=None, description="longest pulse; none: ten times that of the data sheet, within the limits"
    )
    widen: float = Field(default=1.5, gt=1, le=10, description="from one width to the next, a factor")
    narrow: float = Field(
        default=0.5, gt=0, le=1, description="part of the width that tells the power of widths; 1: not asked"
    )
    points: int = Field(default=8, ge=3, le=100, description="amplitudes of each pass")
    passes: int = Field(default=4, ge=1, le=100, description="passes over them")
    repeats: int = Field(default=8, ge=1, description="readings of each device before and after each pulse")

    def rounds(self, target: Target) -> int:
        """Homing, and each way at most all amplitudes, all widths and all passes."""
        searched = sum(sum(map(len, self._ladder(target, way))) for way in WAYS)
        return _TRIES + searched + 2 * self._kept

    @property
    def _kept(self) -> int:
        """Rounds of each way that enter the result: the last ones."""
        return self.passes * (self.points + 1)

    def chosen(self, target: Target) -> Target:
        """The lines that are searched."""
        sides = (target.region.rows, target.region.cols)
        rows, cols = (side[_spread(side.size, self.lines)] for side in sides)
        return replace(target, region=Region(target.region.array, rows, cols))

    def plan(self, target: Target) -> Plan[None]:
        """To the middle; then up and down: search, and measure at what was found.

        Raises
        ------
        ConfigError
            Pulses beyond the limits are asked for, or none are between the first and the highest.
        """
        ladders = {way: self._ladder(target, way) for way in WAYS}
        some = self.chosen(target)
        sheet = some.info.device
        middle = np.full(some.shape, 0.5 * (sheet.g_min_s + sheet.g_max_s))
        before, _ = yield from self._round(some, None, middle, [])
        alive = (before > _OPEN_BELOW * sheet.g_min_s) & (before < _SHORTED_ABOVE * sheet.g_max_s)
        now, middle = before, np.where(alive, middle, np.nan)
        for _ in range(_TRIES):
            now, _ = yield from self._round(some, now, middle, [])
        home = np.where(alive, now, np.nan)
        for way in WAYS:
            yield from self._one_way(some, way, ladders[way], home, alive)

    def _one_way(self, some: Target, way: Way, climb: Ladder, home: Floats, alive: Flags) -> Plan[None]:
        """Search and measure, from home and back there."""
        if not alive.any():
            return
        volts, usual = climb.volts, self._nominal(some, way).width_s
        rungs = np.array([(v, usual) for v in volts] + [(volts[-1], s) for s in climb.seconds])
        wanted = self.step * (some.info.device.g_max_s - some.info.device.g_min_s)
        rung, left, now = np.full(some.shape, len(rungs) - 1), alive.copy(), home
        for number, (v, s) in enumerate(rungs):
            if not left.any():
                break
            pulses = self._pulses(some, way, np.full(some.shape, v), np.full(some.shape, s), left)
            before, now = yield from self._round(some, now, home, pulses)
            enough = left & ((now - before) * (1 if way == "up" else -1) >= wanted)
            rung[enough] = number
            left &= ~enough
        highest, width = np.minimum(rung, len(volts) - 1), rungs[rung, 1]
        parts = np.array([narrowed(s, self.narrow, some.limits) for s in width.ravel()]).reshape(some.shape)
        for _ in range(self.passes):
            for point in range(self.points, -1, -1):
                at = np.round(highest * (point or self.points) / self.points).astype(np.int64)
                pulses = self._pulses(some, way, volts[at], width if point else parts, alive)
                _, now = yield from self._round(some, now, home, pulses)

    def _round(
        self, some: Target, now: Floats | None, home: Floats, pulses: Sequence[Op]
    ) -> Generator[Schedule, Execution, tuple[Floats, Floats]]:
        """Bring back, read, pulse, read; conductances before and after [rows, cols]."""
        back: list[Op] = [] if now is None else self._back(some, now, home)
        reads = self.read(some, self.repeats)
        found = yield (*back, *reads, *pulses, *reads)
        g = [a.siemens.astype(np.float64) for a in found.answers if isinstance(a, ReadAnswer)]
        return np.mean(g[: self.repeats], axis=0), np.mean(g[self.repeats :], axis=0)

    def _back(self, some: Target, now: Floats, home: Floats) -> list[Op]:
        """Nominal pulses towards home, where it is further away than half of one."""
        curve = some.info.device.curve
        up, down = curve.steps(0.5 * (now + home))
        away = home - now
        counts = np.nan_to_num(away / np.where(away > 0, np.maximum(up, 1e-300), np.maximum(down, 1e-300)))
        most = max(step_at(some.info.device))
        counts = np.round(np.clip(counts, -most, most)).astype(np.int64)
        parts = chunks(int(np.abs(counts).max(initial=0)), some.limits.pulses_per_op or 1000)
        done = np.cumsum([0, *parts])
        return [
            program(some, np.sign(counts) * np.clip(np.abs(counts) - begun, 0, size))
            for begun, size in zip(done, parts, strict=False)
        ]

    def _pulses(self, some: Target, way: Way, volts: Floats, seconds: Floats, which: Flags) -> list[Op]:
        """One pulse of its own amplitude (magnitude) and width to each device."""
        sheet, nominal = some.info.device, self._nominal(some, way)
        sign = float(np.sign(nominal.amplitude_v))
        ops: list[Op] = []
        for v, s in sorted(set(zip(volts[which].tolist(), seconds[which].tolist(), strict=True))):
            pulse, counts = Pulse(sign * v, s, nominal.gap_s), which & (volts == v) & (seconds == s)
            if way == "up":
                ops.append(Program(some.region, counts.astype(np.int16), pulse, sheet.depress))
            else:
                ops.append(Program(some.region, -counts.astype(np.int16), sheet.potentiate, pulse))
        return ops

    def _is(self, op: Program, way: Way) -> bool:
        """Whether an operation pulses devices that way."""
        return bool(np.any(op.counts > 0 if way == "up" else op.counts < 0))

    def _own(self, op: Program, way: Way) -> Pulse:
        return op.potentiate if way == "up" else op.depress

    def _nominal(self, target: Target, way: Way) -> Pulse:
        sheet = target.info.device
        return sheet.potentiate if way == "up" else sheet.depress

    def _ladder(self, target: Target, way: Way) -> Ladder:
        climb = Climb(self.first, self.rise, self.widen, self.most_amplitude, self.most_width)
        return ladder(climb, self._nominal(target, way), target.limits, self.points)

    def analyse(self, steps: Sequence[Step], target: Target) -> Result:
        """The law of each way, what it says of the wanted step, and pulses for a bench file."""
        some, rounds = self.chosen(target), self._rounds(steps)
        estimates: dict[str, Estimate] = {}
        maps: dict[str, NDArray[Any]] = {}
        findings: list[str] = []
        for way in WAYS:
            places, seen = self._seen(rounds, some, way)
            nominal = self._nominal(some, way)
            most = 1.0 if self.most_amplitude is None else self.most_amplitude / abs(nominal.amplitude_v)
            put_out = [
                self._own(op, way).width_s for each in rounds for op in each.pulses if self._is(op, way)
            ]
            widest = max(put_out, default=0.0) / nominal.width_s
            small, large = (
                by_law(some.info.device, way, step) for step in (self.step, self.too_large * self.step)
            )
            wanted = Wanted(
                self.step, self.too_large, small, large, most, widest, self.narrow < 1,
                levels_of(some.info.device, way),
            )  # fmt: skip
            found = Found(way, nominal, wanted, fit_law(seen))
            estimates |= found.estimates()
            findings += found.findings()
            maps |= found.maps(some.shape, places, seen)
        maps |= {"rows": some.region.rows, "cols": some.region.cols}
        return Result(estimates, maps, findings)

    def _rounds(self, steps: Sequence[Step]) -> list[_Round]:
        found: list[_Round] = []
        g: list[Floats] = []
        pulses: list[Program] = []
        for step in steps:
            if isinstance(step.op, Program):
                if len(g) == self.repeats:
                    pulses.append(step.op)
            elif isinstance(step.answer, ReadAnswer):
                g.append(step.answer.siemens.astype(np.float64))
            if len(g) == 2 * self.repeats:
                both = np.stack([g[: self.repeats], g[self.repeats :]])
                nothing = np.full(both.shape[2:], np.nan)
                noise = both.var(axis=1, ddof=1).sum(axis=0) / self.repeats if self.repeats > 1 else nothing
                before, after = both.mean(axis=1)
                found.append(_Round(before, pulses, after, noise))
                g, pulses = [], []
        return found

    def _seen(self, rounds: Sequence[_Round], some: Target, way: Way) -> tuple[NDArray[np.int64], Steps]:
        """Places of the devices that were measured in all rounds, and their steps [n, devices]."""
        sheet, nominal, sign = some.info.device, self._nominal(some, way), 1 if way == "up" else -1
        side = 0 if way == "up" else 1
        middle = np.array(0.5 * (sheet.g_min_s + sheet.g_max_s))
        usual = sheet.curve.steps(middle)[side]
        mine = [each for each in rounds if any(self._is(op, way) for op in each.pulses)][-self._kept :]
        x, r, change, factor = np.full((4, len(mine), *some.shape), np.nan)
        for number, (before, pulses, after, _) in enumerate(mine):
            for op in pulses:
                pulse, given = self._own(op, way), op.counts != 0
                x[number, given] = pulse.amplitude_v / nominal.amplitude_v
                r[number, given] = pulse.width_s / nominal.width_s
            here = sheet.curve.steps(0.5 * (before + after))[side]
            factor[number] = usual / np.where(here > 0, here, np.nan) / (sheet.g_max_s - sheet.g_min_s)
            change[number] = sign * (after - before) * factor[number]
        if not mine:
            return np.zeros(0, np.int64), Steps(*np.zeros((4, 0, 0)))
        noise = factor * np.sqrt(np.mean([each.noise for each in mine], axis=0))
        x, r, change, noise = (each.reshape(len(mine), -1) for each in (x, r, change, noise))
        known = np.flatnonzero(np.isfinite([x, r, change]).all(axis=(0, 1)))
        return known, Steps(*(each[:, known] for each in (x, r, change, noise)))

    def draw(self, record: Record) -> Figure:
        """Steps against amplitude both ways, with the law, the wanted step and the window."""
        from calibration.figures.pulse_search import draw

        return draw(record, self.step, self.too_large)


def _spread(size: int, most: int) -> NDArray[np.int64]:
    """Places of at most so many lines, evenly spread."""
    number = min(size, most)
    return ((2 * np.arange(number) + 1) * size) // (2 * number)
