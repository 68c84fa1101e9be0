"""A virtual Tektronix AFG3000C or AFG31000 function generator, from the Programmer Manual (077-1488-03).

Only what pulses need: PULSe, BURSt, OUTPut, TRIGger and VOLTage. It knows no socket; see `server`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from drivers.sim.virtual.grid import PulseLoad
from drivers.sim.virtual.scpi import Handler
from drivers.sim.virtual.scpi_pulser import Limits, VirtualPulser, VirtualPulserSettings


def _both(
    stem: str, hertz: float, width_s: float, edge_s: float, least_v: float, level_v: float, end: str = ""
) -> dict[str, Limits]:
    span = (least_v, 2 * level_v)
    return {f"{stem}{n}{end}": Limits(n, hertz, width_s, (edge_s, 625.0), level_v, span, 1e3) for n in (1, 2)}


class VirtualAfgSettings(VirtualPulserSettings):
    """One virtual AFG3000C or AFG31000."""

    model: str = Field(
        default="AFG31252",
        pattern=r"^AFG3011C$|^AFG3(02|05|10|15|25)[12]C$|^AFG31(02|05|10|15|25)[12]$",
        description="as in *IDN?",
    )
    serial: str = Field(default="C010001", pattern=r"^[0-9A-Za-z]{1,20}$", description="serial number")
    firmware: str = Field(default="SCPI:99.0 FV:1.6.1", description="firmware revision")


class TektronixAfg(VirtualPulser):
    """The instrument. Both channels have one trigger."""

    maker: ClassVar = "TEKTRONIX"
    models: ClassVar = {
        "AFG3011C": Limits(1, 5e6, 80e-9, (50e-9, 625.0), 20.0, (40e-3, 40.0), 1e3),
        **_both("AFG302", 12.5e6, 30e-9, 18e-9, 20e-3, 10.0, "C"),
        **_both("AFG305", 40e6, 12e-9, 7e-9, 20e-3, 10.0, "C"),
        **_both("AFG310", 50e6, 8e-9, 5e-9, 40e-3, 10.0, "C"),
        **_both("AFG315", 100e6, 5e-9, 3e-9, 0.1, 5.0, "C"),
        **_both("AFG325", 120e6, 4e-9, 2.5e-9, 0.1, 5.0, "C"),
        **_both("AFG3102", 20e6, 16e-9, 9e-9, 2e-3, 10.0),
        **_both("AFG3105", 40e6, 10e-9, 6e-9, 2e-3, 10.0),
        **_both("AFG3110", 80e6, 6e-9, 3.5e-9, 2e-3, 10.0),
        **_both("AFG3115", 120e6, 5e-9, 2.5e-9, 2e-3, 10.0),
        **_both("AFG3125", 160e6, 4e-9, 2e-9, 2e-3, 10.0),
    }
    most_cycles: ClassVar = 1e6
    source: ClassVar = "EXT"

    def __init__(self, settings: VirtualAfgSettings, *loads: PulseLoad) -> None:
        super().__init__(settings, *loads)  # its annotation is what bench files are held against

    def printed(self, value: float) -> str:
        """As 1.000000000E-06."""
        return f"{value:.9E}"

    def _headers(self) -> Mapping[str, Handler]:
        source = "[:SOURce[1|2]]"
        idle = {f"{source}:BURSt:IDLE": self._word("idle", "STARt", "DC", "END")}
        return {
            ":ABORt!": lambda _: None,
            ":OUTPut[1|2][:STATe]": self._switch("output"),
            ":OUTPut[1|2]:IMPedance": self._number("load"),
            ":OUTPut[1|2]:POLarity": self._word("polarity", "NORMal", "INVerted"),
            ":TRIGger[:SEQuence][:IMMediate]!": lambda _: self._fire(self.channels),
            ":TRIGger[:SEQuence]:SOURce": self._word("source", "TIMer", "EXTernal", shared=True),
            f"{source}:FUNCtion[:SHAPe]": self._word("function", "SINusoid", "SQUare", "RAMP", "PULSe", "DC"),
            f"{source}:PULSe:PERiod": self._number("period"),
            f"{source}:PULSe:WIDTh": self._number("width"),
            f"{source}:PULSe:DELay": self._number("delay"),
            f"{source}:PULSe:HOLD": self._word("hold", "WIDTh", "DUTY"),
            f"{source}:PULSe:TRANsition[:LEADing]": self._number("leading"),
            f"{source}:PULSe:TRANsition:TRAiling": self._number("trailing"),
            f"{source}:VOLTage[:LEVel][:IMMediate]:HIGH": self._number("high"),
            f"{source}:VOLTage[:LEVel][:IMMediate]:LOW": self._number("low"),
            f"{source}:VOLTage[:LEVel][:IMMediate]:OFFSet": self._offset,
            f"{source}:BURSt[:STATe]": self._switch("burst"),
            f"{source}:BURSt:MODE": self._word("mode", "TRIGgered", "GATed"),
            f"{source}:BURSt:NCYCles": self._number("count"),
            f"{source}:BURSt:TDELay": self._number("late"),
            **({} if self.settings.model.endswith("C") else idle),
        }
