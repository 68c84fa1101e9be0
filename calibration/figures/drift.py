"""Figure of the routine ``drift``: conductance against time, and exponents over devices."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from calibration.figures.parts import beyond, cumulative, signed, within
from calibration.intervals import Floats
from hil.calibrate.contracts import Estimate
from hil.calibrate.record import Record
from hil.figures.canvas import empty, legend_above, logarithmic, panel, prefix, sheet
from hil.figures.style import BLUE, LINES, ORANGE
from hil.units import counted

_SHOWN = 40
_DECADE = 10.0
"""Conductances further apart than this are on a logarithmic axis; ticks of nearer ones would be too few."""
_LEAST = 1e-3
"""Half of the narrowest scale of relative conductances: what is nearer to 1 is rounding."""
_TOP, _HIGH = 0.55, 1.6


def draw(record: Record) -> Figure:
    """Some devices against time; all relative to the first reading, with the power law; exponents."""
    maps = record.result.maps
    seconds, siemens, nu = maps["seconds"], maps["siemens"], maps["nu"]
    figure = sheet(_TOP + _HIGH + 0.65)
    works = np.argwhere(np.isfinite(nu))
    left = panel(figure, 0.6, _TOP, 1.7, _HIGH, "a")
    if not len(works):
        empty(left, "no device works")
        return signed(figure, record)
    chosen = works[np.linspace(0, len(works) - 1, min(_SHOWN, len(works))).astype(int)]
    shown = siemens[:, chosen[:, 0], chosen[:, 1]]
    factor, letter = prefix(float(np.median(shown[0])))
    for number, course in enumerate(shown.T / factor):
        left.plot(seconds, course, linewidth=0.5, color=LINES[number % len(LINES)])
    if shown.max() > _DECADE * shown.min():
        logarithmic(left, "y", shown / factor)
    left.set_ylabel(f"G ({letter}S)")
    left.set_title(f"{len(chosen)} of {counted(len(works), 'device')}")
    middle = panel(figure, 3.0, _TOP, 1.7, _HIGH, "b")
    relative = siemens[:, works[:, 0], works[:, 1]] / siemens[0, works[:, 0], works[:, 1]]
    _relative(middle, seconds, relative, record.result.estimates["nu"])
    for axes in (left, middle):
        logarithmic(axes, "x", seconds)
        axes.set_xlabel("time since the last pulse (s)")
    right = panel(figure, 5.35, _TOP, 1.5, _HIGH, "c")
    exponents, out = within(nu)
    cumulative(right, exponents, BLUE, f"devices{beyond(out)}")
    if np.abs(exponents).max() < _LEAST:
        right.set_xlim(-_LEAST, _LEAST)
        right.set_xticks([-_LEAST, 0, _LEAST])
    right.set_xlabel("drift exponent")
    legend_above(right)
    return signed(figure, record, "exponent with its 95 % interval")


def _relative(axes: Axes, seconds: Floats, relative: Floats, nu: Estimate) -> None:
    """Bands over devices [times, devices], and what the array's exponent makes of the first reading."""
    bands = np.quantile(relative, (0.1, 0.5, 0.9), axis=1)
    axes.fill_between(seconds, bands[0], bands[2], color=BLUE, alpha=0.25, linewidth=0)
    axes.plot(seconds, bands[1], "o-", color=BLUE, markersize=3, label="median, 10 to 90 %")
    if np.isfinite(nu.value):
        law = (seconds / seconds[0]) ** -nu.value
        axes.plot(seconds, law, "--", color=ORANGE, label=f"exponent {_rounded(nu)}")
    reach = max(_LEAST, 1.15 * float(np.abs(bands - 1).max()))
    axes.set_ylim(1 - reach, 1 + (reach if bands.max() > 1 + 0.2 * reach else 0.3 * reach))
    axes.set_ylabel("G / G(first reading)")
    legend_above(axes, 1)


def _rounded(nu: Estimate) -> str:
    """The exponent as far as its interval tells digits: 0.049 ± 0.002."""
    half = 0.5 * (nu.high - nu.low)
    if nu.value == 0:
        return f"0, below {max(-nu.low, nu.high):.1g}"
    if not np.isfinite(half):
        return f"{nu.value:.3f}"
    digits = int(np.clip(1 - np.floor(np.log10(max(half, 1e-5))), 2, 5))
    return f"{nu.value:.{digits}f} ± {half:.{digits}f}"
