"""What pulse generators that speak SCPI have in common: set up, verify, trigger once, tell what is in doubt.

A driver says what its instrument's words are; when what is sent, and what is done after a failure, is here.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, Literal, NamedTuple

from drivers.instruments.instrument import LineInstrument, output_at
from drivers.instruments.replies import named, number, whole
from drivers.instruments.scpi import Scpi
from drivers.transport.session import Session
from hil.errors import IdentityError, LimitError, SettingError
from hil.instruments import Identity, Standing
from hil.schedule import Pulse

_PRECISION = 1e-3  # share by which an instrument may round: finer than any of them is accurate
_AT_REST = 1e-4  # share of the amplitude by which 0 V may be rounded: amplitude and offset have four digits
_STEEPEST = 0.625
"""An edge from 10 % to 90 % may take so much of the width and of the gap: the whole of it takes 1.6 times as
long (81150A guide, 3.4.1, for the gap; 33250A guide, PULSe:TRANsition, for the width).
"""
_LATE_S = 1e-3


class Model(NamedTuple):
    """What a model can do. Times in seconds; volts into an open circuit."""

    channels: int
    period_s: float  # the least
    width_s: float  # the least, of the gap as well
    edge_s: tuple[float, float]
    volts: tuple[float, float]  # the least amplitude, the highest level
    longest_s: float = 1e6  # the longest period


class Step(NamedTuple):
    """One header and its value: a word, a whole number, or a quantity, sent with 7 digits.

    Read back unless ``margin`` is None; a quantity may then differ by so much. Not ``sent``: only read back.
    """

    header: str
    value: str | int | float
    margin: float | None = 0.0
    sent: bool = True

    def __str__(self) -> str:
        text = f"{self.value:.6e}" if isinstance(self.value, float) else str(self.value)
        return f"{self.header} {text}"

    def held(self, answer: str) -> bool:
        """Whether the answer to the header's question is this value."""
        if self.value == "INF":
            return number(answer) > 9e36  # 9.9E37 stands for infinity (SCPI-99, volume 1, 7.2.1.5)
        if isinstance(self.value, str):
            short = answer.strip('"').upper()  # START is answered STAR
            return len(short) > 2 and self.value.startswith(short)
        return abs(number(answer) - self.value) <= (self.margin or 0.0)


def quantity(header: str, value: float) -> Step:
    """A quantity that the instrument may round."""
    return Step(header, float(value), _PRECISION * abs(value))


def levels(high: str, low: str, pulse: Pulse) -> tuple[Step, Step]:
    """High and low level, one of them 0 V, in the order in which high stays above low.

    Before them the offset must have been 0 V, so that high was above 0 V and low below.
    """
    first, rest = (high, low) if pulse.amplitude_v > 0 else (low, high)
    return quantity(first, pulse.amplitude_v), Step(rest, 0.0, _AT_REST * abs(pulse.amplitude_v))


def polarity(header: str, pulse: Pulse) -> Step:
    """Inverted, a pulse rests at its high level, which is 0 V then, and goes down to its low one."""
    return Step(header, "NORM" if pulse.amplitude_v > 0 else "INV")


