"""Other sides of a line, scripted by the test: a TCP socket or a pseudo-terminal, in a thread."""

from __future__ import annotations

import os
import pty
import select
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from drivers.transport.session import Session, open_session
from drivers.transport.settings import TransportSettings


class Answer(Protocol):
    """Says what to do about a command: call ``say`` with bytes as often as wanted, ``hang_up`` to close."""

    def __call__(self, command: bytes, line: Line) -> None: ...


@dataclass
class Line:
    say: Callable[[bytes], None]
    hang_up: Callable[[], None]


@dataclass
class OtherSide:
    """``heard`` are the commands that came; ``answer`` may be exchanged while it runs."""

    resource: str
    answer: Answer
    heard: list[bytes] = field(default_factory=list[bytes])


def answer_plainly(command: bytes, line: Line) -> None:
    """*IDN? with a name, echo with the word, anything else with nothing."""
    if command == b"*IDN?":
        line.say(b"MAKER,MODEL,123,1.0\n")
    elif command.startswith(b"echo "):
        line.say(command.removeprefix(b"echo ") + b"\n")


def _talk(other: OtherSide, receive: Callable[[], bytes], line: Line) -> None:
    held = b""
    while data := receive():
        *commands, held = (held + data).split(b"\n")
        for command in commands:
            other.heard.append(command)
            other.answer(command, line)


@pytest.fixture
def tcp() -> Iterator[OtherSide]:
    """A TCP socket; one connection at a time, again and again."""
    listener = socket.create_server(("127.0.0.1", 0))
    other = OtherSide(f"TCPIP::127.0.0.1::{listener.getsockname()[1]}::SOCKET", answer_plainly)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def say(data: bytes, connection: socket.socket = connection) -> None:
                try:
                    connection.sendall(data)
                except OSError:
                    return

            def receive(connection: socket.socket = connection) -> bytes:
                try:
                    return connection.recv(65536)
                except OSError:
                    return b""

            with connection:
                _talk(other, receive, Line(say, lambda c=connection: c.shutdown(socket.SHUT_RDWR)))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield other
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


@pytest.fixture
def pseudo_terminal() -> Iterator[OtherSide]:
    """A pty; the resource is its path, to be written as ASRL…::INSTR or serial:…"""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    other = OtherSide(os.ttyname(theirs), answer_plainly)
    stop, stopped = os.pipe()

    def receive() -> bytes:
        ready, _, _ = select.select([ours, stop], [], [])
        return b"" if stop in ready else os.read(ours, 65536)

    def say(data: bytes) -> None:
        os.write(ours, data)

    line = Line(say, lambda: None)
    thread = threading.Thread(target=_talk, args=(other, receive, line), daemon=True)
    thread.start()
    yield other
    os.close(stopped)
    thread.join(5)
    for descriptor in (ours, theirs, stop):
        os.close(descriptor)


QUICK = TransportSettings(timeout=5.0, quiet=0.002, open_timeout=5.0)


@pytest.fixture(params=["socket", "visa-serial", "serial"])
def other(request: pytest.FixtureRequest) -> OtherSide:
    """The other side of each kind of line, with the resource to open."""
    if request.param == "socket":
        return request.getfixturevalue("tcp")
    side: OtherSide = request.getfixturevalue("pseudo_terminal")
    side.resource = (
        f"ASRL{side.resource}::INSTR" if request.param == "visa-serial" else f"serial:{side.resource}"
    )
    return side


@pytest.fixture
def session(other: OtherSide) -> Iterator[Session]:
    with open_session(other.resource, QUICK, role="smu") as opened:
        yield opened
