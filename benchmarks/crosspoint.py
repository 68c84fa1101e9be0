"""A read map and a thousand pulses on the crosspoint bench, beside a loop written by hand with bare pyvisa.

python benchmarks/crosspoint.py

Both talk to the same virtual instruments (2636B, 33522B, 707B) in a process of their own. The loop by hand is
the usual one: it closes two relays, waits for *OPC?, and sources and measures, or triggers pulse after pulse;
it reads nothing back.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyvisa
from benches import served

from drivers.crosspoint import driver
from drivers.crosspoint.bench import CrosspointBench
from drivers.crosspoint.settings import CrosspointBenchSettings
from hil.config.validate import validate
from hil.config.yaml import load_yaml
from hil.region import Region
from hil.schedule import Program, Read

BENCH = """
driver: crosspoint
smu: {driver: keithley-2600, resource: x}
pulser: {driver: keysight-33500, resource: y}
matrix: {driver: keithley-700, resource: z}
buses: {smu: A, pulser: B, ground: C}
arrays: {main: {rows: 0-31, cols: 32-63}}
device:
  preset: ideal
  potentiate: {amplitude: 1 V, width: 1 us, gap: 1 us}
  depress: {amplitude: -1 V, width: 1 us, gap: 1 us}
read: {integration: 1 ms}
virtual:
  pulser: {settings: {model: 33522B}}
  matrix: {settings: {cards: {"1": 7174A, "2": 7174A, "3": 7174A, "4": 7174A, "5": 7174A, "6": 7174A}}}
"""
TURNS = 3
ROWS, COLS = np.arange(32), np.arange(32)
DEVICES, PULSES = 100, 10


def _written(folder: Path) -> Path:
    file = folder / "given.yaml"
    file.write_text(BENCH)
    return file


class ByHand:
    """What is written in an afternoon; ``count`` are its transactions."""

    def __init__(self, settings: CrosspointBenchSettings) -> None:
        manager = pyvisa.ResourceManager("@py")
        self.count = 0
        self.lines: dict[str, Any] = {}
        for role, wanted in settings.instruments.items():
            line = manager.open_resource(wanted.resource, read_termination="\n", write_termination="\n")
            # As TCP is by default a second command waits for the first one's acknowledgement, up to 40 ms.
            line.visalib.sessions[line.session].interface.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )
            self.lines[role] = line

    def write(self, role: str, text: str) -> None:
        """A command that is not answered."""
        self.count += 1
        self.lines[role].write(text)

    def query(self, role: str, text: str) -> str:
        """A question."""
        self.count += 1
        return self.lines[role].query(text)

    def connect(self, bus: str, row: int, col: int) -> None:
        """Two relays, and nothing read back."""
        channels = ",".join(f"{1 + line // 12}{b}{1 + line % 12:02d}" for b, line in ((bus, row), ("C", col)))
        self.write("matrix", 'channel.open("allslots")')
        self.write("matrix", f'channel.close("{channels}")')
        self.query("matrix", "*OPC?")

    def read_map(self) -> int:
        """Device after device."""
        before = self.count
        self.write("smu", "smua.source.output=1")
        for row in ROWS:
            for col in 32 + COLS:
                self.connect("A", row, col)
                self.write("smu", "smua.source.levelv=0.1")
                float(self.query("smu", "print(smua.measure.i())"))
                self.write("smu", "smua.source.levelv=0")
        self.write("smu", "smua.source.output=0")
        return self.count - before

    def pulses(self) -> int:
        """Pulse after pulse."""
        before = self.count
        for setting in (
            ":TRIG1:SOUR BUS", ":OUTP1:LOAD INF", ":SOUR1:FUNC:PULS:PER 2e-6", ":SOUR1:FUNC PULS",
            ":SOUR1:FUNC:PULS:WIDT 1e-6", ":SOUR1:VOLT:OFFS 0", ":SOUR1:VOLT:HIGH 1", ":SOUR1:VOLT:LOW 0",
            ":SOUR1:BURS:MODE TRIG", ":SOUR1:BURS:NCYC 1", ":SOUR1:BURS:STAT 1", ":OUTP1 1",
        ):  # fmt: skip
            self.write("pulser", setting)
        for device in range(DEVICES):
            self.connect("B", device // 32, 32 + device % 32)
            for _ in range(PULSES):
                self.write("pulser", ":TRIG1")
                self.query("pulser", "*OPC?")
        self.write("pulser", ":OUTP1 0")
        return self.count - before

    def close(self) -> None:
        """Let go of the lines."""
        for line in self.lines.values():
            line.close()


def timed(act: Callable[[], int]) -> tuple[float, int]:
    """Seconds, the median of some turns, and transactions."""
    taken: list[float] = []
    transactions = 0
    for _ in range(TURNS):
        started = time.perf_counter()
        transactions = act()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken)), transactions


def tell(what: str, hand: tuple[float, int], own: tuple[float, int]) -> None:
    print(
        f"{what:24} by hand {hand[0]:6.2f} s, {hand[1]:5d} transactions; bench {own[0]:6.2f} s, {own[1]:5d} "
        f"transactions; time x {own[0] / hand[0]:.2f}, transactions / {hand[1] / own[1]:.1f}"
    )


def main() -> None:
    """The loop first: a bench finds it out when somebody else changes the settings of its instruments."""
    with tempfile.TemporaryDirectory() as folder, served(_written(Path(folder))) as found:
        settings = validate(driver.settings, load_yaml(found))
        with closing(ByHand(settings)) as by_hand:
            hand = timed(by_hand.read_map), timed(by_hand.pulses)
        bench: CrosspointBench = driver.open(settings, {}, 0)
        with closing(bench):
            sheet = bench.arrays["main"].device
            whole = Region("main", ROWS, COLS)
            counts = np.zeros((32, 32), np.int16)
            counts.flat[:DEVICES] = PULSES
            read = (Read(whole, 0.1, 1e-3),)
            program = (Program(whole, counts, sheet.potentiate, sheet.depress),)
            own = [timed(lambda op=op: bench.execute(op).cost.transactions) for op in (read, program)]
        tell("read map, 32 x 32", hand[0], own[0])
        tell(f"{DEVICES} devices x {PULSES} pulses", hand[1], own[1])


if __name__ == "__main__":
    main()
