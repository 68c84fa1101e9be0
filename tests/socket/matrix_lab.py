"""A driver of each relay matrix, attached to its virtual instrument, and what its relays do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from drivers.instruments.keithley_700 import Keithley700
from drivers.instruments.keithley_3700 import Keithley3700
from drivers.instruments.keysight_b2200 import KeysightB2200
from drivers.instruments.matrix import RelayMatrix
from drivers.sim.virtual.errorqueue import ErrorQueue
from drivers.sim.virtual.faults import Fault, Faults
from drivers.sim.virtual.grid import Relays
from drivers.sim.virtual.keithley_700 import Keithley700 as Virtual700
from drivers.sim.virtual.keithley_700 import Virtual700Settings
from drivers.sim.virtual.keithley_3700 import Keithley3700 as Virtual3700
from drivers.sim.virtual.keithley_3700 import Virtual3700Settings
from drivers.sim.virtual.keysight_b2200 import KeysightB2200 as VirtualB2200
from drivers.sim.virtual.keysight_b2200 import VirtualB2200Settings
from drivers.sim.virtual.server import Carrier, Outlet, serving
from drivers.transport.session import open_session
from drivers.transport.settings import TransportSettings
from hil.instruments import Crosspoint

QUICK = TransportSettings(timeout=5.0, quiet=0.002, open_timeout=5.0)
IMPATIENT = QUICK.model_copy(update={"timeout": 0.4})
SOME = (Crosspoint(0, 4), Crosspoint(1, 5))
OTHERS = (Crosspoint(0, 4), Crosspoint(2, 7))


class Family(NamedTuple):
    """One driver, its virtual instrument, and what differs in words."""

    driver: type[RelayMatrix]
    virtual: Callable[[dict[str, Any], Relays], Any]
    shape: tuple[int, int]
    two_cards: dict[int, str]
    stranger: str  # a card that is no matrix
    names: tuple[str, str]  # of SOME
    switching: str = "exclusiveclose"  # part of the line that switches
    unparsed: str = "-285 .*Syntax error"
    tsp: bool = True


FAMILIES = {
    "707B": Family(
        Keithley700,
        lambda given, relays: Virtual700(Virtual700Settings.model_validate(given), relays),
        (8, 12),
        {1: "7072", 3: "7174A"},
        "7169A",
        ("1A05", "1B06"),
    ),
    "708B": Family(
        Keithley700,
        lambda given, relays: Virtual700(
            Virtual700Settings.model_validate({"model": "708B"} | given), relays
        ),
        (8, 12),
        {},
        "7169A",
        ("1A05", "1B06"),
    ),
    "3706A": Family(
        Keithley3700,
        lambda given, relays: Virtual3700(Virtual3700Settings.model_validate(given), relays),
        (6, 16),
        {1: "3730", 3: "3731"},
        "3720",
        ("1105", "1206"),
    ),
}
B2200 = Family(
    KeysightB2200,
    lambda given, relays: VirtualB2200(VirtualB2200Settings.model_validate(given), relays),
    (14, 12),
    {1: "B2210A", 2: "B2210A"},
    "E5255A",
    ("10105", "10206"),
    "ROUT:CLOS (",
    "-113 .*Undefined header",
    tsp=False,
)
E5250 = B2200._replace(
    virtual=lambda given, relays: VirtualB2200(
        VirtualB2200Settings.model_validate({"model": "E5250A", "cards": {1: "E5252A"}} | given), relays
    ),
    shape=(10, 12),
    two_cards={1: "E5252A", 3: "E5252A"},
)
AUTO = B2200._replace(
    virtual=lambda given, relays: VirtualB2200(
        VirtualB2200Settings.model_validate(
            {"model": "B2201A", "cards": {1: "B2211A"}, "auto": True} | given
        ),
        relays,
    ),
    two_cards={1: "B2211A", 2: "B2211A"},
    names=("00105", "00206"),
)
FAMILIES |= {"B2200A": B2200, "E5250A": E5250, "B2201A": AUTO}
FAMILY = [pytest.param(family, id=name) for name, family in FAMILIES.items()]
TSP = [pytest.param(family, id=name) for name, family in FAMILIES.items() if family.tsp]
SCPI = [pytest.param(family, id=name) for name, family in FAMILIES.items() if not family.tsp]
ONE_OF_EACH = [FAMILY[0], FAMILY[3]]
TWO_CARDS = [pytest.param(family, id=name) for name, family in FAMILIES.items() if family.two_cards]


@dataclass
class Wires:
    """What is closed, and what was at every step."""

    closed: frozenset[tuple[int, int]] = frozenset()
    steps: list[frozenset[tuple[int, int]]] = field(default_factory=list[frozenset[tuple[int, int]]])

    def switch(self, closed: Any) -> None:
        self.closed = frozenset(closed)
        self.steps.append(self.closed)


@dataclass
class Lab:
    matrix: RelayMatrix
    virtual: Any
    wires: Wires

    @property
    def errors(self) -> ErrorQueue:
        return self.virtual.errors


@contextmanager
def lab(
    family: Family,
    *faults: Fault,
    settings: TransportSettings = QUICK,
    link: Carrier = "tcp",
    forbidden: tuple[Crosspoint, ...] = (),
    serial: str | None = None,
    **virtual: Any,
) -> Iterator[Lab]:
    wires = Wires()
    instrument = family.virtual(virtual, wires)
    outlet = Outlet(instrument, Faults(list(faults)), link=link)
    with serving([outlet]), open_session(outlet.resource, settings, role="matrix") as session:
        matrix = family.driver(session, serial=serial, forbidden=forbidden)
        matrix.attach()
        yield Lab(matrix, instrument, wires)


Build = Callable[..., Lab]
