"""A virtual Keysight B2200A, B2201A or E5250A, from their user's guides.

B2200 Edition 4 (chapters 4, 5 and 7), E5250A Edition 9 (chapters 5 to 7). It knows no socket; see `server`.
"""

from __future__ import annotations

import re

from pydantic import Field

from drivers.sim.virtual.errorqueue import ErrorQueue, Troubles
from drivers.sim.virtual.grid import Relays
from drivers.sim.virtual.scpi import (
    CONFLICT,
    ILLEGAL_VALUE,
    OUT_OF_RANGE,
    Call,
    Handler,
    RejectedError,
    ScpiParser,
)

_INPUTS = {"B2200A": 14, "B2201A": 14, "E5250A": 10}
_MATRICES = {"B2210A": "B2200A", "B2211A": "B2201A", "E5252A": "E5250A"}
_COLUMNS = 12
_BIAS_ROW = 9
_SLOTS = range(1, 5)
_SETTLE_S = 10e-3


class VirtualB2200Settings(Troubles):
    """One virtual switch mainframe."""

    model: str = Field(default="B2200A", pattern=r"^(B220[01]A|E5250A)$", description="as in *IDN?")
    serial: str = Field(default="0", description="serial number; 0 with all that were ever made")
    firmware: str = Field(default="A.01.00", description="firmware revision")
    cards: dict[int, str] = Field(default={1: "B2210A"}, description="model of the card in each slot")
    auto: bool = Field(default=False, description="auto configuration: the cards are one, number 0")
    bias: bool = Field(default=False, description="whether the bias mode was left on")
    sticking: dict[str, str] = Field(default={}, description='settings that stick: "RULE" to its value')
    welded: list[str] = Field(default=[], description="channels that stay closed once they were")
    dead: list[str] = Field(default=[], description="channels that do not close")


