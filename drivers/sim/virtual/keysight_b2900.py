"""A virtual Keysight B2900 source-measure unit, from its SCPI command reference (B2910-90030, edition 2).

Commands: chapters 2 and 4. Data and status word: chapter 1, data output format. Sourcing volts only.
"""

from __future__ import annotations

import re

from pydantic import Field

from drivers.sim.virtual.grid import Load
from drivers.sim.virtual.scpi import CONFLICT, DATA_TYPE, Call, Handler, RejectedError
from drivers.sim.virtual.scpi_smu import (
    NO_SUCH_CHANNEL,
    NOT_A_NUMBER,
    TOO_MUCH,
    VirtualScpiSmu,
    VirtualSmuSettings,
)
from drivers.sim.virtual.smu_output import Model, Output, Value

_DECADES = (*(10.0**k for k in range(-8, 1)), 1.5, 3.0)
_SAFE = ((6.0, 3.0), (20.0, 1.5), (200.0, 0.1))
_VOLTS = (0.2, 2.0, 20.0, 200.0)
_MODELS = {
    "0": Model(_VOLTS, _DECADES[1:], 1.05, _SAFE, 42.0),
    "1": Model(_VOLTS, _DECADES, 1.05, _SAFE, 42.0),
}
_ELEMENTS = ("VOLT", "CURR", "RES", "TIME", "STAT", "SOUR")
_SOURCES = ("AINT", "BUS", "TIMer", "INT1", "INT2", "LAN")
_DEFAULTS: dict[str, Value] = {
    "OUTP": 0.0, "OUTP:ON:AUTO": 1.0, "OUTP:OFF:AUTO": 0.0, "OUTP:PROT": 0.0, "SOUR:FUNC:MODE": "VOLT",
    "SOUR:FUNC:SHAP": "DC", "SOUR:VOLT": 0.0, "SOUR:VOLT:MODE": "FIX", "SOUR:VOLT:RANG": 2.0,
    "SENS:FUNC": "RES", "SENS:CURR:RANG": 1e-4, "SENS:CURR:PROT": 1e-4, "SENS:CURR:APER": 2e-3,
    "ARM:COUN": 1.0, "ARM:SOUR": "AINT", "TRIG:COUN": 1.0, "TRIG:SOUR": "AINT", "TRIG:ACQ:DEL": 0.0,
    "TRIG:TRAN:DEL": 0.0, "FORM:ELEM:SENS": "VOLT,CURR,RES,TIME,STAT,SOUR", "FORM": "ASC",
}  # fmt: skip
_POINTS = 2500
_MOST = 100_000


class VirtualB2900Settings(VirtualSmuSettings):
    """One virtual B2900."""

    maker: str = Field(default="Keysight Technologies", description="as in *IDN?")
    model: str = Field(default="B2912A", pattern=r"^B29[01][12][AB]$", description="as in *IDN?")
    serial: str = Field(default="MY51140001", pattern=r"^[0-9A-Za-z]{1,20}$", description="serial number")
    firmware: str = Field(default="3.4.1911.5910", description="firmware revision")


