"""A driver of each source-measure unit, connected to its virtual instrument, which has a resistor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from drivers.instruments.keithley_2400 import Keithley2400
from drivers.instruments.keithley_2450 import Keithley2450
from drivers.instruments.keithley_2600 import Keithley2600
from drivers.instruments.keysight_b2900 import KeysightB2900
from drivers.sim.virtual import keithley_2400, keithley_2450, keithley_2600, keysight_b2900
from drivers.sim.virtual.faults import Fault, Faults
from drivers.sim.virtual.grid import Load
from drivers.sim.virtual.keithley_2600 import Keithley2600 as Virtual2600
from drivers.sim.virtual.scpi_smu import VirtualScpiSmu
from drivers.sim.virtual.server import Carrier, Outlet, serving
from drivers.transport.session import open_session
from drivers.transport.settings import TransportSettings
from hil.instruments import Sourcing

QUICK = TransportSettings(timeout=5.0, quiet=0.002, open_timeout=5.0)
BY_RS_232 = QUICK.model_copy(update={"write_termination": "crlf"})
IMPATIENT = QUICK.model_copy(update={"timeout": 0.4})
SOURCING = Sourcing(compliance_a=1e-4, integration_s=2e-3)
VOLTS = np.array([0.1, -0.1, 0.05])


@dataclass
class Resistor:
    ohms: float = 1e6
    at: dict[str, float] = field(default_factory=dict[str, float])

    def drive(self, source: str, volts: float) -> None:
        self.at[source] = volts

    def current(self, volts: float, integration_s: float) -> float:
        return volts / self.ohms


class Kind(NamedTuple):
    """A driver, its virtual instrument, and the words in which they differ."""

    driver: Callable[..., Any]
    virtual: Callable[..., Any]
    model: str
    runs: str
    limit: str
    integration: str
    full_list: int
    unknown: str = r"-113 .*Undefined header"
    on: str = "OUTP"


def _2400(loads: Sequence[Load], **given: Any) -> VirtualScpiSmu:
    return keithley_2400.Keithley2400(keithley_2400.Virtual2400Settings(**given), loads[0])


def _2450(loads: Sequence[Load], **given: Any) -> VirtualScpiSmu:
    return keithley_2450.Keithley2450(keithley_2450.Virtual2450Settings(**given), loads[0])


def _b2900(loads: Sequence[Load], **given: Any) -> VirtualScpiSmu:
    return keysight_b2900.KeysightB2900(keysight_b2900.VirtualB2900Settings(**given), *loads)


KINDS = {
    "2400": Kind(Keithley2400, _2400, "2400", ":READ?", "SENS:CURR:PROT", "SENS:CURR:NPLC", 50),
    "2450": Kind(Keithley2450, _2450, "2450", ":INIT", "SOUR:VOLT:ILIM", "SENS:CURR:NPLC", 100),
    "b2900": Kind(KeysightB2900, _b2900, "B2912A", ":READ:ARR?", "SENS:CURR:PROT", "SENS:CURR:APER", 100),
}


def _2600(loads: Sequence[Load], **given: Any) -> Virtual2600:
    return Virtual2600(keithley_2600.Virtual2600Settings(**given), *loads)


SMUS = {
    **KINDS,
    "2600": Kind(
        Keithley2600, _2600, "2636B", "measure.iv", "source.limiti", "measure.nplc", 8,
        r"-285 .*Syntax error", "source.output",
    ),
}  # fmt: skip
"""Those that speak SCPI, and the 2600, which speaks TSP."""


@dataclass
class Lab:
    """A virtual instrument, its resistor, and a driver connected to it."""

    smu: Any
    virtual: Any
    load: Resistor
    output: Any
    key: str

    @property
    def volts_now(self) -> float:
        return max(map(abs, self.load.at.values()))

    @property
    def on(self) -> bool:
        return bool(self.output.values[self.key])


@contextmanager
def lab(
    kind: Kind,
    *faults: Fault,
    settings: TransportSettings = QUICK,
    ohms: float = 1e6,
    link: Carrier = "tcp",
    driver: dict[str, Any] | None = None,
    **virtual: Any,
) -> Generator[Lab]:
    load = Resistor(ohms)
    instrument = kind.virtual([load, load], **virtual)
    given: dict[str, Any] = {} if driver is None else driver
    channel = int(given.get("channel", 1))
    outlet = Outlet(instrument, Faults(list(faults)), link=link)
    with serving([outlet]), open_session(outlet.resource, settings, role="smu") as session:
        smu = kind.driver(session, **given)
        smu.attach()
        outputs = list(instrument.channels.values()) if kind is SMUS["2600"] else instrument.outputs
        yield Lab(smu, instrument, load, outputs[channel - 1], kind.on)


@dataclass
class Lagging:
    """Loses a measurement; then the answers of the first connection come once more, and the new ones after
    them, until the line is drained (which is before who is there is asked again).
    """

    virtual: VirtualScpiSmu
    first: list[bytes] = field(default_factory=list[bytes])
    behind: bool = False
    pending: deque[bytes] | None = None

    def receive(self, line: bytes) -> bytes:
        answer = self.virtual.receive(line)
        if not self.behind:
            self.first += [answer] * bool(answer)
            return answer
        if line == b"*IDN?":
            self.pending = deque(self.first if self.pending is None else ())
        if self.pending is None or not answer:
            return b""
        self.pending.append(answer)
        old = self.pending.popleft()
        # the number is random: once in 255 times the old one is the same
        same = line.startswith(b"*ESE") and old == answer and self.pending
        return b"%d\n" % (int(old) % 255 + 1) if same else old
