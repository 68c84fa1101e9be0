"""Carries lines between hosts and virtual instruments, on TCP, VXI-11 and pseudo-terminals, with faults."""

from __future__ import annotations

import asyncio
import os
import threading
import tty
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from drivers.sim.virtual.faults import Faults, HangUpError
from drivers.sim.virtual.vxi11 import Vxi11

_CHUNK = 65_536

Carrier: TypeAlias = Literal["tcp", "pty", "vxi11"]


class Talker(Protocol):
    """A virtual instrument: lines in, answers out. It knows no socket and no time."""

    def receive(self, line: bytes) -> bytes:
        """What is answered to a line without its termination; b"" if nothing is."""
        ...


@dataclass(eq=False)
class Outlet:
    """One virtual instrument with its line.

    Parameters
    ----------
    talker
        The instrument.
    faults
        What goes wrong with its answers.
    link
        A bare TCP port, a pseudo-terminal, or VXI-11.
    port
        TCP and VXI-11: 0 takes a free one.
    portmapper
        VXI-11: where to answer a port mapper's question too; `mapped` is where it is then.
    latency_s
        Real seconds before every answer.
    """

    talker: Talker
    faults: Faults = field(default_factory=lambda: Faults([]))
    link: Carrier = "tcp"
    host: str = "127.0.0.1"
    port: int = 0
    portmapper: int | None = None
    latency_s: float = 0.0
    resource: str = ""
    mapped: int = field(default=0, init=False)
    _open: list[Callable[[bytes], None]] = field(default_factory=list[Callable[[bytes], None]])

    async def serve(self, ready: Callable[[Outlet], None]) -> None:
        """Serve until cancelled; ``ready`` is called once ``resource`` is known."""
        ways = {"tcp": self._serve_tcp, "pty": self._serve_pty, "vxi11": self._serve_vxi11}
        await ways[self.link](ready)

    async def _serve_tcp(self, ready: Callable[[Outlet], None]) -> None:
        async def host(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._open.append(writer.write)
            try:
                await self._converse(lambda: reader.read(_CHUNK), writer.write)
            except (HangUpError, ConnectionError, asyncio.CancelledError):
                pass  # a host that vanished is as good as one that closed
            finally:
                self._open.remove(writer.write)
                writer.close()

        server = await asyncio.start_server(host, self.host, self.port)
        async with server:
            name, self.port = server.sockets[0].getsockname()[:2]
            self.resource = f"TCPIP::{name}::{self.port}::SOCKET"
            ready(self)
            await server.serve_forever()

    async def _serve_vxi11(self, ready: Callable[[Outlet], None]) -> None:
        def found(name: str, port: int, mapped: int) -> None:
            self.port, self.mapped = port, mapped
            self.resource = f"TCPIP::{name},{port}::INSTR"
            ready(self)

        await Vxi11(self._answer, self._open).serve(self.host, self.port, self.portmapper, found)

    async def _serve_pty(self, ready: Callable[[Outlet], None]) -> None:
        ours, theirs = os.openpty()
        tty.setraw(theirs)
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[bytes] = asyncio.Queue()
        loop.add_reader(ours, lambda: arrived.put_nowait(os.read(ours, _CHUNK)))

        def send(data: bytes) -> None:
            os.write(ours, data)

        self._open.append(send)
        self.resource = f"ASRL{os.ttyname(theirs)}::INSTR"
        ready(self)
        try:
            while True:
                with suppress(HangUpError):  # a serial line cannot be hung up; the answer is lost
                    await self._converse(arrived.get, send)
        finally:
            loop.remove_reader(ours)
            os.close(ours)
            os.close(theirs)

    async def _converse(self, receive: Callable[[], Awaitable[bytes]], send: Callable[[bytes], None]) -> None:
        held = b""
        while data := await receive():
            *lines, held = (held + data).split(b"\n")
            for line in lines:
                await self._answer(line, send)

    async def _answer(self, line: bytes, send: Callable[[bytes], None]) -> None:
        fault = self.faults.choose(line)
        if fault is not None and fault.kind == "disconnect-before":
            raise HangUpError
        answer = self.talker.receive(line)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        if fault is None:
            if answer:
                send(answer)
            return
        if fault.kind == "disconnect-after":
            raise HangUpError
        if fault.kind == "late":
            await asyncio.sleep(fault.delay)
        if fault.kind == "late-next":
            asyncio.get_running_loop().call_later(fault.delay, self._say_later, answer)
        elif answer and fault.kind != "silent":
            send(self.faults.spoil(fault.kind, answer))
        if fault.kind == "disconnect-within":
            raise HangUpError

    def _say_later(self, answer: bytes) -> None:
        if self._open:
            self._open[-1](answer)


async def serve(outlets: Sequence[Outlet], ready: Callable[[], None]) -> None:
    """Serve all of them until cancelled; ``ready`` is called once all have their ``resource``."""
    waiting = list(outlets)

    def one_ready(outlet: Outlet) -> None:
        waiting.remove(outlet)
        if not waiting:
            ready()

    async with asyncio.TaskGroup() as group:
        for outlet in outlets:
            group.create_task(outlet.serve(one_ready))


@contextmanager
def serving(outlets: Sequence[Outlet]) -> Generator[None]:
    """Serve in a thread of this process, for tests; on entry all have their ``resource``."""
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    task = loop.create_task(serve(outlets, ready.set))

    def run() -> None:
        asyncio.set_event_loop(loop)
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.run_until_complete(_finished(loop))
        loop.close()

    thread = threading.Thread(target=run, name="virtual instruments", daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("virtual instruments: not ready within 10 s")
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)


def _finished(loop: asyncio.AbstractEventLoop) -> Coroutine[Any, Any, object]:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    return _gathered(left)


async def _gathered(tasks: set[asyncio.Task[Any]]) -> object:
    return await asyncio.gather(*tasks, return_exceptions=True)
