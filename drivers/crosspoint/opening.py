"""From a bench file to attached instruments: a session a line, a driver a role, and the wiring checked."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Protocol, runtime_checkable

import numpy as np

from drivers.crosspoint.bench import CrosspointBench
from drivers.crosspoint.probe import LOWERED, Lines, Probe
from drivers.crosspoint.roles import ROLES, InstrumentSettings, Role
from drivers.crosspoint.settings import CrosspointBenchSettings
from drivers.instruments.tsp_scan import TspScan
from drivers.ledger import Ledger
from drivers.transport.links import open_link
from drivers.transport.session import Connect, Session, open_session
from drivers.wiring import WiredArray, channel_list
from hil.bench import ArrayInfo
from hil.errors import ConfigError, LimitError
from hil.instruments import Pulser, Smu, Sourcing, SwitchMatrix
from hil.units import format_quantity
from hil.wire import WireLog


@runtime_checkable
class _Pausing(Protocol):
    """A driver that waits for its instrument: for a relay of its output, or the end of a burst."""

    pause: Callable[[float], None]


def open_crosspoint_bench(
    settings: CrosspointBenchSettings,
    connect: Connect = open_link,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> CrosspointBench:
    """Connect, identify, check the wiring; no output changes.

    ``connect`` opens the lines; ``clock`` and ``pause``: seconds, and waiting for some.

    Raises
    ------
    ConfigError
        Arrays or buses are wired to lines that the matrix has not; the instruments cannot read or pulse as
        the file says; the ledger cannot be kept.
    BenchError
        An instrument is not there, or not the one that the settings name.
    """
    wire = WireLog()
    with ExitStack() as opened:
        sessions: dict[str, Session] = {}
        made: dict[Role, Any] = {}  # each of its role's contract: found under it by entry point
        for role, wanted in settings.instruments.items():
            if wanted.resource not in sessions:
                sessions[wanted.resource] = opened.enter_context(_session(role, wanted, wire, connect))
            made[role] = wanted.make(role, sessions[wanted.resource])
            if isinstance(made[role], _Pausing):
                made[role].pause = pause
            made[role].attach()
        check_lines(settings, made["matrix"])
        check_reading(settings, made["smu"])
        check_pulses(settings, made["pulser"])
        probe = Probe(
            made["smu"],
            made["pulser"],
            made["matrix"],
            settings.buses,
            settings.read,
            Lines(*(sessions[settings.instruments[role].resource] for role in ROLES)),
            None if settings.matrix.node is None else TspScan(made["smu"], made["matrix"]),
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
            clock=clock,
            pause=pause,
        )


def _session(role: Role, wanted: InstrumentSettings, wire: WireLog, connect: Connect) -> Session:
    try:
        return open_session(wanted.resource, wanted.transport, wire, role=role, connect=connect)
    except ConfigError as error:
        raise ConfigError(f"{role}.resource: {error}") from error


def check_reading(settings: CrosspointBenchSettings, smu: Smu) -> None:
    """Refuse to read as the source-measure unit cannot, or with a compliance that the typical device exceeds.

    Raises ConfigError that begins with the key; nothing is sent.
    """
    read, device = settings.read, settings.typical
    sourcing = Sourcing(read.compliance, read.integration, read.settle)
    _admitted("read", lambda: smu.check(np.array([read.voltage, -read.voltage]), sourcing))
    most = device.g_max_s * read.voltage * (LOWERED[-1] if read.at_compliance == "lower" else 1.0)
    if most > read.compliance:
        asked, drawn = (format_quantity(amperes, "A", digits=3) for amperes in (read.compliance, most))
        siemens, volts = format_quantity(device.g_max_s, "S", digits=3), format_quantity(read.voltage, "V")
        raise ConfigError(
            f"read.compliance: asked for {asked}; a typical device at its highest, {siemens}, draws {drawn} "
            f"at {volts}, and would be known by a bound alone"
        )


def check_pulses(settings: CrosspointBenchSettings, pulser: Pulser) -> None:
    """Refuse pulses that the generator cannot put out, by a ConfigError with the key; nothing is sent."""
    device = settings.typical
    _admitted("device.potentiate", lambda: pulser.check(device.potentiate, 1))
    _admitted("device.depress", lambda: pulser.check(device.depress, 1))


def _admitted(key: str, check: Callable[[], None]) -> None:
    try:
        check()
    except LimitError as error:
        raise ConfigError(f"{key}: {error}") from error


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
    device = settings.typical
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
            compliance=settings.compliance,
        )
        found[name] = WiredArray(info, rows, cols)
    return found
