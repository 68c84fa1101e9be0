"""Talking FLEX, the language of Keysight's B1500A: command lines that end with the error query, spot data,
settings by *LRN?. What all modules of a mainframe share stands here, as they share one line.
"""

from __future__ import annotations

import re
import secrets
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar
from weakref import WeakValueDictionary

from drivers.instruments.instrument import LineInstrument
from drivers.instruments.replies import Measured, measured, named, number, whole
from drivers.instruments.scpi import ScpiError, queued
from drivers.transport.session import Session
from hil.errors import ConfigError, IdentityError, InstrumentError, InterlockError
from hil.instruments import Identity
from hil.schedule import Pulse

T = TypeVar("T")
LONGEST = 240
"""Characters of a line: the input buffer takes 256 bytes."""
_MOST_ERRORS = 200
_DATUM = re.compile(r"([A-Z])([A-Ja-jVZ])([VI])([+-]\d{1,3}\.\d{3,6}E[+-]\d{2})")


class Datum(NamedTuple):
    """One measured value as FMT 11 sends it: status letter, channel letter, V or I."""

    status: str
    channel: str
    kind: str
    value: Measured


class Learnt(NamedTuple):
    """A command and its parameters, as `*LRN?` tells a setting."""

    command: str
    parameters: list[float]


class Flex:
    """FLEX over a session. Only the last query of a line is answered, so that each line has one."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def do(self, *commands: str) -> None:
        """Do the commands, in as many lines as they need; errors are asked for at the end of each.

        Raises
        ------
        InstrumentError, InterlockError
            A line left errors in the queue, which is empty now.
        """
        for line in _lines(commands):
            error = self.session.ask(line, queued)
            if error.code:
                self._raise(line, [error, *self.errors()])

    def ask(self, commands: str, query: str, parse: Callable[[str], T]) -> T:
        """Do the commands and parse the answer to the query; errors stay in the queue."""
        return self.session.ask(";".join([*((commands,) if commands else ()), query]), parse)

    def spots(self, line: str, expected: Sequence[str], *, timeout_s: float) -> list[Datum]:
        """Do a line of spot measurements, each answered by a line of its own.

        ``expected`` are channel letter and kind of each: "AI". Values of anything else desynchronise.
        """

        def values(first: str) -> list[Datum]:
            rest = [self.session.read_line(timeout_s) for _ in expected[1:]]
            found = [datum(reply) for reply in (first, *rest)]
            if [each.channel + each.kind for each in found] != list(expected):
                raise ValueError(f"{', '.join(expected)} were expected; {found} came")
            return found

        return self.session.ask(line, values, timeout_s=timeout_s)

    def learn(self, kind: int, commands: str = "") -> list[Learnt]:
        """Settings of a kind, as the commands that would set them."""
        return self.ask(commands, f"*LRN? {kind}", learnt)

    def raise_errors(self, line: str) -> None:
        """Raise what is in the error queue, if anything is; the queue is empty then."""
        found = self.errors()
        if found:
            self._raise(line, found)

    def errors(self) -> list[ScpiError]:
        """Empty the error queue; what was in it, oldest first."""
        found: list[ScpiError] = []
        while len(found) < _MOST_ERRORS:
            error = self.session.ask("ERRX?", queued)
            if not error.code:
                break
            found.append(error)
        return found

    def prove_fresh(self) -> None:
        """Have numbers echoed that no earlier question asked for, so that an old answer is found out.

        FLEX has no *ESE; *SRE holds any mask of 0 to 63 and changes nothing unless somebody serves requests.
        Two of them, as one is right by chance once in 63 times.
        """
        for _ in range(2):
            word = 1 + secrets.randbelow(63)

            def echoed(reply: str, word: int = word) -> None:
                if whole(reply) != word:
                    raise ValueError(f"*SRE was set to {word}")

            self.ask(f"*SRE {word}", "*SRE?", echoed)
        self.session.write("*SRE 0")

    def _raise(self, line: str, found: Sequence[ScpiError]) -> None:
        told = "; ".join(f"{error.code} {error.message!r}" for error in found)
        message = f"{self.session.role}: {line!r} left in the error queue: {told}"
        if any("interlock" in error.message.lower() for error in found):
            raise InterlockError(message)
        raise InstrumentError(message, found[0].code)


class Mainframe:
    """A B1500A: who it is, which modules it has, and how often it was found anew. Use `mainframe`."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.flex = Flex(session)
        self.serial: str | None = None
        self.modules: dict[int, str] = {}
        self.epoch = 0
        self.integration_s: float | None = None
        """What the high-speed converters of all SMUs are set to, if it is known."""
        self.pulses: tuple[int, Pulse, int] | None = None
        """What the next start of all SPGU channels would put out, if it is known: channel, pulse, count."""

    def find(self, serial: str | None) -> list[ScpiError]:
        """Recover the line, identify, empty the error queue; what was in it."""
        self.serial = serial or self.serial
        self.session.recover(self.found)
        self.session.identify = self.found
        return self.flex.errors()

    def found(self, session: Session) -> None:
        """For `Session.recover`: end what is under way, forget what is known, identify."""
        self.epoch += 1
        self.integration_s = self.pulses = None
        session.write("AB")  # it must stand alone in its line
        session.write("BC")  # values of a measurement that nobody read
        self.identify()
        self.flex.prove_fresh()

    def identify(self) -> Identity:
        """Who answers; modules are asked for. Raises IdentityError."""
        who, role = self.session.ask("*IDN?", named), self.session.role
        if not re.search("agilent|keysight", who.maker, re.IGNORECASE) or who.model != "B1500A":
            raise IdentityError(f"{role}: {who.maker} {who.model} answers; a Keysight B1500A is needed")
        if self.serial not in (None, who.serial):
            raise IdentityError(f"{role}: serial number {who.serial} answers; the bench names {self.serial}")
        self.modules = self.flex.ask("", "UNT?", _modules)
        self.serial = who.serial
        return Identity(who.maker, who.model, who.serial, who.firmware, "FLEX")


