"""Tektronix AFG3000C and AFG31000 function generators as pulse generators, by SCPI.

Verified against drivers/sim/virtual/tektronix_afg.py over sockets; no hardware seen.
Commands and their places in the manual: docs/instruments/tektronix-afg31000.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from drivers.instruments.scpi_pulser import Model, ScpiPulser, Step, levels, polarity, quantity
from hil.schedule import Pulse


def _both(
    stem: str, hertz: float, width_s: float, edge_s: float, volts: tuple[float, float], end: str = ""
) -> dict[str, Model]:
    """The model with one channel and that with two."""
    return {
        f"{stem}{n}{end}": Model(n, 1 / hertz, width_s, (edge_s, 625.0), volts, longest_s=1e3) for n in (1, 2)
    }


@dataclass
class TektronixAfg(ScpiPulser):
    """One channel of an AFG3000C or AFG31000; see `ScpiPulser`.

    Both channels have one trigger: the other one's output must be off, or nothing is output.
    """

    makers: ClassVar = ("tektronix",)
    models: ClassVar = {
        "AFG3011C": Model(1, 1 / 5e6, 80e-9, (50e-9, 625.0), (40e-3, 20.0), longest_s=1e3),
        **_both("AFG302", 12.5e6, 30e-9, 18e-9, (20e-3, 10.0), "C"),
        **_both("AFG305", 40e6, 12e-9, 7e-9, (20e-3, 10.0), "C"),
        **_both("AFG310", 50e6, 8e-9, 5e-9, (40e-3, 10.0), "C"),
        **_both("AFG315", 100e6, 5e-9, 3e-9, (0.1, 5.0), "C"),
        **_both("AFG325", 120e6, 4e-9, 2.5e-9, (0.1, 5.0), "C"),
        **_both("AFG3102", 20e6, 16e-9, 9e-9, (2e-3, 10.0)),
        **_both("AFG3105", 40e6, 10e-9, 6e-9, (2e-3, 10.0)),
        **_both("AFG3110", 80e6, 6e-9, 3.5e-9, (2e-3, 10.0)),
        **_both("AFG3115", 120e6, 5e-9, 2.5e-9, (2e-3, 10.0)),
        **_both("AFG3125", 160e6, 4e-9, 2e-9, (2e-3, 10.0)),
    }
    wanted: ClassVar = "a Tektronix AFG3011C to AFG3252C or AFG31021 to AFG31252"
    cycles: ClassVar = 1_000_000
    waits: ClassVar = False

    def _steps(self, pulse: Pulse) -> Sequence[Step]:
        """Edges and width go through their least, so that no width is too long for the new period."""
        source, output = f":SOUR{self.channel}", f":OUTP{self.channel}"
        others = [n for n in range(1, self._model.channels + 1) if n != self.channel]
        # An AFG31000 can also rest at the offset between bursts, which would be half the amplitude.
        at_start = () if self._name.endswith("C") else (Step(f"{source}:BURS:IDLE", "START"),)
        return (
            Step(":TRIG:SOUR", "EXT"),
            Step(f"{output}:IMP", "INF"),
            Step(f"{source}:PULS:HOLD", "WIDT"),
            Step(f"{source}:PULS:DEL", 0.0),
            Step(f"{source}:PULS:TRAN:LEAD", "MIN", None),
            Step(f"{source}:PULS:TRAN:TRA", "MIN", None),
            Step(f"{source}:PULS:WIDT", "MIN", None),
            quantity(f"{source}:PULS:PER", pulse.width_s + pulse.gap_s),
            Step(f"{source}:FUNC", "PULS"),
            quantity(f"{source}:PULS:WIDT", pulse.width_s),
            quantity(f"{source}:PULS:TRAN:LEAD", self.edge_s),
            quantity(f"{source}:PULS:TRAN:TRA", self.edge_s),
            Step(f"{source}:VOLT:OFFS", 0.0, None),
            *levels(*self._levels, pulse),
            polarity(f"{output}:POL", pulse),
            Step(f"{source}:BURS:MODE", "TRIG"),
            Step(f"{source}:BURS:TDEL", 0.0),
            *at_start,
            *(Step(f":OUTP{other}", 0, sent=False) for other in others),
            Step(f"{source}:BURS:STAT", 1),
        )

    @property
    def _levels(self) -> tuple[str, str]:
        return f":SOUR{self.channel}:VOLT:HIGH", f":SOUR{self.channel}:VOLT:LOW"

    def _count(self, count: int) -> Step:
        return Step(f":SOUR{self.channel}:BURS:NCYC", count)

    def _trigger(self) -> str:
        return "*TRG"

    @property
    def _off(self) -> str:
        return f"{self._output(False)};:ABOR"
