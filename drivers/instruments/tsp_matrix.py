"""Relay matrices by TSP (Keithley 700 and 3700 series): one line opens, closes, settles and reads back."""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from drivers.instruments.matrix import Card, RelayMatrix
from drivers.instruments.replies import named, number, whole
from drivers.instruments.tsp import Tsp
from hil.errors import IdentityError, SettingError
from hil.instruments import Identity

_BREAK_BEFORE_MAKE = 1
_EMPTY = "Empty Slot"


@dataclass
class TspMatrix(RelayMatrix):
    """What the two series share; see `RelayMatrix` for the parameters."""

    models: ClassVar[re.Pattern[str]]
    needed: ClassVar[str]
    _tsp: Tsp = field(init=False)

    def __post_init__(self) -> None:
        self._tsp = Tsp(self.session)

    def identify(self) -> Identity:
        """Ask who is there, and for its cards; only how numbers are printed is changed.

        Raises IdentityError for another model or serial number, a card that is not known, or prompts.
        """
        who, role = self.session.ask("*IDN?", named), self.session.role
        model = self.models.fullmatch(who.model)
        if "keithley" not in who.maker.lower() or model is None:
            raise IdentityError(f"{role}: {who.maker} {who.model} answers; {self.needed} is needed")
        slots = [f"slot[{slot}].idn" for slot in range(1, self._slots(model[1]) + 1)]
        cards, prompts = self._tsp.ask(
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

    @property
    def _queue(self) -> Tsp:
        return self._tsp

    @property
    def _all_open(self) -> str:
        return 'channel.open("allslots")'

    def _prepare(self) -> frozenset[str]:
        forbidden = self._forbidden_names()
        load = f' channel.setforbidden("{",".join(forbidden)}")' if forbidden else ""
        rule, refused, closed = self._tsp.ask(
            f"{self._all_open} channel.connectrule={_BREAK_BEFORE_MAKE}{load}",
            ("channel.connectrule", 'channel.getforbidden("allslots")', 'channel.getclose("allslots")'),
            lambda fields: (number(fields[0]), _channel_list(fields[1]), _channel_list(fields[2])),
        )
        self._verify_rule(rule)
        if not refused.issuperset(forbidden):
            raise SettingError(
                f"{self.session.role}: {', '.join(forbidden)} were forbidden; the instrument says: "
                f"{', '.join(sorted(refused)) or 'none'}"
            )
        return closed

    def _switch(self, names: frozenset[str]) -> frozenset[str]:
        close = f'channel.exclusiveclose("{",".join(sorted(names))}")' if names else self._all_open
        rule, closed = self._tsp.ask(
            f"channel.connectrule={_BREAK_BEFORE_MAKE} {close}",
            ("channel.connectrule", 'channel.getclose("allslots")'),
            lambda fields: (number(fields[0]), _channel_list(fields[1])),
        )
        self._verify_rule(rule)
        return closed

    def _verify_rule(self, rule: float) -> None:
        if rule != _BREAK_BEFORE_MAKE:
            raise SettingError(
                f"{self.session.role}: channel.connectrule was set to {_BREAK_BEFORE_MAKE}, break before "
                f"make; the instrument holds {rule:g}"
            )

    def _open_all(self) -> frozenset[str]:
        return self._asked_closed(self._all_open)

    def _closed_now(self) -> frozenset[str]:
        return self._asked_closed("")

    def _asked_closed(self, statements: str) -> frozenset[str]:
        return self._tsp.ask(
            statements,
            ('channel.getclose("allslots")',),
            lambda fields: _channel_list(fields[0]),
            heed_errors=False,
        )


def _channel_list(text: str) -> frozenset[str]:
    """What getclose() answers: nil, or names apart by semicolons (commas with old firmware)."""
    if text in ("nil", ""):
        return frozenset()
    names = re.split("[;,]", text)
    if not all(re.fullmatch(r"[0-9A-Z]{4,5}(?:\([0-9A-Z]{4,5}\))?", name) for name in names):
        raise ValueError(f"{text[:80]!r} is no list of channels")
    return frozenset(names)
