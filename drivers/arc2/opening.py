"""From a bench file to an open board: pyarc2's, or a virtual one with simulated devices in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from drivers.arc2.api import Library, installed
from drivers.arc2.bench import Arc2Bench
from drivers.arc2.instrument import Arc2
from drivers.arc2.ranges import NS, Ranges
from drivers.arc2.settings import Arc2BenchSettings
from drivers.instruments.failure import require_safe
from drivers.ledger import Ledger
from drivers.sim.bench import SimBench
from drivers.sim.settings import DisturbSettings, SimSettings
from drivers.sim.virtual.arc2 import Lines, VirtualArc2
from drivers.sim.virtual.arc2_calls import VirtualArc2Error
from drivers.sim.virtual.arc2_settings import VirtualArc2Settings
from drivers.wiring import WiredArray, channel_list
from hil.bench import ArrayInfo
from hil.errors import ConfigError, LimitError


def open_arc2_bench(settings: Arc2BenchSettings, seed: int) -> Arc2Bench:
    """Open the board that a file describes, or the virtual one; see `bench_on`."""
    if settings.virtual is None:
        return bench_on(settings, installed())
    world = virtual_board(settings, settings.virtual, seed)
    return bench_on(
        settings, virtual_library(world), durable=False, clock=world.clock, pause=world.leave_alone
    )


def bench_on(
    settings: Arc2BenchSettings,
    library: Library,
    *,
    durable: bool = True,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
    exchange_s: float = 0.0,
) -> Arc2Bench:
    """Open a board of a library; all channels are connected to ground then.

    ``durable``: whether its devices outlive this process. ``clock`` and ``pause``: seconds on the bench's
    clock, and leaving the arrays alone for some; ``exchange_s`` is added for each exchange.

    Raises
    ------
    ConfigError
        The typical device cannot be read or pulsed; the firmware or the ledger is not to be had.
    BenchError
        The board is not there, or could not be verified to be at 0 V.
    """
    check_device(settings)
    folder = settings.program.ledger
    arrays = _wired(settings)
    shapes = {name: wired.info.shape for name, wired in arrays.items()}
    ledger = None if folder is None else Ledger(settings.beside(folder), shapes)
    board = board_of(settings, library)
    try:
        board.attach()
        require_safe(board.make_safe())
    except BaseException:
        board.close()
        raise
    return Arc2Bench(
        board,
        arrays,
        settings.read,
        budget=settings.program.dose,
        ledger=ledger,
        durable=durable,
        clock=lambda: clock() + exchange_s * board.transactions,
        pause=pause,
    )


def board_of(settings: Arc2BenchSettings, library: Library) -> Arc2:
    """The board that a file describes, not opened."""
    wanted = settings.instrument
    return Arc2(library, wanted.port, _firmware(settings), control=wanted.control, timeout_s=wanted.timeout)


def _firmware(settings: Arc2BenchSettings) -> Path | None:
    """The file that is loaded into the board; None for a virtual one."""
    named = settings.instrument.firmware
    return None if named is None or settings.virtual is not None else settings.beside(named)


def check_device(settings: Arc2BenchSettings) -> None:
    """Refuse to read and pulse as the board cannot, with ConfigError that begins with the key."""
    ranges, device, read = Ranges(), settings.typical, settings.read
    for key, check in (
        ("read.voltage", lambda: ranges.check_volts(np.array([read.voltage]), "a device")),
        ("read.settle", lambda: NS.of("settle", read.settle)),
        ("device.potentiate", lambda: ranges.check_pulses(device.potentiate, 1, "a device")),
        ("device.depress", lambda: ranges.check_pulses(device.depress, 1, "a device")),
    ):
        try:
            check()
        except LimitError as error:
            raise ConfigError(f"{key}: {error}") from error


def virtual_board(
    settings: Arc2BenchSettings, given: VirtualArc2Settings, seed: int, devices: SimSettings | None = None
) -> VirtualArc2:
    """Simulated devices of all arrays on the channels of a virtual board; ``devices`` in place of those that
    the file describes. Raises ConfigError as `check_device`.
    """
    check_device(settings)
    physics = devices or SimSettings(
        device=settings.device if given.device is None else given.device,
        read=given.read.of(settings.read.voltage, settings.read.sample),
        drift=given.drift,
        disturb=DisturbSettings(half_select=given.half_select),
        lines=given.lines,
    )
    lines = {name: Lines(wired.rows, wired.cols) for name, wired in _wired(settings).items()}
    sizes = {name: (each.rows.size, each.cols.size) for name, each in lines.items()}
    bench = SimBench(physics, sizes, seed if given.seed is None else given.seed)
    return VirtualArc2(bench, lines, given, sample_s=settings.read.sample)


def virtual_library(board: VirtualArc2) -> Library:
    """What a virtual board is opened by."""
    values = "All", "Current", "Voltage", "Internal", "Header"
    return Library("virtual pyarc2", board.find_ids, board.open, VirtualArc2Error, *values)


def _wired(settings: Arc2BenchSettings) -> dict[str, WiredArray]:
    found: dict[str, WiredArray] = {}
    for name, wiring in settings.arrays.items():
        rows, cols = (np.array(channel_list(text), np.int64) for text in (wiring.rows, wiring.cols))
        info = ArrayInfo(
            name,
            rows.size,
            cols.size,
            settings.typical,
            nudges=frozenset({"pulse"}),
            emulated=frozenset({"nudge"}),
            compliance=settings.compliance,
        )
        found[name] = WiredArray(info, rows, cols)
    return found
