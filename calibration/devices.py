"""Which devices work: conductances, and a guarded test of whether each of them moves both ways or at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration.common import (
    OPEN_BELOW,
    SHORTED_ABOVE,
    Common,
    Floats,
    chunks,
    kinds_found,
    program,
    step_at,
)
from calibration.intervals import of_mean, of_share, t_factor
from hil.calibrate.contracts import Estimate, Result, Target
from hil.calibrate.tape import Step
from hil.plan import Plan
from hil.schedule import Program, Read, ReadAnswer
from hil.units import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hil.calibrate.record import Record

KINDS = ("works", "stuck", "open", "shorted")
"""What the codes 0, 1, 2, 3 of the map ``fault`` stand for."""

_BEYOND_NOISE = 6.0
"""A change counts from so many standard deviations of the two readings: 1e-9 of stuck devices look moved."""


@final
class Devices(Common):
    """Conductance map, stuck, open and shorted devices, yield; each device is pulsed until it moves.

    Devices that conduct far less than g_min or far more than g_max are not pulsed at all. The others get
    potentiating pulses, more each round, until the change is beyond read noise and beyond ``moved`` of the
    range, or their range should be crossed; those that did not move then get depressing ones. What moves
    neither way is stuck. Only devices that have not moved yet are pulsed further.
    """

    name: Literal["devices"] = "devices"
    repeats: int = Field(default=8, ge=3, description="readings of each device in every round")
    moved: float = Field(default=0.02, gt=0, lt=1, description="smallest change that counts, of the range")
    crossing: float = Field(
        default=1.0, gt=0, le=10, description="most pulses each way, in units of those that cross the range"
    )
    open_below: float = Field(default=OPEN_BELOW, ge=0, lt=1, description="open below this part of g_min")
    shorted_above: float = Field(
        default=SHORTED_ABOVE, gt=1, description="shorted above this multiple of g_max"
    )
    burst: int = Field(default=1000, ge=1, description="most pulses to a device in one operation")

    def rounds(self, target: Target) -> int:
        """Doubling pulses both ways, and the first reading."""
        return 1 + sum(len(self._trains(most)) for most in self._most(target))

    def plan(self, target: Target) -> Plan[None]:
        """Read, then pulse what conducts as a device should until it moves."""
        found = yield (*self.half(target, self.repeats), *self.read(target, self.repeats))
        answers = [a for a in found.answers if isinstance(a, ReadAnswer)]
        before = _Level.of(answers[self.repeats :])
        still = self._kinds(answers, target) == 0
        for most, sign in zip(self._most(target), (1, -1), strict=True):
            now = before
            for count in self._trains(most):
                if not still.any():
                    return
                parts = (program(target, sign * n * still) for n in chunks(count, self.burst))
                done = yield (*parts, *self.read(target, self.repeats))
                now = _Level.of([a for a in done.answers if isinstance(a, ReadAnswer)])
                still &= ~self._has_moved(before, now, target)
            before = now

    def analyse(self, steps: Sequence[Step], target: Target) -> Result:
        """Kinds of fault, the conductance map as it was found, and how devices moved."""
        levels, pulses = _rounds(steps[self.repeats :], self.repeats)
        first = levels[0]
        kind = self._kinds(
            [s.answer for s in steps[: 2 * self.repeats] if isinstance(s.answer, ReadAnswer)], target
        )
        tested, moved = np.zeros(target.shape, np.bool_), np.zeros(target.shape, np.bool_)
        base, change = first, np.full(target.shape, np.nan)
        for number, (level, counts) in enumerate(zip(levels[1:], pulses, strict=True), start=1):
            if number > 1 and np.any(counts < 0) and not np.any(pulses[number - 2] < 0):
                base = levels[number - 1]  # the way changes: count from here
            has = self._has_moved(base, level, target) & (counts != 0)
            change = np.where(has & ~moved, level.mean - base.mean, change)
            tested |= counts != 0
            moved |= has
        kind[(kind == 0) & ~moved] = 1
        return self._result(kind, first, change, target)

    def _result(self, kind: NDArray[np.uint8], first: _Level, change: Floats, target: Target) -> Result:
        works = kind == 0
        half = t_factor(self.repeats) * first.error
        estimates: dict[str, Estimate] = {
            "yield": of_share("share of devices that work", int(works.sum()), kind.size),
            "conductance": of_mean("S", "mean conductance of working devices, as found", first.mean[works]),
        }
        findings = [f"{int(works.sum()):,} of {counted(kind.size, 'device works', 'devices work')}"]
        for code, name in enumerate(KINDS[1:], start=1):
            count = int((kind == code).sum())
            estimates[name] = of_share(f"share of {name} devices", count, kind.size)
            if count:
                rows, cols = np.nonzero(kind == code)
                places = [
                    f"[{target.region.rows[r]}, {target.region.cols[c]}]"
                    for r, c in zip(rows[:8], cols[:8], strict=True)
                ]
                more = f" and {count - 8:,} more (hil calibration show --json lists all)" if count > 8 else ""
                findings.append(f"{count:,} {name}: {', '.join(places)}{more}")
        maps = {
            "fault": kind,
            "siemens": first.mean,
            "siemens_low": first.mean - half,
            "siemens_high": first.mean + half,
            "moved_s": change,
        }
        return Result(estimates, maps, findings)

    def draw(self, record: Record) -> Figure:
        """Map of conductances with faults marked, distribution of conductances, counts of faults."""
        from calibration.figures.devices import draw

        return draw(record, KINDS)

    def _most(self, target: Target) -> tuple[int, int]:
        up, down = step_at(target.info.device)
        return max(1, round(self.crossing * up)), max(1, round(self.crossing * down))

    def _trains(self, most: int) -> list[int]:
        """1, 1, 2, 4, ... pulses, in all as many as allowed."""
        trains: list[int] = []
        while sum(trains) < most:
            trains.append(min(max(1, sum(trains)), most - sum(trains)))
        return trains

    def _kinds(self, answers: Sequence[ReadAnswer], target: Target) -> NDArray[np.uint8]:
        """Codes [rows, cols] by the first readings: half of them at half the voltage, then at the whole."""
        half, whole = answers[: self.repeats], answers[self.repeats :]
        return kinds_found(half, whole, target.info.device, self.open_below, self.shorted_above)

    def _has_moved(self, before: _Level, now: _Level, target: Target) -> NDArray[np.bool_]:
        sheet = target.info.device
        needed = self.moved * (sheet.g_max_s - sheet.g_min_s)
        noise = _BEYOND_NOISE * np.hypot(before.error, now.error)
        with np.errstate(invalid="ignore"):
            return np.abs(now.mean - before.mean) > np.maximum(needed, noise)


class _Level:
    """Mean conductance of some readings of the region, and its standard error, [rows, cols]."""

    def __init__(self, mean: Floats, error: Floats) -> None:
        self.mean, self.error = mean, error

    @classmethod
    def of(cls, answers: Sequence[ReadAnswer]) -> _Level:
        """Of repeated readings; the relative spread is pooled over devices, for few repeats tell little."""
        g: Floats = np.stack([answer.siemens for answer in answers]).astype(np.float64)
        mean: Floats = g.mean(axis=0)
        sd: Floats = g.std(axis=0, ddof=1)
        known = np.isfinite(mean) & (mean != 0)
        relative = float(np.sqrt(np.mean((sd[known] / mean[known]) ** 2))) if known.any() else 0.0
        return cls(mean, np.maximum(sd, relative * np.abs(mean)) / np.sqrt(len(g)))


def _rounds(steps: Sequence[Step], repeats: int) -> tuple[list[_Level], list[NDArray[np.int64]]]:
    """Levels of every round, and the pulses [rows, cols] before each but the first."""
    levels: list[_Level] = []
    pulses: list[NDArray[np.int64]] = []
    counts: NDArray[np.int64] | None = None
    block: list[ReadAnswer] = []
    for step in steps:
        if isinstance(step.op, Program):
            counts = step.op.counts.astype(np.int64) + (0 if counts is None else counts)
        elif isinstance(step.op, Read) and isinstance(step.answer, ReadAnswer):
            block.append(step.answer)
        if len(block) == repeats:
            levels.append(_Level.of(block))
            if counts is not None:
                pulses.append(counts)
            block, counts = [], None
    return levels, pulses
