"""The host's side of the link to an array controller: tagged questions, and the way back after a failure.

What is asked here changes nothing and may be asked again; programs are not, see `drivers.array_controller`.
"""

from __future__ import annotations

import itertools
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from drivers.line.frames import Reply, seal, unseal, vector
from drivers.transport.session import Session
from hil.errors import (
    DesyncError,
    DisconnectedError,
    IdentityError,
    InstrumentError,
    InUseError,
    TimeoutError_,
)
from hil.instruments import Identity

T = TypeVar("T")
LOST = (TimeoutError_, DesyncError, DisconnectedError)
"""What a failure of the link is raised as."""
DAMAGED = 1
"""The board's error for a line that was damaged on its way; it had no effect."""
_ATTEMPTS = 4
_BUSY = b"0 ERR code=12 "


@dataclass
class BoardLink:
    """Questions and answers of one board.

    Parameters
    ----------
    session
        The line.
    serial
        The serial number that must answer; None takes any.
    pause
        Waits so many seconds.
    """

    session: Session
    serial: str | None = None
    pause: Callable[[float], None] = time.sleep
    _tags: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        # Another start for each session: an answer left over from an earlier process carries another tag.
        self._tags = itertools.cycle(range(1 + zlib.crc32(self.session.salt.encode()) % 2**31, 2**32))

    def greet(self) -> None:
        """See that the board takes us: one that serves another host says so unasked, and hangs up.

        A host that has just gone may not have been noticed yet, so it is tried a second time.

        Raises
        ------
        InUseError
            It serves another host.
        """
        for again in (True, False):
            said = self.session.clear()
            if not said.startswith(_BUSY):
                return
            if again:
                self.pause(self.session.settings.retry)
                self.session.close()
                self.session.open()
        raise InUseError(
            f"{self.session.role}: {self.session.resource} is in use by another host; the board serves one "
            "at a time, until that one closes its connection or is silent for the board's watchdog time"
        )

    def exchange(self, lines: Sequence[str], timeout_s: float | None = None) -> Generator[Reply]:
        """Send lines under one new tag; every line of the answer, without an end of its own."""
        tag = next(self._tags)
        self.session.write_bytes(b"".join(seal(tag, line) for line in lines))
        while True:
            yield unseal(self.session.read_line(timeout_s), tag)

    def answer(self, words: str) -> Reply:
        """The one line that answers a question.

        Raises
        ------
        InstrumentError
            The board refused; ``code`` is the protocol's.
        DesyncError, TimeoutError_, DisconnectedError
            The link failed.
        """
        return self._ok(next(self.exchange([words])), words)

    def ask(self, words: str, parse: Callable[[Reply], T]) -> T:
        """A question that changes nothing, put again after a failure of the link."""
        return self.retried(lambda: parse(self.answer(words)))

    def errors(self) -> list[tuple[int, str]]:
        """Empty the board's error queue; lines damaged on the way are left out."""
        found: list[tuple[int, str]] = []
        left = 1
        while left:
            reply = self.answer("ERROR")
            left = reply.whole("left")
            if reply.whole("code") not in (0, DAMAGED):
                found.append((reply.whole("code"), reply.values.get("msg", "")[:100]))
        return found

    def numbers(self, words: str, count: int) -> NDArray[np.uint32]:
        """The ``count`` counters that answer a question."""
        return self.retried(lambda: self._numbers(words, count))

    def retried(self, ask: Callable[[], T]) -> T:
        """Do something that may be done again, up to a few times, recovering the link between."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return ask()
            except LOST as first:
                try:
                    self.recover()
                except LOST as error:
                    raise type(error)(f"{error}; it began with: {first}") from first
        return ask()

    def recover(self) -> None:
        """Reconnect and see that the same board answers."""
        self.session.recover(self._identified)

    def identify(self) -> Identity:
        """Who answers; its tag is a fresh word that an old answer cannot carry.

        Raises IdentityError when it is another serial number, or another version of the protocol.
        """
        reply, role = self.answer("HELLO v=1"), self.session.role
        version, found = reply.text("v"), reply.text("serial")
        if version != "1":
            raise IdentityError(
                f"{role}: protocol version {version} answers; 1 is needed; nothing was output"
            )
        if self.serial is not None and found != self.serial:
            raise IdentityError(
                f"{role}: serial number {found} answers; {self.serial} is needed; nothing was output"
            )
        language = "array controller protocol 1"
        return Identity("board", reply.text("model"), found, reply.text("firmware"), language)

    def force_stop(self) -> None:
        """Send STOP in any state of the session, without waiting for an answer."""
        self.session.force(seal(next(self._tags), "STOP").decode("ascii").rstrip("\n"))

    def _identified(self, _: Session) -> None:
        self.identify()

    def _numbers(self, words: str, count: int) -> NDArray[np.uint32]:
        parts = [np.zeros(0, np.uint32)]
        for reply in self.exchange([words]):
            if reply.kind != "DATA":
                self._ok(reply, words)
                break
            parts.append(vector(reply.text("u"), reply.whole("n"), "<u4").astype(np.uint32))
        found = np.concatenate(parts)
        if found.size != count:
            raise DesyncError(f"{self.session.role}: {found.size} counters came, {count} were asked")
        return found

    def _ok(self, reply: Reply, words: str) -> Reply:
        if reply.kind == "ERR":
            code, message = reply.whole("code"), reply.values.get("msg", "")[:300]
            raise InstrumentError(f"{self.session.role}: {words[:60]!r}: error {code}: {message}", code)
        if reply.kind != "OK":
            raise DesyncError(f"{self.session.role}: {words[:60]!r} was answered by {reply.kind[:20]!r}")
        return reply
