"""A virtual Keithley 2400 series source-measure unit, from its user's manual (2400S-900-01 Rev. K).

Commands: section 18. Data elements and status word: 18, FORMat. Errors: appendix B. Sourcing volts only.
"""

from __future__ import annotations

from pydantic import Field

from drivers.sim.virtual.errorqueue import Entry
from drivers.sim.virtual.grid import Load
from drivers.sim.virtual.scpi import CONFLICT, Call, Handler, RejectedError
from drivers.sim.virtual.scpi_smu import (
    NOT_A_NUMBER,
    VirtualScpiSmu,
    VirtualSmuSettings,
)
from drivers.sim.virtual.smu_output import Model, Output, Value

OUTPUT_BLOCKED = Entry(802, "OUTPUT blocked by interlock")
OUTPUT_OFF = Entry(803, "Not permitted with OUTPUT off")
TOO_SMALL = Entry(822, "Too small for sense range")
BEYOND_COMPLIANCE = Entry(824, "Cannot exceed compliance range")
TOO_MUCH_POWER = Entry(826, "Attempt to exceed power limit")
_DECADES = tuple(10.0**k for k in range(-6, 1))
_ONE = ((20.0, 1.0),)
_MODELS = {
    "2400": Model((0.2, 2, 20, 200), _DECADES, 1.05, (*_ONE, (200, 0.1))),
    "2400-LV": Model((0.2, 2, 20), _DECADES, 1.05, _ONE),
    "2401": Model((0.2, 2, 20), _DECADES, 1.05, _ONE),
    "2410": Model((0.2, 2, 20, 1000), (*_DECADES[:4], 0.02, 0.1, 1), 1.05, (*_ONE, (1000, 0.02))),
    "2420": Model((0.2, 2, 20, 60), (*_DECADES[1:], 3), 1.05, ((20, 3), (60, 1))),
    "2425": Model((0.2, 2, 20, 100), (*_DECADES[1:], 3), 1.05, ((20, 3), (100, 1))),
    "2440": Model((0.2, 2, 10, 40), (*_DECADES[1:], 5), 1.05, ((10, 5), (40, 1))),
}
_ELEMENTS = ("VOLT", "CURR", "RES", "TIME", "STAT")
_DEFAULTS: dict[str, Value] = {
    "OUTP": 0.0, "SOUR:FUNC": "VOLT", "SOUR:VOLT": 0.0, "SOUR:VOLT:MODE": "FIX", "SOUR:CLE:AUTO": 0.0,
    "SOUR:SWE:RANG": "BEST", "SOUR:VOLT:RANG": 20.0, "SOUR:DEL": 0.001, "SENS:FUNC": "CURR",
    "SENS:FUNC:CONC": 1.0, "SENS:AVER": 0.0, "SENS:CURR:RANG": 1e-4, "SENS:CURR:PROT": 1.05e-4,
    "SENS:CURR:NPLC": 1.0, "FORM:ELEM": "VOLT,CURR,RES,TIME,STAT", "FORM:DATA": "ASC", "ARM:COUN": 1.0,
    "ARM:SOUR": "IMM", "TRIG:COUN": 1.0, "TRIG:SOUR": "IMM", "TRIG:DEL": 0.0,
}  # fmt: skip
_POINTS = 100
_READINGS = 2500


class Virtual2400Settings(VirtualSmuSettings):
    """One virtual 2400."""

    model: str = Field(default="2400", pattern=r"^24(00|00-LV|01|10|20|25|40)$", description="as in *IDN?")
    firmware: str = Field(default="C33 Mar 31 2015 09:32:39/A02 /J/K", description="firmware revision")


