"""A virtual Keysight 33500B or 33600A waveform generator, from its guide (33500-90901).

Only what pulses need: PULSe, BURSt, OUTPut, TRIGger and VOLTage. It knows no socket; see `server`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from drivers.sim.virtual.grid import PulseLoad
from drivers.sim.virtual.scpi import Call, Handler
from drivers.sim.virtual.scpi_pulser import INFINITE, Limits, VirtualPulser, VirtualPulserSettings

_SPAN = (2e-3, 20.0)


def _b(channels: int, hertz: float) -> Limits:
    return Limits(channels, hertz, 16e-9, (8.4e-9, 1e-6), 10.0, _SPAN)


def _a(channels: int, hertz: float, edge_s: float) -> Limits:
    return Limits(channels, hertz, 5e-9, (edge_s, 1e-6), 10.0, _SPAN)


class Virtual33500Settings(VirtualPulserSettings):
    """One virtual 33500B or 33600A."""

    model: str = Field(
        default="33522B",
        pattern=r"^335(09|10|11|12|19|20|21|22)B$|^336[12][12]A$",
        description="as in *IDN?",
    )


class Keysight33500(VirtualPulser):
    """The instrument."""

    maker: ClassVar = "Keysight Technologies"
    models: ClassVar = {
        "33509B": _b(1, 20e6), "33510B": _b(2, 20e6), "33511B": _b(1, 20e6), "33512B": _b(2, 20e6),
        "33519B": _b(1, 30e6), "33520B": _b(2, 30e6), "33521B": _b(1, 30e6), "33522B": _b(2, 30e6),
        "33611A": _a(1, 80e6, 4e-9), "33612A": _a(2, 80e6, 4e-9),
        "33621A": _a(1, 100e6, 2.9e-9), "33622A": _a(2, 100e6, 2.9e-9),
    }  # fmt: skip
    most_cycles: ClassVar = 1e8
    source: ClassVar = "BUS"
    clips: ClassVar = True

    def __init__(self, settings: Virtual33500Settings, *loads: PulseLoad) -> None:
        super().__init__(settings, *loads)  # its annotation is what bench files are held against

    def printed(self, value: float) -> str:
        """As +3.000000000000000E-01; infinity as +9.9E+37."""
        return f"{value:+.1E}" if value == INFINITE else f"{value:+.15E}"

    def _next_error(self, call: Call) -> str:
        return f"+{super()._next_error(call)}".replace("+-", "-")

    def _headers(self) -> Mapping[str, Handler]:
        source, pulse = "[:SOURce[1|2]]", "[:SOURce[1|2]]:FUNCtion:PULSe"
        return {
            ":ABORt!": lambda _: None,
            ":OUTPut[1|2][:STATe]": self._switch("output"),
            ":OUTPut[1|2]:LOAD": self._number("load"),
            ":OUTPut[1|2]:POLarity": self._word("polarity", "NORMal", "INVerted"),
            ":TRIGger[1|2][:IMMediate]!": lambda call: self._fire([self._chosen(call)]),
            ":TRIGger[1|2]:SOURce": self._word("source", "IMMediate", "EXTernal", "TIMer", "BUS"),
            f"{source}:FUNCtion": self._word("function", "SINusoid", "SQUare", "RAMP", "PULSe", "DC"),
            f"{pulse}:PERiod": self._number("period"),
            f"{pulse}:WIDTh": self._number("width"),
            f"{pulse}:HOLD": self._word("hold", "WIDTh", "DCYCle"),
            f"{pulse}:TRANsition:LEADing": self._number("leading"),
            f"{pulse}:TRANsition:TRAiling": self._number("trailing"),
            f"{source}:VOLTage:HIGH": self._number("high"),
            f"{source}:VOLTage:LOW": self._number("low"),
            f"{source}:VOLTage:OFFSet": self._offset,
            f"{source}:BURSt:STATe": self._switch("burst"),
            f"{source}:BURSt:MODE": self._word("mode", "TRIGgered", "GATed"),
            f"{source}:BURSt:NCYCles": self._number("count"),
            f"{source}:BURSt:PHASe": self._number("phase"),
        }
