"""From a bench file to attached instruments: a session a line, a driver a role, and the wiring checked."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np

from drivers.crosspoint.bench import CrosspointBench, WiredArray
from drivers.crosspoint.ledger import Ledger
from drivers.crosspoint.probe import Probe
from drivers.crosspoint.roles import Role
from drivers.crosspoint.settings import CrosspointBenchSettings
from drivers.sim.models import sheet
from drivers.sim.settings import ReadSettings
from drivers.transport.session import Session, open_session
from drivers.wiring import channel_list
from hil.bench import ArrayInfo
from hil.errors import ConfigError
from hil.instruments import SwitchMatrix
from hil.wire import WireLog


def open_crosspoint_bench(settings: CrosspointBenchSettings) -> CrosspointBench:
    """Connect, identify, check the wiring; no output changes.

    Raises
    ------
    ConfigError
        Arrays or buses are wired to lines that the matrix has not.
    BenchError
        An instrument is not there, or not the one that the settings name.
    """
    wire = WireLog()
    with ExitStack() as opened:
        sessions: dict[str, Session] = {}
        made: dict[Role, Any] = {}  # each of its role's contract: found under it by entry point
        for role, wanted in settings.instruments.items():
            if wanted.resource not in sessions:
                session = open_session(wanted.resource, wanted.transport, wire, role=role)
                sessions[wanted.resource] = opened.enter_context(session)
            made[role] = wanted.make(role, sessions[wanted.resource])
            made[role].attach()
        check_lines(settings, made["matrix"])
        probe = Probe(
            made["smu"],
            made["pulser"],
            made["matrix"],
            settings.buses,
            settings.read,
            lambda: sum(session.transactions for session in sessions.values()),
        )
        arrays = _wired(settings)
        shapes = {name: wired.info.shape for name, wired in arrays.items()}
        folder = settings.program.ledger
        return CrosspointBench(
            probe,
            arrays,
            {role: instrument.identify() for role, instrument in made.items()},
            budget=settings.program.dose,
            ledger=None if folder is None else Ledger(settings.beside(folder), shapes),
            always=settings.read.refresh == "all",
            release=opened.pop_all().close,
            wire=wire,
        )


def check_lines(settings: CrosspointBenchSettings, matrix: SwitchMatrix) -> None:
    """Refuse buses and arrays that are wired to lines that the matrix has not, with ConfigError."""
    rows, cols = matrix.shape
    for name in ("smu", "pulser", "ground"):
        row: int = getattr(settings.buses, name)
        if row >= rows:
            raise ConfigError(f"buses.{name}: asked for row {row} of the matrix; it has 0 to {rows - 1}")
    for name, wiring in settings.arrays.items():
        for what, text in (("rows", wiring.rows), ("cols", wiring.cols)):
            highest = max(channel_list(text))
            if highest >= cols:
                raise ConfigError(
                    f"arrays.{name}.{what}: asked for column {highest} of the matrix; it has 0 to {cols - 1}"
                )


def _wired(settings: CrosspointBenchSettings) -> dict[str, WiredArray]:
    reading = ReadSettings(voltage=settings.read.voltage, integration=settings.read.integration)
    device = sheet(settings.device, reading)
    found: dict[str, WiredArray] = {}
    for name, wiring in settings.arrays.items():
        rows, cols = (np.array(channel_list(text), np.int64) for text in (wiring.rows, wiring.cols))
        info = ArrayInfo(
            name,
            rows.size,
            cols.size,
            device,
            parallel_read=False,
            parallel_write=False,
            nudges=frozenset({"pulse"}),
            emulated=frozenset({"multiply", "transpose", "nudge"}),
        )
        found[name] = WiredArray(info, rows, cols)
    return found
