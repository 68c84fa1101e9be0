"""The field's nonlinearity label, restated here: what the steps of an exponential device are called.

Convention of NeuroSim (doi:10.1109/TCAD.2018.2789723). From g_min (x = 0) to g_max (x = 1) a device climbs

    y(x) = (1 - exp(-b x)) / (1 - exp(-b)),   NL = sign(b) 10.1015253 max_x |y(x) - x|

with x the fraction of its N pulses; depression walks its own curve back from x = 1. A pulse at g then changes
it by a - k g with k = 1 - exp(-b/N): affine. The steps at the two ends are in the ratio exp(b), so that

    tanh(b / 2) = k span / (2 m),   m: step in the middle of the range

holds for any number of pulses. It is this ratio that is measured, b and NL follow. Saturating devices have
NL_up > 0 > NL_down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

NL_SCALE = 10.1015253
_B_LINEAR = 1e-6
_B_MOST = 200.0


def label_of_tanh(tanh_half_b: ArrayLike) -> Floats:
    """Label of a device by tanh(b/2); at or beyond -1 and 1 it is that of a device that arrives at once."""
    ratio = np.asarray(tanh_half_b, np.float64)
    inside = np.clip(ratio, -np.tanh(_B_MOST / 2), np.tanh(_B_MOST / 2))
    inside = np.clip(inside, np.nextafter(-1, 0), np.nextafter(1, 0))
    return np.where(np.isnan(ratio), np.nan, label_of_shape(2 * np.arctanh(inside)))


def label_of_shape(b: ArrayLike) -> Floats:
    """Label of a curve of shape b."""
    signed = np.asarray(b, np.float64)
    size = np.maximum(np.abs(signed), _B_LINEAR)
    arrived = -np.expm1(-size)
    x = np.log(size / arrived) / size  # where the slope of y is 1 and y - x largest
    return np.sign(signed) * NL_SCALE * (-np.expm1(-size * x) / arrived - x)


def rate(bend: ArrayLike, step: ArrayLike, span: ArrayLike) -> Floats:
    """1 / (pulses from one end of the range to the other): -ln(1 - k) / b, and step / span where b is 0.

    ``bend`` is k span / 2, ``step`` that in the middle of the range.
    """
    half_fall, middle, width = (np.asarray(each, np.float64) for each in (bend, step, span))
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.clip(half_fall / middle, -0.9999, 0.9999)
        curved = -np.log1p(-2 * half_fall / width) / (2 * np.arctanh(ratio))
        return np.where(np.abs(ratio) < 1e-4, middle / width, curved)
