"""A virtual Keysight 81150A or 81160A pulse generator, from its User's Guide (81150-91020).

Only what pulses need: PULSe, VOLTage, OUTPut, ARM and TRIGger. It knows no socket; see `server`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from drivers.sim.virtual.grid import PulseLoad
from drivers.sim.virtual.scpi import Handler
from drivers.sim.virtual.scpi_pulser import Channel, Limits, VirtualPulser, VirtualPulserSettings


class Virtual81150Settings(VirtualPulserSettings):
    """One virtual 81150A or 81160A, both channels fitted."""

    model: str = Field(default="81150A", pattern=r"^811[56]0A$", description="as in *IDN?")


class Keysight81150(VirtualPulser):
    """The instrument; an 81150A with its high voltage amplifier."""

    maker: ClassVar = "Agilent Technologies"
    models: ClassVar = {
        "81150A": Limits(2, 120e6, 4.1e-9, (2.5e-9, 1000.0), 20.0, (0.1, 20.0)),
        "81160A": Limits(2, 330e6, 1.5e-9, (1e-9, 1000.0), 10.0, (0.1, 10.0)),
    }
    most_cycles: ClassVar = 1e6
    source: ClassVar = "MAN"

    def __init__(self, settings: Virtual81150Settings, *loads: PulseLoad) -> None:
        super().__init__(settings, *loads)  # its annotation is what bench files are held against

    def printed(self, value: float) -> str:
        """As 1.000000E-06."""
        return f"{value:.6E}"

    def _waiting(self, channel: Channel) -> bool:
        """An edge of the arming source starts as many pulses as the trigger counts."""
        return channel.values["source"] == self.source and channel.values["sense"] == "EDGE"

    def _range(self, channel: Channel, key: str) -> tuple[float, float]:
        return (0.3, 1e6) if key == "load" else super()._range(channel, key)

    def _headers(self) -> Mapping[str, Handler]:
        return {
            ":OUTPut[1|2][:STATe]": self._switch("output"),
            ":OUTPut[1|2]:IMPedance:EXTernal": self._number("load"),
            ":OUTPut[1|2]:POLarity": self._word("polarity", "NORMal", "INVerted"),
            ":ARM:SOURce[1|2]": self._word("source", "IMMediate", "INTernal2", "EXTernal", "MANual"),
            ":ARM:SENSe[1|2]": self._word("sense", "EDGE", "LEVel"),
            ":TRIGger[1|2]!": lambda call: self._fire([self._chosen(call)]),
            ":TRIGger:COUNt[1|2]": self._number("count"),
            "[:SOURce]:FUNCtion[1|2]": self._word("function", "SINusoid", "SQUare", "RAMP", "PULSe", "DC"),
            "[:SOURce]:FUNCtion[1|2]:PULSe:HOLD": self._word("hold", "WIDTh", "DCYCle", "TDELay"),
            "[:SOURce]:PULSe:DELay[1|2]": self._number("delay"),
            "[:SOURce]:PULSe:PERiod[1|2]": self._number("period"),
            "[:SOURce]:PULSe:WIDTh[1|2]": self._number("width"),
            "[:SOURce]:PULSe:TRANsition[1|2][:LEADing]": self._number("leading"),
            "[:SOURce]:PULSe:TRANsition[1|2]:TRAiling": self._number("trailing"),
            "[:SOURce]:VOLTage[1|2]:HIGH": self._number("high"),
            "[:SOURce]:VOLTage[1|2]:LOW": self._number("low"),
            "[:SOURce]:VOLTage[1|2]:OFFSet": self._offset,
        }
