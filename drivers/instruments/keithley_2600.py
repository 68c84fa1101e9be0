"""Keithley Series 2600B source-measure units (2601B to 2636B) by TSP: source volts, measure amperes.

Verified against drivers/sim/virtual/keithley_2600.py over sockets and serial lines; no hardware seen.
Commands and their places in the manual: docs/instruments/keithley-2600.md.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from drivers.instruments.instrument import LineInstrument, output_at
from drivers.instruments.replies import Measured, logical, measured, named, number, whole
from drivers.instruments.tsp import Tsp
from hil.errors import IdentityError, LimitError, SettingError
from hil.instruments import Identity, Readings, Sourcing, Standing
from hil.region import Floats

_MODEL = re.compile(r"(?:Model )?(26[013])([1-6])B")
_POINTS = 8
"""Points in one line: it stays under 600 characters."""


class _Family(NamedTuple):
    """Ranges of the source, and what may be sourced at once (DC, sections 2 and 7)."""

    volts: tuple[float, ...]
    safe: tuple[tuple[float, float], ...]  # (up to so many volts, at most so many amperes)
    least_a: float


_FAMILIES = {
    "260": _Family((0.1, 1.0, 6.0, 40.0), ((6.0, 3.0), (40.0, 1.0)), 10e-9),
    "261": _Family((0.2, 2.0, 20.0, 200.0), ((20.0, 1.5), (200.0, 0.1)), 10e-9),
    "263": _Family((0.2, 2.0, 20.0, 200.0), ((20.0, 1.5), (200.0, 0.1)), 100e-12),
}


@dataclass
class Keithley2600(LineInstrument):
    """One channel of a Series 2600B; an `hil.instruments.Smu`.

    Parameters
    ----------
    channel
        "a", or "b" where there are two.
    """

    channel: Literal["a", "b"] = "a"
    _tsp: Tsp = field(init=False)
    _family: _Family = field(init=False)
    _line_hz: float = field(default=50.0, init=False)
    _set: tuple[float, Sourcing] | None = field(default=None, init=False)
    _held: dict[str, float] = field(default_factory=dict[str, float], init=False)

    def __post_init__(self) -> None:
        self._tsp = Tsp(self.session)
        self._family = _FAMILIES["260"]

    def identify(self) -> Identity:
        """Ask who is there; only how numbers are printed is changed.

        Raises IdentityError for another model, serial number or channel, or if prompts are switched on.
        """
        who = self.session.ask("*IDN?", named)
        role, model = self.session.role, _MODEL.fullmatch(who.model)
        if "keithley" not in who.maker.lower() or model is None:
            raise IdentityError(
                f"{role}: {who.maker} {who.model} answers; a Keithley 2601B to 2636B is needed"
            )
        self._check_serial(who.serial)
        if self.channel == "b" and model[2] in "15":
            raise IdentityError(f"{role}: {who.model} has no channel b")
        self._line_hz, prompts = self._tsp.ask(
            "format.asciiprecision=9",
            ("localnode.linefreq", "localnode.prompts"),
            lambda fields: (number(fields[0]), whole(fields[1])),
            heed_errors=False,
        )
        if prompts:
            raise IdentityError(f"{role}: prompts are on; set localnode.prompts=0 on the instrument")
        self.serial, self._family = who.serial, _FAMILIES[model[1]]
        return Identity(who.maker, who.model.removeprefix("Model "), who.serial, who.firmware, "TSP")

    def measure(self, volts: Floats, sourcing: Sourcing) -> Readings:
        """See `hil.instruments.Smu.measure`; one transaction for up to 8 points once the settings are in."""
        self.check(volts, sourcing)
        found: list[tuple[Measured, Measured, bool]] = []
        with self.safe_on_failure("output at 0 V and off"):
            self.load(float(np.max(np.abs(volts), initial=0.0)), sourcing)
            for start in range(0, volts.size, _POINTS):
                found += self._measure(volts[start : start + _POINTS], sourcing)
        return Readings(
            np.array([each[1].value for each in found]),
            np.array([each[0].value for each in found]),
            np.array([each[0].bound or each[1].bound or each[2] for each in found], np.bool_),
        )

    def standing(self) -> Standing:
        """See `hil.instruments.Stands.standing`."""
        output, function, volts = self._tsp.ask(
            "", self._names("source.output", "source.func", "source.levelv"), _numbers, heed_errors=False
        )
        if output == 1 and function != 1:
            return Standing(True, "output on, sourcing a current")
        return output_at(output == 1, volts)

    @property
    def _queue(self) -> Tsp:
        return self._tsp

    def _forget(self) -> None:
        self._set = None

    @property
    def _off(self) -> str:
        return self.lua("S.source.levelv=0 S.source.output=0")

    def _switched_off(self) -> tuple[str, ...]:
        off = self._off
        level, output = self._tsp.ask(
            off, self._names("source.levelv", "source.output"), _numbers, heed_errors=False
        )
        if level or output:
            return (f"{self.session.role}: after {off!r} the level is {level:g} V, output {output:g}",)
        return ()

    def check(self, volts: Floats, sourcing: Sourcing) -> None:
        """See `hil.instruments.Smu.check`."""
        role, top = self.session.role, self._family.volts[-1]
        if volts.ndim != 1:
            raise LimitError(f"{role}: voltages of shape {volts.shape}; a list is needed")
        highest = 0.0
        for volt in volts.tolist():
            if not abs(volt) <= top:
                raise LimitError(f"{role}: asked for {volt:g} V; this model sources up to {top:g} V")
            highest = max(highest, abs(volt))
        most = next(amperes for limit, amperes in self._family.safe if highest <= limit)
        if not self._family.least_a <= sourcing.compliance_a <= most:
            raise LimitError(
                f"{role}: compliance: asked for {sourcing.compliance_a:g} A; at {highest:g} V this model "
                f"takes {self._family.least_a:g} A to {most:g} A"
            )
        shortest, longest = 0.001 / self._line_hz, 25 / self._line_hz
        if not shortest <= sourcing.integration_s <= longest:
            raise LimitError(
                f"{role}: integration: asked for {sourcing.integration_s:g} s; this model takes "
                f"{shortest:g} s to {longest:g} s"
            )

    def load(self, highest: float, sourcing: Sourcing) -> bool:
        """Load and read back what measurements up to a voltage depend on; False if it was held already.

        Ranges are fixed, as autoranging settles for tens of ms, and changed with the output off.

        Raises SettingError if the instrument holds anything else; the output stayed off.
        """
        ranges = self._family.volts
        top = ranges[bisect.bisect_left(ranges, highest)]
        if self._set == (top, sourcing):
            return False
        self._set = None
        limit, cycles = f"{sourcing.compliance_a:.6e}", f"{sourcing.integration_s * self._line_hz:.6e}"
        low = f"{min(sourcing.compliance_a, 0.1):.6e}"  # allowed on every range while the range changes
        statements = self.lua(
            f"S.source.output=0 S.source.func=1 S.source.levelv=0 S.source.limiti={low} "
            f"S.source.rangev={top:.6e} S.source.limiti={limit} S.measure.rangei={limit} "
            f"S.measure.nplc={cycles} S.source.delay=0"
        )
        off = {
            "source.output": 0.0, "source.func": 1.0, "source.levelv": 0.0, "source.rangev": top,
            "source.limiti": float(limit), "measure.nplc": float(cycles), "source.delay": 0.0,
        }  # fmt: skip
        self._verify(off, self._tsp.ask(statements, self._names(*off), _numbers))
        if self._tsp.ask("", self._names("measure.rangei"), _numbers)[0] < float(limit) * (1 - 1e-6):
            raise SettingError(f"{self.session.role}: the current range is below the compliance, {limit} A")
        on = {**off, "source.output": 1.0}
        self._verify(on, self._tsp.ask(self.lua("S.source.output=1"), self._names(*on), _numbers))
        self._set, self._held = (top, sourcing), on
        return True

    @property
    def held(self) -> list[str]:
        """Names of the settings that are loaded, to be asked for again with every reading."""
        return self._names(*self._held)

    def verify_held(self, fields: list[str]) -> None:
        """Raise SettingError unless they are still held, ValueError if an answer is no number."""
        self._verify(self._held, _numbers(fields))

    def _verify(self, asked: dict[str, float], held: list[float]) -> None:
        for (name, value), now in zip(asked.items(), held, strict=True):
            if not abs(now - value) <= 1e-6 * abs(value):
                raise SettingError(
                    f"{self.session.role}: smu{self.channel}.{name} was set to {value:.6e}; "
                    f"the instrument holds {now:.6e}"
                )

    def _measure(self, volts: Floats, sourcing: Sourcing) -> list[tuple[Measured, Measured, bool]]:
        wait = f"delay({sourcing.settle_s:.6e}) " if sourcing.settle_s else ""
        points = "".join(
            f"S.source.levelv={volt:.6e} {wait}i{k},v{k}=S.measure.iv() c{k}=S.source.compliance "
            for k, volt in enumerate(volts)
        )
        names = [f"{letter}{k}" for k in range(volts.size) for letter in "ivc"]
        # Autozero measures zero and reference as well: three times the integration.
        longest = self.session.settings.timeout + volts.size * (
            3 * sourcing.integration_s + sourcing.settle_s
        )
        # The settings are asked for again: a key on the front panel, or an old command that comes late from a
        # closed connection, may have switched off meanwhile, and then 0 A would pass for a device.
        found, held = self._tsp.ask(
            self.lua(points + "S.source.levelv=0"),
            names + self.held,
            lambda fields: (_points(fields[: len(names)]), _numbers(fields[len(names) :])),
            timeout_s=longest,
        )
        self._verify(self._held, held)
        return found

    def lua(self, text: str) -> str:
        """Statements with the channel's name for ``S.``."""
        return text.replace("S.", f"smu{self.channel}.")

    def _names(self, *names: str) -> list[str]:
        return [f"smu{self.channel}.{name}" for name in names]


def _points(fields: list[str]) -> list[tuple[Measured, Measured, bool]]:
    return [
        (measured(fields[k]), measured(fields[k + 1]), logical(fields[k + 2]))
        for k in range(0, len(fields), 3)
    ]


def _numbers(fields: list[str]) -> list[float]:
    return [number(field) for field in fields]
