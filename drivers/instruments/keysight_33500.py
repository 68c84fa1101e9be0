"""Keysight (Agilent) 33500B and 33600A waveform generators as pulse generators, by SCPI.

Verified against drivers/sim/virtual/keysight_33500.py over sockets; no hardware seen.
Commands and their places in the manual: docs/instruments/keysight-33500.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from drivers.instruments.scpi_pulser import Model, ScpiPulser, Step, levels, polarity, quantity
from hil.schedule import Pulse

_VOLTS = (2e-3, 10.0)


def _b(channels: int, hertz: float) -> Model:
    return Model(channels, 1 / hertz, 16e-9, (8.4e-9, 1e-6), _VOLTS)


def _a(channels: int, hertz: float, edge_s: float) -> Model:
    return Model(channels, 1 / hertz, 5e-9, (edge_s, 1e-6), _VOLTS)


@dataclass
class Keysight33500(ScpiPulser):
    """One channel of a 33500B or 33600A; see `ScpiPulser`."""

    makers: ClassVar = ("agilent", "keysight")
    models: ClassVar = {
        "33509B": _b(1, 20e6), "33510B": _b(2, 20e6), "33511B": _b(1, 20e6), "33512B": _b(2, 20e6),
        "33519B": _b(1, 30e6), "33520B": _b(2, 30e6), "33521B": _b(1, 30e6), "33522B": _b(2, 30e6),
        "33611A": _a(1, 80e6, 4e-9), "33612A": _a(2, 80e6, 4e-9),
        "33621A": _a(1, 100e6, 2.9e-9), "33622A": _a(2, 100e6, 2.9e-9),
    }  # fmt: skip
    wanted: ClassVar = "a Keysight 33509B to 33522B or 33611A to 33622A"
    cycles: ClassVar = 100_000_000
    waits: ClassVar = True

    def _steps(self, pulse: Pulse) -> Sequence[Step]:
        """Edges and width go through their least, so that no width is too long for the new period."""
        source, train = f":SOUR{self.channel}", f":SOUR{self.channel}:FUNC:PULS"
        return (
            Step(f":TRIG{self.channel}:SOUR", "BUS"),
            Step(f":OUTP{self.channel}:LOAD", "INF"),
            Step(f"{train}:HOLD", "WIDT"),
            Step(f"{train}:TRAN:LEAD", "MIN", None),
            Step(f"{train}:TRAN:TRA", "MIN", None),
            Step(f"{train}:WIDT", "MIN", None),
            quantity(f"{train}:PER", pulse.width_s + pulse.gap_s),
            Step(f"{source}:FUNC", "PULS"),
            quantity(f"{train}:WIDT", pulse.width_s),
            quantity(f"{train}:TRAN:LEAD", self.edge_s),
            quantity(f"{train}:TRAN:TRA", self.edge_s),
            Step(f"{source}:VOLT:OFFS", 0.0, None),
            *levels(*self._levels, pulse),
            polarity(f":OUTP{self.channel}:POL", pulse),
            Step(f"{source}:BURS:MODE", "TRIG"),
            Step(f"{source}:BURS:PHAS", 0.0),
            Step(f"{source}:BURS:STAT", 1),
        )

    @property
    def _levels(self) -> tuple[str, str]:
        return f":SOUR{self.channel}:VOLT:HIGH", f":SOUR{self.channel}:VOLT:LOW"

    def _count(self, count: int) -> Step:
        return Step(f":SOUR{self.channel}:BURS:NCYC", count)

    def _trigger(self) -> str:
        return f":TRIG{self.channel}"  # *TRG would trigger the other channel too

    @property
    def _off(self) -> str:
        return f"{self._output(False)};:ABOR"
