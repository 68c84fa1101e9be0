"""What a simulated array remembers, its conductances and how devices answer a pulse: the one place of layout.

One plane per quantity, the planes of a row together: pulses to many devices run in SIMD lanes, and pulses to
few touch little memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from drivers.sim.forming import Unformed
from hil.errors import ConfigError


def _require(name: str, values: NDArray[np.generic], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    if values.dtype != dtype or values.shape != shape or not values.flags.c_contiguous:
        raise ConfigError(
            f"{name}: {values.dtype} of shape {values.shape} given; C-contiguous {np.dtype(dtype)} "
            f"of shape {shape} is needed"
        )


def _require_devices(devices: Devices | TableDevices) -> None:
    """Per-device fields have the shape of ``g`` and are float32, and g lies between lo and hi."""
    shape = devices.g.shape
    if devices.g.ndim != 2:
        raise ConfigError(f"g: shape {shape} given; [rows, cols] is needed")
    for each in fields(devices):
        if each.name in _PER_DEVICE:
            _require(each.name, getattr(devices, each.name), np.float32, shape)
    inside = (devices.lo <= devices.g) & (devices.g <= devices.hi)
    if not inside.all():
        row, col = np.argwhere(~inside)[0]
        raise ConfigError(
            f"g of device [{row}, {col}]: {devices.g[row, col]:g} S given; "
            f"{devices.lo[row, col]:g} to {devices.hi[row, col]:g} S is its range"
        )


_PER_DEVICE = frozenset({"g", "up_a", "up_k", "down_a", "down_k", "lo", "hi"})


@dataclass(slots=True, eq=False)
class Devices:
    """Devices whose step is affine in their conductance; all arrays float32 [rows, cols], C-contiguous.

    One potentiating pulse: g += up_a - up_k g. One depressing pulse: g += down_a - down_k g, which is 0 or
    less in the device's range. The exponential device with its fixed points c (above the range for
    potentiation, below it for depression) has a = k c; the linear device has k = 0. n pulses are one step in
    closed form: g += (a - k g) (1 - (1 - k)^n) / k.

    Parameters
    ----------
    g
        Conductance now, siemens. Changed in place by the kernels.
    up_a, down_a
        Step of one pulse at g = 0, siemens.
    up_k, down_k
        How much the step falls per siemens, -1 < k < 1: 0 for linear devices, negative when steps grow on the
        way.
    lo, hi
        Range of each device, siemens. A stuck, open or shorted device has lo == g == hi, and nothing moves
        it.
    c2c_up, c2c_down
        Programming noise: standard deviation of one pulse's change as a fraction of hi - lo; sqrt(n) times
        that for n.

    Raises
    ------
    ConfigError
        An array has another type, shape or layout, a conductance lies outside its range, or a k or c2c is not
        allowed.
    """

    g: NDArray[np.float32]
    up_a: NDArray[np.float32]
    up_k: NDArray[np.float32]
    down_a: NDArray[np.float32]
    down_k: NDArray[np.float32]
    lo: NDArray[np.float32]
    hi: NDArray[np.float32]
    c2c_up: float = 0.0
    c2c_down: float = 0.0
    packed: NDArray[np.float32] = field(init=False, repr=False)
    """All six, copied: [rows, 6, cols] in the order of the fields, which are views of it."""
    unformed: Unformed | None = field(default=None, init=False, repr=False)
    """Devices that wait to be formed, beside what kernels see; None: all are."""

    def __post_init__(self) -> None:
        _require_devices(self)
        for name, k in (("up_k", self.up_k), ("down_k", self.down_k)):
            if not (abs(k) < 1).all():
                raise ConfigError(f"{name}: {k.min():g} to {k.max():g} given; between -1 and 1 is needed")
        self.packed = np.stack([self.up_a, self.up_k, self.down_a, self.down_k, self.lo, self.hi], axis=1)
        self.up_a, self.up_k, self.down_a, self.down_k, self.lo, self.hi = self.packed.swapaxes(0, 1)
        for name, c2c in (("c2c_up", self.c2c_up), ("c2c_down", self.c2c_down)):
            if not 0 <= c2c < np.inf:
                raise ConfigError(f"{name}: {c2c!r} given; a finite fraction of 0 or more is needed")


@dataclass(slots=True, eq=False)
class TableDevices:
    """Devices whose step is drawn from measured tables: dG against G and quantile, by bilinear interpolation.

    Parameters
    ----------
    g, lo, hi
        As in :class:`Devices`.
    kind
        Which table a device follows, int16 [rows, cols], 0 <= kind < kinds.
    up, down
        Signed change of one pulse, siemens, float32 [kinds, quantiles, points]: quantiles evenly from 0 to 1,
        points evenly on each kind's grid of conductance. One quantile: no programming noise.
    grid_lo, grid_hi
        First and last conductance of each kind's grid, siemens, float32 [kinds]. Beyond the grid its end
        counts.

    Raises
    ------
    ConfigError
        An array has another type, shape or layout, a conductance lies outside its range, or a kind has no
        table.
    """

    g: NDArray[np.float32]
    lo: NDArray[np.float32]
    hi: NDArray[np.float32]
    kind: NDArray[np.int16]
    up: NDArray[np.float32]
    down: NDArray[np.float32]
    grid_lo: NDArray[np.float32]
    grid_hi: NDArray[np.float32]
    unformed: Unformed | None = field(default=None, init=False, repr=False)
    """As in :class:`Devices`."""

    def __post_init__(self) -> None:
        _require_devices(self)
        _require("kind", self.kind, np.int16, self.g.shape)
        if self.up.ndim != 3 or self.up.shape[1] < 1 or self.up.shape[2] < 2:
            raise ConfigError(
                f"up: shape {self.up.shape} given; [kinds, quantiles, points], 2 points or more, is needed"
            )
        kinds = self.up.shape[0]
        _require("up", self.up, np.float32, self.up.shape)
        _require("down", self.down, np.float32, self.up.shape)
        _require("grid_lo", self.grid_lo, np.float32, (kinds,))
        _require("grid_hi", self.grid_hi, np.float32, (kinds,))
        if not (self.grid_lo < self.grid_hi).all():
            raise ConfigError("grid_lo, grid_hi: every kind's grid must rise")
        if self.kind.size and (self.kind.min() < 0 or self.kind.max() >= kinds):
            raise ConfigError(
                f"kind: {self.kind.min()} to {self.kind.max()} given; tables are there for 0 to {kinds - 1}"
            )
