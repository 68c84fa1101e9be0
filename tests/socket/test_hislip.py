"""A session over HiSLIP (IVI-6.1) by pyvisa-py: a line that says itself where a message ends."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from drivers.transport.session import Session, open_session
from drivers.transport.settings import TransportSettings
from hil.errors import DesyncError, IdentityError, TimeoutError_

HEADER = struct.Struct("!2sBBIQ")
QUICK = TransportSettings(timeout=5.0, quiet=0.002, open_timeout=5.0)


@dataclass
class Server:
    """One HiSLIP instrument; ``answer`` gives the pieces of an answer, the last of them with END."""

    answer: Callable[[bytes], list[bytes]]
    heard: list[bytes] = field(default_factory=list[bytes])
    cleared: int = 0
    port: int = 0

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(line,), daemon=True).start()

    def _talk(self, line: socket.socket) -> None:
        with line:
            try:
                while header := line.recv(HEADER.size, socket.MSG_WAITALL):
                    _, kind, _, parameter, length = HEADER.unpack(header)
                    payload = line.recv(length, socket.MSG_WAITALL) if length else b""
                    for reply in self._replies(kind, parameter, payload):
                        line.sendall(reply)
            except (OSError, struct.error):
                return

    def _replies(self, kind: int, parameter: int, payload: bytes) -> list[bytes]:
        if kind in (6, 7):  # Data, DataEnd
            self.heard.append(payload.rstrip(b"\n"))
            pieces = self.answer(self.heard[-1])
            last = len(pieces) - 1
            return [_message(7 if k == last else 6, parameter, piece) for k, piece in enumerate(pieces)]
        if kind == 19:  # AsyncDeviceClear
            self.cleared += 1
        kinds = {0: 1, 17: 18, 15: 16, 19: 23, 8: 9}  # each of the client's with its response
        return [_message(kinds[kind], 1 << 16 | 1 if kind == 0 else 0, payload if kind == 15 else b"")]


def _message(kind: int, parameter: int, payload: bytes) -> bytes:
    return HEADER.pack(b"HS", kind, 0, parameter, len(payload)) + payload


def plainly(command: bytes) -> list[bytes]:
    if command == b"*IDN?":
        return [b"MAKER,MODEL,", b"123,1.0\n"]
    return [command.removeprefix(b"echo ")] if command.startswith(b"echo ") else []


@pytest.fixture
def server() -> Iterator[Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    served = Server(plainly, port=listener.getsockname()[1])
    thread = threading.Thread(target=served.serve, args=(listener,), daemon=True)
    thread.start()
    yield served
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


@pytest.fixture
def session(server: Server) -> Iterator[Session]:
    resource = f"TCPIP::127.0.0.1::hislip0,{server.port}::INSTR"
    with open_session(resource, QUICK, role="smu") as opened:
        yield opened


def who(session: Session) -> None:
    if session.query("*IDN?") != "MAKER,MODEL,123,1.0":
        raise IdentityError("another")


def test_an_answer_ends_where_the_line_says_with_or_without_a_termination(session: Session) -> None:
    assert session.query("*IDN?") == "MAKER,MODEL,123,1.0"
    assert session.query("echo no termination") == "no termination"
    assert session.query("echo again") == "again"


def test_a_time_out_is_recovered_by_device_clear_and_reopening(session: Session, server: Server) -> None:
    with pytest.raises(TimeoutError_):
        session.query("mute?", timeout_s=0.05)
    with pytest.raises(DesyncError):
        session.query("echo 1")
    session.recover(who)
    assert session.query("echo 2") == "2"
    assert server.cleared == 1
    assert server.heard == [b"mute?", b"*IDN?", b"echo 2"]


def test_a_second_line_in_one_message_is_found_before_the_next_command(
    session: Session, server: Server
) -> None:
    server.answer = lambda command: [b"mine\nnobody's\n"]
    assert session.query("value?") == "mine"
    with pytest.raises(DesyncError, match=r"nobody's.*'pulse' was not sent"):
        session.write("pulse")
    assert server.heard == [b"value?"]
