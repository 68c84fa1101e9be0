"""How well a device can be read: spread against time and voltage, offset, linearity, and the integration
time that a wanted precision takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from calibration.common import Common, Floats
from calibration.intervals import few, undetermined
from calibration.linearity import fit_line
from calibration.noise_fit import NoiseFit, fit_noise
from hil.calibrate.contracts import Estimate, Result, Target
from hil.calibrate.tape import Step
from hil.plan import Plan
from hil.schedule import Read, ReadAnswer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hil.calibrate.record import Record


@final
class ReadNoise(Common):
    """Spread of readings against integration time and voltage; offset; linearity; the time for a precision.

    Nothing is programmed. The variance of a device's current i, the offset taken off, is taken as
    (noise i)^2 + floor^2: relative noise of devices, and a floor that is the same for all. Voltages are parts
    of the nominal one: no device sees more than it is read with anyway.
    """

    name: Literal["read-noise"] = "read-noise"
    repeats: int = Field(default=32, ge=8, description="readings of each device at every setting")
    times: tuple[float, ...] = Field(
        default=(1.0, 4.0, 16.0), min_length=1, description="integration times, in units of the nominal one"
    )
    voltages: tuple[float, ...] = Field(
        default=(0.25, 0.5, 0.75, 1.0),
        min_length=2,
        description="voltages, parts of the nominal one",
    )
    precision: float = Field(
        default=0.01, gt=0, lt=1, description="wanted relative standard deviation of one reading"
    )

    def rounds(self, target: Target) -> int:
        """One for each setting."""
        return len(self.settings(target))

    def settings(self, target: Target) -> list[Read]:
        """The readings that are repeated: nominal voltage at all times, nominal time at all voltages."""
        nominal = self.reading(target)
        at = [(1.0, time) for time in self.times] + [(volt, 1.0) for volt in self.voltages]
        return [
            Read(target.region, volt * nominal.voltage_v, time * nominal.integration_s)
            for volt, time in dict.fromkeys([(1.0, 1.0), *at])
        ]

    def plan(self, target: Target) -> Plan[None]:
        """Read again and again."""
        for reading in self.settings(target):
            yield (reading,) * self.repeats

    def analyse(self, steps: Sequence[Step], target: Target) -> Result:
        """Noise at each setting, its law, offset and linearity."""
        settings = _settings(steps)
        nominal = settings[0]
        at_time = [i for i, each in enumerate(settings) if each.volts == nominal.volts]
        at_voltage = [i for i, each in enumerate(settings) if each.seconds == nominal.seconds]
        offset, linearity, line = fit_line(*_by_voltage([settings[i] for i in at_voltage]))
        fits = [_fit(each, offset) for each in settings]
        why = few(int(np.isfinite(nominal.mean).sum()), 2)
        noise = Estimate.of(fits[0].relative, "", "relative standard deviation of one reading", why)
        floor = Estimate.of(fits[0].floor, "A", "noise that does not scale with the current", why)
        exponent = _exponent([settings[i] for i in at_time], [fits[i] for i in at_time])
        needed = _time_for(self.precision, noise, exponent, nominal.seconds)
        estimates = {
            "noise": noise,
            "floor": floor,
            "exponent": exponent,
            "integration": needed,
            "offset": offset,
            "nonlinearity": linearity,
        }
        with np.errstate(invalid="ignore", divide="ignore"):
            own = np.sqrt(nominal.variance) / np.abs(nominal.mean - np.nan_to_num(offset.value))
        maps: dict[str, NDArray[np.float64]] = {
            "siemens": nominal.mean / nominal.volts,
            "noise": own,
            "conductance_by_voltage": line,
            "volts": np.array([settings[i].volts for i in at_voltage]),
            "seconds": np.array([settings[i].seconds for i in at_time]),
            "noise_by_time": np.stack([fits[i].relative for i in at_time]),
            "noise_by_voltage": np.stack([fits[i].relative for i in at_voltage]),
        }
        return Result(estimates, maps, _findings(self.precision, noise, exponent, needed, linearity))

    def draw(self, record: Record) -> Figure:
        """Noise against time and voltage, its distribution over devices, and linearity."""
        from calibration.figures.read_noise import draw

        return draw(record)


class _Setting(NamedTuple):
    volts: float
    seconds: float
    mean: Floats  # amperes [rows, cols]; NaN where a reading was only a bound
    variance: Floats
    repeats: int


def _settings(steps: Sequence[Step]) -> list[_Setting]:
    """Mean and variance of the repeats at each setting, in the order in which they came."""
    found: dict[tuple[float, float], list[ReadAnswer]] = {}
    for step in steps:
        if isinstance(step.op, Read) and isinstance(step.answer, ReadAnswer):
            found.setdefault((step.op.voltage_v, step.op.integration_s), []).append(step.answer)
    settings: list[_Setting] = []
    for (volts, seconds), answers in found.items():
        i = np.stack([np.where(a.clipped, np.nan, a.amperes) for a in answers]).astype(np.float64)
        settings.append(_Setting(volts, seconds, i.mean(axis=0), i.var(axis=0, ddof=1), len(answers)))
    return settings


def _fit(setting: _Setting, offset: Estimate) -> NoiseFit:
    """Noise against the devices' own currents; what the offset may be off by widens it, in squares."""
    fit, *others = (
        fit_noise(setting.mean - (each if np.isfinite(each) else 0.0), setting.variance, setting.repeats - 1)
        for each in (offset.value, offset.low, offset.high)
    )

    def widened(part: Floats, off: Sequence[Floats]) -> Floats:
        more = max(abs(each[0] - part[0]) for each in off)
        half = np.hypot(part - part[0], more)
        return np.array([part[0], max(0.0, part[0] - half[1]), part[0] + half[2]])

    return NoiseFit(
        widened(fit.relative, [each.relative for each in others]),
        widened(fit.floor, [each.floor for each in others]),
    )


