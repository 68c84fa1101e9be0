"""Keysight B2200A and B2201A switch mainframes, and the E5250A with E5252A cards, by SCPI.

Verified against drivers/sim/virtual/keysight_b2200.py over sockets and serial lines; no hardware seen.
Commands and their places in the manual: docs/instruments/keysight-b2200a.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from drivers.instruments.matrix import Card, RelayMatrix
from drivers.instruments.replies import named
from drivers.instruments.scpi import Scpi
from drivers.transport.session import Session
from hil.errors import IdentityError, SettingError
from hil.instruments import Identity

_SLOTS = range(1, 5)
_MODES = {":ROUT:BIAS": "bias", ":ROUT:COUP": "couple", ":ROUT:AGND": "ground"}
"""Modes that close relays nobody asked for."""


class _Model(NamedTuple):
    cards: dict[str, tuple[int, int]]  # rows, columns
    modes: tuple[str, ...]


_B2200 = _Model({"B2210A": (14, 12), "B2211A": (14, 12)}, tuple(_MODES))
_MODELS = {
    "B2200A": _B2200,
    "B2201A": _B2200,
    "E5250A": _Model({"E5252A": (10, 12)}, (":ROUT:BIAS", ":ROUT:COUP")),
}


@dataclass
class KeysightB2200(RelayMatrix):
    """Input ports are rows, output ports columns; in normal or auto configuration, as it is set.

    It tells no serial number but 0; see `RelayMatrix` for the parameters.
    """

    _scpi: Scpi = field(init=False)
    _model: _Model = field(default=_B2200, init=False)
    _cards: tuple[int, ...] = field(default=(), init=False)
    _closed: frozenset[str] = field(default=frozenset(), init=False)

    def __post_init__(self) -> None:
        self._scpi = Scpi(self.session)

    def identify(self) -> Identity:
        """Ask who is there, for its cards and how they are numbered; changes nothing.

        Raises IdentityError for another model or serial number, or a card that is not known.
        """
        who, role = self.session.ask("*IDN?", named), self.session.role
        if not re.search("agilent|keysight|hewlett", who.maker, re.IGNORECASE) or who.model not in _MODELS:
            raise IdentityError(
                f"{role}: {who.maker} {who.model} answers; one of {', '.join(_MODELS)} is needed"
            )
        self._model = _MODELS[who.model]
        *told, mode = self._scpi.ask(
            "", [*(f":SYST:CTYP? {slot}" for slot in _SLOTS), ":ROUT:FUNC?"], list, heed_errors=False
        )
        found = [self._card(slot, card) for slot, card in zip(_SLOTS, told, strict=True)]
        cards = [card for card in found if card is not None]
        auto = mode == "ACON"
        self._cards = (0,) if auto else tuple(card.slot for card in cards)
        firsts = [sum(card.columns for card in cards[:k]) if auto else 0 for k in range(len(cards))]
        self._wired(
            who.model,
            who.serial,
            [
                (card, _channels(card, 0 if auto else card.slot, first))
                for card, first in zip(cards, firsts, strict=True)
            ],
        )
        return Identity(who.maker, who.model, who.serial, who.firmware, "SCPI")

    @property
    def _queue(self) -> Scpi:
        return self._scpi

    @property
    def _all_open(self) -> str:
        return ":ROUT:OPEN:CARD ALL"

    def _identified(self, session: Session) -> None:
        super()._identified(session)
        self._scpi.prove_fresh()

    def _card(self, slot: int, told: str) -> Card | None:
        """From maker, model, serial, revision; the model of an empty slot is no model's name."""
        model = told.strip('"').split(",")[1:2]
        if not model or not re.fullmatch(r"[BE]\d{4}A", model[0].strip()):
            return None
        known = self._model.cards
        if model[0].strip() not in known:
            raise IdentityError(
                f"{self.session.role}: slot {slot} holds {told!r}; cards known are {', '.join(known)}"
            )
        return Card(slot, *known[model[0].strip()])

    def _prepare(self) -> frozenset[str]:
        """No sequence rules: what is opened and closed, and in which order, is said in each line."""
        off = [f"{mode} ALL,OFF" for mode in self._model.modes]
        asked = [(":ROUT:CONN:RULE", "FREE"), *((mode, "0") for mode in self._model.modes)]
        queries = [f"{header}? {card}" for card in self._cards for header, _ in asked]
        held, closed = self._scpi.ask(
            ";".join([self._all_open, ":ROUT:CONN:RULE ALL,FREE", *off, self._all_open]),
            [*queries, *self._reading],
            lambda fields: (fields[: len(queries)], _channel_lists(fields[len(queries) :])),
        )
        for query, (header, value), now in zip(queries, asked * len(self._cards), held, strict=True):
            if now != value:
                raise SettingError(
                    f"{self.session.role}: {header} was set to {value}; {query!r} is answered {now!r}"
                )
        self._closed = closed
        return closed

    def _switch(self, names: frozenset[str]) -> frozenset[str]:
        """The relays that stay closed are not touched; *WAI lets the others open before any closes."""
        steps = [
            *([f":ROUT:OPEN {_list(self._closed - names)};*WAI"] if self._closed - names else []),
            *([f":ROUT:CLOS {_list(names - self._closed)}"] if names - self._closed else []),
        ]
        self._closed = self._scpi.ask(
            ";".join(steps), ["*OPC?", *self._reading], lambda fields: _channel_lists(fields[1:])
        )
        return self._closed

    def _closed_now(self) -> frozenset[str]:
        return self._scpi.ask("", self._reading, _channel_lists, heed_errors=False)

    def _open_all(self) -> frozenset[str]:
        self._closed = self._scpi.ask(
            self._all_open,
            ["*OPC?", *self._reading],
            lambda fields: _channel_lists(fields[1:]),
            heed_errors=False,
        )
        return self._closed

    @property
    def _reading(self) -> list[str]:
        return [f":ROUT:CLOS:CARD? {card}" for card in self._cards]


def _channels(card: Card, number: int, first: int) -> list[list[str]]:
    return [
        [f"{number}{row:02d}{first + column:02d}" for column in range(1, card.columns + 1)]
        for row in range(1, card.rows + 1)
    ]


def _list(names: frozenset[str]) -> str:
    return f"(@{','.join(sorted(names))})"


def _channel_lists(fields: list[str]) -> frozenset[str]:
    """Card by card "@10101,10203", with or without parentheses; leading zeros may be missing."""
    names: set[str] = set()
    for text in fields:
        match = re.fullmatch(r"\(?@?((?:\d{3,5}(?:,\d{3,5})*)?)\)?", text.strip('"'))
        if match is None:
            raise ValueError(f"{text[:80]!r} is no list of channels")
        names.update(name.zfill(5) for name in match[1].split(",") if name)
    return frozenset(names)