class KeysightB2900(VirtualScpiSmu):
    """The instrument; ``loads`` are what channels 1 and 2 are connected to."""

    no_error = '+0,"No error"'

    def __init__(self, settings: VirtualB2900Settings, *loads: Load) -> None:
        idn = f"{settings.maker},{settings.model},{settings.serial},{settings.firmware}"
        count = int(settings.model[4])
        self._lists: list[list[float]] = [[0.0] for _ in range(count)]
        super().__init__(settings, idn, _MODELS[settings.model[3]], _DEFAULTS, *loads[:count])

    def words(self) -> dict[str, Handler]:
        """Chapter 4; the numeric suffix is the channel."""
        top_v, top_a = 1.05 * self.model.volts[-1], 1.05 * self.model.amperes[-1]
        source = "[:SOURce[1|2]]"
        return {
            ":ABORt[:ALL]!": self._abort,
            ":OUTPut[1|2][:STATe]": self._switch,
            ":OUTPut[1|2]:ON:AUTO": self.switch("OUTP:ON:AUTO"),
            ":OUTPut[1|2]:OFF:AUTO": self.switch("OUTP:OFF:AUTO"),
            ":OUTPut[1|2]:PROTection[:STATe]": self.switch("OUTP:PROT"),
            f"{source}:FUNCtion:MODE": self.word("SOUR:FUNC:MODE", "VOLTage", "CURRent"),
            f"{source}:FUNCtion[:SHAPe]": self.word("SOUR:FUNC:SHAP", "DC", "PULSe"),
            f"{source}:VOLTage:MODE": self.word("SOUR:VOLT:MODE", "FIXed", "LIST", "SWEep"),
            f"{source}:VOLTage:RANGe": self.number("SOUR:VOLT:RANG", -top_v, top_v, then=self.range_v),
            f"{source}:VOLTage[:LEVel][:IMMediate][:AMPLitude]": self.number(
                "SOUR:VOLT", -top_v, top_v, then=self.level
            ),
            f"{source}:LIST:VOLTage": self._source_list,
            ":SENSe[1|2]:FUNCtion[:ON]": self.names("SENS:FUNC", ("VOLT", "CURR", "RES"), '"{}"'),
            ":SENSe[1|2]:CURRent[:DC]:RANGe[:UPPer]": self.number(
                "SENS:CURR:RANG", 0, top_a, then=self.range_a
            ),
            ":SENSe[1|2]:CURRent[:DC]:PROTection[:LEVel]": self.number(
                "SENS:CURR:PROT", 0.1 * self.model.amperes[0], top_a, then=self._compliance
            ),
            ":SENSe[1|2]:CURRent[:DC]:PROTection:TRIPped?": self._tripped,
            ":SENSe[1|2]:CURRent[:DC]:APERture": self._aperture,
            ":ARM[1|2][:ALL]:COUNt": self.number("ARM:COUN", 1, _MOST, form="{:+.0f}"),
            ":ARM[1|2][:ALL]:SOURce": self.word("ARM:SOUR", *_SOURCES),
            ":TRIGger[1|2][:ALL]:COUNt": self.number("TRIG:COUN", 1, _MOST, form="{:+.0f}"),
            ":TRIGger[1|2][:ALL]:SOURce": self.word("TRIG:SOUR", *_SOURCES),
            ":TRIGger[1|2]:ACQuire:DELay": self.number("TRIG:ACQ:DEL", 0, 1e5),
            ":TRIGger[1|2]:TRANsient:DELay": self.number("TRIG:TRAN:DEL", 0, 1e5),
            ":FORMat:ELEMents:SENSe": self.names("FORM:ELEM:SENS", _ELEMENTS),
            ":FORMat[:DATA]": self.word("FORM", "ASCii", "REAL"),
            ":STATus:QUEStionable:CONDition?": lambda _: f"{self.settings.interlock_open << 10:+d}",
            ":READ:ARRay?": self._read,
        }

    def _channels(self, call: Call) -> list[int]:
        """The channel list, (@1) if there is none."""
        text = call.word().replace(" ", "") if call.parameters else "(@1)"
        match = re.fullmatch(r"\(@([12])(?:[,:]([12]))?\)", text)
        if match is None:
            raise RejectedError(DATA_TYPE)
        channels = [int(each) for each in match.groups() if each]
        if max(channels) > len(self.outputs):
            raise RejectedError(NO_SUCH_CHANNEL)
        return channels

    def _abort(self, call: Call) -> None:
        self._channels(call)

    def _switch(self, call: Call) -> str | None:
        output = self.output(call)
        if call.query:
            return f"{output.number('OUTP'):.0f}"
        self._turn(output, call.boolean())
        return None

    def _turn(self, output: Output, on: bool) -> None:
        high = output.number("SOUR:VOLT:RANG") > self.model.interlock_v
        if on and high and self.settings.interlock_open:
            raise RejectedError(CONFLICT)
        output.switch(on)

    def _source_list(self, call: Call) -> str | None:
        output = self.output(call)
        index = self.outputs.index(output)
        if call.query:
            return ",".join(f"{each:+.6E}" for each in self._lists[index])
        self._lists[index] = self.voltages(call, _POINTS)
        return None

    def _compliance(self, output: Output, value: float) -> float:
        if value > self.most(output.number("SOUR:VOLT:RANG")):
            raise RejectedError(CONFLICT)
        return value

    def _aperture(self, call: Call) -> str | None:
        """Beyond its bounds the time is set to the bound, without an error (SENSe:CURRent:APERture)."""
        if call.query:
            return f"{self.output(call).number('SENS:CURR:APER'):+.6E}"
        seconds = min(2.0, max(8e-6, call.number()))
        self.output(call).values["SENS:CURR:APER"] = self.settings.coerced.get("SENS:CURR:APER", seconds)
        return None

    def _tripped(self, call: Call) -> str:
        output = self.output(call)
        level = output.number("SOUR:VOLT")
        return f"{int(output.read(level, output.number('SENS:CURR:APER'), self.limit_key).limited)}"

    def _read(self, call: Call) -> str:
        """Channels side by side; one that has fewer points is filled up with "not a number"."""
        columns = [self._column(channel) for channel in self._channels(call)]
        empty = ",".join(f"{NOT_A_NUMBER:+.6E}" for _ in self._elements())
        rows = range(max(map(len, columns)))
        return ",".join(column[k] if k < len(column) else empty for k in rows for column in columns)

    def _column(self, channel: int) -> list[str]:
        output = self.outputs[channel - 1]
        values = output.values
        if values["OUTP:ON:AUTO"]:
            self._turn(output, True)
        in_list = values["SOUR:VOLT:MODE"] == "LIST"
        levels = self._lists[channel - 1] if in_list else [output.number("SOUR:VOLT")]
        count = int(output.number("TRIG:COUN") * output.number("ARM:COUN"))
        if count > _MOST:
            raise RejectedError(TOO_MUCH)
        found = [self._one(output, levels[k % len(levels)]) for k in range(count)]
        output.drive()
        if values["OUTP:OFF:AUTO"]:
            output.switch(False)
        return found

    def _one(self, output: Output, level: float) -> str:
        if abs(level) > self.model.over * output.number("SOUR:VOLT:RANG"):
            raise RejectedError(CONFLICT)
        got = self.measured(output, level, output.number("SENS:CURR:APER"), output.number("TRIG:ACQ:DEL"))
        on = str(output.values["SENS:FUNC"]).split(",")
        elements = {
            "VOLT": got.volts if "VOLT" in on else NOT_A_NUMBER,
            "CURR": got.amperes if "CURR" in on else NOT_A_NUMBER,
            "RES": NOT_A_NUMBER,
            "TIME": self.seconds,
            "STAT": float(got.limited << 1 | (got.overflow or got.clamped) << 13),
            "SOUR": level,
        }
        return ",".join(f"{elements[name]:+.6E}" for name in self._elements())

    def _elements(self) -> list[str]:
        """They have no suffix: those of channel 1 hold for both."""
        return str(self.outputs[0].values["FORM:ELEM:SENS"]).split(",")