def _by_voltage(settings: Sequence[_Setting]) -> tuple[Floats, Floats, Floats]:
    """Voltages [n], mean currents and their variances [n, devices]."""
    volts = np.array([each.volts for each in settings])
    means = np.stack([each.mean.ravel() for each in settings])
    return volts, means, np.stack([each.variance.ravel() / each.repeats for each in settings])


def _exponent(settings: Sequence[_Setting], fits: Sequence[NoiseFit]) -> Estimate:
    """Exponent p of noise ~ time^-p, weighted by the intervals; 0.5 is white noise."""
    about = "noise falls with time to this power; 0.5 is white"
    pairs = [(s.seconds, f.relative) for s, f in zip(settings, fits, strict=True) if f.relative[1] > 0]
    if len(pairs) < 2:
        return undetermined("", about, "noise has to be seen at two integration times or more")
    x = np.log([seconds for seconds, _ in pairs])
    noise = np.log(np.stack([relative for _, relative in pairs]))
    weight = (3.92 / (noise[:, 2] - noise[:, 1])) ** 2
    centre = (weight * x).sum() / weight.sum()
    spread = (weight * (x - centre) ** 2).sum()
    slope = (weight * (x - centre) * noise[:, 0]).sum() / spread
    half = 1.96 / np.sqrt(spread)
    return Estimate(float(-slope), float(-slope - half), float(-slope + half), "", about)


def _time_for(precision: float, noise: Estimate, exponent: Estimate, nominal_s: float) -> Estimate:
    """Integration time at which one reading is as precise as wanted."""
    about = f"integration time for a reading precise to {precision:g}"
    if not (exponent.low > 0 and noise.value > 0):
        return undetermined("s", about, "takes the noise, and that it falls with time")
    ends = [
        nominal_s * (s / precision) ** (1 / p)
        for s in (noise.low, noise.value, noise.high)
        for p in (exponent.low, exponent.high)
    ]
    value = nominal_s * (noise.value / precision) ** (1 / exponent.value)
    return Estimate(value, min(ends), max(ends), "s", about)


def _findings(
    precision: float, noise: Estimate, exponent: Estimate, needed: Estimate, linearity: Estimate
) -> list[str]:
    from hil.units import format_quantity

    found: list[str] = []
    if np.isfinite(needed.value):
        found.append(
            f"one reading is precise to {100 * precision:g} % with {format_quantity(needed.value, 's', 3)} "
            "of integration"
        )
    elif noise.value <= precision:
        found.append(f"readings are already more precise than {100 * precision:g} %")
    if exponent.high < 0.45:
        found.append("noise falls more slowly with time than white noise: longer integration gains less")
    if linearity.low > 0.01 or linearity.high < -0.01:
        found.append(f"conductance depends on the read voltage, by {100 * linearity.value:.2g} %")
    return found
