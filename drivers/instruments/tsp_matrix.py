"""Relay matrices by TSP (Keithley 700 and 3700 series): one line opens, closes, settles and reads back."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import ClassVar

from drivers.instruments.matrix import Card, RelayMatrix
from drivers.instruments.replies import Named, logical, named, number, whole
from drivers.instruments.tsp import Tsp
from drivers.transport.session import Session
from hil.errors import ConfigError, IdentityError, SettingError
from hil.instruments import Crosspoint, Identity

_BREAK_BEFORE_MAKE = 1
_EMPTY = "Empty Slot"
_NODES = (2, 64)


@dataclass
class TspMatrix(RelayMatrix):
    """What the two series share; see `RelayMatrix` for the other parameters.

    Parameters
    ----------
    node
        Its number on the TSP-Link of the instrument that the session goes to; None: the session is its own.
    """

    node: int | None = None
    models: ClassVar[re.Pattern[str]]
    needed: ClassVar[str]
    tsp: Tsp = field(init=False, repr=False)
    _links: Iterator[int] = field(default_factory=lambda: count(1), init=False)

    def __post_init__(self) -> None:
        if self.node is not None and not _NODES[0] <= self.node <= _NODES[1]:
            raise ConfigError(
                f"{self.session.role}: node: asked for {self.node}; {_NODES[0]} to {_NODES[1]} are possible, "
                "as 1 is the instrument that commands it"
            )
        self.tsp = Tsp(self.session, self.node)

    def identify(self) -> Identity:
        """Ask who is there, and for its cards; only how numbers are printed is changed.

        Raises IdentityError for another model or serial number, a card that is not known, or prompts.
        """
        who, role = self._named(), self.session.role
        model = self.models.fullmatch(who.model)
        if "keithley" not in who.maker.lower() or model is None:
            raise IdentityError(f"{role}: {who.maker} {who.model} answers; {self.needed} is needed")
        slots = [f"{self.tsp.at}slot[{slot}].idn" for slot in range(1, self._slots(model[1]) + 1)]
        cards, prompts = self.tsp.ask(
            "format.asciiprecision=9",
            (*slots, "localnode.prompts"),
            lambda fields: (fields[:-1], whole(fields[-1])),
            heed_errors=False,
        )
        if prompts:
            raise IdentityError(f"{role}: prompts are on; set localnode.prompts=0 on the instrument")
        installed = {slot: card for slot, card in enumerate(cards, 1) if card not in (_EMPTY, "nil")}
        found = [card for slot, told in installed.items() for card in self._card(slot, told)]
        self._wired(model[1], who.serial, [(card, self._channels(card)) for card in found])
        return Identity(who.maker, model[1], who.serial, who.firmware, "TSP")

    @abstractmethod
    def _slots(self, model: str) -> int:
        """Slots of a model."""

    @abstractmethod
    def _card(self, slot: int, told: str) -> list[Card]:
        """The card in a slot, bank by bank, from what ``slot[X].idn`` answers."""

    @abstractmethod
    def _channels(self, card: Card) -> list[list[str]]:
        """Names of its channels [rows][columns]."""

    def ready(self) -> None:
        """All open, connection rule and forbidden channels loaded and read back, if that is not done yet."""
        with self.safe_on_failure("all open"):
            self._ready()

    def checked(self, closed: Collection[Crosspoint]) -> frozenset[str]:
        """The names of crosspoints; LimitError for one that is not there, or forbidden."""
        return self._checked(closed)

    def verify(self, asked: frozenset[str], told: str, rule: float) -> None:
        """Raise SettingError unless these are closed, as getclose() told, by break before make.

        Raises ValueError if it told no list of channels.
        """
        self._verify_rule(rule)
        self._verify(asked, channel_list(told))

    @property
    def _queue(self) -> Tsp:
        return self.tsp

    @property
    def _all_open(self) -> str:
        return f'{self.tsp.at}channel.open("allslots")'

    def _named(self) -> Named:
        if self.node is None:
            return self.session.ask("*IDN?", named)
        if self._link("")[1]:
            raise IdentityError(
                f"{self.session.role}: no node {self.node} is on the TSP-Link of {self.session.resource}; "
                "each instrument's number is set at its front panel"
            )
        model, serial, firmware = self.tsp.ask(
            "",
            [f"{self.tsp.at}{each}" for each in ("model", "serialno", "revision")],
            list,
            heed_errors=False,
        )
        return Named("Keithley", model, serial, firmware)

    def _identified(self, session: Session) -> None:
        """A TSP-Link is offline after every power-on; to initialise it changes no output and no relay."""
        if self.node is not None and not self._link("")[0] and not self._link("tsplink.reset()")[0]:
            raise IdentityError(
                f"{session.role}: the TSP-Link of {session.resource} stays offline; is the cable plugged in, "
                "is every instrument on it switched on, and are their node numbers different?"
            )
        super()._identified(session)

    def _link(self, statements: str) -> tuple[bool, bool]:
        """Whether the link is online, and whether the node is missing."""
        return Tsp(self.session, mark=f"link.{next(self._links)}.").ask(
            statements,
            ("tsplink.state", f"node[{self.node}]==nil"),
            lambda fields: (fields[0] == "online", logical(fields[1])),
            heed_errors=False,
        )

    def _prepare(self) -> frozenset[str]:
        forbidden = self._forbidden_names()
        at = self.tsp.at
        load = f' {at}channel.setforbidden("{",".join(forbidden)}")' if forbidden else ""
        rule, refused, closed = self.tsp.ask(
            f"{self._all_open} {at}channel.connectrule={_BREAK_BEFORE_MAKE}{load}",
            (f"{at}channel.connectrule", f'{at}channel.getforbidden("allslots")', self._closed),
            lambda fields: (number(fields[0]), channel_list(fields[1]), channel_list(fields[2])),
        )
        self._verify_rule(rule)
        if not refused.issuperset(forbidden):
            raise SettingError(
                f"{self.session.role}: {', '.join(forbidden)} were forbidden; the instrument says: "
                f"{', '.join(sorted(refused)) or 'none'}"
            )
        return closed

    def _switch(self, names: frozenset[str]) -> frozenset[str]:
        at = self.tsp.at
        close = f'{at}channel.exclusiveclose("{",".join(sorted(names))}")' if names else self._all_open
        rule, closed = self.tsp.ask(
            f"{at}channel.connectrule={_BREAK_BEFORE_MAKE} {close}",
            (f"{at}channel.connectrule", self._closed),
            lambda fields: (number(fields[0]), channel_list(fields[1])),
        )
        self._verify_rule(rule)
        return closed

    def _verify_rule(self, rule: float) -> None:
        if rule != _BREAK_BEFORE_MAKE:
            raise SettingError(
                f"{self.session.role}: channel.connectrule was set to {_BREAK_BEFORE_MAKE}, break before "
                f"make; the instrument holds {rule:g}"
            )

    @property
    def _closed(self) -> str:
        return f'{self.tsp.at}channel.getclose("allslots")'

    def _open_all(self) -> frozenset[str]:
        return self._asked_closed(self._all_open)

    def _closed_now(self) -> frozenset[str]:
        return self._asked_closed("")

    def _asked_closed(self, statements: str) -> frozenset[str]:
        return self.tsp.ask(
            statements,
            (self._closed,),
            lambda fields: channel_list(fields[0]),
            heed_errors=False,
        )


def channel_list(text: str) -> frozenset[str]:
    """Names from what getclose() answers: nil, or names apart by semicolons (commas with old firmware)."""
    if text in ("nil", ""):
        return frozenset()
    names = re.split("[;,]", text)
    if not all(re.fullmatch(r"[0-9A-Z]{4,5}(?:\([0-9A-Z]{4,5}\))?", name) for name in names):
        raise ValueError(f"{text[:80]!r} is no list of channels")
    return frozenset(names)
