"""Devices that come unformed: each waits for the first pulse that reaches its own forming voltage."""

from __future__ import annotations

from typing import Annotated, Protocol, TypeAlias

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray
from pydantic import Field

from hil.config.validate import Config
from hil.schedule import Program
from hil.units import PositiveVolts

Array = NDArray[np.float32]
Share: TypeAlias = Annotated[float, Ge(0), Lt(1)]


class FormingSettings(Config):
    """Devices that come unformed: until a pulse forms one, it hardly conducts and nothing moves it."""

    amplitude: PositiveVolts = Field(
        description="magnitude of the potentiating pulse that forms the typical device"
    )
    spread: Share = Field(
        default=0.1, description="its relative standard deviation from device to device (log-normal)"
    )
    conductance: Share = Field(default=0.01, description="of an unformed device, in units of its g_min")
    broken_above: Annotated[float, Gt(1)] = Field(
        default=1.5, description="a pulse of so many times its own forming voltage shorts a device for good"
    )


class Ranged(Protocol):
    """Conductances and ranges of devices, siemens [rows, cols]: what forming changes of them."""

    g: Array
    lo: Array
    hi: Array


class Unformed:
    """Which devices of an array are not formed yet, what forms them, and what they become.

    An unformed device has no range, as a stuck one: kernels leave it alone. A potentiating pulse of at least
    its forming voltage, whatever its width, gives it the range it was dealt and a conductance in the upper
    half of it; one that is far above shorts it for good. That pulse does nothing else, and the others of the
    same operation do nothing.

    Parameters
    ----------
    settings, short_s
        Forming voltages, and the conductance of a shorted device in siemens.
    devices, faulty
        The array's devices as dealt, made unformed here, but for the faulty ones, bool [rows, cols].
    rng
        Deals forming voltages and the states after forming.
    """

    def __init__(
        self,
        settings: FormingSettings,
        short_s: float,
        devices: Ranged,
        faulty: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> None:
        variance = np.log1p(settings.spread**2)
        self.left: NDArray[np.bool_] = ~faulty
        self.volts: NDArray[np.float64] = settings.amplitude * rng.lognormal(
            -0.5 * variance, np.sqrt(variance), faulty.shape
        )
        self._broken_v = settings.broken_above * self.volts
        self._lo, self._hi = devices.lo.copy(), devices.hi.copy()
        self._g: Array = rng.uniform(0.5 * (self._lo + self._hi), self._hi).astype(np.float32)
        self._short_s = np.float32(short_s)
        before: Array = (settings.conductance * self._lo).astype(np.float32)
        for part in (devices.g, devices.lo, devices.hi):
            part[self.left] = before[self.left]

    def form(self, devices: Ranged, op: Program) -> None:
        """Form what the potentiating pulses of an operation form, in place."""
        amplitude = abs(op.potentiate.amplitude_v)
        starts, places, numbers = op.pulses
        rows = np.repeat(op.region.rows, np.diff(starts))[numbers > 0]
        cols = op.region.cols[places[numbers > 0]]
        felt = self.left[rows, cols] & (self.volts[rows, cols] <= amplitude)
        at = rows[felt], cols[felt]
        broken = self._broken_v[at] <= amplitude
        for part, formed in ((devices.g, self._g), (devices.lo, self._lo), (devices.hi, self._hi)):
            part[at] = np.where(broken, self._short_s, formed[at])
        self.left[at] = False
