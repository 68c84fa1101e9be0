"""A virtual Keithley 707B or 708B switching matrix, from its reference manual (707B-901-01 Rev. B)."""

from __future__ import annotations

from pydantic import Field

from drivers.sim.virtual.grid import Relays
from drivers.sim.virtual.tsp_matrix import TspMatrix, TspMatrixSettings
from drivers.sim.virtual.tsp_values import Value

_CARDS = {  # rows, columns, description
    "7072": (8, 12, "8x12 Semi Matrix"),
    "7072-HV": (8, 12, "8x12 HV Semi Matrix"),
    "7173-50": (4, 12, "4x12 50MHz Matrix"),
    "7174A": (8, 12, "8x12 Low I Matrix"),
    "7169A": (12, 20, "20-Ch Form C Switch"),
}


class Virtual700Settings(TspMatrixSettings):
    """One virtual 707B or 708B."""

    model: str = Field(default="707B", pattern=r"^70[78]B$", description="as in *IDN?")
    cards: dict[int, str] = Field(default={1: "7174A"}, description="model of the card in each slot")


class Keithley700(TspMatrix):
    """The instrument, and what it switches: columns of ``relays`` are counted on from slot to slot."""

    def __init__(self, settings: Virtual700Settings, relays: Relays) -> None:
        slots: dict[int, dict[str, Value]] = {
            slot: {"idn": "Empty Slot"} for slot in range(1, 7 if settings.model == "707B" else 2)
        }
        channels: dict[str, tuple[int, int]] = {}
        first = 0
        for slot, model in sorted(settings.cards.items()):
            rows, columns, told = _CARDS[model]
            slots[slot] = {"idn": f"{model},{told},01.01a,1{slot:06d}"}
            for row in range(rows):
                for column in range(columns):
                    channels[f"{slot}{'ABCDEFGHIJKL'[row]}{column + 1:02d}"] = (row, first + column)
            first += columns
        super().__init__(settings, settings.model, slots, channels, relays)
