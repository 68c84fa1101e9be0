"""Keysight (Agilent) 81150A and 81160A pulse generators, by SCPI.

Verified against drivers/sim/virtual/keysight_81150.py over sockets; no hardware seen.
Commands and their places in the manual: docs/instruments/keysight-81150.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from drivers.instruments.scpi_pulser import Model, ScpiPulser, Step, levels, polarity, quantity
from hil.schedule import Pulse

_OPEN_OHM = 1e6


@dataclass
class Keysight81150(ScpiPulser):
    """One channel of an 81150A or 81160A; see `ScpiPulser`.

    The output amplifier of an 81150A stays as it is set; what the high bandwidth one cannot do (above 10 V),
    the instrument itself refuses.
    """

    makers: ClassVar = ("agilent", "keysight")
    models: ClassVar = {
        "81150A": Model(2, 8.33e-9, 4.1e-9, (2.5e-9, 1000.0), (0.1, 20.0)),
        "81160A": Model(2, 3.03e-9, 1.5e-9, (1e-9, 1000.0), (0.1, 10.0)),
    }
    wanted: ClassVar = "a Keysight 81150A or 81160A"
    cycles: ClassVar = 1_000_000
    waits: ClassVar = False

    def _steps(self, pulse: Pulse) -> Sequence[Step]:
        """Edges and width go through their least, so that no width is too long for the new period."""
        c = self.channel
        return (
            Step(f":ARM:SOUR{c}", "MAN"),
            Step(f":ARM:SENS{c}", "EDGE"),
            quantity(f":OUTP{c}:IMP:EXT", _OPEN_OHM),
            Step(f":FUNC{c}:PULS:HOLD", "WIDT"),
            Step(f":PULS:DEL{c}", 0.0),
            Step(f":PULS:TRAN{c}:LEAD", "MIN", None),
            Step(f":PULS:TRAN{c}:TRA", "MIN", None),
            Step(f":PULS:WIDT{c}", "MIN", None),
            quantity(f":PULS:PER{c}", pulse.width_s + pulse.gap_s),
            Step(f":FUNC{c}", "PULS"),
            quantity(f":PULS:WIDT{c}", pulse.width_s),
            quantity(f":PULS:TRAN{c}:LEAD", self.edge_s),
            quantity(f":PULS:TRAN{c}:TRA", self.edge_s),
            Step(f":VOLT{c}:OFFS", 0.0, None),
            *levels(*self._levels, pulse),
            polarity(f":OUTP{c}:POL", pulse),
        )

    @property
    def _levels(self) -> tuple[str, str]:
        return f":VOLT{self.channel}:HIGH", f":VOLT{self.channel}:LOW"

    def _count(self, count: int) -> Step:
        return Step(f":TRIG:COUN{self.channel}", count)

    def _trigger(self) -> str:
        return f":TRIG{self.channel}"