@dataclass
class ScpiPulser(LineInstrument):
    """One channel of a pulse generator; an `hil.instruments.Pulser`. Levels are those into an open circuit.

    Parameters
    ----------
    channel
        1, or 2 where there are two.
    edge_s
        Both edges, from 10 % to 90 %.
    settle_s
        From switching on to the first trigger: the output relay has closed by then.
    pause
        Waits so many seconds.
    """

    _: KW_ONLY
    channel: Literal[1, 2] = 1
    edge_s: float = 20e-9
    settle_s: float = 0.05
    pause: Callable[[float], None] = time.sleep
    _scpi: Scpi = field(init=False)
    _model: Model = field(init=False)
    _name: str = field(default="", init=False)
    _set: Pulse | None = field(default=None, init=False)
    _held: list[Step] = field(default_factory=list[Step], init=False)
    _doubtful: int = field(default=0, init=False)
    _runs_s: float = field(default=0.0, init=False)

    makers: ClassVar[tuple[str, ...]]
    models: ClassVar[Mapping[str, Model]]
    wanted: ClassVar[str]
    cycles: ClassVar[int]
    """The most pulses of one burst."""
    waits: ClassVar[bool]
    """Whether ``*OPC?`` is answered when the burst is over, and not before."""

    def __post_init__(self) -> None:
        self._scpi = Scpi(self.session)
        self._model = next(iter(self.models.values()))

    @abstractmethod
    def _steps(self, pulse: Pulse) -> Sequence[Step]:
        """All that a burst depends on but output and count, without conflict from any state; output is off.

        Afterwards a trigger puts out one burst, and the level is 0 V before, between and after pulses.
        """

    @property
    @abstractmethod
    def _levels(self) -> tuple[str, str]:
        """Headers of the high and the low level."""

    @abstractmethod
    def _count(self, count: int) -> Step: ...

    @abstractmethod
    def _trigger(self) -> str: ...

    @property
    def _off(self) -> str:
        """The output, first of all; then whatever ends a burst."""
        return str(self._output(False))

    @property
    def _queue(self) -> Scpi:
        return self._scpi

    def _forget(self) -> None:
        self._set = None

    def _output(self, on: bool) -> Step:
        return Step(f":OUTP{self.channel}", int(on))

    def identify(self) -> Identity:
        """Ask who is there; changes nothing.

        Raises IdentityError for another model or serial number, or a missing channel.
        """
        who, role = self.session.ask("*IDN?", named), self.session.role
        model = self.models.get(who.model.upper())
        if model is None or not who.maker.lower().startswith(self.makers):
            raise IdentityError(f"{role}: {who.maker} {who.model} answers; {self.wanted} is needed")
        self._check_serial(who.serial)
        if self.channel > model.channels:
            raise IdentityError(f"{role}: {who.model} has no channel {self.channel}")
        self.serial, self._model, self._name = who.serial, model, who.model.upper()
        return Identity(who.maker, self._name, who.serial, who.firmware, "SCPI")

    def burst(self, pulse: Pulse, count: int) -> None:
        """See `hil.instruments.Pulser.burst`; more pulses than one burst has take several, each sent once.

        An error carries notes of how many pulses came, how many are in doubt and what was made safe.
        """
        self.check(pulse, count)
        came, self._doubtful = 0, 0

        def known() -> str:
            doubt = self._doubtful
            more = f"at most {doubt} more are in doubt" if doubt else "no other was triggered"
            return f"{self.session.role}: {came} of {count} pulses are known to have come; {more}"

        with self.safe_on_failure("output off", known):
            while came < count:
                some = min(count - came, self.cycles)
                self._set_up(pulse, some)
                self._fire(pulse, some)
                came += some

    def standing(self) -> Standing:
        """See `hil.instruments.Stands.standing`; levels as it tells them, for the load that it was told."""
        high, low = self._levels
        on, top, bottom = self._scpi.ask(
            "",
            (f"{self._output(False).header}?", f"{high}?", f"{low}?"),
            lambda fields: (whole(fields[0]), number(fields[1]), number(fields[2])),
            heed_errors=False,
        )
        return output_at(bool(on), bottom, top)

    def _switched_off(self) -> tuple[str, ...]:
        stop = self._off
        on = self._scpi.ask(
            stop,
            ("*OPC?", f"{self._output(False).header}?"),
            lambda answers: whole(answers[1]),
            heed_errors=False,
        )
        return (f"{self.session.role}: after {stop!r} the output is {on}",) if on else ()

    def _identified(self, session: Session) -> None:
        super()._identified(session)
        self._scpi.prove_fresh()

    def check(self, pulse: Pulse, count: int) -> None:
        """See `hil.instruments.Pulser.check`."""
        model, volts, edge = self._model, self._model.volts, self.edge_s
        longest_edge = _STEEPEST * min(pulse.width_s, pulse.gap_s)
        for what, asked, least, most, unit in (
            ("pulses", count, 1, float("inf"), ""),
            ("amplitude", abs(pulse.amplitude_v), *volts, "V"),
            ("width", pulse.width_s, model.width_s, model.longest_s, "s"),
            ("gap", pulse.gap_s, model.width_s, model.longest_s, "s"),
            ("period", pulse.width_s + pulse.gap_s, model.period_s, model.longest_s, "s"),
            ("edge", edge, *model.edge_s, "s"),
            ("edge, 0.625 of width and gap at most", edge, 0.0, longest_edge, "s"),
        ):
            if not least <= asked <= most:
                raise LimitError(
                    f"{self.session.role}: {what}: asked for {asked:g} {unit}; {self._name or 'this model'} "
                    f"takes {least:g} {unit} to {most:g} {unit}"
                )

    def _set_up(self, pulse: Pulse, count: int) -> None:
        """The count alone is changed with the output on: nothing comes without a trigger."""
        cycles = self._count(count)
        known, self._set = self._set, None  # until the burst is over: it may be broken off anywhere
        if known == pulse:
            if self._held[-1] != cycles:
                self._held[-1] = cycles
                self._verify(str(cycles))
            return
        # A burst whose end was not seen goes on, and must not be let out by the output that comes on.
        self.pause(self._runs_s)
        self._runs_s = 0.0
        self._held = [self._output(False), *self._steps(pulse), cycles]
        self._verify(";".join(str(step) for step in self._held if step.sent))
        self._held[0] = self._output(True)
        self._verify(str(self._held[0]))
        self.pause(self.settle_s)

    def _fire(self, pulse: Pulse, count: int) -> None:
        """Trigger once. The settings are asked for again when the burst is over: a key on the front panel, or
        an old command of a closed connection, may have switched off meanwhile, and the pulses were lost.
        """
        self._doubtful, self._runs_s = count, count * (pulse.width_s + pulse.gap_s)
        if self.waits:
            self._verify(self._trigger(), self._runs_s)
        else:
            self._scpi.do(self._trigger())
            self.pause(self._runs_s * (1 + _PRECISION) + _LATE_S)
            self._verify("")
        self._set, self._doubtful, self._runs_s = pulse, 0, 0.0

    def _verify(self, commands: str, lasts_s: float = 0.0) -> None:
        """Send the commands, wait until they are done, and read back all that is to be held."""
        asked = [step for step in self._held if step.margin is not None]

        def wrong(answers: list[str]) -> list[str]:
            if whole(answers[0]) != 1:
                raise ValueError("*OPC? is answered by 1")
            return [
                f"{step} is wanted; the instrument holds {answer}"
                for step, answer in zip(asked, answers[1:], strict=True)
                if not step.held(answer)
            ]

        found = self._scpi.ask(
            commands,
            ["*OPC?", *(f"{step.header}?" for step in asked)],
            wrong,
            timeout_s=self.session.settings.timeout + 1.01 * lasts_s,
        )
        if found:
            raise SettingError(f"{self.session.role}: {'; '.join(found)}")
