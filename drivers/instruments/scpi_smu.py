"""What the source-measure units that speak SCPI have in common: set up, verify, run a list, be safe.

A driver says what its instrument's words are; when what is sent, and what is done after a failure, is here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np

from drivers.instruments.instrument import LineInstrument, output_at
from drivers.instruments.replies import Measured, Named, measured, named, number, whole
from drivers.instruments.scpi import Scpi
from drivers.instruments.settings import Setting, differences
from drivers.instruments.smu_limits import Family, check_limits, highest
from drivers.transport.session import Session
from hil.errors import ConfigError, IdentityError, InterlockError, SettingError
from hil.instruments import Identity, Readings, Sourcing, Standing
from hil.region import Floats

_CONVERSIONS = 6
"""Current and voltage one after the other, each with the zero and the reference of autozero."""
_CHARACTERS_S = 0.05
"""A point's answer of 45 characters at 9600 baud, the slowest line that is of use."""
_BY_INTERLOCK_V = 42.0


class Sweep(NamedTuple):
    """Commands that prepare a list, the question that runs it and answers its points, commands for 0 V."""

    before: str
    question: str
    after: str


class Point(NamedTuple):
    """One point: ``bound`` where the source was limited."""

    volts: Measured
    amperes: Measured
    bound: bool


