"""A virtual Keithley 3706A with matrix cards, from its reference manual (3700AS-901-01 Rev. D)."""

from __future__ import annotations

from pydantic import Field

from drivers.sim.virtual.grid import Relays
from drivers.sim.virtual.tsp_matrix import TspMatrix, TspMatrixSettings
from drivers.sim.virtual.tsp_values import Value

_CARDS = {  # banks, rows and columns of each, description
    "3720": (0, 0, 0, "Dual 1x30 Multiplexer"),
    "3730": (1, 6, 16, "6x16 High Density Matrix"),
    "3731": (1, 6, 16, "6x16 High Speed Reed Matrix"),
    "3732": (4, 4, 28, "Quad 4x28 Ultra-High Density Reed Matrix"),
    "3732 dual 4x56": (2, 4, 56, "Dual 4x56 Ultra-High Density Reed Matrix"),
    "3732 single 4x112": (1, 4, 112, "Single 4x112 Ultra-High Density Reed Matrix"),
}
_SLOTS = 6


class Virtual3700Settings(TspMatrixSettings):
    """One virtual 3706A."""

    model: str = Field(default="3706A-SNFP", pattern=r"^3706A(-S|-NFP|-SNFP)?$", description="as in *IDN?")
    cards: dict[int, str] = Field(default={1: "3730"}, description="model of the card in each slot")


class Keithley3700(TspMatrix):
    """The instrument, and what it switches: columns of ``relays`` are counted on over banks and slots."""

    def __init__(self, settings: Virtual3700Settings, relays: Relays) -> None:
        slots: dict[int, dict[str, Value]] = {slot: {"idn": "Empty Slot"} for slot in range(1, _SLOTS + 1)}
        channels: dict[str, tuple[int, int]] = {}
        first = 0
        for slot, model in sorted(settings.cards.items()):
            banks, rows, columns, told = _CARDS[model]
            slots[slot] = {"idn": f"{model[:4]},{told},01.40a,1{slot:06d}"}
            if banks:
                slots[slot] |= {"rows.matrix": float(rows), "columns.matrix": float(columns)}
            for bank in range(banks):
                named = f"{slot}{bank + 1 if model.startswith('3732') else ''}"
                for row in range(rows):
                    for column in range(columns):
                        channels[f"{named}{row + 1}{_two(column + 1)}"] = (row, first + column)
                first += columns
        super().__init__(settings, settings.model, slots, channels, relays)


def _two(column: int) -> str:
    """01 to 99, A0 to A9, B0 and so on."""
    return f"{column:02d}" if column <= 99 else "ABCDE"[column // 10 - 10] + str(column % 10)
