"""Keysight (Agilent) B2901, B2902, B2911 and B2912 source-measure units, A and B, by SCPI.

Verified against drivers/sim/virtual/keysight_b2900.py over sockets; no hardware seen.
Commands and their places in the manual: docs/instruments/keysight-b2900.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from drivers.instruments.replies import Named, whole
from drivers.instruments.scpi_smu import Point, ScpiSmu, Sweep, listed, word_point
from drivers.instruments.settings import Setting
from drivers.instruments.smu_limits import Family
from hil.errors import IdentityError
from hil.instruments import Sourcing
from hil.region import Floats

_MODEL = re.compile(r"B29([01])([12])[AB]")
_MAKERS = ("KEYSIGHT", "AGILENT")
_VOLTS = (0.2, 2.0, 20.0, 200.0)
_DECADES = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1.5, 3.0)
_SAFE = ((6.0, 3.0), (20.0, 1.5), (200.0, 0.1))
_FAMILIES = {"0": Family(_VOLTS, _DECADES[1:], _SAFE, 1e-7), "1": Family(_VOLTS, _DECADES, _SAFE, 1e-8)}
_COMPLIANCE, _OVER_VOLTAGE, _OVER_CURRENT, _HOT, _OVERFLOW = 0b110, 1 << 3, 1 << 4, 1 << 5, 1 << 13
_BOUNDS = _COMPLIANCE | _OVER_VOLTAGE | _OVER_CURRENT | _HOT | _OVERFLOW
_INTERLOCK_OPEN = 1 << 10


@dataclass
class KeysightB2900(ScpiSmu):
    """One channel of a B2900; see `ScpiSmu`. Its source list holds 2500 voltages.

    Parameters
    ----------
    channel
        1, or 2 where there are two.
    """

    channel: Literal[1, 2] = 1

    wanted = "a Keysight or Agilent B2901, B2902, B2911 or B2912, A or B,"
    elements = 3
    most_points = 2500
    longest_settle_s = 100_000.0

    def _least(self) -> Family:
        return _FAMILIES["0"]

    def _recognised(self, who: Named) -> Family | None:
        model = _MODEL.fullmatch(who.model.upper())
        if model is None or not who.maker.upper().startswith(_MAKERS):
            return None
        if self.channel > int(model[2]):
            raise IdentityError(f"{self.session.role}: {who.model} has no channel {self.channel}")
        return _FAMILIES[model[1]]

    def _interlock(self) -> tuple[str, Callable[[str], bool]]:
        return ":STAT:QUES:COND?", lambda answer: bool(whole(answer) & _INTERLOCK_OPEN)

    def _integration_s(self) -> tuple[float, float]:
        return 8e-6, 2.0

    def _output(self, on: bool) -> Setting:
        return Setting(f":OUTP{self.channel}", int(on))

    @property
    def _off(self) -> str:
        c = self.channel
        return f":ABOR:ALL (@{c});:OUTP{c} 0;:SOUR{c}:VOLT:MODE FIX;:SOUR{c}:VOLT 0"

    def _level(self) -> str:
        return f":SOUR{self.channel}:VOLT?"

    def _function(self) -> str:
        return f":SOUR{self.channel}:FUNC:MODE?"

    def _settings(self, top_v: float, sourcing: Sourcing) -> list[Setting]:
        """The meter's lowest range and a compliance that every range allows come first, so that no step on
        the way is more than the old or the new voltage range allows.
        """
        family, limit, c = self._family, sourcing.compliance_a, self.channel
        return [
            Setting(f":SOUR{c}:FUNC:MODE", "VOLT"),
            Setting(f":SOUR{c}:FUNC:SHAP", "DC"),
            Setting(f":SOUR{c}:VOLT:MODE", "FIX"),
            Setting(f":SOUR{c}:VOLT", 0.0),
            Setting(f":OUTP{c}:ON:AUTO", 0),
            Setting(f":OUTP{c}:OFF:AUTO", 0),
            Setting(f":OUTP{c}:PROT", 0),
            Setting(f":SENS{c}:FUNC", '"VOLT","CURR"', silent=True),
            Setting(f":SENS{c}:CURR:RANG", family.amperes[0], silent=True),
            Setting(f":SENS{c}:CURR:PROT", min(limit, family.safe[-1][1]), silent=True),
            Setting(f":SOUR{c}:VOLT:RANG", top_v, over=0.06),
            Setting(f":SENS{c}:CURR:PROT", limit, slack=1e-3),
            Setting(f":SENS{c}:CURR:RANG", family.range_a(limit), over=0.06),
            Setting(f":SENS{c}:CURR:APER", sourcing.integration_s, slack=1e-3),
            Setting(f":TRIG{c}:ACQ:DEL", sourcing.settle_s, slack=1e-3),
            Setting(f":TRIG{c}:TRAN:DEL", 0.0),
            Setting(f":ARM{c}:COUN", 1, silent=True),
            Setting(f":ARM{c}:SOUR", "AINT", silent=True),
            Setting(f":TRIG{c}:SOUR", "AINT", silent=True),
        ]

    def _sweep(self, volts: Floats) -> Sweep:
        c = self.channel
        return Sweep(
            f":FORM ASC;:FORM:ELEM:SENS VOLT,CURR,STAT;:SOUR{c}:LIST:VOLT {listed(volts)};"
            f":TRIG{c}:COUN {volts.size};:SOUR{c}:VOLT:MODE LIST",
            f":READ:ARR? (@{c})",
            f":SOUR{c}:VOLT:MODE FIX;:SOUR{c}:VOLT 0",
        )

    def _point(self, fields: Sequence[str]) -> Point:
        return word_point(fields, _BOUNDS)