@dataclass
class ScpiSmu(LineInstrument):
    """One channel of a source-measure unit; an `hil.instruments.Smu`.

    Parameters
    ----------
    points
        Voltages in one transaction.
    """

    _: KW_ONLY
    points: int = 100
    _scpi: Scpi = field(init=False)
    _family: Family = field(init=False)
    _line_hz: float = field(default=50.0, init=False)
    _set: tuple[float, Sourcing] | None = field(default=None, init=False)
    _held: list[Setting] = field(default_factory=list[Setting], init=False)

    wanted: ClassVar[str]
    """The models, for a refusal."""
    elements: ClassVar[int]
    """Fields that answer one point."""
    most_points: ClassVar[int]
    """Voltages that its list holds."""
    longest_settle_s: ClassVar[float]
    interlocks: ClassVar[frozenset[int]] = frozenset()
    """Error numbers of an open interlock."""

    def __post_init__(self) -> None:
        self._scpi = Scpi(self.session, interlocks=self.interlocks)
        self._family = self._least()
        if not 1 <= self.points <= self.most_points:
            raise ConfigError(
                f"{self.session.role}: points: asked for {self.points}; 1 to {self.most_points} are possible"
            )

    @abstractmethod
    def _least(self) -> Family:
        """The model that can do least, until another is recognised."""

    @abstractmethod
    def _recognised(self, who: Named) -> Family | None:
        """The family of a model of ours; raises IdentityError if it lacks the channel."""

    @abstractmethod
    def _settings(self, top_v: float, sourcing: Sourcing) -> list[Setting]:
        """All that a measurement depends on, in the order that is legal from any state; the output is off."""

    @abstractmethod
    def _output(self, on: bool) -> Setting: ...

    @abstractmethod
    def _level(self) -> str:
        """The question for the programmed voltage."""

    @abstractmethod
    def _function(self) -> str:
        """The question for what is sourced; VOLT means volts."""

    @abstractmethod
    def _sweep(self, volts: Floats) -> Sweep: ...

    @abstractmethod
    def _point(self, fields: Sequence[str]) -> Point: ...

    @abstractmethod
    def _integration_s(self) -> tuple[float, float]:
        """The shortest and the longest."""

    def _language(self) -> str:
        """The command language it is set to; raises IdentityError for another than SCPI."""
        return "SCPI"

    def _interlock(self) -> tuple[str, Callable[[str], bool]] | None:
        """The question for the interlock and whether its answer means that it is open."""
        return None

    def identify(self) -> Identity:
        """Ask who is there; changes nothing.

        Raises IdentityError for another model, serial number or command language, or a missing channel.
        """
        who, role = self.session.ask("*IDN?", named), self.session.role
        family = self._recognised(who)
        if family is None:
            raise IdentityError(f"{role}: {who.maker} {who.model} answers; {self.wanted} is needed")
        self._check_serial(who.serial)
        language = self._language()
        self._line_hz = self.session.ask(":SYST:LFR?", number)
        self.serial, self._family = who.serial, family
        model = who.model.upper().removeprefix("MODEL ")
        return Identity(who.maker, model, who.serial, who.firmware, language)

    def check(self, volts: Floats, sourcing: Sourcing) -> None:
        """See `hil.instruments.Smu.check`."""
        check_limits(
            self.session.role, self._family, volts, sourcing, self._integration_s(), self.longest_settle_s
        )

    def measure(self, volts: Floats, sourcing: Sourcing) -> Readings:
        """See `hil.instruments.Smu.measure`; one transaction for ``points`` once the settings are in."""
        self.check(volts, sourcing)
        found: list[Point] = []
        with self.safe_on_failure("output at 0 V and off"):
            self._set_up(self._family.range_v(highest(volts)), sourcing)
            for start in range(0, volts.size, self.points):
                found += self._run(volts[start : start + self.points], sourcing)
        return Readings(
            np.array([each.volts.value for each in found]),
            np.array([each.amperes.value for each in found]),
            np.array([each.bound or each.volts.bound or each.amperes.bound for each in found], np.bool_),
        )

    def standing(self) -> Standing:
        """See `hil.instruments.Stands.standing`."""
        output, function, volts = self._scpi.ask(
            "",
            (f"{self._output(False).name}?", self._function(), self._level()),
            lambda fields: (whole(fields[0]), fields[1].strip('"').upper(), number(fields[2])),
            heed_errors=False,
        )
        if output and not function.startswith("VOLT"):
            return Standing(True, "output on, sourcing a current")
        return output_at(bool(output), volts)

    @property
    def _queue(self) -> Scpi:
        return self._scpi

    def _forget(self) -> None:
        self._set = None

    def _switched_off(self) -> tuple[str, ...]:
        off = self._off
        output, level = self._scpi.ask(
            off,
            (f"{self._output(False).name}?", self._level()),
            lambda fields: [number(each) for each in fields],
            heed_errors=False,
        )
        if output or level:
            return (f"{self.session.role}: after {off!r} output is {output:g}, the level {level:g} V",)
        return ()

    def _identified(self, session: Session) -> None:
        """The echo also says that no list runs any more: commands wait for its end."""
        super()._identified(session)
        self._scpi.prove_fresh()

    def _set_up(self, top_v: float, sourcing: Sourcing) -> None:
        """Ranges are fixed, as autoranging settles for tens of ms, and changed with the output off."""
        if self._set == (top_v, sourcing):
            return
        self._set = None
        off = [self._output(False), *self._settings(top_v, sourcing)]
        self._ask_held(";".join(map(str, off)), [each for each in off if not each.silent])
        if top_v > _BY_INTERLOCK_V:
            self._check_interlock()
        on = [self._output(True), *(each for each in off[1:] if not each.silent)]
        self._ask_held(str(on[0]), on)
        self._set, self._held = (top_v, sourcing), on

    def _check_interlock(self) -> None:
        asked = self._interlock()
        if asked is not None and self._scpi.ask("", (asked[0],), lambda fields: asked[1](fields[0])):
            raise InterlockError(f"{self.session.role}: the interlock is open; over 42 V it must be closed")

    def _ask_held(self, commands: str, settings: Sequence[Setting]) -> None:
        questions = [f"{each.name}?" for each in settings]
        self._verify(self._scpi.ask(commands, questions, lambda answers: differences(settings, answers)))

    def _verify(self, wrong: Sequence[str]) -> None:
        if wrong:
            raise SettingError(f"{self.session.role}: {'; '.join(wrong)}")

    def _run(self, volts: Floats, sourcing: Sourcing) -> list[Point]:
        """The settings are asked for again: a key on the front panel, or an old command that comes late from
        a closed connection, may have switched off meanwhile, and then 0 A would pass for a device.
        """
        sweep = self._sweep(volts)
        first, *others = [f"{each.name}?" for each in self._held]
        each_s = _CONVERSIONS * sourcing.integration_s + sourcing.settle_s + _CHARACTERS_S
        points, wrong = self._scpi.ask(
            sweep.before,
            (sweep.question, f"{sweep.after};{first}", *others),
            lambda fields: (self._points(fields[0], volts.size), differences(self._held, fields[1:])),
            timeout_s=self.session.settings.timeout + volts.size * each_s,
        )
        self._verify(wrong)
        return points

    def _points(self, answer: str, count: int) -> list[Point]:
        fields, step = [each.strip() for each in answer.split(",")], self.elements
        if len(fields) != count * step:
            raise ValueError(f"{len(fields)} values; {count} points have {count * step}")
        return [self._point(fields[k : k + step]) for k in range(0, len(fields), step)]


def listed(volts: Floats) -> str:
    """Voltages as the parameters of a list."""
    return ",".join(f"{volt:.6e}" for volt in volts)


def word_point(fields: Sequence[str], bounds: int) -> Point:
    """A point of volts, amperes and a status word, of which some bits say that the current is a bound."""
    volts, amperes, status = fields
    return Point(measured(volts), measured(amperes), bool(whole(status) & bounds))
