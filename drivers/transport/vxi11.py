"""VXI-11 by pyvisa-py, beside what it does badly."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from drivers.transport.link import Chunk
from drivers.transport.visa import VisaLink

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource

_LEAST, _MOST = 1024, 65_536
"""Bytes of a piece; the specification lets no instrument take less than the first."""


class Vxi11Link(VisaLink):
    """VXI-11 by pyvisa-py 0.8, whose traps are kept out here.

    It takes a closed connection for silence and spins for all of the time-out, waits 5 s for the goodbye of
    an instrument that is gone, and counts the time that pieces of an answer took again with each later one.
    """

    def __init__(self, resource: MessageBasedResource) -> None:
        library: Any = resource.visalib
        session = library.sessions[resource.session]
        piece = min(_MOST, max(_LEAST, session.max_recv_size))
        super().__init__(resource, stream=False, ends=True, piece=piece)
        self._line = _Told(fileno=session.interface.sock.detach())
        session.interface.sock = self._line
        self._alive = True

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send all of it."""
        with self._exchange():
            super().send(data, timeout_s)

    def receive(self, timeout_s: float) -> Chunk:
        """At least one byte."""
        with self._exchange():
            return super().receive(timeout_s)

    def clear(self) -> None:
        """Device clear."""
        self._alive = False
        super().clear()
        self._alive = True

    def close(self) -> None:
        """Let go; a thread that waits for an answer is woken."""
        if not self._alive:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)
        super().close()

    @contextmanager
    def _exchange(self) -> Generator[None]:
        """An instrument that says itself that it has nothing to say is alive."""
        self._alive = False
        try:
            yield
        except TimeoutError:
            self._alive = True
            raise
        self._alive = True


class _Told(socket.socket):
    """A connection whose end is told."""

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        data = super().recv(bufsize, flags)
        if not data:
            raise ConnectionResetError("the other side closed the connection")
        return data
