"""What Keithley's 2400 and 2450 series have in common beside their SCPI: how models are told, one channel."""

from __future__ import annotations

import re
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from drivers.instruments.replies import Named
from drivers.instruments.scpi_smu import ScpiSmu
from drivers.instruments.settings import Setting
from drivers.instruments.smu_limits import Family


@dataclass
class KeithleyScpiSmu(ScpiSmu, ABC):
    """See `ScpiSmu`."""

    model: ClassVar[re.Pattern[str]]
    """Of its answer to ``*IDN?``; the first group names the family."""
    families: ClassVar[Mapping[str, Family]]

    def _recognised(self, who: Named) -> Family | None:
        model = self.model.fullmatch(who.model.upper())
        return self.families[model[1]] if model and "KEITHLEY" in who.maker.upper() else None

    def _integration_s(self) -> tuple[float, float]:
        return 0.01 / self._line_hz, 10 / self._line_hz

    def _output(self, on: bool) -> Setting:
        return Setting(":OUTP", int(on))

    def _level(self) -> str:
        return ":SOUR:VOLT?"

    def _function(self) -> str:
        return ":SOUR:FUNC?"
