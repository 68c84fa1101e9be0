"""How devices lose what they were given: conductance against the time since their last pulse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration.common import Common, Floats, chunks, program, siemens, step_at, uniform
from calibration.intervals import of_mean, spread_between, t_factor
from hil.calibrate.contracts import RESOLVED, Result, Target, certain
from hil.calibrate.tape import Step
from hil.plan import Plan
from hil.schedule import Program, ReadAnswer, Wait
from hil.units import PositiveSeconds, format_quantity, rounded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hil.calibrate.record import Record

_MOVES = 0.05


@final
class Drift(Common):
    """Drift and retention: devices are programmed to several levels, left alone, and read ever later.

    Conductance is taken as G (t / t0)^-nu from the first reading on, t counted from the last pulse: the slope
    of log G against log t is -nu of a device. On hardware it takes as long as ``until`` says.
    """

    name: Literal["drift"] = "drift"
    first: PositiveSeconds = Field(default=1.0, description="time of the first reading after programming")
    until: PositiveSeconds = Field(default=1000.0, description="time of the last one")
    times: int = Field(default=10, ge=4, le=1000, description="readings between, evenly in log time")
    repeats: int = Field(default=4, ge=1, description="readings of each device every time")
    levels: int = Field(default=4, ge=1, le=64, description="levels that devices are programmed to")
    burst: int = Field(default=1000, ge=1, description="most pulses to a device in one operation")

    def rounds(self, target: Target) -> int:
        """Programming, and every time of reading."""
        return 1 + self.times

    def moments(self) -> Floats:
        """Times of the readings after programming, seconds."""
        return np.geomspace(self.first, max(self.until, 2 * self.first), self.times)

    def plan(self, target: Target) -> Plan[None]:
        """To the low end, up to the levels, then wait and read."""
        up, down = step_at(target.info.device)
        rows, cols = np.indices(target.shape)
        share = (1 + (rows + cols) % self.levels) / self.levels
        counts = np.round(share * up).astype(np.int64)
        to_low = (uniform(target, -n) for n in chunks(round(2 * down), self.burst))
        yield (*to_low, *self.read(target, self.repeats), *self._to_levels(target, counts))
        passed = 0.0
        for moment in self.moments():
            done = yield (Wait(max(0.0, float(moment) - passed)), *self.read(target, self.repeats))
            passed += done.cost.seconds

    def _to_levels(self, target: Target, counts: NDArray[np.int64]) -> list[Program]:
        """The last pulse of all devices is a short operation of its own: drift counts from it."""
        before = np.maximum(counts - 1, 0)
        starts = range(0, int(before.max(initial=0)), self.burst)
        parts = [program(target, np.clip(before - begun, 0, self.burst)) for begun in starts]
        return [*parts, uniform(target, 1)]

    def analyse(self, steps: Sequence[Step], target: Target) -> Result:
        """Slope of each device, mean and spread."""
        seconds, level, low = self._means(steps, target)
        sheet = target.info.device
        works = np.isfinite(level).all(axis=0) & (level > 0).all(axis=0)
        works &= level[0] - low > _MOVES * (sheet.g_max_s - sheet.g_min_s)
        shape = target.shape
        x = np.log(seconds)
        y = np.log(np.where(works, level, 1.0))
        away = x - x.mean()
        slope = np.tensordot(away, y, axes=1) / (away @ away)
        left = y - y.mean(axis=0) - away[:, np.newaxis, np.newaxis] * slope
        freedom = len(x) - 2
        error = np.sqrt((left**2).sum(axis=0) / freedom / (away @ away))
        nu = np.where(works, -slope, np.nan)
        half = np.where(works, t_factor(freedom + 1) * error, np.nan)
        last = np.where(works, level[-1] / np.where(works, level[0], 1.0), np.nan)
        spread = "its spread from device to device"
        estimates = {
            "nu": of_mean("", "drift exponent: G falls as t^-nu, mean over devices", nu),
            "nu_spread": spread_between(spread, nu, nu - half, nu + half, freedom + 1),
            "retention": of_mean("", "conductance at the last reading against the first", last),
        }
        estimates = certain(estimates, target.info)
        maps: dict[str, NDArray[Any]] = {
            "nu": nu, "nu_low": nu - half, "nu_high": nu + half, "retention": last,
            "seconds": seconds, "siemens": level,
        }  # fmt: skip
        return Result(estimates, maps, self._findings(estimates, works.sum() / np.prod(shape), seconds))

    def _means(self, steps: Sequence[Step], target: Target) -> tuple[Floats, Floats, Floats]:
        """Times since the last pulse [times]; conductances then [times, rows, cols], and at the low end."""
        last_pulse = max(step.ended_s for step in steps if isinstance(step.op, Program))
        begun = np.array([step.begun_s for step in steps if isinstance(step.answer, ReadAnswer)]) - last_pulse
        known, after = siemens(steps), begun >= 0
        blocks = (int(after.sum()) // self.repeats, self.repeats)
        level: Floats = known[after].reshape(*blocks, *target.shape).mean(axis=1)
        return begun[after].reshape(blocks).mean(axis=1), level, known[~after].mean(axis=0)

    def _findings(self, estimates: dict[str, Any], share: float, seconds: Floats) -> list[str]:
        kept = estimates["retention"]
        first, last = (format_quantity(float(each), "s", 3) for each in (seconds[0], seconds[-1]))
        found = [f"{rounded(100 * share, 3)} % of the devices could be programmed above the low end"]
        change, most = 100 * (kept.value - 1), 100 * max(abs(kept.low - 1), abs(kept.high - 1))
        if most < 100 * RESOLVED:
            found.append(f"no change is seen between {first} and {last}")
        elif kept.low <= 1 <= kept.high and np.isfinite(most):
            found.append(f"no change beyond {rounded(most)} % is seen between {first} and {last}")
        elif np.isfinite(change):
            verb = "lose" if change < 0 else "gain"
            found.append(f"they {verb} {rounded(abs(change))} % between {first} and {last}")
        return found

    def draw(self, record: Record) -> Figure:
        """Conductance against time, and the distribution of exponents."""
        from calibration.figures.drift import draw

        return draw(record)
