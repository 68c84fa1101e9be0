"""Keithley 2450, 2460 and 2461 source-measure units by their own SCPI (not TSP, not the 2400's).

Verified against drivers/sim/virtual/keithley_2450.py over sockets; no hardware seen.
Commands and their places in the manual: docs/instruments/keithley-2450.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drivers.instruments.keithley_scpi import KeithleyScpiSmu
from drivers.instruments.replies import measured, whole
from drivers.instruments.scpi_smu import Point, Sweep, listed
from drivers.instruments.settings import Setting
from drivers.instruments.smu_limits import Family
from hil.errors import IdentityError
from hil.instruments import Sourcing
from hil.region import Floats

_MODEL = re.compile(r"(?:MODEL )?(24(?:50|60|61))")
_DECADES = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_KILOWATT = Family(
    (0.2, 2.0, 7.0, 10.0, 20.0, 100.0),
    (*_DECADES[2:], 4.0, 5.0, 7.0),
    ((7.0, 7.0), (10.0, 5.0), (20.0, 4.0), (100.0, 1.0)),
    1e-6,
)
_FAMILIES = {
    "2450": Family((0.02, 0.2, 2.0, 20.0, 200.0), _DECADES, ((20.0, 1.0), (200.0, 0.1)), 1e-9),
    "2460": _KILOWATT,
    "2461": _KILOWATT,
}
_OVER_VOLTAGE, _HOT, _LIMITED, _ON = 1 << 2, 1 << 4, 1 << 5, 1 << 7
_BOUNDS = _OVER_VOLTAGE | _HOT | _LIMITED
_QUESTIONABLE = 1 << 0
_BUFFER = '"defbuffer1"'


@dataclass
class Keithley2450(KeithleyScpiSmu):
    """A 2450; see `ScpiSmu`. Its source list holds 100 voltages."""

    wanted = "a Keithley 2450, 2460 or 2461"
    model = _MODEL
    families = _FAMILIES
    elements = 4
    most_points = 100
    longest_settle_s = 10_000.0

    def _least(self) -> Family:
        return _FAMILIES["2450"]

    def _language(self) -> str:
        language = self.session.ask("*LANG?", str.strip)
        if language != "SCPI":
            raise IdentityError(
                f"{self.session.role}: the command set is {language}; SCPI is needed: send *LANG SCPI and "
                "switch the instrument off and on"
            )
        return language

    def _interlock(self) -> tuple[str, Callable[[str], bool]]:
        return ":OUTP:INT:TRIP?", lambda answer: not whole(answer)

    @property
    def _off(self) -> str:
        return ":ABOR;:OUTP 0;:SOUR:VOLT 0"

    def _settings(self, top_v: float, sourcing: Sourcing) -> list[Setting]:
        """The meter's lowest range and a limit that every range allows come first: the limit must be above
        0.1 % of the meter's range, and is changed by the instrument if the source's range does not suit it.
        """
        family, limit = self._family, sourcing.compliance_a
        return [
            Setting(":SOUR:FUNC", "VOLT"),
            Setting(":SENS:FUNC", '"CURR"'),
            Setting(":SOUR:VOLT", 0.0),
            Setting(":SOUR:VOLT:READ:BACK", 1),
            Setting(":SENS:COUN", 1),
            Setting(":SENS:CURR:AVER", 0),
            Setting(":SENS:CURR:RANG", family.amperes[0], silent=True),
            Setting(":SOUR:VOLT:ILIM", min(limit, family.safe[-1][1]), silent=True),
            Setting(":SOUR:VOLT:RANG", top_v, over=0.06),
            Setting(":SOUR:VOLT:ILIM", limit, slack=1e-3),
            Setting(":SENS:CURR:RANG", family.range_a(limit), over=0.06),
            Setting(":SENS:CURR:NPLC", sourcing.integration_s * self._line_hz, slack=1e-3),
            Setting(":SOUR:VOLT:DEL", sourcing.settle_s, slack=1e-3),
        ]

    def _sweep(self, volts: Floats) -> Sweep:
        """The sweep's trigger model switches the output on and, at its end, off; then it is on at 0 V."""
        return Sweep(
            f":FORM:DATA ASC;:TRAC:CLE {_BUFFER};:SOUR:LIST:VOLT {listed(volts)};"
            f":SOUR:SWE:VOLT:LIST 1,0,1,OFF,{_BUFFER};:INIT;*WAI",
            f":TRAC:DATA? 1,{volts.size},{_BUFFER},SOUR,READ,SOURSTAT,STAT",
            ":SOUR:VOLT 0;:OUTP 1",
        )

    def _point(self, fields: Sequence[str]) -> Point:
        source, reading, source_status, status = fields
        at_source = whole(source_status)
        bound = at_source & _BOUNDS or not at_source & _ON or whole(status) & _QUESTIONABLE
        return Point(measured(source), measured(reading), bool(bound))
