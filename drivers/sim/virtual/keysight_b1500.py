"""A virtual Keysight B1500A with source-measure modules and pulse generators, from its programming guide.

B1500-90010 (Programming Guide), chapters 1, 2 and 4. It knows no socket; see `server`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from drivers.sim.virtual.errorqueue import Entry, Troubles
from drivers.sim.virtual.flex import CHANNEL, OFF, VALUE, FlexParser, Handler, RefusedError
from drivers.sim.virtual.grid import Load, Unconnected
from drivers.sim.virtual.spgu import Connection, Spgu

_SAFE = {  # up to volts, at most amperes
    "B1510A": ((20.0, 1.0), (40.0, 0.5), (100.0, 0.125), (200.0, 0.05)),
    "B1511B": ((20.0, 0.1), (40.0, 0.05), (100.0, 0.02)),
    "B1517A": ((20.0, 0.1), (40.0, 0.05), (100.0, 0.02)),
}
_VOLTS = {
    0: 0.5,
    5: 0.5,
    11: 2,
    20: 2,
    50: 5,
    12: 20,
    200: 20,
    13: 40,
    400: 40,
    14: 100,
    1000: 100,
    2000: 200,
}
_INTERLOCK = Entry(203, "Interlock circuit must be closed.")
_COMPLIANCE = Entry(126, "Incorrect compliance value.")
_NO_VALUE = "+199.999E+99"
_SLOTS = 10


class VirtualB1500Settings(Troubles):
    """One virtual mainframe with its modules."""

    model: str = Field(default="B1500A", description="as in *IDN?")
    serial: str = Field(default="0", description="serial number as in *IDN?")
    firmware: str = Field(default="A.06.01.2018.1025", description="firmware revision")
    modules: dict[int, str] = Field(
        default={1: "B1517A", 2: "B1511B", 5: "B1525A"}, description="model of the module in each slot"
    )
    interlock_open: bool = Field(default=False, description="no SMU goes beyond 42 V")
    coerced: dict[str, float] = Field(
        default={}, description="what sticks: compliance, AIT, SPPER, SPRM, SPV, SPT, SER to its value"
    )
    status: str = Field(default="", pattern=r"^[A-Z]?$", description="status letter of every current")
    overflow: bool = Field(default=False, description="every current overflows its converter")
    polls: int = Field(default=0, ge=0, description="how often SPST? says that pulses are not over yet")
    drops_rest: bool = Field(default=False, description="the rest of a line is dropped after an error")


@dataclass
class Smu:
    """One source-measure module, with its counters."""

    load: Load
    name: str
    safe: Sequence[tuple[float, float]]
    on: bool = False
    volts: float = 0.0
    range_code: int = 200
    compliance: float = 1e-4
    highest_v: float = 0.0
    times_on: int = 0

    def switch(self, on: bool) -> None:
        """Output switch; 0 V and 100 uA afterwards, either way."""
        self.times_on += on and not self.on
        self.on, self.volts, self.compliance, self.range_code = on, 0.0, 1e-4, 200
        self.load.drive(self.name, 0.0)

    def terminals(self, seconds: float) -> tuple[float, float, bool]:
        """(volts, amperes, in compliance)."""
        amperes = self.load.current(self.volts, seconds)
        if abs(amperes) <= self.compliance:
            return self.volts, amperes, False
        held = math.copysign(self.compliance, amperes)
        return self.volts * self.compliance / abs(amperes), held, True


class KeysightB1500:
    """The instrument. ``loads`` are what channels 1, 2 and so on (501 of an SPGU) are connected to."""

    def __init__(self, settings: VirtualB1500Settings, *loads: Connection) -> None:
        def load(channel: int) -> Connection:
            return loads[channel - 1] if channel <= len(loads) else Unconnected()

        self.settings = settings
        self.seconds = 0.0
        self.smus = {
            slot: Smu(load(slot), f"B1500A:{slot}", _SAFE[model])
            for slot, model in settings.modules.items()
            if model in _SAFE
        }
        self.spgu = Spgu(settings.modules, load, settings.coerced, settings.polls)
        self._format = [1.0, 0.0]
        self._mask = 0
        self._adc: dict[int, list[float]] = {0: [0.0, 1.0], 1: [0.0, 6.0]}
        self._converter = dict.fromkeys(self.smus, 0.0)
        self._calibration = 1.0
        handlers: dict[str, Handler] = {
            "*IDN?": lambda _: f"Agilent Technologies,{settings.model},{settings.serial},{settings.firmware}",
            "*RST": lambda _: self._reset(),
            "*SRE": self._enable,
            "*SRE?": lambda _: str(self._mask),
            "*LRN?": self._learn,
            "*OPC?": lambda _: "1",
            "UNT?": lambda _: ";".join(
                f"{settings.modules.get(slot, '0')},0" for slot in range(1, _SLOTS + 1)
            ),
            "AB": lambda _: self.spgu.stop(),
            "BC": lambda _: None,
            "FMT": self._set_format,
            "CM": self._calibrate,
            "AV": lambda p: self._allowed(1 <= p[0] <= 1023 or -100 <= p[0] <= -1),
            "AIT": self._integrate,
            "AAD": self._choose,
            "CN": lambda p: self._switch(p, True),
            "CL": lambda p: self._switch(p, False),
            "DZ": self._zero,
            "DV": self._force,
            "PA": self._pause,
            "TI": lambda p: self._spot(p, "I"),
            "TV": lambda p: self._spot(p, "V"),
            **self.spgu.handlers(),
        }
        self.parser = FlexParser(handlers, drops_rest=settings.drops_rest)

    def receive(self, line: bytes) -> bytes:
        """One line; its answer."""
        text = line.decode("latin-1").strip()
        for entry in self.settings.injected(text):
            self.parser.add(entry)
        if self.settings.breaks(text):
            self.parser.add(Entry(100, "Undefined GPIB command."))
            return b""
        return self.parser.receive(text)

    def _allowed(self, condition: bool) -> None:
        if not condition:
            raise RefusedError(VALUE)

    def _reset(self) -> None:
        self._switch((), False)

    def _enable(self, p: Sequence[float]) -> None:
        self._allowed(0 <= p[0] <= 255)
        self._mask = int(p[0]) & ~64

    def _set_format(self, p: Sequence[float]) -> None:
        self._allowed(p[0] in (1, 2, 5, 11, 12, 15, 21, 22, 25))
        self._format = [p[0], p[1] if len(p) > 1 else 0.0]

    def _calibrate(self, p: Sequence[float]) -> None:
        self._allowed(p[0] in (0, 1))
        self._calibration = p[0]

    def _integrate(self, p: Sequence[float]) -> None:
        """AIT type, mode, N: mode 3 is seconds, of the high-speed converter only."""
        self._allowed(p[0] in (0, 1, 2) and p[1] in (0, 1, 2, 3))
        self._allowed(p[1] != 3 or (p[0] == 0 and 2e-6 <= p[2] <= 20e-3))
        self._adc[int(p[0])] = [p[1], self.settings.coerced.get("AIT", p[2] if len(p) > 2 else 1.0)]

    def _choose(self, p: Sequence[float]) -> None:
        self._smu(p[0])
        self._allowed(p[1] in (0, 1, 2))
        self._converter[int(p[0])] = p[1]

    def _smu(self, slot: float, on: bool = False) -> Smu:
        found = self.smus.get(int(slot))
        if found is None:
            raise RefusedError(CHANNEL)
        if on and not found.on:
            raise RefusedError(OFF)
        return found

    def _switch(self, p: Sequence[float], on: bool) -> None:
        chosen = [int(each) for each in p] or [*self.smus, *self.spgu.channels]
        if not all(each in self.smus or each in self.spgu.channels for each in chosen):
            raise RefusedError(CHANNEL)
        for each in chosen:
            if each in self.smus:
                self.smus[each].switch(on)
            else:
                self.spgu.switch(each, on)

    def _zero(self, p: Sequence[float]) -> None:
        for slot in p or self.smus:
            smu = self._smu(slot)
            smu.volts = 0.0
            smu.load.drive(smu.name, 0.0)

    def _force(self, p: Sequence[float]) -> None:
        """DV slot, range, volts, compliance: the compliance stays if it is left out."""
        smu = self._smu(p[0], on=True)
        volts, top = p[2], smu.safe[-1][0]
        self._allowed(int(p[1]) in _VOLTS and abs(volts) <= top)
        # An auto range is never lower than its number says, and rises with the voltage.
        held = max(_VOLTS[int(p[1])], abs(volts))
        most = next(amperes for limit, amperes in smu.safe if held <= limit)
        asked = self.settings.coerced.get("compliance", p[3]) if len(p) > 3 else smu.compliance
        if not 1e-12 <= abs(asked) <= most:
            raise RefusedError(_COMPLIANCE)
        if self.settings.interlock_open and abs(volts) > 42:
            raise RefusedError(_INTERLOCK)
        smu.volts, smu.compliance, smu.range_code = volts, abs(asked), int(p[1])
        smu.highest_v = max(smu.highest_v, abs(volts))
        smu.load.drive(smu.name, volts)

    def _pause(self, p: Sequence[float]) -> None:
        self._allowed(-99.9999 <= p[0] <= 99.9999)
        self.seconds += abs(p[0])

    def _spot(self, p: Sequence[float], kind: str) -> str:
        """TI and TV: a fixed range below the current overflows."""
        smu = self._smu(p[0], on=True)
        mode, count = self._adc[0]
        seconds = count if mode == 3 else 1e-3
        self.seconds += seconds
        volts, amperes, limited = smu.terminals(seconds)
        value, status = (amperes, "N") if kind == "I" else (volts, "N")
        if limited:
            status = "C"
        if kind == "I":
            top = math.inf if len(p) < 2 or p[1] >= 0 else 1.15 * 10.0 ** (-p[1] - 20)
            if self.settings.overflow or abs(amperes) > top:
                return self._datum("V", p[0], kind, None)
            status = self.settings.status or status
        return self._datum(status, p[0], kind, value)

    def _datum(self, status: str, slot: float, kind: str, value: float | None) -> str:
        digits = 6 if self._format[0] in (11, 12, 15, 21, 22, 25) else 5
        text = _NO_VALUE if value is None else f"{value:+.{digits}E}"
        header = "" if self._format[0] in (2, 12, 22) else f"{status}{'ABCDEFGHIJ'[int(slot) - 1]}{kind}"
        return header + text

    def _learn(self, p: Sequence[float]) -> str:
        kind = int(p[0])
        if kind == 0:
            on = [slot for slot, smu in self.smus.items() if smu.on] + self.spgu.on()
            return "CN" + ",".join(map(str, on)) if on else "CL"
        if kind in self.smus:
            smu = self.smus[kind]
            if not smu.on:
                return f"CL{kind}"
            return f"DV{kind},{smu.range_code},{smu.volts:+.4E},{smu.compliance:+.6E}"
        if kind == 31:
            return f"TM1;AV1,0;CM{self._calibration:.0f};FMT{self._format[0]:.0f},{self._format[1]:.0f}"
        if kind == 55:
            return ";".join(f"AAD{slot},{choice:.0f}" for slot, choice in self._converter.items())
        if kind == 56:
            return ";".join(f"AIT{k},{mode:.0f},{n:.6E}" for k, (mode, n) in self._adc.items()) + ";AZ0"
        raise RefusedError(VALUE)
