"""Keithley 2400 series source-measure units (2400, 2401, 2410, 2420, 2425, 2440) by SCPI.

Verified against drivers/sim/virtual/keithley_2400.py over sockets and serial lines; no hardware seen.
Commands and their places in the manual: docs/instruments/keithley-2400.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.instruments.keithley_scpi import KeithleyScpiSmu
from drivers.instruments.scpi_smu import Point, Sweep, listed, word_point
from drivers.instruments.settings import Setting
from drivers.instruments.smu_limits import Family
from hil.instruments import Sourcing
from hil.region import Floats

_MODEL = re.compile(r"(?:MODEL )?(24(?:00-LV|00|01|10|20|25|40))(?:-?C)?")
_DECADES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_2410 = (1e-6, 1e-5, 1e-4, 1e-3, 2e-2, 1e-1, 1.0)
_LOW = ((20.0, 1.0),)
_FAMILIES = {
    "2400": Family((0.2, 2.0, 20.0, 200.0), _DECADES, (*_LOW, (200.0, 0.1)), 1e-9),
    "2400-LV": Family((0.2, 2.0, 20.0), _DECADES, _LOW, 1e-9),
    "2401": Family((0.2, 2.0, 20.0), _DECADES, _LOW, 1e-9),
    "2410": Family((0.2, 2.0, 20.0, 1000.0), _2410, (*_LOW, (1000.0, 0.02)), 1e-9),
    "2420": Family((0.2, 2.0, 20.0, 60.0), (*_DECADES[1:], 3.0), ((20.0, 3.0), (60.0, 1.0)), 1e-8),
    "2425": Family((0.2, 2.0, 20.0, 100.0), (*_DECADES[1:], 3.0), ((20.0, 3.0), (100.0, 1.0)), 1e-8),
    "2440": Family((0.2, 2.0, 10.0, 40.0), (*_DECADES[1:], 5.0), ((10.0, 5.0), (40.0, 1.0)), 1e-8),
}
_OVERFLOW, _COMPLIANCE, _OVER_VOLTAGE, _RANGE_COMPLIANCE = 1 << 0, 1 << 3, 1 << 4, 1 << 16
_BOUNDS = _OVERFLOW | _COMPLIANCE | _OVER_VOLTAGE | _RANGE_COMPLIANCE


@dataclass
class Keithley2400(KeithleyScpiSmu):
    """A 2400; see `ScpiSmu`. The list holds 100 voltages; the longest message it takes is not documented."""

    points: int = 50

    wanted = "a Keithley 2400, 2400-LV, 2401, 2410, 2420, 2425 or 2440"
    model = _MODEL
    families = _FAMILIES
    elements = 3
    most_points = 100
    longest_settle_s = 9999.998
    interlocks = frozenset({802})

    def _least(self) -> Family:
        return _FAMILIES["2401"]

    @property
    def _off(self) -> str:
        return ":ABOR;:OUTP 0;:SOUR:VOLT:MODE FIX;:SOUR:VOLT 0"

    def _settings(self, top_v: float, sourcing: Sourcing) -> list[Setting]:
        """The meter's lowest range and a compliance that every range allows come first: compliance may not be
        below 0.1 % of the present range of the meter, nor the range above that of the compliance.
        """
        family, limit = self._family, sourcing.compliance_a
        return [
            Setting(":SOUR:FUNC", "VOLT"),
            Setting(":SOUR:VOLT:MODE", "FIX"),
            Setting(":SOUR:VOLT", 0.0),
            Setting(":SOUR:CLE:AUTO", 0),
            Setting(":SOUR:SWE:RANG", "FIX"),
            Setting(":SENS:FUNC:CONC", 1, silent=True),
            Setting(":SENS:FUNC:OFF:ALL", "", silent=True),
            Setting(":SENS:FUNC", '"VOLT","CURR"', silent=True),
            Setting(":SENS:AVER", 0),
            Setting(":SENS:CURR:RANG", family.amperes[0], silent=True),
            Setting(":SENS:CURR:PROT", min(limit, family.safe[-1][1]), silent=True),
            Setting(":SOUR:VOLT:RANG", top_v, over=0.06),
            Setting(":SENS:CURR:PROT", limit, slack=1e-3),
            Setting(":SENS:CURR:RANG", family.range_a(limit), over=0.06),
            Setting(":SENS:CURR:NPLC", sourcing.integration_s * self._line_hz, slack=1e-3),
            Setting(":SOUR:DEL", sourcing.settle_s, slack=1e-3),
            Setting(":ARM:COUN", 1, silent=True),
            Setting(":ARM:SOUR", "IMM", silent=True),
            Setting(":TRIG:SOUR", "IMM", silent=True),
            Setting(":TRIG:DEL", 0, silent=True),
        ]

    def _sweep(self, volts: Floats) -> Sweep:
        """Commands wait while points are taken (section 16, *OPC): what comes after READ? is done later."""
        return Sweep(
            f":FORM:DATA ASC;:FORM:ELEM VOLT,CURR,STAT;:SOUR:LIST:VOLT {listed(volts)};"
            f":TRIG:COUN {volts.size};:SOUR:VOLT:MODE LIST",
            ":READ?",
            ":SOUR:VOLT:MODE FIX;:SOUR:VOLT 0",
        )

    def _point(self, fields: Sequence[str]) -> Point:
        return word_point(fields, _BOUNDS)
