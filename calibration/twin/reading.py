"""How the array is read, as a simulated bench takes it: noise, its floor and its course with time, offset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibration.staircase import Noise
from calibration.twin.chosen import Chosen
from calibration.twin.walk import Reader
from hil.calibrate.contracts import Estimate
from hil.units import parse_quantity

WHITE = 0.5
"""Exponent of the fall of white noise with time, which is taken unless the record tells it apart."""


@dataclass(frozen=True, slots=True)
class Reading:
    """``noise`` (relative) and ``floor_a`` at the integration time of the data sheet, ``exponent`` of their
    fall with time, ``offset_a`` of every current; ``voltage_v``, ``integration_s`` of the data sheet;
    ``resolution_a`` of the converter, 0 where it is not known.
    """

    noise: float
    floor_a: float
    exponent: float
    offset_a: float
    voltage_v: float
    integration_s: float
    resolution_a: float = 0.0

    @property
    def offset_s(self) -> float:
        """What the offset adds to every conductance."""
        return self.offset_a / self.voltage_v

    def of_conductance(self) -> Reader:
        """How a conductance is read, of records that have the offset in theirs."""
        noise = Noise(self.noise, self.floor_a / self.voltage_v, offset_s=self.offset_s)
        return Reader(noise, self.resolution_a / self.voltage_v)


def reading(chosen: Chosen) -> tuple[Reading, dict[str, Estimate], list[str]]:
    """What the record of read noise tells; without one, the turning points of the update curve."""
    sheet = chosen.curve.target.info.device
    volts, seconds, step = sheet.read_voltage_v, sheet.integration_s, _resolution(chosen)
    record = chosen.by_routine.get("read-noise")
    if record is None:
        relative, floor_s = (float(each) for each in chosen.curve.result.maps["read_noise"][:2])
        told = "no record of read-noise: taken from the turning points of the staircases, and as white"
        floor_a = _without(floor_s * volts, step)
        return Reading(relative, floor_a, WHITE, 0.0, volts, seconds, step), {}, [told]
    found = record.result.estimates
    told = found["exponent"]
    tells = _known(told) and not told.low <= WHITE <= told.high
    exponent = max(0.0, told.value) if tells else WHITE
    measured_s = float(record.result.maps["seconds"][0])
    worth = (measured_s / seconds) ** exponent
    offset = found["offset"]
    offset_a = offset.value if offset.low > 0 or offset.high < 0 else 0.0
    floor = _without(found["floor"].value if found["floor"].low > 0 else 0.0, step)
    names = ("noise", "floor", "exponent", "offset")
    one = Reading(found["noise"].value * worth, floor * worth, exponent, offset_a, volts, seconds, step)
    said = ["a floor of the read noise, which the simulated bench does not have: left out"] if floor else []
    return one, {name: found[name] for name in names}, said


def _resolution(chosen: Chosen) -> float:
    """Smallest step of the converter that the records' bench file describes, amperes; 0 if it does not."""
    resolved: Mapping[str, Any] = chosen.curve.bench_file.get("resolved") or {}
    adc: Mapping[str, Any] = resolved.get("adc") or {}
    bits, most = adc.get("bits"), adc.get("range", "auto")
    if not bits or most == "auto":
        return 0.0
    return parse_quantity(most, "A") / max(1, 2 ** (bits - 1) - 1)


def _without(floor_a: float, step_a: float) -> float:
    """The floor without what the converter's steps put into it: the twin has the converter too."""
    return float(np.sqrt(max(0.0, floor_a**2 - step_a**2 / 12)))


def _known(each: Estimate) -> bool:
    return bool(np.isfinite([each.value, each.low, each.high]).all())
