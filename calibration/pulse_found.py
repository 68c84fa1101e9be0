"""What a fitted law of pulses says of the wanted step: a pulse for a bench file, and the window around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.intervals import few
from calibration.pulse_law import Fitted, Law, Steps
from hil.bench import DeviceSheet
from hil.calibrate.contracts import Estimate
from hil.schedule import Pulse
from hil.units import counted, format_quantity


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for.

    Parameters
    ----------
    step, too_large
        The wanted step, of the range, and how many times that is too large.
    small, large
        Both as the law has them, which is that of steps in the middle of the range: a pulse that starts there
        and moves a device by these ends where its step is another.
    most, widest
        The highest amplitude that was allowed and the longest width that was put out, in units of the nominal
        pulse.
    widths
        Whether widths were varied.
    levels
        Pulses end to end times the step of one in the middle, of the range: by the data sheet.
    """

    step: float
    too_large: float
    small: float
    large: float
    most: float
    widest: float
    widths: bool
    levels: float


def by_law(sheet: DeviceSheet, way: str, step: float) -> float:
    """What a pulse would move a device by, of the range, if its step stayed as it is in the middle of it;
    infinite where the step of the data sheet ends before.
    """
    middle, span = 0.5 * (sheet.g_min_s + sheet.g_max_s), sheet.g_max_s - sheet.g_min_s
    half = 0.5 * step * span * (1 if way == "up" else -1)
    usual, passed = sheet.curve.steps(np.array([middle, middle + half]))[0 if way == "up" else 1].tolist()
    return step * usual / passed if passed > 0 else np.inf


def levels_of(sheet: DeviceSheet, way: str) -> float:
    """Pulses end to end times the step of one in the middle, of the range: 1 where all steps are alike."""
    middle = np.array([0.5 * (sheet.g_min_s + sheet.g_max_s)])
    side, mean = (0, sheet.step_up_s) if way == "up" else (1, sheet.step_down_s)
    return float(sheet.curve.steps(middle)[side][0]) / mean


