"""What every routine has: how long its records hold, and how its readings are taken and found again."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hil.bench import DeviceSheet
from hil.calibrate.contracts import Target
from hil.calibrate.tape import Step
from hil.config.validate import Config
from hil.schedule import Program, Read, ReadAnswer
from hil.units import PositiveSeconds, PositiveVolts

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

    def reading(self, target: Target) -> Read:
        """One reading of the region at the voltage and time of these settings."""
        sheet = target.info.device
        return Read(
            target.region,
            sheet.read_voltage_v if self.voltage is None else self.voltage,
            sheet.integration_s if self.integration is None else self.integration,
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
