"""R8 on the line: any answer may be spoilt, late or lost; a reading is right or an error, safe is safe."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.instruments.keithley_2600 import Keithley2600
from drivers.sim.virtual.faults import Fault, FaultKind, Faults
from drivers.sim.virtual.keithley_2600 import Keithley2600 as Virtual2600
from drivers.sim.virtual.keithley_2600 import Virtual2600Settings
from drivers.sim.virtual.server import Outlet, serving
from drivers.transport.session import open_session
from drivers.transport.settings import TransportSettings
from hil.errors import BenchError
from hil.instruments import Sourcing

KINDS: tuple[FaultKind, ...] = (
    "silent", "late", "late-next", "truncated", "cut-line", "garbage", "nul", "bad-utf8", "separator",
    "extra-line", "huge", "disconnect-before", "disconnect-within", "disconnect-after",
)  # fmt: skip
MEASUREMENTS = 150
SAFE = "made safe: output at 0 V and off, read back"


class Resistor:
    def drive(self, source: str, volts: float) -> None: ...

    def current(self, volts: float, integration_s: float) -> float:
        return volts / 1e6


@pytest.mark.parametrize("seed", [1, 2])
def test_with_faults_everywhere_a_reading_is_right_or_an_error_and_safe_is_safe(seed: int) -> None:
    faults = Faults([Fault(kind=kind, share=0.01, delay=0.05) for kind in KINDS], seed)
    virtual = Virtual2600(Virtual2600Settings(), Resistor(), Resistor())
    channel = virtual.channels["smua"]
    outlet = Outlet(virtual, faults)
    settings = TransportSettings(timeout=0.04, quiet=0.001, open_timeout=1.0, retry=0.001, attempts=5)
    rng = np.random.default_rng(seed)
    right = wrong = failed = unsafe = 0
    with serving([outlet]), open_session(outlet.resource, settings, role="smu") as session:
        smu = Keithley2600(session)
        while session.identify is None:
            try:
                smu.attach()
            except BenchError:
                continue
        for number in range(MEASUREMENTS):
            volts = rng.uniform(-0.1, 0.1, 3)
            sourcing = Sourcing(1e-4, 1e-4 * (1 + number % 2))
            try:
                amperes = smu.measure(volts, sourcing).amperes
            except BenchError as error:
                failed += 1
                unsafe += SAFE in error.__notes__ and channel.values["source.output"] != 0
                if SAFE not in error.__notes__:
                    smu.make_safe()
                continue
            right += 1
            wrong += not np.allclose(amperes, volts / 1e6, rtol=2e-6, atol=0)
        faults.faults.clear()
        with open_session(outlet.resource, TransportSettings(quiet=0.001)) as patient:
            smu = Keithley2600(patient)
            smu.attach()
            assert smu.make_safe() == ()
    assert (wrong, unsafe) == (0, 0)
    assert right > MEASUREMENTS / 10
    assert failed > MEASUREMENTS / 20
    assert channel.values["source.output"] == 0
