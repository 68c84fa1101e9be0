"""What a bench file says of its typical device: the data sheet, and what of its pulses is hard to believe."""

from __future__ import annotations

from drivers.sim.models import sheet
from drivers.sim.presets import preset
from drivers.sim.settings import ExponentialDevice, ReadSettings, TableDevice
from hil.bench import DeviceSheet
from hil.units import format_quantity, parse_quantity


def typical(device: ExponentialDevice | TableDevice, voltage_v: float, integration_s: float) -> DeviceSheet:
    """The data sheet of the device that a bench file describes, read so."""
    return sheet(device, ReadSettings(voltage=voltage_v, integration=integration_s))


def doubts(device: ExponentialDevice | TableDevice) -> tuple[str, ...]:
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
