"""What a bench file says of its typical device: the data sheet, and what of its pulses is hard to believe."""

from __future__ import annotations

from typing import Protocol

from drivers.sim.models import sheet
from drivers.sim.presets import preset
from drivers.sim.settings import ExponentialDevice, ReadSettings, TableDevice
from hil.bench import Compliance, DeviceSheet
from hil.config.bench import ProgramSettings
from hil.units import format_quantity, parse_quantity


class _Reading(Protocol):
    @property
    def voltage(self) -> float: ...
    @property
    def integration(self) -> float: ...


class _Described(Protocol):
    """Settings that describe a typical device."""

    @property
    def device(self) -> ExponentialDevice | TableDevice: ...
    @property
    def read(self) -> _Reading: ...
    @property
    def program(self) -> ProgramSettings: ...


class Typical:
    """What the settings of a bench of instruments derive from, before `hil.config.bench.BenchSettings`."""

    @property
    def compliance(self: _Described) -> Compliance | None:
        """What the set-up bounds."""
        return self.program.bound

    @property
    def typical(self: _Described) -> DeviceSheet:
        """Data sheet of the typical device."""
        reading = ReadSettings(voltage=self.read.voltage, integration=self.read.integration)
        return sheet(self.device, reading)

    @property
    def doubts(self: _Described) -> tuple[str, ...]:
        """Pulses of the typical device that are hard to believe."""
        return _doubts(self.device)


def _doubts(device: ExponentialDevice | TableDevice) -> tuple[str, ...]:
    """Say so where both pulses have one polarity and the preset's have not; begins with the key.

    Devices that are raised and lowered by one polarity exist, phase change and Y-Flash among them, so it is
    no error; a forgotten minus sign looks the same, and drives all devices to one end.
    """
    up, down = device.potentiate.amplitude, device.depress.amplitude
    if up * down < 0 or (device.preset is not None and _unipolar(device.preset)):
        return ()
    volts = " and ".join(format_quantity(each, "V") for each in (up, down))
    return (
        f"device.depress: both pulses have one polarity ({volts}): right for a unipolar device alone; is a "
        "minus sign missing?",
    )


def _unipolar(name: str) -> bool:
    pulses = preset(name).device
    up, down = (parse_quantity(pulses[way]["amplitude"], "V") for way in ("potentiate", "depress"))
    return up * down > 0
