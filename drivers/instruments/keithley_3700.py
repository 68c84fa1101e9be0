"""Keithley 3706A system switch with matrix cards 3730, 3731 and 3732, by TSP.

Verified against drivers/sim/virtual/keithley_3700.py over sockets and serial lines; no hardware seen.
Commands and their places in the manual: docs/instruments/keithley-3706a.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from drivers.instruments.matrix import Card
from drivers.instruments.replies import whole
from drivers.instruments.tsp_matrix import TspMatrix
from hil.errors import IdentityError

_CARDS = {"3730": (6, 16), "3731": (6, 16)}
_CROSSPOINTS_3732 = 448
"""However its banks are joined: four of 4x28, two of 8x28 or 4x56, one of 8x56 or 4x112."""


@dataclass
class Keithley3700(TspMatrix):
    """A 3706A (also -S, -NFP, -SNFP). The banks of a 3732 stand in a row, as cards do."""

    models: ClassVar[re.Pattern[str]] = re.compile(r"(?:MODEL )?(3706A(?:-(?:S|NFP|SNFP))?)", re.IGNORECASE)
    needed: ClassVar[str] = "a Keithley 3706A"

    def _slots(self, model: str) -> int:
        return 6

    def _card(self, slot: int, told: str) -> list[Card]:
        model, role = told.split(",")[0].strip(), self.session.role
        if model in _CARDS:
            return [Card(slot, *_CARDS[model])]
        if model != "3732":
            known = ", ".join([*_CARDS, "3732"])
            raise IdentityError(f"{role}: slot {slot} holds {told!r}; cards known are {known}")
        rows, columns = self.tsp.ask(
            "",
            (f"{self.tsp.at}slot[{slot}].rows.matrix", f"{self.tsp.at}slot[{slot}].columns.matrix"),
            lambda fields: (whole(fields[0]), whole(fields[1])),
            heed_errors=False,
        )
        if rows not in (4, 8) or columns < 1 or _CROSSPOINTS_3732 % (rows * columns):
            raise IdentityError(f"{role}: slot {slot}: banks of {rows} x {columns} are not known of a 3732")
        banks = _CROSSPOINTS_3732 // (rows * columns)
        return [Card(slot, rows, columns, bank) for bank in range(1, banks + 1)]

    def _channels(self, card: Card) -> list[list[str]]:
        first = f"{card.slot}{card.bank or ''}"
        return [
            [f"{first}{row}{_column(column)}" for column in range(1, card.columns + 1)]
            for row in range(1, card.rows + 1)
        ]


def _column(number: int) -> str:
    """Two characters: 01 to 99, then A0, A1, to B2."""
    return f"{number:02d}" if number < 100 else f"{chr(ord('A') + number // 10 - 10)}{number % 10}"
