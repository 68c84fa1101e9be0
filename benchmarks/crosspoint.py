"""A read map and a thousand pulses on the crosspoint bench, beside a loop written by hand with bare pyvisa.

python benchmarks/crosspoint.py [--latency "2 ms"]

Both talk to the same virtual instruments (2636B, 33522B, 707B) in a process of their own. The loop by hand is
the usual one: it closes two relays, waits for *OPC?, and sources and measures, or triggers pulse after pulse;
it reads nothing back. The bench is measured twice: with a line to each instrument, and with the 707B on the
TSP-Link of the 2636B. Processor time is that of both processes together (Linux).
"""

from __future__ import annotations

import argparse
import os
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

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
  smu: {latency: LATENCY}
  pulser: {latency: LATENCY, settings: {model: 33522B}}
  matrix:
    latency: LATENCY
    settings: {cards: {"1": 7174A, "2": 7174A, "3": 7174A, "4": 7174A, "5": 7174A, "6": 7174A}}
"""
TURNS = 5
ROWS, COLS = np.arange(32), np.arange(32)
DEVICES, PULSES = 100, 10


LINKED = BENCH.replace("resource: z}", "resource: x, options: {node: 2}}")


def _written(folder: Path, text: str, latency: str) -> Path:
    file = folder / "given.yaml"
    file.write_text(text.replace("LATENCY", latency))
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


class Figures(NamedTuple):
    """Seconds on the wall and of processors, medians of some turns, and transactions."""

    wall_s: float
    processor_s: float
    transactions: int

    def __str__(self) -> str:
        times = f"{self.wall_s:5.2f} s, {self.processor_s:5.2f} s of processors"
        return f"{times}, {self.transactions:5d} transactions"


def processor_s() -> float:
    """Of this process and of those that it started, which /proc tells of."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12]) if int(fields[1]) == os.getpid() else 0
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def timed(act: Callable[[], int]) -> Figures:
    """Do it some times."""
    wall: list[float] = []
    processors: list[float] = []
    transactions = 0
    for _ in range(TURNS):
        began, busy = time.perf_counter(), processor_s()
        transactions = act()
        wall.append(time.perf_counter() - began)
        processors.append(processor_s() - busy)
    return Figures(float(np.median(wall)), float(np.median(processors)), transactions)


def tell(what: str, hand: Figures, own: Figures) -> None:
    print(f"{what}\n  by hand {hand}\n  bench   {own}")
    wall, busy = own.wall_s / hand.wall_s, own.processor_s / hand.processor_s
    fewer = hand.transactions / own.transactions
    print(f"  time x {wall:.2f}, of processors x {busy:.2f}, transactions / {fewer:.1f}")


def of_the_bench(settings: CrosspointBenchSettings) -> list[Figures]:
    """The read map and the pulses."""
    bench: CrosspointBench = driver.open(settings, {}, 0)
    with closing(bench):
        sheet = bench.arrays["main"].device
        whole = Region("main", ROWS, COLS)
        counts = np.zeros((32, 32), np.int16)
        counts.flat[:DEVICES] = PULSES
        read = (Read(whole, 0.1, 1e-3),)
        program = (Program(whole, counts, sheet.potentiate, sheet.depress),)
        return [timed(lambda op=op: bench.execute(op).cost.transactions) for op in (read, program)]


def main() -> None:
    """The loop first: a bench finds it out when somebody else changes the settings of its instruments."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--latency", default="0 s", help="of each answer of the virtual instruments")
    latency: str = parser.parse_args().latency
    names = "read map, 32 x 32", f"{DEVICES} devices x {PULSES} pulses"
    with tempfile.TemporaryDirectory() as folder:
        with served(_written(Path(folder), BENCH, latency)) as found:
            settings = validate(driver.settings, load_yaml(found))
            with closing(ByHand(settings)) as by_hand:
                hand = timed(by_hand.read_map), timed(by_hand.pulses)
            own = of_the_bench(settings)
        with served(_written(Path(folder), LINKED, latency)) as found:
            linked = of_the_bench(validate(driver.settings, load_yaml(found)))
    for name, *figures in zip(names, hand, own, linked, strict=True):
        tell(name, figures[0], figures[1])
        tell(f"{name}, linked", figures[0], figures[2])


if __name__ == "__main__":
    main()
