"""A virtual array controller on a TCP port or a pseudo-terminal, with faults (docs/array-controller.md).

It runs in a process of its own (`hil virtual`), so that devices outlive the host that trains them.
"""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from drivers.sim.virtual.controller_board import Board, Cut
from drivers.sim.virtual.controller_grid import Grid
from drivers.sim.virtual.controller_lines import body_of, seal
from drivers.sim.virtual.controller_settings import ControllerFault, VirtualControllerSettings

_CHUNK = 65536


class VirtualController:
    """A board with its faults, whatever link it is on.

    Parameters
    ----------
    grid
        Devices, wires and counters.
    settings
        Link and faults.
    serial
        Its serial number.
    """

    def __init__(self, grid: Grid, settings: VirtualControllerSettings, serial: str) -> None:
        self._grid = grid
        self._settings = settings
        self._serial = serial
        self._rng = np.random.default_rng([settings.seed, *b"faults"])
        self._boot = 0
        self._runs = 0
        self.power_up()

    def power_up(self) -> None:
        """Forget all but devices and counters."""
        self._boot += 1
        cuts = [Cut(run, f.op, f.shots) for f in self._settings.faults if f.kind == "abort" for run in f.runs]
        self.board = Board(self._grid, self._serial, self._boot, cuts=cuts)

    def exchange(self, serial: str) -> None:
        """Put another board in its place."""
        self._serial = serial
        self.power_up()

    async def serve(self, ready: Callable[[str], None]) -> None:
        """Serve until cancelled; ``ready`` is told the VISA resource."""
        if self._settings.link == "tcp":
            await _serve_tcp(self, self._settings, ready)
        else:
            await _serve_pty(self, ready)

    async def answer(self, line: bytes, port: Port) -> None:
        """Take a line and answer it, or not, as the faults say."""
        fault = self._fault(line)
        kind = "" if fault is None else fault.kind
        if kind == "disconnect-before":
            port.drop()
            return
        reply = b"".join(self.board.receive(line))
        delay = self._settings.latency + (fault.delay if fault is not None and kind == "late" else 0.0)
        if delay:
            await asyncio.sleep(delay)
        if kind == "power-cut":
            self.power_up()
        if kind == "garbage":
            reply = bytes(self._rng.integers(0, 256, len(reply), np.uint8)) + b"\n"
        elif kind == "extra-line":
            reply = seal("1 OK") + reply
        elif kind in ("truncated", "disconnect-within"):
            reply = reply[: len(reply) // 2]
        if kind not in ("silent", "disconnect-after", "power-cut"):
            port.send(reply)
        if kind.startswith("disconnect") or kind == "power-cut":
            port.drop()

    def _fault(self, line: bytes) -> ControllerFault | None:
        body = body_of(line)
        if body is None or body.split(" ")[1:2] != ["RUN"]:
            return None
        self._runs += 1
        for fault in self._settings.faults:
            if fault.kind != "abort" and (
                self._runs in fault.runs or (fault.share and self._rng.random() < fault.share)
            ):
                return fault
        return None


class Port:
    """One link of a host: bytes become lines, lines are answered in their order."""

    def __init__(
        self, controller: VirtualController, send: Callable[[bytes], None], drop: Callable[[], None]
    ) -> None:
        self.send = send
        self.drop = drop
        self._controller = controller
        self._pending = bytearray()
        self._watchdog: asyncio.TimerHandle | None = None

    async def feed(self, data: bytes) -> None:
        """Bytes arrived."""
        self._pending += data
        *lines, rest = self._pending.split(b"\n")
        longest = self._controller.board.limits.line
        self._pending = rest[: longest + 1]  # longer is damaged anyhow
        for line in lines:
            await self._controller.answer(bytes(line), self)
        if lines:
            self._wind_watchdog()

    def closed(self) -> None:
        """The host is gone."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._controller.board.silence()

    def _wind_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        board = self._controller.board
        loop = asyncio.get_running_loop()
        self._watchdog = loop.call_later(board.limits.watchdog / 1e3, board.silence)


async def _serve_tcp(
    controller: VirtualController, settings: VirtualControllerSettings, ready: Callable[[str], None]
) -> None:
    current: list[tuple[asyncio.StreamWriter, float]] = []
    loop = asyncio.get_running_loop()

    async def host(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if current and loop.time() - current[0][1] <= controller.board.limits.watchdog / 1e3:
            writer.write(seal("0 ERR code=12 msg=busy"))
            writer.close()
            return
        for other, _ in current:
            other.close()
        current[:] = [(writer, loop.time())]
        port = Port(controller, writer.write, writer.close)
        try:
            while data := await reader.read(_CHUNK):
                current[:] = [(writer, loop.time())]
                await port.feed(data)
                await writer.drain()
        except ConnectionError:
            return  # a host that vanished is as good as one that closed
        finally:
            if current and current[0][0] is writer:
                current.clear()
                port.closed()
            writer.close()

    server = await asyncio.start_server(host, settings.host, settings.port)
    async with server:
        name, number = server.sockets[0].getsockname()[:2]
        ready(f"TCPIP::{name}::{number}::SOCKET")
        try:
            await server.serve_forever()
        finally:
            for writer, _ in current:  # leaving the server waits for its connections
                writer.transport.abort()


async def _serve_pty(controller: VirtualController, ready: Callable[[str], None]) -> None:
    """The other end stays open here, so that a host may come and go; the line itself does not tell."""
    inner, outer = os.openpty()
    tty.setraw(outer)
    os.set_blocking(inner, False)
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    waiting = bytearray()

    def receive() -> None:
        with suppress(BlockingIOError):
            arrived.put_nowait(os.read(inner, _CHUNK))

    def flush() -> None:
        with suppress(BlockingIOError):
            del waiting[: os.write(inner, waiting)]
        if waiting:
            loop.add_writer(inner, flush)
        else:
            loop.remove_writer(inner)

    def send(data: bytes) -> None:
        waiting.extend(data)
        flush()

    port = Port(controller, send, lambda: None)
    loop.add_reader(inner, receive)
    try:
        ready(f"ASRL{os.ttyname(outer)}::INSTR")
        while True:
            await port.feed(await arrived.get())
    finally:
        loop.remove_reader(inner)
        loop.remove_writer(inner)
        port.closed()
        os.close(inner)
        os.close(outer)