_FRAMES: WeakValueDictionary[int, Mainframe] = WeakValueDictionary()


def mainframe(session: Session) -> Mainframe:
    """The mainframe at the end of a line; all drivers of its modules share it, as they share the session."""
    frame = _FRAMES.get(id(session))  # it holds the session: no other can have the number while it lives
    if frame is None:
        frame = _FRAMES[id(session)] = Mainframe(session)
    return frame


@dataclass
class Module(LineInstrument):
    """What drivers of one module of a mainframe have in common; those of other modules may share its session,
    so that transactions are those of all of them.

    The serial number is what the mainframe's ``*IDN?`` must tell as its own; None takes any.
    """

    _frame: Mainframe = field(init=False)

    def __post_init__(self) -> None:
        self._frame = mainframe(self.session)

    def attach(self) -> None:
        """See `LineInstrument.attach`."""
        self.errors_found = self._frame.find(self.serial)
        self._find_module()

    def identify(self) -> Identity:
        """Ask who is there; changes nothing. Raises IdentityError for another mainframe or module."""
        who = self._frame.identify()
        self._find_module()
        return who

    @abstractmethod
    def _find_module(self) -> None:
        """Raise IdentityError unless the module is in its slot."""

    @property
    def _queue(self) -> Flex:
        return self._frame.flex

    def _identified(self, session: Session) -> None:
        self._frame.found(session)


def datum(text: str) -> Datum:
    """A measured value: NAI+1.234567E-06."""
    match = _DATUM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:80]!r} is no measured value of FMT 11")
    return Datum(match[1], match[2], match[3], measured(match[4]))


def learnt(text: str) -> list[Learnt]:
    """Commands with their parameters: CL1 or DV1,12,+0.0000E+00,+1.0000E-04."""
    found: list[Learnt] = []
    for part in text.strip().split(";"):
        match = re.fullmatch(r"([A-Z]+?)\s*((?:[-+0-9.].*)?)", part.strip())
        if match is None:
            raise ValueError(f"{text[:80]!r} is no list of commands")
        found.append(Learnt(match[1], numbers(match[2]) if match[2] else []))
    return found


def numbers(text: str) -> list[float]:
    """Numbers between commas."""
    return [number(part.strip()) for part in text.split(",")]


def _modules(text: str) -> dict[int, str]:
    """Slot to model, from B1517A,0;0,0;B1525A,1."""
    models = [part.split(",")[0].strip() for part in text.split(";")]
    if not all(re.fullmatch(r"0|[A-Z]\d{4}[A-Z](?:/[A-Z0-9]+)?", model) for model in models):
        raise ValueError(f"{text[:80]!r} is no list of modules")
    return {slot: model for slot, model in enumerate(models, 1) if model != "0"}


def _lines(commands: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for command in commands:
        if len(command) > LONGEST:
            raise ConfigError(f"{command[:40]!r}…: a line takes {LONGEST} characters")
        if lines and len(lines[-1]) + len(command) < LONGEST - len("ERRX?"):
            lines[-1] += f";{command}"
        else:
            lines.append(command)
    return [f"{line};ERRX?" for line in lines]
