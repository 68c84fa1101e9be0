"""Keithley 707B and 708B switching matrices by TSP.

Verified against drivers/sim/virtual/keithley_700.py over sockets and serial lines; no hardware seen.
Commands and their places in the manual: docs/instruments/keithley-707b.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from drivers.instruments.matrix import Card
from drivers.instruments.tsp_matrix import TspMatrix
from hil.errors import IdentityError

_CARDS = {"7072": (8, 12), "7072-HV": (8, 12), "7174A": (8, 12), "7173-50": (4, 12)}


@dataclass
class Keithley700(TspMatrix):
    """A 707B (six slots) or 708B (one), with cards 7072, 7072-HV, 7173-50 or 7174A."""

    models: ClassVar[re.Pattern[str]] = re.compile(r"(?:MODEL )?(70[78]B)", re.IGNORECASE)
    needed: ClassVar[str] = "a Keithley 707B or 708B"

    def _slots(self, model: str) -> int:
        return 6 if model.startswith("707") else 1

    def _card(self, slot: int, told: str) -> list[Card]:
        model = told.split(",")[0].strip()
        if model not in _CARDS:
            raise IdentityError(
                f"{self.session.role}: slot {slot} holds {told!r}; cards known are {', '.join(_CARDS)}"
            )
        return [Card(slot, *_CARDS[model])]

    def _channels(self, card: Card) -> list[list[str]]:
        return [
            [f"{card.slot}{row}{column:02d}" for column in range(1, card.columns + 1)]
            for row in "ABCDEFGH"[: card.rows]
        ]
