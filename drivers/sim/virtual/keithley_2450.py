"""A virtual Keithley 2450, 2460 or 2461, from the reference manuals (2450-901-01 Rev. B, 2461-901-01 Rev. A).

Commands: section 6 and appendix B. Status of readings: 8, bufferVar.sourcestatuses. Sourcing volts only.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from drivers.sim.virtual.errorqueue import Entry
from drivers.sim.virtual.grid import Load
from drivers.sim.virtual.scpi import CONFLICT, ILLEGAL_VALUE, OUT_OF_RANGE, Call, Handler, RejectedError
from drivers.sim.virtual.scpi_smu import VirtualScpiSmu, VirtualSmuSettings
from drivers.sim.virtual.smu_output import Model, Output, Value

_DECADES = tuple(10.0**k for k in range(-8, 1))
_KILOWATT = Model(
    (0.2, 2, 7, 10, 20, 100), (*_DECADES[2:], 4, 5, 7), 1.05, ((7, 7), (10, 5), (20, 4), (100, 1)), 42.0
)
_MODELS = {
    "2450": Model((0.02, 0.2, 2, 20, 200), _DECADES, 1.05, ((20, 1), (200, 0.1)), 42.0),
    "2460": _KILOWATT,
    "2461": _KILOWATT,
}
_BUFFERS = ('"DEFBUFFER1"', '"DEFBUFFER2"')
_DEFAULTS: dict[str, Value] = {
    "OUTP": 0.0, "SOUR:FUNC": "VOLT", "SOUR:VOLT": 0.0, "SOUR:VOLT:RANG": 0.2, "SOUR:VOLT:ILIM": 1.05e-4,
    "SOUR:VOLT:READ:BACK": 1.0, "SOUR:VOLT:DEL": 0.0, "SENS:FUNC": "CURR", "SENS:COUN": 1.0,
    "SENS:CURR:AVER": 0.0, "SENS:CURR:RANG": 1e-4, "SENS:CURR:NPLC": 1.0, "FORM:DATA": "ASC",
}  # fmt: skip
_POINTS = 100


class Virtual2450Settings(VirtualSmuSettings):
    """One virtual 2450."""

    model: Literal["2450", "2460", "2461"] = Field(default="2450", description="as in *IDN?")
    firmware: str = Field(default="1.7.12b", description="firmware revision")
    language: Literal["SCPI", "TSP", "SCPI2400"] = Field(default="SCPI", description="command set")


class Keithley2450(VirtualScpiSmu):
    """The instrument; ``load`` is what its terminals are connected to."""

    limit_key = "SOUR:VOLT:ILIM"
    no_error = '0,"No error;0;0 0"'

    def __init__(self, settings: Virtual2450Settings, load: Load) -> None:
        idn = f"KEITHLEY INSTRUMENTS,MODEL {settings.model},{settings.serial},{settings.firmware}"
        self._list: list[float] = []
        self._sweep: list[float] = []
        self._delay = 0.0
        self._buffer: list[dict[str, str]] = []
        self._language = settings.language
        super().__init__(settings, idn, _MODELS[settings.model], _DEFAULTS, load)

    def entry(self, entry: Entry) -> str:
        """With the type of the event (1: an error) and when it was."""
        return f'{entry.code},"{entry.message};1;2026/01/01 00:00:00.000"'

    def words(self) -> dict[str, Handler]:
        """Section 6."""
        top_v, top_a = 1.05 * self.model.volts[-1], 1.05 * self.model.amperes[-1]
        least_a = 0.1 * self.model.amperes[0] if self.model is not _KILOWATT else 1e-6
        return {
            "*LANG?": lambda _: self._language,
            ":ABORt!": lambda _: None,
            ":OUTPut[1][:STATe]": self._switch,
            ":OUTPut[1]:INTerlock:TRIPped?": lambda _: f"{int(not self.settings.interlock_open)}",
            ":SOURce[1]:FUNCtion[:MODE]": self.word("SOUR:FUNC", "VOLTage", "CURRent"),
            ":SOURce[1]:VOLTage[:LEVel][:IMMediate][:AMPLitude]": self.number(
                "SOUR:VOLT", -top_v, top_v, then=self.level
            ),
            ":SOURce[1]:VOLTage:RANGe": self.number("SOUR:VOLT:RANG", -top_v, top_v, then=self.range_v),
            ":SOURce[1]:VOLTage:ILIMit[:LEVel]": self.number(
                "SOUR:VOLT:ILIM", least_a * (1 - 1e-9), top_a, then=self._limit
            ),
            ":SOURce[1]:VOLTage:READ:BACK": self.switch("SOUR:VOLT:READ:BACK"),
            ":SOURce[1]:VOLTage:DELay": self.number("SOUR:VOLT:DEL", 0, 1e4),
            ":SOURce[1]:LIST:VOLTage": self._source_list,
            ":SOURce[1]:SWEep:VOLTage:LIST!": self._set_sweep,
            ":SENSe[1]:FUNCtion[:ON]": self.names("SENS:FUNC", ("CURR", "VOLT", "RES"), '"{}:DC"'),
            ":SENSe[1]:COUNt": self.number("SENS:COUN", 1, 300_000, form="{:.0f}"),
            ":SENSe[1]:CURRent[:DC]:AVERage[:STATe]": self.switch("SENS:CURR:AVER"),
            ":SENSe[1]:CURRent[:DC]:RANGe[:UPPer]": self.number(
                "SENS:CURR:RANG", 0, top_a, then=self.range_a
            ),
            ":SENSe[1]:CURRent[:DC]:NPLCycles": self.number("SENS:CURR:NPLC", 0.01, 10),
            ":FORMat[:DATA]": self.word("FORM:DATA", "ASCii", "REAL", "SREal"),
            ":TRACe:CLEar!": self._clear,
            ":TRACe:ACTual?": lambda _: f"{len(self._buffer)}",
            ":TRACe:DATA?": self._data,
            ":INITiate[:IMMediate]!": self._run,
        }

    def _switch(self, call: Call) -> str | None:
        output = self.output(call)
        if call.query:
            return f"{output.number('OUTP'):.0f}"
        high = output.number("SOUR:VOLT:RANG") > self.model.interlock_v
        if call.boolean() and high and self.settings.interlock_open:
            raise RejectedError(CONFLICT)
        output.switch(call.boolean())
        return None

    def _limit(self, output: Output, value: float) -> float:
        too_small = value < 1e-3 * output.number("SENS:CURR:RANG") * (1 - 1e-9)
        if too_small or value > self.most(output.number("SOUR:VOLT:RANG")):
            raise RejectedError(CONFLICT)
        return value

    def _source_list(self, call: Call) -> str | None:
        if call.query:
            return ",".join(f"{each:.6E}" for each in self._list)
        self._list = self.voltages(call, _POINTS)
        return None

    def _set_sweep(self, call: Call) -> None:
        """Parameters: start index, delay, count, failAbort, buffer."""
        start, delay = int(call.number()), call.number(1) if len(call.parameters) > 1 else 0.0
        count = int(call.number(2)) if len(call.parameters) > 2 else 1
        if len(call.parameters) > 4 and call.word(4) not in _BUFFERS:
            raise RejectedError(ILLEGAL_VALUE)
        if not self._list or not 1 <= start <= len(self._list) or not (delay == 0 or 5e-5 <= delay <= 1e4):
            raise RejectedError(OUT_OF_RANGE)
        self._sweep, self._delay = (self._list[start - 1 :] + self._list[: start - 1]) * count, delay

    def _run(self, _: Call) -> None:
        """The trigger model that a sweep makes: clear the buffer, output on, all points, output off."""
        if not self._sweep:
            raise RejectedError(CONFLICT)
        output = self.outputs[0]
        self._buffer = []
        self._switch(Call((1,), ("ON",), query=False))
        for level in self._sweep:
            if abs(level) > 1.05 * output.number("SOUR:VOLT:RANG"):
                output.switch(False)
                raise RejectedError(OUT_OF_RANGE)
            self._buffer += [self._one(output, level) for _ in range(int(output.number("SENS:COUN")))]
        output.values["SOUR:VOLT"] = self._sweep[-1]
        output.switch(False)

    def _one(self, output: Output, level: float) -> dict[str, str]:
        seconds = output.number("SENS:CURR:NPLC") / self.settings.line_hz
        got = self.measured(output, level, seconds, output.number("SOUR:VOLT:DEL") + self._delay)
        back = output.number("SOUR:VOLT:READ:BACK")
        status = int(back) << 3 | got.limited << 5 | int(output.number("OUTP")) << 7
        return {
            "SOUR": f"{got.volts if back else level:.6E}",
            "READ": f"{9.9e37 if got.clamped else got.amperes:.6E}",
            "SOURSTAT": f"{status}",
            "STAT": f"{int(got.clamped or got.overflow)}",
            "REL": f"{self.seconds:.6f}",
        }

    def _clear(self, call: Call) -> None:
        if call.parameters and call.word() not in _BUFFERS:
            raise RejectedError(ILLEGAL_VALUE)
        self._buffer = []

    def _data(self, call: Call) -> str:
        first, last = int(call.number()), int(call.number(1))
        if not 1 <= first <= last <= len(self._buffer):
            raise RejectedError(OUT_OF_RANGE)
        words = [each.upper() for each in call.parameters[3:]] or ["READ"]
        if any(word not in self._buffer[0] for word in words):
            raise RejectedError(ILLEGAL_VALUE)
        return ", ".join(reading[word] for reading in self._buffer[first - 1 : last] for word in words)
