"""Forming: each device gets ever higher pulses until it conducts, once in its life."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from calibration.brackets import fit_brackets
from calibration.common import Common, Floats
from calibration.intervals import few, of_mean, of_share
from hil.calibrate.contracts import Estimate, Irreversible, Result, Target
from hil.calibrate.tape import Step
from hil.errors import ConfigError
from hil.plan import Plan
from hil.schedule import Program, Pulse, ReadAnswer
from hil.units import PositiveAmperes, PositiveSeconds, PositiveVolts, counted, format_quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hil.calibrate.record import Record

KINDS = ("formed now", "conducted before", "formed before by record", "not formed")
"""What the codes 0, 1, 2, 3 of the map ``forming`` stand for."""

Flags = NDArray[np.bool_]

_SHORTED_ABOVE = 3.0  # of g_max, as in the routine devices


@final
class Forming(Common, Irreversible):
    """Forming: potentiating pulses of rising amplitude to each device that does not conduct, until it does.

    A device is formed when it conducts more than ``formed_above`` of g_min, or its reading is only a bound;
    it gets no further pulse. What conducts before is not pulsed, nor what an earlier record says was formed,
    however little it conducts now. Nothing here bounds the current while a device is pulsed: that is done by
    the set-up, and ``compliance`` states it.
    """

    name: Literal["forming"] = "forming"
    warning: ClassVar[str] = "pulses devices ever higher until they conduct, which cannot be undone"
    compliance: PositiveAmperes | None = Field(
        default=None,
        description="what bounds the current through a device while it is pulsed: a series resistor, the "
        "gate of a transistor; to be given here or as program.compliance of the bench file",
    )
    most_amplitude: PositiveVolts | None = Field(default=None, description="highest amplitude; to be given")
    first: PositiveVolts | None = Field(
        default=None, description="lowest amplitude; none: that of the data sheet's potentiating pulse"
    )
    rise: PositiveVolts = Field(default=0.1, description="from one amplitude to the next")
    width: PositiveSeconds | None = Field(
        default=None, description="of the pulses; none: that of the data sheet's potentiating pulse"
    )
    pulses: int = Field(default=1, ge=1, le=1000, description="pulses of each amplitude")
    repeats: int = Field(default=4, ge=1, description="readings of each device after every amplitude")
    formed_above: float = Field(default=0.5, gt=0, le=1, description="formed above this part of g_min")
    _spared: dict[str, Flags] = PrivateAttr(default_factory=dict[str, Flags])

    def after(self, earlier: Sequence[Record]) -> Self:
        """Spare every device that conducted in any reading of those records."""
        known: dict[str, Flags] = {}
        for record in earlier:
            info, region = record.target.info, record.target.region
            formed = known.setdefault(record.array, np.zeros(info.shape, np.bool_))
            for step in record.steps:
                if isinstance(step.answer, ReadAnswer):
                    formed[np.ix_(region.rows, region.cols)] |= self._conducts([step.answer], record.target)
        told = self.model_copy()
        told._spared = known
        return told

    def rounds(self, target: Target) -> int:
        """The first reading, and every amplitude."""
        return 1 + len(self.amplitudes(target))

    def amplitudes(self, target: Target) -> Floats:
        """Magnitudes, rising.

        Raises
        ------
        ConfigError
            Something that has to be given is not, or the highest is below the first or over the limits.
        """
        most, allowed = self.most_amplitude, target.limits.program_v
        if most is None or self._bound(target) is None:
            missing = "most_amplitude" if most is None else "compliance"
            raise ConfigError(
                f"{missing}: not given; say what bounds "
                "the current in a pulse, and how high pulses may go: --set compliance=100uA --set "
                "most_amplitude=4V"
            )
        first = abs(target.info.device.potentiate.amplitude_v) if self.first is None else self.first
        asked = format_quantity(most, "V")
        if most < first:
            raise ConfigError(f"most_amplitude: asked for {asked}; first is {format_quantity(first, 'V')}")
        if allowed is not None and most > allowed:
            raise ConfigError(
                f"most_amplitude: asked for {asked}; limits.program of the bench allows "
                f"{format_quantity(allowed, 'V')}"
            )
        steps = np.arange(int((most - first) / self.rise * (1 + 1e-12)) + 1)
        return np.minimum(first + self.rise * steps, most).astype(np.float64)

    def _bound(self, target: Target) -> float | None:
        """Amperes that the current in a pulse is bounded to, as these settings or the bench state it."""
        known = target.info.compliance
        if known is None:
            return self.compliance
        if self.compliance is not None and not math.isclose(self.compliance, known.amperes):
            asked, stated = (format_quantity(each, "A") for each in (self.compliance, known.amperes))
            raise ConfigError(
                f"compliance: asked for {asked}; program.compliance of the bench is {stated}, by {known.by}"
            )
        return known.amperes

    def cautions(self, target: Target) -> list[str]:
        """As of every routine; and who bounds the current in a pulse, or that nobody does."""
        known, amperes = target.info.compliance, self._bound(target)
        if amperes is None:
            return super().cautions(target)
        asked = format_quantity(amperes, "A")
        told = (
            f"the compliance of {asked} is not enforced: nothing that this bench knows of bounds the current "
            "in a pulse. Where the set-up does, program.compliance of the bench file says so"
            if known is None
            else f"the current in a pulse is bounded to {asked} by {known.by}, as the bench file says; no "
            "instrument sets it or reads it back"
        )
        return [*super().cautions(target), told]

    def plan(self, target: Target) -> Plan[None]:
        """Read, then pulse what does not conduct and was not formed, higher each time."""
        amplitudes = self.amplitudes(target)
        region, sheet = target.region, target.info.device
        found = yield self.read(target, self.repeats)
        spared = self._spared.get(region.array, np.zeros(target.info.shape, np.bool_))
        left = ~spared[np.ix_(region.rows, region.cols)]
        left &= ~self._conducts([a for a in found.answers if isinstance(a, ReadAnswer)], target)
        sign = np.sign(sheet.potentiate.amplitude_v)
        width = sheet.potentiate.width_s if self.width is None else self.width
        for amplitude in amplitudes:
            if not left.any():
                return
            pulse = Pulse(float(sign * amplitude), width, sheet.potentiate.gap_s)
            shots = Program(region, self.pulses * left.astype(np.int16), pulse, sheet.depress)
            found = yield (shots, *self.read(target, self.repeats))
            left &= ~self._conducts([a for a in found.answers if isinstance(a, ReadAnswer)], target)

    def analyse(self, steps: Sequence[Step], target: Target) -> Result:
        """At what amplitude devices were formed, how many, and what they conduct since."""
        course = self._course(steps, target)
        sheet, now = target.info.device, course.kind == 0
        tried = now | (course.kind == 3)
        fit = fit_brackets(course.low[now], course.high[now], course.most)
        formed = int(now.sum())
        shorted = now & ~(course.siemens <= _SHORTED_ABOVE * sheet.g_max_s)
        works = now & ~shorted
        estimates = {
            "amplitude": Estimate.of(fit.mean, "V", "forming voltage, mean over devices", few(formed, 3)),
            "spread": Estimate.of(
                fit.spread,
                "",
                "its standard deviation over devices, in units of the mean",
                few(formed, 3) if formed < 3 else "all were formed between the same two amplitudes",
            ),
            "formed": of_share("share formed of those pulsed", int(now.sum()), int(tried.sum())),
            "shorted": of_share("share of those that are shorted now", int(shorted.sum()), int(now.sum())),
            "conductance": of_mean(
                "S", "mean conductance of the others after forming", course.siemens[works]
            ),
        }
        nothing = np.where(now, 0.0, np.nan)
        maps = {
            "forming": course.kind,
            "amplitude_v": 0.5 * (course.low + course.high) + nothing,
            "amplitude_v_low": course.low + nothing,
            "amplitude_v_high": course.high + nothing,
            "siemens": course.siemens,
        }
        return Result(estimates, maps, self._findings(course, shorted, target))

    def _course(self, steps: Sequence[Step], target: Target) -> _Course:
        """What became of each device, from the readings of each round and the pulses before them."""
        kind = np.full(target.shape, 3, np.uint8)
        low, high = np.zeros(target.shape), np.zeros(target.shape)
        siemens = np.full(target.shape, np.nan)
        pulsed = np.zeros(target.shape, np.bool_)
        block: list[ReadAnswer] = []
        most = 0.0
        for step in steps:
            if isinstance(step.op, Program):
                given = step.op.counts != 0
                pulsed |= given
                most = abs(step.op.potentiate.amplitude_v)
                low, high = np.where(given, high, low), np.where(given, most, high)
            elif isinstance(step.answer, ReadAnswer):
                block.append(step.answer)
            if len(block) < self.repeats:
                continue
            new = self._conducts(block, target) & (kind == 3)
            kind[new] = np.where(pulsed[new], 0, 1)
            siemens = np.mean([answer.siemens for answer in block], axis=0)
            block = []
        kind[(kind == 3) & ~pulsed] = 2
        return _Course(kind, low, high, siemens, most)

    def _conducts(self, answers: Sequence[ReadAnswer], target: Target) -> Flags:
        """Whether devices conduct as formed ones do, bool [rows, cols]."""
        bound = np.any([answer.clipped for answer in answers], axis=0)
        siemens = np.mean([np.abs(answer.amperes / answer.voltage_v) for answer in answers], axis=0)
        return bound | (siemens >= self.formed_above * target.info.device.g_min_s)

    def _findings(self, course: _Course, shorted: Flags, target: Target) -> list[str]:
        amperes = self._bound(target)
        compliance = "?" if amperes is None else format_quantity(amperes, "A")
        most = format_quantity(course.most, "V")
        counts = [int((course.kind == code).sum()) for code in range(len(KINDS))]
        found = [f"{counted(counts[0], 'device')} formed with up to {most}; stated compliance: {compliance}"]
        if counts[3]:
            places = np.argwhere(course.kind == 3)[:8]
            named = ", ".join(f"[{target.region.rows[r]}, {target.region.cols[c]}]" for r, c in places)
            found.append(f"{counts[3]:,} not formed by {most}: {named}{' ...' if counts[3] > 8 else ''}")
        if counts[1] or counts[2]:
            found.append(f"not pulsed: {counts[1]:,} that conducted, {counts[2]:,} formed before by record")
        if shorted.any():
            number = counted(int(shorted.sum()), "conducts", "conduct")
            found.append(f"{number} more than {_SHORTED_ABOVE:g} x g_max now, or a bound: shorted")
        return found

    def draw(self, record: Record) -> Figure:
        """Map of forming voltages, their distribution, and conductances after forming."""
        from calibration.figures.forming import draw

        return draw(record, KINDS)


@dataclass(frozen=True, slots=True)
class _Course:
    """Of each device [rows, cols]: code of `KINDS`, amplitudes between which it was formed, last conductance;
    and the highest amplitude that was put out.
    """

    kind: NDArray[np.uint8]
    low: Floats
    high: Floats
    siemens: Floats
    most: float
