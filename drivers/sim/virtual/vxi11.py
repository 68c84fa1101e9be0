"""A virtual instrument on VXI-11 (VXIbus Consortium, VXI-11 rev. 1.0): core and abort channel, port mapper.

Written from the specification's procedures and error numbers, not from a client. Locks, triggers, service
requests and documented commands are answered "not supported", as an instrument may.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import TypeAlias

from drivers.sim.virtual.faults import HangUpError
from drivers.sim.virtual.rpc import Arguments, Program, opaque, serve_calls, words

CORE, ASYNC, MAPPER = 0x0607AF, 0x0607B0, 100_000
_TCP = 6
_LARGEST_WRITE = 1024
"""The least that the specification lets an instrument take at once: long commands come in pieces."""
_FLAG_END, _FLAG_STOP = 0x08, 0x80
_REQUESTED, _STOPPED, _END = 1, 2, 4
_MESSAGE_AVAILABLE = 0x10
_FINE, _NO_DEVICE, _NO_LINK, _WRONG, _UNSUPPORTED, _TIMED_OUT, _FAILED, _ABORTED = 0, 3, 4, 5, 8, 15, 17, 23

Say: TypeAlias = Callable[[bytes], None]
Answer: TypeAlias = Callable[[bytes, Say], Awaitable[None]]


class _Link:
    """One host's link to the device: what it sent, and what is to be read, which a device clear empties.

    An answer ends with END if it ends with a newline: one that is cut short has lost both.
    """

    def __init__(self, answer: Answer, hang_up: Callable[[], None]) -> None:
        self._answer = answer
        self._hang_up = hang_up
        self._held = b""
        self._said: deque[bytes] = deque()
        self._stopped = 0
        self._news = asyncio.Event()
        self._start()

    @property
    def available(self) -> bool:
        return bool(self._said)

    def take(self, data: bytes, end: bool) -> None:
        """Part of a message; the device gets it once it is whole."""
        self._held += data
        if end:
            whole, self._held = self._held, b""
            self._messages.put_nowait(whole)

    def say(self, data: bytes) -> None:
        self._said.append(data)
        self._news.set()

    async def read(self, size: int, timeout_s: float, stop: bytes) -> tuple[int, int, bytes]:
        """Error, reason of the end, data."""
        self._stopped = 0
        try:
            async with asyncio.timeout(timeout_s):
                while not (self._said or self._stopped):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return _TIMED_OUT, 0, b""
        if self._stopped:
            return self._stopped, 0, b""
        whole = self._said.popleft()
        data = whole[:size]
        if stop and stop in data:
            data = data[: data.index(stop) + 1]
        rest = whole[len(data) :]
        if rest:
            self._said.appendleft(rest)
        ended = _END if not rest and data.endswith(b"\n") else 0
        full, stopped = _REQUESTED * (len(data) == size), _STOPPED * (stop != b"" and data.endswith(stop))
        return _FINE, ended | full | stopped, data

    def stop(self, error: int) -> None:
        """End a read that waits."""
        self._stopped = error
        self._news.set()

    def clear(self) -> None:
        """Device clear: nothing of what was sent is done any more, nothing of what was said is read."""
        self.end()
        self._held = b""
        self._said.clear()
        self._start()

    def end(self) -> None:
        self._work.cancel()

    def _start(self) -> None:
        self._messages: asyncio.Queue[bytes] = asyncio.Queue()
        self._work = asyncio.get_running_loop().create_task(self._do(self._messages))

    async def _do(self, messages: asyncio.Queue[bytes]) -> None:
        try:
            while True:
                for line in (await messages.get()).removesuffix(b"\n").split(b"\n"):
                    await self._answer(line, self.say)
        except HangUpError:
            self.stop(_FAILED)
            self._hang_up()


class Vxi11:
    """The server of one device, ``inst0``.

    Parameters
    ----------
    answer
        Does a line, and says what is answered to it; raises HangUpError to close the line.
    speakers
        Where the links that are open now can be spoken to, the newest last.
    """

    def __init__(self, answer: Answer, speakers: list[Say]) -> None:
        self._answer = answer
        self._speakers = speakers
        self._links: dict[int, _Link] = {}
        self._numbers = count(1)
        self._abort_port = 0

    async def serve(
        self, host: str, port: int, portmapper: int | None, ready: Callable[[str, int, int], None]
    ) -> None:
        """Serve until cancelled; ``ready`` is told host, port, and the mapper's port or 0."""
        core = await asyncio.start_server(self._host, host, port)
        name, core_port = core.sockets[0].getsockname()[:2]
        abort = Program(ASYNC, 1, {1: self._abort})
        mapper = Program(MAPPER, 2, {3: partial(_port_of, core_port)})
        aborts = await asyncio.start_server(lambda r, w: _served(r, w, abort), host, 0)
        self._abort_port = aborts.sockets[0].getsockname()[1]
        async with core, aborts:
            if portmapper is None:
                ready(name, core_port, 0)
                await core.serve_forever()
            maps = await asyncio.start_server(lambda r, w: _served(r, w, mapper), host, portmapper)
            async with maps:
                ready(name, core_port, maps.sockets[0].getsockname()[1])
                await core.serve_forever()

    async def _host(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, whose end is that of its links."""
        own: set[int] = set()
        with self._freed(own):
            await _served(reader, writer, self._core(own, writer.close))

    @contextmanager
    def _freed(self, own: set[int]) -> Generator[None]:
        try:
            yield
        finally:
            for number in list(own):
                self._destroy(number, own)

    def _core(self, own: set[int], hang_up: Callable[[], None]) -> Program:
        async def create(call: Arguments) -> bytes:
            _, locked, _, device = call.word(), call.word(), call.word(), call.opaque()
            if device != b"inst0" or locked:
                return words(_UNSUPPORTED if locked else _NO_DEVICE, 0, 0, 0)
            number, link = next(self._numbers), _Link(self._answer, hang_up)
            self._links[number] = link
            self._speakers.append(link.say)
            own.add(number)
            return words(_FINE, number, self._abort_port, _LARGEST_WRITE)

        async def destroy(call: Arguments) -> bytes:
            number = call.word()
            if number not in own:
                return words(_NO_LINK)
            self._destroy(number, own)
            return words(_FINE)

        async def unsupported(_: Arguments) -> bytes:
            return words(_UNSUPPORTED)

        async def no_command(_: Arguments) -> bytes:
            return words(_UNSUPPORTED) + opaque(b"")

        refused = dict.fromkeys((14, 16, 17, 18, 19, 20, 25, 26), unsupported)
        done = {10: create, 11: self._write, 12: self._read, 13: self._status, 15: self._clear, 23: destroy}
        return Program(CORE, 1, {**refused, 22: no_command, **done})

    def _destroy(self, number: int, own: set[int]) -> None:
        own.remove(number)
        link = self._links.pop(number)
        self._speakers.remove(link.say)
        link.end()

    async def _write(self, call: Arguments) -> bytes:
        link, _, _, flags, data = self._found(call), call.word(), call.word(), call.word(), call.opaque()
        if link is None or len(data) > _LARGEST_WRITE:
            return words(_NO_LINK if link is None else _WRONG, 0)
        link.take(data, bool(flags & _FLAG_END))
        return words(_FINE, len(data))

    async def _read(self, call: Arguments) -> bytes:
        link, size, timeout_ms, _ = self._found(call), call.word(), call.word(), call.word()
        flags, stop = call.word(), call.word()
        if link is None:
            return words(_NO_LINK, 0) + opaque(b"")
        stopping = bytes([stop & 0xFF]) if flags & _FLAG_STOP else b""
        error, reason, data = await link.read(size, timeout_ms / 1e3, stopping)
        return words(error, reason) + opaque(data)

    async def _status(self, call: Arguments) -> bytes:
        link = self._found(call)
        return words(_NO_LINK, 0) if link is None else words(_FINE, _MESSAGE_AVAILABLE * link.available)

    async def _clear(self, call: Arguments) -> bytes:
        link = self._found(call)
        if link is None:
            return words(_NO_LINK)
        link.clear()
        return words(_FINE)

    async def _abort(self, call: Arguments) -> bytes:
        link = self._found(call)
        if link is None:
            return words(_NO_LINK)
        link.stop(_ABORTED)
        return words(_FINE)

    def _found(self, call: Arguments) -> _Link | None:
        return self._links.get(call.word())


async def _served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, program: Program) -> None:
    try:
        await serve_calls(reader, writer, program)
    except asyncio.CancelledError:
        pass  # the server ends
    finally:
        writer.close()


async def _port_of(core_port: int, call: Arguments) -> bytes:
    wanted = call.word(), call.word(), call.word()
    return words(core_port if wanted == (CORE, 1, _TCP) else 0)