class Keithley2400(VirtualScpiSmu):
    """The instrument; ``load`` is what its terminals are connected to."""

    queue_size = 10

    def __init__(self, settings: Virtual2400Settings, load: Load) -> None:
        idn = f"KEITHLEY INSTRUMENTS INC.,MODEL {settings.model},{settings.serial},{settings.firmware}"
        self._list: list[float] = [0.0]
        super().__init__(settings, idn, _MODELS[settings.model], _DEFAULTS, load)

    def words(self) -> dict[str, Handler]:
        """Section 18."""
        top_v, top_a = 1.05 * self.model.volts[-1], 1.05 * self.model.amperes[-1]
        return {
            ":ABORt!": lambda _: None,
            ":OUTPut[1][:STATe]": self._switch,
            ":SOURce[1]:FUNCtion[:MODE]": self.word("SOUR:FUNC", "VOLTage", "CURRent"),
            ":SOURce[1]:CLEar:AUTO": self.switch("SOUR:CLE:AUTO"),
            ":SOURce[1]:VOLTage:MODE": self._mode,
            ":SOURce[1]:VOLTage:RANGe": self.number("SOUR:VOLT:RANG", -top_v, top_v, then=self.range_v),
            ":SOURce[1]:VOLTage[:LEVel][:IMMediate][:AMPLitude]": self.number(
                "SOUR:VOLT", -top_v, top_v, then=self._fixed
            ),
            ":SOURce[1]:SWEep:RANGing": self.word("SOUR:SWE:RANG", "BEST", "AUTO", "FIXed"),
            ":SOURce[1]:LIST:VOLTage": self._source_list,
            ":SOURce[1]:LIST:VOLTage:POINts?": lambda _: f"{len(self._list)}",
            ":SOURce[1]:DELay": self.number("SOUR:DEL", 0, 9999.999, form="{:.5f}", then=_ten_microseconds),
            ":SENSe[1]:FUNCtion:CONCurrent": self.switch("SENS:FUNC:CONC"),
            ":SENSe[1]:FUNCtion:OFF:ALL!": lambda call: self.output(call).values.update({"SENS:FUNC": ""}),
            ":SENSe[1]:FUNCtion[:ON]": self.names("SENS:FUNC", ("VOLT", "CURR", "RES"), '"{}:DC"'),
            ":SENSe[1]:AVERage[:STATe]": self.switch("SENS:AVER"),
            ":SENSe[1]:CURRent[:DC]:RANGe[:UPPer]": self.number(
                "SENS:CURR:RANG", -top_a, top_a, then=self._meter
            ),
            ":SENSe[1]:CURRent[:DC]:PROTection[:LEVel]": self.number(
                "SENS:CURR:PROT", -top_a, top_a, then=self._compliance
            ),
            ":SENSe[1]:CURRent[:DC]:NPLCycles": self.number(
                "SENS:CURR:NPLC", 0.01, 10, form="{:.2f}", then=_hundredth
            ),
            ":FORMat:ELEMents[:SENSe[1]]": self.names("FORM:ELEM", _ELEMENTS),
            ":FORMat[:DATA]": self.word("FORM:DATA", "ASCii", "REAL", "SREal"),
            ":ARM:COUNt": self.number("ARM:COUN", 1, _READINGS, form="{:.0f}"),
            ":ARM:SOURce": self.word("ARM:SOUR", "IMMediate", "TLINk", "TIMer", "MANual", "BUS"),
            ":TRIGger:COUNt": self.number("TRIG:COUN", 1, _READINGS, form="{:.0f}", then=self._readings),
            ":TRIGger:SOURce": self.word("TRIG:SOUR", "IMMediate", "TLINk"),
            ":TRIGger:DELay": self.number("TRIG:DEL", 0, 999.9999, form="{:.5f}"),
            ":READ?": self._read,
        }  # fmt: skip

    def _switch(self, call: Call) -> str | None:
        output = self.output(call)
        if call.query:
            return f"{output.number('OUTP'):.0f}"
        if call.boolean() and self.settings.interlock_open:
            raise RejectedError(OUTPUT_BLOCKED)
        output.switch(call.boolean())
        return None

    def _mode(self, call: Call) -> str | None:
        answer = self.word("SOUR:VOLT:MODE", "FIXed", "LIST", "SWEep")(call)
        if not call.query:
            self.output(call).drive()  # a fixed source is at its level again
        return answer

    def _fixed(self, output: Output, value: float) -> float:
        if output.values["SOUR:VOLT:MODE"] != "FIX":
            raise RejectedError(CONFLICT)
        return self.level(output, value)

    def _source_list(self, call: Call) -> str | None:
        if call.query:
            return ",".join(f"{each:+.6E}" for each in self._list)
        self._list = self.voltages(call, _POINTS)
        return None

    def _meter(self, output: Output, value: float) -> float:
        chosen = self.range_a(output, value)
        if chosen > self.range_a(output, output.number("SENS:CURR:PROT")):
            raise RejectedError(BEYOND_COMPLIANCE)
        return chosen

    def _compliance(self, output: Output, value: float) -> float:
        if abs(value) < 1e-3 * output.number("SENS:CURR:RANG") * (1 - 1e-9):
            raise RejectedError(TOO_SMALL)
        if abs(value) > self.most(output.number("SOUR:VOLT:RANG")):
            raise RejectedError(TOO_MUCH_POWER)
        return abs(value)

    def _readings(self, output: Output, value: float) -> float:
        if value * output.number("ARM:COUN") > _READINGS:
            raise RejectedError(CONFLICT)
        return value

    def _read(self, _: Call) -> str:
        output = self.outputs[0]
        values = output.values
        if not values["OUTP"]:
            raise RejectedError(OUTPUT_OFF)
        in_list = values["SOUR:VOLT:MODE"] == "LIST"
        levels = self._list if in_list else [output.number("SOUR:VOLT")]
        count = int(output.number("TRIG:COUN") * output.number("ARM:COUN"))
        return ",".join(self._one(output, levels[k % len(levels)]) for k in range(count))

    def _one(self, output: Output, asked: float) -> str:
        most = 1.05 * output.number("SOUR:VOLT:RANG")  # a fixed range puts out its maximum for more
        level = max(-most, min(most, asked))
        seconds = output.number("SENS:CURR:NPLC") / self.settings.line_hz
        got = self.measured(output, level, seconds, output.number("SOUR:DEL"))
        on = str(output.values["SENS:FUNC"]).split(",")
        word = got.overflow | 4 | got.limited << 3 | ("VOLT" in on) << 11 | ("CURR" in on) << 12 | 1 << 14
        elements = {
            "VOLT": got.volts if "VOLT" in on else level,
            "CURR": got.amperes if "CURR" in on else NOT_A_NUMBER,
            "RES": NOT_A_NUMBER,
            "TIME": self.seconds,
            "STAT": float(word | got.clamped << 16),
        }
        return ",".join(f"{elements[name]:+.6E}" for name in str(output.values["FORM:ELEM"]).split(","))


def _ten_microseconds(_: Output, seconds: float) -> float:
    return round(seconds, 5)


def _hundredth(_: Output, cycles: float) -> float:
    return round(cycles, 2)
