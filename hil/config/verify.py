"""Settings of a closed loop of pulses and readings, for all that bring devices to conductances."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from pydantic import Field

from hil.config.validate import Config
from hil.units import Seconds


class Verify(Config):
    """How often, how strongly and how long devices are pulsed and read again."""

    rounds: int = Field(default=8, ge=1, description="Of write-verify: most rounds of pulses and a reading.")
    amplitude_step: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description=(
            "Of write-verify: a device still short of its aim gets its next pulses with the amplitude "
            "raised by this fraction of the nominal one (ISPP), and after a turn with the nominal one again. "
            "0: the nominal amplitude always, and more pulses instead."
        ),
    )
    amplitude_most: float = Field(
        default=1.5,
        ge=1,
        le=10,
        description="With amplitude_step: largest amplitude, in nominal ones; limits must allow it.",
    )
    give_up: int = Field(
        default=2,
        ge=1,
        description="Of write-verify: rounds in a row without moving, after which a device is left alone.",
    )
    again_after: Annotated[Seconds, Ge(0)] = Field(
        default=0.0,
        description="Of write-verify: wait as long for devices to relax and verify once more; 0 s: do not.",
    )

    @property
    def levels(self) -> int:
        """How often the amplitude can be raised."""
        if self.amplitude_step == 0:
            return 0
        return int((self.amplitude_most - 1) / self.amplitude_step + 1e-9)

    @property
    def largest_amplitude(self) -> float:
        """The largest amplitude that is asked for, in nominal ones."""
        return 1 + self.levels * self.amplitude_step
