"""What the virtual Keithley 700 and 3700 matrices have in common: the channel functions of TSP.

Written from 707B-901-01 Rev. B (sections 2, 5 and 7) and 3700AS-901-01 Rev. D (section 11).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set

from pydantic import Field

from drivers.sim.virtual.errorqueue import Entry
from drivers.sim.virtual.grid import Relays
from drivers.sim.virtual.tsp_node import TspNode, TspSettings, nil, numeric
from drivers.sim.virtual.tsp_values import Value

_CONSTANTS = {"OFF": 0, "ON": 1, "BREAK_BEFORE_MAKE": 1, "MAKE_BEFORE_BREAK": 2}
_INVALID = "Parameter error: channel {} does not exist"
_SETTLE_S = 15e-3


class TspMatrixSettings(TspSettings):
    """What both can be told."""

    cards: dict[int, str] = Field(default={}, description="model of the card in each slot that has one")
    welded: list[str] = Field(default=[], description="channels that stay closed once they were")
    dead: list[str] = Field(default=[], description="channels that do not close")
    rule: int | None = Field(default=None, description="the connection rule that sticks")
    deaf: bool = Field(default=False, description="channels are not forbidden though asked to")


class TspMatrix(TspNode):
    """Relays in slots.

    Parameters
    ----------
    settings
        Cards and faults.
    model
        As in ``*IDN?``.
    slots
        How many there are.
    channels
        Name of each channel, in the instrument's order, and where it is in the matrix (row, column).
    relays
        What is switched.
    """

    def __init__(
        self,
        settings: TspMatrixSettings,
        model: str,
        slots: Mapping[int, Mapping[str, Value]],
        channels: Mapping[str, tuple[int, int]],
        relays: Relays,
    ) -> None:
        super().__init__(settings, model)
        self.settings = settings
        self._slots = slots
        self._channels = channels
        self._order = list(channels)
        self._place = {name: place for place, name in enumerate(self._order)}
        self._relays = relays
        self._rule = _CONSTANTS["BREAK_BEFORE_MAKE"] if settings.rule is None else settings.rule
        self.closed: set[str] = set()
        self.forbidden: set[str] = set()
        self.counts = dict.fromkeys(channels, 0)
        self._functions: Mapping[str, Callable[[str], Value]] = {
            "channel.close": self._close,
            "channel.exclusiveclose": self._exclusive,
            "channel.open": self._open,
            "channel.getclose": lambda text: self._told(text, self.closed),
            "channel.setforbidden": self._forbid,
            "channel.clearforbidden": self._allow,
            "channel.getforbidden": lambda text: self._told(text, self.forbidden),
        }

    def reset(self) -> None:
        """All open, nothing forbidden."""
        self.forbidden.clear()
        self._apply(set())

    def get(self, path: str) -> Value:
        """Value of a name."""
        head, _, rest = path.partition(".")
        slot = re.fullmatch(r"slot\[(\d+)\]", head)
        if slot:
            card = self._slots.get(int(slot[1]))
            if card is None:
                raise nil("slot")
            if rest.count(".") and not any(name.startswith(rest.split(".")[0] + ".") for name in card):
                raise nil(rest.split(".")[0])
            return card.get(rest)
        if head != "channel":
            return super().get(path)
        if rest == "connectrule":
            return float(self._rule)
        return float(_CONSTANTS[rest]) if rest in _CONSTANTS else None

    def set(self, path: str, value: Value) -> None:
        """Assign to a name."""
        if path != "channel.connectrule":
            super().set(path, value)
        elif numeric(value) not in (0, 1, 2):
            self.errors.add(Entry(1115, "Parameter error: connection rule"))
        elif self.settings.rule is None:
            self._rule = int(numeric(value))

    def call(self, path: str, arguments: Sequence[Value]) -> tuple[Value, ...]:
        """Call a function."""
        function = self._functions.get(path)
        if function is None:
            return super().call(path, arguments)
        if len(arguments) != 1 or not isinstance(arguments[0], str):
            self.errors.add(Entry(1115, "Parameter error: a channel list is needed"))
            return (None,)
        return (function(arguments[0]),)

    def _close(self, text: str) -> None:
        asked = self._closable(text)
        if asked is not None:
            self._apply(self.closed | asked)

    def _exclusive(self, text: str) -> None:
        asked = self._closable(text) if text.strip() else set[str]()
        if asked is None:
            return
        if self._rule == _CONSTANTS["BREAK_BEFORE_MAKE"]:
            self._apply(self.closed & asked)
        elif self._rule == _CONSTANTS["MAKE_BEFORE_BREAK"]:
            self._apply(self.closed | asked)
        self._apply(asked)

    def _open(self, text: str) -> None:
        asked = self._named(text, slots=True)
        if asked is not None:
            self._apply(self.closed - asked)

    def _forbid(self, text: str) -> None:
        asked = self._named(text, slots=True)
        if asked is not None and not self.settings.deaf:
            self.forbidden |= asked

    def _allow(self, text: str) -> None:
        self.forbidden -= self._named(text, slots=True) or frozenset()

    def _told(self, text: str, among: set[str]) -> Value:
        asked = self._named(text, slots=True)
        found = sorted((name for name in among if asked and name in asked), key=self._place.__getitem__)
        return ";".join(found) if found else None

    def _closable(self, text: str) -> Set[str] | None:
        """None, and an error, if any of it cannot be closed: nothing is then."""
        asked = self._named(text, slots=False)
        wrong = self.forbidden.intersection(asked or ())
        if wrong:
            self.errors.add(Entry(1114, f"Settings conflict: {min(wrong)} is forbidden to close"))
            return None
        return asked

    def _named(self, text: str, slots: bool) -> Set[str] | None:
        """Channels of a list; None, and an error, where one is not there."""
        if slots and text == "allslots":
            return self._channels.keys()
        found: set[str] = set()
        for part in re.split("[,;]", text):
            names = self._part(part.strip(), slots)
            if not names:
                self.errors.add(Entry(1115, _INVALID.format(part.strip() or "''")))
                return None
            found.update(names)
        return found

    def _part(self, part: str, slots: bool) -> list[str]:
        if slots and part == "allslots":
            return self._order
        if slots and re.fullmatch(r"slot\d", part):
            return [name for name in self._order if name[0] == part[-1]]
        first, _, last = part.partition(":")
        if first not in self._channels or (last and last not in self._channels):
            return []
        start, end = self._place[first], self._place[last or first]
        return self._order[start : end + 1]

    def _apply(self, closed: Set[str]) -> None:
        """The relays move; the settling time passes before the instrument goes on."""
        now = set(closed - set(self.settings.dead)) | (self.closed & set(self.settings.welded))
        for name in now - self.closed:
            self.counts[name] += 1
        if now != self.closed:
            self.seconds += _SETTLE_S
        self.closed = now
        self._relays.switch({self._channels[name] for name in now})
