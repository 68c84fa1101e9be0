"""What every routine has: how long its records hold, and how its readings are taken and found again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hil.bench import DeviceSheet
from hil.calibrate.contracts import Target
from hil.calibrate.tape import Step
from hil.config.validate import Config
from hil.errors import ConfigError
from hil.schedule import Program, Read, ReadAnswer
from hil.units import PositiveSeconds, PositiveVolts, counted, format_quantity

Floats = NDArray[np.float64]
_MONTH_S = 30 * 86400.0


class Common(Config):
    """Settings of every routine."""

    valid: PositiveSeconds | None = Field(
        default=_MONTH_S, description="how long the record holds; null: without end"
    )
    voltage: PositiveVolts | None = Field(
        default=None, description="read voltage; none: that of the array's data sheet"
    )
    integration: PositiveSeconds | None = Field(
        default=None, description="integration time of a reading; none: that of the array's data sheet"
    )

    @property
    def valid_s(self) -> float | None:
        """How long a record holds, seconds."""
        return self.valid

    def read(self, target: Target, times: int = 1) -> tuple[Read, ...]:
        """Read the region so many times."""
        return (self.reading(target),) * times

    def cautions(self, target: Target) -> list[str]:
        """Whether the voltage is above the nominal one, and nothing says how high it may be."""
        sheet = target.info.device
        if self.voltage is None or target.limits.read_v is not None or self.voltage <= sheet.read_voltage_v:
            return []
        asked, nominal = (format_quantity(volts, "V") for volts in (self.voltage, sheet.read_voltage_v))
        return [
            f"read at {asked}, above the nominal {nominal}, and the bench file has no limits.read: nothing "
            "tells whether such readings change the devices"
        ]

    def reading(self, target: Target) -> Read:
        """One reading of the region at the voltage and time of these settings.

        Raises
        ------
        ConfigError
            The voltage is over limits.read; or, if there is none, over limits.program or that of a pulse.
        """
        sheet, most = target.info.device, target.limits.read_v
        if self.voltage is not None and most is None:
            _check_voltage(self.voltage, target)
        elif self.voltage is not None and most is not None and self.voltage > most:
            asked, allowed = (format_quantity(each, "V") for each in (self.voltage, most))
            raise ConfigError(f"voltage: asked for {asked}; limits.read of the bench file allows {allowed}")
        return Read(
            target.region,
            sheet.read_voltage_v if self.voltage is None else self.voltage,
            sheet.integration_s if self.integration is None else self.integration,
        )

    def half(self, target: Target, times: int = 1) -> tuple[Read, ...]:
        """At half the voltage: against readings at the whole, they tell conductance without an offset."""
        whole = self.reading(target)
        return (Read(whole.region, 0.5 * whole.voltage_v, whole.integration_s),) * times


def _check_voltage(volts: float, target: Target) -> None:
    """Where nothing says how high readings may be, they stay below what programs."""
    sheet, most = target.info.device, target.limits.program_v
    pulse = max(abs(sheet.potentiate.amplitude_v), abs(sheet.depress.amplitude_v))
    for bound, what in ((most, "limits.program of the bench"), (pulse, "the device's own pulses")):
        if bound is not None and volts >= bound:
            asked, allowed = (format_quantity(each, "V") for each in (volts, bound))
            raise ConfigError(
                f"voltage: asked for {asked}; {what}: {allowed}, so a reading would program devices; "
                "limits.read in the bench file says how high readings may be"
            )


OPEN_BELOW, SHORTED_ABOVE = 0.1, 3.0
"""A device that conducts less than this part of g_min is open, one above this multiple of g_max shorted."""


def kinds_found(
    half: Sequence[ReadAnswer],
    whole: Sequence[ReadAnswer],
    sheet: DeviceSheet,
    open_below: float = OPEN_BELOW,
    shorted_above: float = SHORTED_ABOVE,
) -> NDArray[np.uint8]:
    """Codes [rows, cols] of what devices conduct: 0 as they should, 2 as open ones, 3 as shorted ones or out
    of the meter's range; by readings at half and the whole voltage.
    """
    rise = np.mean([a.amperes for a in whole], axis=0) - np.mean([a.amperes for a in half], axis=0)
    siemens = np.abs(rise / (whole[0].voltage_v - half[0].voltage_v))
    clipped = np.any([a.clipped for a in (*half, *whole)], axis=0)
    kind = np.zeros(siemens.shape, np.uint8)
    kind[siemens < open_below * sheet.g_min_s] = 2
    kind[clipped | (siemens > shorted_above * sheet.g_max_s)] = 3
    return kind


def check_dose(target: Target, key: str, pulses: int) -> None:
    """Refuse with ConfigError, before anything is pulsed, what a limit would refuse on the way.

    ``pulses`` are those of the most pulsed device; ``key`` is the setting that they follow from.
    """
    dose = target.limits.dose
    if dose is not None and pulses > dose:
        raise ConfigError(
            f"{key}: asks for {counted(pulses, 'pulse')} to a device; limits.dose allows {dose:,}"
        )


def program(target: Target, counts: NDArray[np.integer]) -> Program:
    """The array's nominal pulses; counts [rows, cols] of the region."""
    sheet = target.info.device
    return Program(target.region, counts.astype(np.int16), sheet.potentiate, sheet.depress)


def uniform(target: Target, count: int) -> Program:
    """The same pulses to every device of the region."""
    return program(target, np.full(target.shape, count, np.int16))


def answers(steps: Iterable[Step]) -> list[ReadAnswer]:
    """Answers of the readings, in order."""
    return [step.answer for step in steps if isinstance(step.answer, ReadAnswer)]


def siemens(steps: Iterable[Step]) -> Floats:
    """Conductances of the readings in order [n, rows, cols]; NaN where a reading is only a bound."""
    return np.stack([answer.siemens for answer in answers(steps)]).astype(np.float64)


def chunks(total: int, most: int) -> list[int]:
    """A number in parts of at most ``most``."""
    return [min(most, total - done) for done in range(0, total, most)]


def step_at(sheet: DeviceSheet) -> tuple[float, float]:
    """Pulses up and down that cross the range, as the data sheet has it."""
    span = sheet.g_max_s - sheet.g_min_s
    return span / sheet.step_up_s, span / sheet.step_down_s
