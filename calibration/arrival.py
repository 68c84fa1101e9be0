"""Whether devices had reached the ends of their ranges when staircases ended, and what is unsure if not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from calibration.intervals import Floats, of_mean
from calibration.staircase import Fit, Way
from hil.calibrate.contracts import Estimate, Maps
from hil.units import format_quantity

if TYPE_CHECKING:
    from calibration.update_curve import Curves

_WINDOW = 1 / 12
"""Two such parts of a staircase, its last ones, are held against each other."""
_SLOWEST = 0.25
"""Least pace at an end, in steps of the middle: where pulses scatter a fit may tell none, or one back."""
_TELLS, _BEYOND_NOISE = 0.01, 3.0
_LATE = "of the devices were still moving at the"
_ENOUGH, _FURTHER, _MOST = 2.0, 1.5, 10.0


class Arrival(NamedTuple):
    """At one end of the range: share of the devices that were still moving there as fast as their pulses
    carry them; which of them were so for certain, bool [devices]; how far they may have had to go on,
    siemens, and in how many pulses.
    """

    share: Estimate
    late: NDArray[np.bool_]
    reach: float
    pulses: float

    @property
    def missed(self) -> bool:
        """Whether the mean end is another than where the devices were seen last."""
        return self.share.low > _TELLS


def arrivals(curves: Curves, fitted: Fit) -> dict[str, Arrival]:
    """Of the devices that moved [devices], at the "low" and the "high" end."""
    span = float(np.nanmean(fitted.high - fitted.low))
    return {
        "low": _arrival(-curves.down, curves.strides[1], fitted.down, span),
        "high": _arrival(curves.up, curves.strides[0], fitted.up, span),
    }


def _arrival(way: Floats, stride: int, pulse: Way, span: float) -> Arrival:
    """Of staircases [cycles, points, devices] that rise. A late device goes on for as far as it came, or to
    where its steps would be 0 if that is nearer and steps that scatter by less than they are tell it.
    """
    part = max(1, int(_WINDOW * way.shape[1]))
    moved = way[:, -part:].mean(axis=1) - way[:, -2 * part : -part].mean(axis=1)  # [cycles, devices]
    figures = np.stack([pulse.step, pulse.bend, pulse.variance])
    known = np.isfinite(figures).all(axis=0)
    middle, bend, variance = figures[:, known].mean(axis=1) if known.any() else np.zeros(3)
    if not middle > 0:  # no device has steps that anybody saw
        return Arrival(Estimate(0.0, 0.0, 0.0, "", ""), np.zeros(moved.shape[1], np.bool_), 0.0, 0.0)
    pace = float(max(middle - bend, _SLOWEST * middle))
    shares = moved / (pace * stride * part)
    mean = shares.mean(axis=0)
    noise = float(np.sqrt(np.median(shares.var(axis=0, ddof=1)) / len(shares)))
    late = mean > max(0.5, _BEYOND_NOISE * noise)
    share = of_mean("", "", mean)
    if mean.size == 1:
        one = float(late[0])
        share = Estimate(one, one, one, "", "")
    reach = min(span, pace * span / (2 * float(bend))) if bend > 0 and variance < middle**2 else span
    return Arrival(share, late, reach, reach / pace)


def unsure(estimates: Mapping[str, Estimate], ends: Mapping[str, Arrival]) -> dict[str, Estimate]:
    """Estimates of an update curve; where devices were late, up to where these may have gone on to."""
    found = dict(estimates)
    for end, name, way in (("low", "g_min", "down"), ("high", "g_max", "up")):
        if not ends[end].missed:
            continue
        share, g, levels = ends[end].share.high, found[name], found[f"levels_{way}"]
        further = share * ends[end].reach
        if end == "low":
            found[name] = replace(g, low=min(g.low, max(0.0, g.value - further)))
        else:
            found[name] = replace(g, high=max(g.high, g.value + further))
        found[f"levels_{way}"] = replace(levels, high=levels.high + share * ends[end].pulses)
        low, high = found["g_min"].low, found["g_max"].high
        found["on_off"] = replace(found["on_off"], high=high / low if low > 0 else np.inf)
    return found


def unsure_maps(maps: Maps, moves: NDArray[np.bool_], ends: Mapping[str, Arrival]) -> dict[str, Floats]:
    """The same in maps of devices [rows, cols], of each that was late; ``moves``: those that moved."""
    found: dict[str, Floats] = {}
    for end, name, sign in (("low", "g_min_s_low", -1), ("high", "g_max_s_high", 1)):
        further = np.zeros(moves.shape)
        further[moves] = np.where(ends[end].late, ends[end].reach, 0.0)
        found[name] = np.maximum(maps[name] + sign * further, np.minimum(maps[name], 0.0))
    return found


def told(estimates: Mapping[str, Estimate], ends: Mapping[str, Arrival], crossing: float) -> list[str]:
    """What a person should know of devices that were late, and what lets them arrive."""
    found: list[str] = []
    for end, name, bound in (("low", "g_min", "at most"), ("high", "g_max", "at least")):
        if not ends[end].missed:
            continue
        percent, value = 100 * min(1.0, ends[end].share.value), estimates[name].value
        seen = f", {format_quantity(value, 'S', 3)}" if np.isfinite(value) else ""
        about = f"{percent:.{0 if percent > 10 else 1}f} %"
        found.append(f"about {about} {_LATE} {end} end: {name} is {bound} what was seen{seen}")
    if found:
        longer = min(_MOST, round(max(_ENOUGH, _FURTHER * crossing), 1))
        remedy = f"--set update-curve.crossing={longer:g} lets them arrive"
        if crossing >= _MOST:
            remedy = "the data sheet has far larger steps than these: correct it in the bench file"
        found.append(f"ranges, labels and levels are of the part that was seen; {remedy}")
    return found


def told_before(findings: Sequence[str]) -> list[str]:
    """What findings of an update curve say of devices that were late, for those who go by its record."""
    return [each for each in findings if _LATE in each]
