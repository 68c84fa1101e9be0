"""What a session costs over bare pyvisa: a query on a loopback socket, and 24 points of a virtual 2600.

python benchmarks/transport.py
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyvisa

from drivers.instruments.keithley_2600 import Keithley2600
from drivers.sim.virtual.keithley_2600 import Keithley2600 as Virtual2600
from drivers.sim.virtual.keithley_2600 import Virtual2600Settings
from drivers.sim.virtual.server import Outlet, serving
from drivers.transport.session import open_session
from hil.instruments import Sourcing
from hil.wire import WireLog

QUERIES = 3000
POINTS = np.linspace(-0.1, 0.1, 24)
ECHO = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    line, _ = listener.accept()
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while line.recv(4096):
        line.sendall(b"1.234567e-06\\n")
"""


class Resistor:
    """One megohm."""

    def drive(self, source: str, volts: float) -> None:
        """Nothing depends on it."""

    def current(self, volts: float, integration_s: float) -> float:
        """Ohm's law."""
        return volts / 1e6


def median_us(act: Callable[[], object], times: int) -> float:
    taken: list[float] = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        taken.append(time.perf_counter() - started)
    return 1e6 * float(np.median(taken))


def bare(resource: str) -> Any:
    manager = pyvisa.ResourceManager("@py")
    return manager.open_resource(resource, read_termination="\n", write_termination="\n")


def queries() -> None:
    with subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE, text=True) as echo:
        port = int(next(iter(echo.stdout or ())))
        resource = f"TCPIP::127.0.0.1::{port}::SOCKET"
        line = bare(resource)
        print(f"query, bare pyvisa        {median_us(lambda: line.query('x'), QUERIES):7.0f} us")
        line.close()
        with open_session(resource) as session:
            print(f"query, session            {median_us(lambda: session.query('x'), QUERIES):7.0f} us")
        with tempfile.TemporaryDirectory() as folder:
            wire = WireLog(Path(folder) / "wire.jsonl.gz")
            with open_session(resource, wire=wire) as session:
                print(f"query, session, log file  {median_us(lambda: session.query('x'), QUERIES):7.0f} us")
            wire.close()
        echo.kill()


def points() -> None:
    """As TCP is by default, a second command waits for the first one's acknowledgement: so both ways."""

    def loop() -> None:
        for volts in POINTS:
            line.write(f"smua.source.levelv={volts:.6e}")
            line.query("print(smua.measure.iv())")
            line.query("print(smua.source.compliance)")
            line.write("smua.source.levelv=0")

    def ours() -> None:
        smu.measure(POINTS, Sourcing(1e-4, 1e-3))

    outlet = Outlet(Virtual2600(Virtual2600Settings(), Resistor(), Resistor()))
    with serving([outlet]):
        line = bare(outlet.resource)
        line.write("smua.source.output=1")
        print(f"24 points, bare loop      {median_us(loop, 5):7.0f} us, {4 * POINTS.size} transactions")
        line.visalib.sessions[line.session].interface.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print(f"the same, TCP_NODELAY     {median_us(loop, 20):7.0f} us, {4 * POINTS.size} transactions")
        line.close()
        with open_session(outlet.resource) as session:
            smu = Keithley2600(session)
            smu.attach()
            ours()
            before = smu.transactions
            ours()
            taken = smu.transactions - before
            print(f"24 points, driver         {median_us(ours, 20):7.0f} us, {taken} transactions")


if __name__ == "__main__":
    queries()
    points()