class KeysightB2200:
    """The instrument, and what it switches: columns of ``relays`` are counted on from slot to slot."""

    def __init__(self, settings: VirtualB2200Settings, relays: Relays) -> None:
        self.settings = settings
        self.errors = ErrorQueue(30)
        self.seconds = 0.0
        self.closed: set[str] = set()
        self._relays = relays
        self._enabled = 0
        self._set: dict[str, dict[int, str]] = {
            "RULE": {}, "SEQ": {}, "BIAS": {}, "COUP": {}, "AGND": {}
        }  # fmt: skip
        if settings.bias:
            self._set["BIAS"] = dict.fromkeys(self._there(), "1")
        self._channels = self._numbered()
        ground = {} if settings.model == "E5250A" else {"[:ROUTe]:AGND[:STATe]": self._mode("AGND", "0")}
        self._parser = ScpiParser(
            {
                "*IDN?": lambda _: f"AGILENT,{settings.model},{settings.serial},{settings.firmware}",
                "*RST!": lambda _: self._reset(),
                "*CLS!": lambda _: self.errors.clear(),
                "*ESE": self._enable,
                "*OPC?": lambda _: "1",
                "*WAI!": lambda _: None,
                ":SYSTem:ERRor?": self._error,
                ":SYSTem:CTYPe?": self._card,
                "[:ROUTe]:FUNCtion?": lambda _: "ACON" if settings.auto else "NCON",
                "[:ROUTe]:CONNection:RULE": self._mode("RULE", "FREE", "SROUte"),
                "[:ROUTe]:CONNection:SEQuence": self._mode("SEQ", "NSEQ", "BBM", "MBBR"),
                "[:ROUTe]:BIAS[:STATe]": self._mode("BIAS", "0"),
                "[:ROUTe]:COUPle[:STATe]": self._mode("COUP", "0"),
                **ground,
                "[:ROUTe]:CLOSe[:LIST]": self._close,
                "[:ROUTe]:OPEN[:LIST]": self._open,
                "[:ROUTe]:CLOSe:CARD?": self._told,
                "[:ROUTe]:OPEN:CARD!": self._open_card,
            },
            self.errors,
        )

    def receive(self, line: bytes) -> bytes:
        """One message; its answer."""
        return self._parser.hear(line, self.settings)

    def _numbered(self) -> dict[str, tuple[int, int]]:
        channels: dict[str, tuple[int, int]] = {}
        first = 0
        for slot, model in sorted(self.settings.cards.items()):
            if model not in _MATRICES:
                continue
            for row in range(_INPUTS[self.settings.model]):
                for column in range(_COLUMNS):
                    auto = self.settings.auto
                    name = f"{0 if auto else slot}{row + 1:02d}{column + 1 + (first if auto else 0):02d}"
                    channels[name] = (row, first + column)
            first += _COLUMNS
        return channels

    def _reset(self) -> None:
        for held in self._set.values():
            held.clear()
        self._apply(set())

    def _enable(self, call: Call) -> str | None:
        if call.query:
            return str(self._enabled)
        self._enabled = int(call.number()) & 255
        return None

    def _error(self, _: Call) -> str:
        entry = self.errors.next()
        return f'{entry.code:+d},"{entry.message}"' if entry else '+0,"No error"'

    def _card(self, call: Call) -> str:
        slot = int(call.number())
        if slot not in _SLOTS:
            raise RejectedError(OUT_OF_RANGE)
        model = self.settings.cards.get(slot)
        return f"AGILENT,{model},0,0" if model else "NONE,NONE,0,0"

    def _there(self) -> list[int]:
        return [0] if self.settings.auto else sorted(self.settings.cards)

    def _cards(self, call: Call, *, one: bool) -> list[int]:
        """Card numbers of the first parameter: those that there are in this configuration."""
        there = self._there()
        if call.word() == "ALL" and not one:
            return there
        if call.number() not in there:
            raise RejectedError(OUT_OF_RANGE)
        return [int(call.number())]

    def _mode(self, name: str, *words: str) -> Handler:
        """One setting of each card: one of the words, the first at first; ("0",) stands for off and on."""

        def handler(call: Call) -> str | None:
            cards = self._cards(call, one=call.query)
            first = "".join(letter for letter in words[0] if not letter.islower())
            if call.query:
                return self._set[name].get(cards[0], first)
            value = str(int(call.boolean(1))) if words == ("0",) else call.choice(*words, index=1)
            self._set[name].update(dict.fromkeys(cards, self.settings.sticking.get(name, value)))
            if name == "BIAS":
                self._apply(self.closed)
            return None

        return handler

    def _named(self, call: Call) -> list[str]:
        """Channels of (@10101,10102:10105)."""
        match = re.fullmatch(r"\(@([\d,:]+)\)", call.word())
        if match is None:
            raise RejectedError(ILLEGAL_VALUE)
        found: list[str] = []
        for part in match[1].split(","):
            first, _, last = part.partition(":")
            if first not in self._channels or (last and last not in self._channels):
                raise RejectedError(OUT_OF_RANGE)
            found += [name for name in self._channels if first <= name <= (last or first)]
        return found

    def _close(self, call: Call) -> str | None:
        asked = self._named(call)
        if call.query:
            return ",".join(str(int(name in self.closed)) for name in asked)
        for name in asked:
            card, row, column = int(name[0]), name[1:3], name[3:]
            if self._set["BIAS"].get(card) == "1" and int(row) == _BIAS_ROW + 1:
                raise RejectedError(CONFLICT)
            if self._set["RULE"].get(card, "FREE") == "SROU":
                rivals = {other for other in self.closed if other[0] == name[0]}
                rivals = {other for other in rivals if other[1:3] == row or other[3:] == column}
                self._apply(self.closed - rivals)
            self._apply(self.closed | {name})
        return None

    def _open(self, call: Call) -> str | None:
        asked = self._named(call)
        if call.query:
            return ",".join(str(int(name not in self.closed)) for name in asked)
        self._apply(self.closed - set(asked))
        return None

    def _open_card(self, call: Call) -> None:
        cards = {str(card) for card in self._cards(call, one=False)}
        self._apply({name for name in self.closed if name[0] not in cards})

    def _told(self, call: Call) -> str:
        card = str(self._cards(call, one=True)[0])
        return "@" + ",".join(sorted(name for name in self.closed if name[0] == card))

    def _apply(self, closed: set[str]) -> None:
        """The relays move; with the bias mode on, free output ports are on the bias port."""
        now = (closed - set(self.settings.dead)) | (self.closed & set(self.settings.welded))
        if now != self.closed:
            self.seconds += _SETTLE_S
        self.closed = now
        at = {self._channels[name] for name in now}
        if "1" in self._set["BIAS"].values():
            taken = {column for _, column in at}
            at |= {(_BIAS_ROW, column) for _, column in self._channels.values() if column not in taken}
        self._relays.switch(at)