def _ended(ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """(value, low, high); no value where an end is not known."""
    return ends if np.isfinite(ends).all() else np.array([np.nan, *ends[1:]])


@dataclass(frozen=True, slots=True)
class Found:
    """One way ("up" or "down") of a search, with its nominal pulse."""

    way: str
    nominal: Pulse
    wanted: Wanted
    fitted: Fitted

    def width(self) -> float:
        """Width of the pulse that makes the step, in units of the nominal one; NaN if none was found."""
        law, wanted = self.fitted.whole, self.wanted
        if law is None:
            return np.nan
        if law.amplitude(wanted.small) <= wanted.most:
            return 1.0
        width = law.width(wanted.small, wanted.most)
        return width if width <= wanted.widest else np.nan

    def pulse(self) -> Pulse | None:
        """The pulse that makes the step; None if there is none within what was allowed."""
        width, law = self.width(), self.fitted.whole
        if law is None or np.isnan(width):
            return None
        nominal = self.nominal
        return Pulse(self._amplitude() * nominal.amplitude_v, width * nominal.width_s, nominal.gap_s)

    def estimates(self) -> dict[str, Estimate]:
        """With intervals; magnitudes of voltages."""
        way, wanted, law = self.way, self.wanted, self.fitted.whole
        volts, unknown = abs(self.nominal.amplitude_v), np.array([np.nan, -np.inf, np.inf])
        interval = self.fitted.interval
        width = self.width()

        def at_nominal(law: Law) -> float:
            return volts * law.amplitude(wanted.small)

        def large(law: Law) -> float:
            return volts * law.amplitude(wanted.large, width)

        def levels(law: Law) -> float:
            begun = law.step(self._amplitude(), width) * wanted.step / wanted.small  # in the middle
            return wanted.levels / begun

        def long(law: Law) -> float:
            return self.nominal.width_s * law.width(wanted.small, wanted.most)

        threshold = p = q = unknown
        if law is not None and law.inside:
            threshold, p = map(_ended, np.column_stack([[law.threshold, law.p], self.fitted.ranges]))
            q = interval(lambda law: law.q)
        why = self._why()
        fits = (
            why if law is None or len(self.fitted.without) < 2 else "its interval meets the fit's own bounds"
        )
        enough, wide = (not np.isnan(width) and on for on in (width == 1, width != 1))
        pulses = {"up": "potentiating", "down": "depressing"}[way]
        step = f"a step of {wanted.step:g} of the range"
        return {
            f"threshold_{way}": Estimate.of(
                volts * threshold, "V", f"amplitude up to which {pulses} pulses move nothing", fits
            ),
            f"amplitude_{way}": Estimate.of(
                interval(at_nominal) if enough else unknown,
                "V",
                f"for {step}, at the nominal width",
                "it takes more than the highest amplitude: see the width" if wide else why,
            ),
            f"width_{way}": Estimate.of(
                interval(long) if wide else unknown,
                "s",
                f"for {step}, at the highest amplitude",
                "the nominal width is enough: see the amplitude" if enough else why,
            ),
            f"levels_{way}": Estimate.of(
                interval(levels) if enough or wide else unknown,
                "",
                f"pulses end to end with that pulse: levels_{way} of a bench file that takes it",
                why,
            ),
            f"large_{way}": Estimate.of(
                interval(large) if not np.isnan(width) else unknown,
                "V",
                f"for one {wanted.too_large:g} times as large, at that width; by the law, not put out",
                why,
            ),
            f"exponent_{way}": Estimate.of(p, "", "power of (V - threshold) that steps grow as", fits),
            f"width_exponent_{way}": Estimate.of(
                q if wanted.widths else unknown,
                "",
                "power of the width that steps grow as",
                fits if wanted.widths else "the width was not varied (narrow: 1)",
            ),
        }

    def _amplitude(self) -> float:
        """Of the pulse that makes the step, in units of the nominal one; NaN if none was found."""
        law, width = self.fitted.whole, self.width()
        if law is None or np.isnan(width):
            return np.nan
        return law.amplitude(self.wanted.small) if width == 1 else self.wanted.most

    def _why(self) -> str:
        """Why nothing is said of the pulse for the step."""
        if self.fitted.whole is None:
            return "devices answer too faintly for a law" if self._anything() else "no device answers"
        if np.isnan(self.width()):
            return "no pulse that was allowed makes the step"
        return f"its interval {few(int(self.fitted.answers.sum()), 2)}"

    def _anything(self) -> bool:
        """Whether any device answers, or may."""
        return bool((self.fitted.answers | self.fitted.undecided).any())

    def findings(self) -> list[str]:
        """In words, and as a line for a bench file's `device`."""
        way, wanted, law, pulse = self.way, self.wanted, self.fitted.whole, self.pulse()
        answers, volts = self.fitted.answers, abs(self.nominal.amplitude_v)
        said = f"{way}: {int(answers.sum())} of {counted(answers.size, 'device answers', 'devices answer')}"
        if self.fitted.undecided.any():
            said += f", {int(self.fitted.undecided.sum())} undecided"
        if answers.size == 0:
            return [f"{said}: there was none to pulse"]
        most = format_quantity(wanted.most * volts, "V", 3)
        widest = format_quantity(wanted.widest * self.nominal.width_s, "s", 3)
        if law is None and not self._anything():
            return [
                f"{said} up to {most} and {widest}: more passes would only wear them; go higher "
                "(most_amplitude, most_width) where they stand it, or see whether any works (routine devices)"
            ]
        if law is None:
            return [f"{said} up to {most} and {widest}, too faintly for a law; more passes tell more"]
        if pulse is None:
            return [f"{said}; none moves by {wanted.step:g} of the range up to {most} and {widest}"]
        if not self.fitted.determined:
            return [
                f"{said}; the power of their law is not determined, nor so a pulse to paste for a step of "
                f"{wanted.step:g} of the range; more passes tell more"
            ]
        key = {"up": "potentiate", "down": "depress"}[way]
        amplitude = format_quantity(pulse.amplitude_v, "V")
        width, gap = (format_quantity(seconds, "s") for seconds in (pulse.width_s, pulse.gap_s))
        large = law.amplitude(wanted.large, self.width())
        window = f"{wanted.too_large:g} times as much at {format_quantity(large * volts, 'V', 3)}"
        if large > wanted.most:
            window += f", above the highest that was allowed, {format_quantity(wanted.most * volts, 'V', 3)}"
        lowest = format_quantity(law.threshold * volts, "V", 3)
        return [
            f"{said}; nothing moves up to {lowest}; {window}; a step of {wanted.step:g} of the range by",
            f"{key}: {{amplitude: {amplitude}, width: {width}, gap: {gap}}}",
        ]

    def maps(self, shape: tuple[int, int], places: NDArray[np.int64], seen: Steps) -> dict[str, NDArray[Any]]:
        """Of devices [rows, cols], NaN where nothing was searched; and the steps, [n, devices]."""
        way, law = self.way, self.fitted.whole
        amplitude, answers, undecided = (np.full(shape, np.nan) for _ in range(3))
        answers.ravel()[places] = self.fitted.answers
        undecided.ravel()[places] = self.fitted.undecided
        if law is not None:
            chosen = self.fitted.answers
            each = np.full(places.size, np.nan)
            each[chosen] = [
                abs(self.nominal.amplitude_v) * law.of(float(size)).amplitude(self.wanted.small)
                for size in self.fitted.sizes[chosen]
            ]
            amplitude.ravel()[places] = each
        return {
            f"answers_{way}": answers, f"undecided_{way}": undecided, f"amplitude_{way}": amplitude,
            f"volts_{way}": abs(self.nominal.amplitude_v) * seen.volts,
            f"seconds_{way}": self.nominal.width_s * seen.widths, f"step_{way}": seen.steps,
        }  # fmt: skip
