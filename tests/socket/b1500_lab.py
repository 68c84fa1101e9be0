"""An SMU and two pulse generators of a virtual B1500A on one line, all connected to one resistor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drivers.instruments.keysight_b1500 import KeysightB1500Smu
from drivers.instruments.keysight_spgu import KeysightB1500Spgu
from drivers.sim.virtual.faults import Fault, FaultKind, Faults
from drivers.sim.virtual.keysight_b1500 import KeysightB1500, VirtualB1500Settings
from drivers.sim.virtual.server import Outlet, serving
from drivers.transport.session import open_session
from drivers.transport.settings import TransportSettings
from hil.instruments import Sourcing
from hil.schedule import Pulse

QUICK = TransportSettings(timeout=5.0, quiet=0.002, open_timeout=5.0, read_termination="crlf")
IMPATIENT = QUICK.model_copy(update={"timeout": 0.4})
SOURCING = Sourcing(compliance_a=1e-4, integration_s=2e-3)
VOLTS = np.array([0.1, -0.1, 0.05])
PULSE = Pulse(1.234567, 1e-7, 2e-7)


@dataclass
class Resistor:
    """What everything is connected to; it notes what was done to it."""

    ohms: float = 1e6
    at: dict[str, float] = field(default_factory=dict[str, float])
    pulses: list[tuple[str, Pulse, int]] = field(default_factory=list[tuple[str, Pulse, int]])

    def drive(self, source: str, volts: float) -> None:
        self.at[source] = volts

    def current(self, volts: float, integration_s: float) -> float:
        return volts / self.ohms

    def pulse(self, source: str, pulse: Pulse, count: int) -> None:
        self.pulses.append((source, pulse, count))


@dataclass
class Lab:
    smu: KeysightB1500Smu
    pulser: KeysightB1500Spgu
    other: KeysightB1500Spgu
    virtual: KeysightB1500
    load: Resistor

    @property
    def count(self) -> int:
        return sum(count for *_, count in self.load.pulses)


@contextmanager
def lab(
    *faults: Fault,
    settings: TransportSettings = QUICK,
    ohms: float = 1e6,
    slot: int = 1,
    channel: int = 501,
    serial: str | None = None,
    **virtual: Any,
) -> Iterator[Lab]:
    load = Resistor(ohms)
    instrument = KeysightB1500(VirtualB1500Settings.model_validate(virtual), *[load] * 502)
    outlet = Outlet(instrument, Faults(list(faults)))
    with serving([outlet]), open_session(outlet.resource, settings, role="b1500") as session:
        smu = KeysightB1500Smu(session, channel=slot, serial=serial)
        pulser = KeysightB1500Spgu(session, channel=channel, serial=serial, settle_s=0)
        other = KeysightB1500Spgu(session, channel=502, settle_s=0)
        for each in (smu, pulser, other):
            each.attach()
        yield Lab(smu, pulser, other, instrument, load)


Build = Callable[..., Lab]


KINDS: tuple[FaultKind, ...] = (
    "silent", "late", "late-next", "truncated", "cut-line", "garbage", "nul", "bad-utf8", "extra-line",
    "huge", "disconnect-before", "disconnect-within", "disconnect-after",
)  # fmt: skip
