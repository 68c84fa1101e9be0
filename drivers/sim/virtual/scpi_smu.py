"""What virtual source-measure units that speak SCPI have in common: outputs, settings, ranges, error queue.

Written from the manuals that the models name. It knows no socket; see `server`.
"""

from __future__ import annotations

import bisect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from pydantic import Field

from drivers.sim.virtual.errorqueue import Entry, ErrorQueue, Troubles
from drivers.sim.virtual.grid import Load
from drivers.sim.virtual.scpi import (
    CONFLICT,
    ILLEGAL_VALUE,
    OUT_OF_RANGE,
    Call,
    Handler,
    RejectedError,
    ScpiParser,
)
from drivers.sim.virtual.smu_output import Model, Output, Reading, Value

NOT_A_NUMBER, TOO_BIG = 9.91e37, 9.9e37
NO_SUCH_CHANNEL = Entry(-114, "Header suffix out of range")
TOO_MUCH = Entry(-223, "Too much data")


class VirtualSmuSettings(Troubles):
    """One virtual source-measure unit."""

    serial: str = Field(default="4000001", pattern=r"^[0-9A-Za-z]{1,20}$", description="serial number")
    line_hz: float = Field(default=50.0, gt=0, description="power line frequency")
    interlock_open: bool = Field(default=False, description="high voltages are blocked")
    coerced: dict[str, float | str] = Field(default={}, description='what sticks: "SENS:CURR:PROT" to what')
    overflow: bool = Field(default=False, description="every current overflows the meter")


class VirtualScpiSmu(ABC):
    """The instrument; a model adds its headers by `words`."""

    limit_key = "SENS:CURR:PROT"
    queue_size = 50
    no_error = '0,"No error"'

    def __init__(
        self,
        settings: VirtualSmuSettings,
        idn: str,
        model: Model,
        defaults: Mapping[str, Value],
        *loads: Load,
    ) -> None:
        self.settings = settings
        self.errors = ErrorQueue(self.queue_size)
        self.idn = idn
        self.model = model
        self.outputs = [
            Output(load, f"{settings.serial}:{k}", model, defaults) for k, load in enumerate(loads, 1)
        ]
        self.seconds = 0.0
        self._enabled = 0
        common: dict[str, Handler] = {
            "*IDN?": lambda _: self.idn,
            "*CLS!": lambda _: self.errors.clear(),
            "*RST!": lambda _: self._reset(),
            "*ESE": self._enable,
            "*OPC?": lambda _: "1",
            "*WAI!": lambda _: None,
            ":SYSTem:ERRor[:NEXT]?": lambda _: self._error(),
            ":SYSTem:LFRequency?": lambda _: f"{settings.line_hz:g}",
        }
        self._parser = ScpiParser({**common, **self.words()}, self.errors)

    @abstractmethod
    def words(self) -> dict[str, Handler]:
        """Headers and what they do, as for `ScpiParser`."""

    def receive(self, line: bytes) -> bytes:
        """One message; its answers."""
        return self._parser.hear(line, self.settings)

    def entry(self, entry: Entry) -> str:
        """How an entry of the error queue is answered."""
        return f'{entry.code},"{entry.message}"'

    def output(self, call: Call) -> Output:
        """The channel that a header names."""
        index = call.suffixes[0] if call.suffixes else 1
        if index > len(self.outputs):
            raise RejectedError(NO_SUCH_CHANNEL)
        return self.outputs[index - 1]

    def number(
        self,
        key: str,
        low: float,
        high: float,
        *,
        form: str = "{:+.6E}",
        then: Callable[[Output, float], float] | None = None,
    ) -> Handler:
        """A number between bounds; ``then`` judges it (RejectedError) and says what it becomes."""

        def handler(call: Call) -> str | None:
            output = self.output(call)
            if call.query:
                return form.format(output.values[key])
            value = call.number(MIN=low, MAX=high)
            if not low <= value <= high:
                raise RejectedError(OUT_OF_RANGE)
            value = then(output, value) if then else value
            output.values[key] = self.settings.coerced.get(key, value)
            return None

        return handler

    def switch(self, key: str) -> Handler:
        """ON or OFF, answered 1 or 0."""

        def handler(call: Call) -> str | None:
            output = self.output(call)
            if call.query:
                return f"{output.number(key):.0f}"
            output.values[key] = self.settings.coerced.get(key, float(call.boolean()))
            return None

        return handler

    def word(self, key: str, *words: str) -> Handler:
        """One of some words."""

        def handler(call: Call) -> str | None:
            output = self.output(call)
            if call.query:
                return str(output.values[key])
            output.values[key] = self.settings.coerced.get(key, call.choice(*words))
            return None

        return handler

    def names(self, key: str, allowed: Sequence[str], form: str = "{}") -> Handler:
        """A list of words, quoted or not, kept in the order of ``allowed`` as instruments do."""

        def handler(call: Call) -> str | None:
            output = self.output(call)
            if call.query:
                return ",".join(form.format(each) for each in str(output.values[key]).split(",") if each)
            given = {each.strip("\"'").upper().removesuffix(":DC") for each in call.parameters}
            call.word()
            if not given <= set(allowed):
                raise RejectedError(ILLEGAL_VALUE)
            output.values[key] = ",".join(each for each in allowed if each in given)
            return None

        return handler

    def level(self, output: Output, value: float) -> float:
        """A level must fit the range of the source; the terminals follow."""
        if abs(value) > self.model.over * output.number("SOUR:VOLT:RANG"):
            raise RejectedError(OUT_OF_RANGE)
        output.drive(value)
        return value

    def range_v(self, output: Output, value: float) -> float:
        """The lowest range that holds it; level and compliance must fit it."""
        top = _lowest(self.model.volts, value, self.model.over)
        held = abs(output.number("SOUR:VOLT"))
        if held > self.model.over * top or output.number(self.limit_key) > self.most(top):
            raise RejectedError(CONFLICT)
        return top

    def range_a(self, output: Output, value: float) -> float:
        """The lowest range that holds it."""
        return _lowest(self.model.amperes, value, self.model.over)

    def most(self, range_v: float) -> float:
        """Highest compliance on a range of the source."""
        return self.model.over * next(amperes for volts, amperes in self.model.safe if range_v <= volts)

    def voltages(self, call: Call, most: int) -> list[float]:
        """The parameters of a source list."""
        call.word()
        if len(call.parameters) > most:
            raise RejectedError(TOO_MUCH)
        values = [call.number(k) for k in range(len(call.parameters))]
        if any(abs(value) > self.model.over * self.model.volts[-1] for value in values):
            raise RejectedError(OUT_OF_RANGE)
        return values

    def measured(self, output: Output, level: float, integration_s: float, delay_s: float) -> Reading:
        """One point; time passes virtually."""
        self.seconds += integration_s + delay_s
        reading = output.read(level, integration_s, self.limit_key)
        return reading._replace(amperes=TOO_BIG, overflow=True) if self.settings.overflow else reading

    def _error(self) -> str:
        entry = self.errors.next()
        return self.no_error if entry is None else self.entry(entry)

    def _enable(self, call: Call) -> str | None:
        if call.query:
            return f"{self._enabled}"
        self._enabled = int(call.number()) & 255
        return None

    def _reset(self) -> None:
        for output in self.outputs:
            output.reset()


def _lowest(ranges: Sequence[float], value: float, over: float) -> float:
    index = bisect.bisect_left(ranges, abs(value) / over * (1 - 1e-9))
    if index == len(ranges):
        raise RejectedError(OUT_OF_RANGE)
    return ranges[index]
