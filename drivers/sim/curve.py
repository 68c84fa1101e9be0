"""The exponential device in closed form: the field's nonlinearity label and the steps it implies.

Convention of NeuroSim (doi:10.1109/TCAD.2018.2789723): from g_min (x = 0) to g_max (x = 1) a device climbs

    y(x) = (1 - exp(-b x)) / (1 - exp(-b)),   NL = sign(b) 10.1015253 max_x |y(x) - x|

with x the fraction of its N pulses. Depression walks its own curve back from x = 1. So NL > 0 potentiates in
large steps first, NL_down < 0 depresses in large steps first; the usual, saturating device has
NL_up > 0 > NL_down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hil.errors import ConfigError

Floats = NDArray[np.float64]

NL_SCALE = 10.1015253
NL_LIMIT = 9.5
"""The largest label taken, of either sign; 10.1 would be a device that arrives with its first pulse."""

_B_MAX = 200.0  # belongs to NL 9.8
_B_LINEAR = 1e-6  # below this the exponential and the straight line agree to double precision's root


def label_of_shape(b: ArrayLike) -> Floats:
    """The nonlinearity label of a curve of shape b (either sign; 0 is linear)."""
    signed = np.asarray(b, dtype=np.float64)
    size = np.maximum(np.abs(signed), _B_LINEAR)
    arrived = -np.expm1(-size)
    x = np.log(size / arrived) / size  # where the slope of y is 1, so that y - x is largest
    return np.sign(signed) * NL_SCALE * (-np.expm1(-size * x) / arrived - x)


def shape_of_label(label: ArrayLike) -> Floats:
    """The shape b of a nonlinearity label, by bisection; signs are kept.

    Raises
    ------
    ConfigError
        A label beyond ``NL_LIMIT`` or not a number.
    """
    wanted = np.asarray(label, dtype=np.float64)
    if not np.all(np.abs(wanted) <= NL_LIMIT):
        worst = wanted.flat[int(np.argmax(~(np.abs(wanted) <= NL_LIMIT)))]
        raise ConfigError(
            f"nonlinearity: asked for label {worst:g}; labels from -{NL_LIMIT:g} to {NL_LIMIT:g} are allowed"
        )
    size = np.abs(wanted)
    low, high = np.zeros_like(size), np.full_like(size, _B_MAX)
    for _ in range(60):
        middle = 0.5 * (low + high)
        short = label_of_shape(middle) < size
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.where(size == 0, 0.0, np.sign(wanted) * 0.5 * (low + high))


def shapes_of_labels(labels: Floats) -> Floats:
    """`shape_of_label` for many devices, through a table of 4,001 labels (error below 1e-4 of b)."""
    grid = np.linspace(-NL_LIMIT, NL_LIMIT, 4001)
    return np.interp(labels, grid, shape_of_label(grid))


def curve(x: ArrayLike, b: float) -> Floats:
    """Normalised conductance y(x) in [0, 1] after the fraction x of all pulses."""
    at = np.asarray(x, dtype=np.float64)
    if abs(b) < _B_LINEAR:
        return at.copy()
    return np.expm1(-b * at) / np.expm1(-b)


def first_step(b: ArrayLike, pulses: ArrayLike) -> Floats:
    """Rise of the first of ``pulses`` pulses, from y = 0, in units of the range.

    From any y the rise is ``first_step(b, N) * (1 - (1 - exp(-b)) * y)``: affine in y. Depression is the same
    seen from y = 1, with the shape -b of its own curve.
    """
    shape = np.asarray(b, dtype=np.float64)
    count = np.asarray(pulses, dtype=np.float64)
    flat = np.abs(shape) < _B_LINEAR
    safe = np.where(flat, 1.0, shape)
    return np.where(flat, 1.0 / count, np.expm1(-safe / count) / np.expm1(-safe))
