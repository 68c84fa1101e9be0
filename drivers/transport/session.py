"""One conversation with one instrument that never takes an old answer for a new one.

Between two exchanges nothing may be on the line. Whenever that is in doubt (a time-out, a broken or extra
answer, an interrupt) the session is desynchronised and every verb is refused until `recover`.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Literal, Self, TypeAlias, TypeVar

from drivers.transport.framing import Inbox, shown
from drivers.transport.link import Link
from drivers.transport.links import open_link
from drivers.transport.patience import Patience
from drivers.transport.settings import TransportSettings
from hil.errors import (
    BenchError,
    ConfigError,
    DesyncError,
    DisconnectedError,
    HilError,
    OwnerError,
    TimeoutError_,
)
from hil.wire import WireLog

State: TypeAlias = Literal["open", "desynchronised", "closed"]
Connect: TypeAlias = Callable[[str, TransportSettings], Link]
T = TypeVar("T")

_PRINTABLE = frozenset(b"\t" + bytes(range(32, 127)))


def open_session(
    resource: str,
    settings: TransportSettings | None = None,
    wire: WireLog | None = None,
    *,
    role: str = "",
    connect: Connect = open_link,
) -> Session:
    """Connect; nothing is sent. ``role`` names the instrument in messages and in the wire log.

    Raises ConfigError if the resource cannot be understood, DisconnectedError if nobody answers there.
    """
    session = Session(resource, settings or TransportSettings(), wire, role=role, connect=connect)
    session.open()
    return session


class Session:
    """Use `open_session`. Belongs to the thread that made it: others are refused, see `hand_over`.

    Parameters
    ----------
    salt
        A word no other session has, for drivers to mark their questions with; noted in the wire log.
    connect
        Opens the line; a recorded one for replay.
    pause
        Waits so many seconds between attempts to recover.

    Set ``identify`` (as for `recover`) to let `ask` put a question again.
    """

    def __init__(
        self,
        resource: str,
        settings: TransportSettings,
        wire: WireLog | None = None,
        *,
        role: str = "",
        salt: str | None = None,
        connect: Connect = open_link,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.resource = resource
        self.role = role or resource
        self.settings = settings
        self.salt = salt or "q" + secrets.token_hex(3)
        self.transactions = 0
        self.wire = wire or WireLog()
        self.identify: Callable[[Session], None] | None = None
        self._connect = connect
        self._pause = pause
        self._link: Link | None = None
        self._state: State = "closed"
        self._owner = threading.get_ident()
        self._busy = False
        self._recovering = False
        self._inbox = Inbox(settings, self.role)
        self._patience = Patience()

    @property
    def state(self) -> State:
        """Whether questions are answered by their own answers."""
        return self._state

    def open(self) -> None:
        """Connect, if closed."""
        self._check_owner()
        if self._state == "closed":
            self._open_link()
            self._state = "open"

    def write(self, text: str) -> None:
        """Send one command that is not answered. Never repeated: it may be a pulse."""
        self.write_bytes(self._encode(text))

    def write_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        with self._exchange(data):
            self._send(data)

    def query(self, text: str, *, timeout_s: float | None = None) -> str:
        """Send one question and return its answer without termination: ASCII, not over the cap.

        Raises TimeoutError_, DisconnectedError or DesyncError; the session is desynchronised then.
        """
        data = self._encode(text)
        with self._exchange(data):
            self._send(data)
            return self._decode(self._line(timeout_s), text)

    def ask(
        self, text: str, parse: Callable[[str], T], *, timeout_s: float | None = None, attempts: int = 1
    ) -> T:
        """Query, and parse the answer; a ValueError of ``parse`` means the answer is not the question's.

        With ``attempts`` above 1 a failed question is put again after `recover` with ``identify``; only for
        questions that change nothing (never the error queue, never a pulse).
        """
        for left in range(attempts - 1, -1, -1):
            try:
                return self._ask_once(text, parse, timeout_s)
            except (TimeoutError_, DesyncError, DisconnectedError):
                if not left or self.identify is None:
                    raise
                self.recover(self.identify)
        raise ConfigError(f"{self.role}: to be asked {attempts} times; once is the least")

    def query_bytes(self, data: bytes, count: int, *, timeout_s: float | None = None) -> bytes:
        """Send bytes and return exactly ``count`` bytes of answer, for framed binary."""
        with self._exchange(data):
            self._send(data)
            return self._exactly(count, timeout_s)

    def read_line(self, timeout_s: float | None = None) -> str:
        """One more line of an answer that has several, or a message that the instrument sends by itself."""
        with self._exchange(b"", fresh=False):
            return self._decode(self._line(timeout_s), "another line")

    def read_bytes(self, count: int, timeout_s: float | None = None) -> bytes:
        """Exactly ``count`` more bytes of an answer."""
        with self._exchange(b"", fresh=False):
            return self._exactly(count, timeout_s)

    def clear(self) -> bytes:
        """Device clear where the line has one, then throw away what arrives until it is quiet, and return it.

        Raises DesyncError if it never is.
        """
        self._check_owner()
        link = self._linked()
        with self._translated("clear"):
            link.clear()
            return self._drain(link)

    def recover(self, identify: Callable[[Session], None]) -> None:
        """Clear, drain, reopen, identify; then the session is open again and nothing is on the line.

        ``identify`` asks who is there and raises IdentityError if it is not the same instrument: that is not
        tried again. It should also have a fresh word echoed where the language can, since an old answer to an
        earlier "who is there" looks like a new one. Other failures are tried ``settings.attempts`` times.
        """
        self._check_owner()
        if self._state == "closed":
            raise DisconnectedError(f"{self.role}: the session was closed; open a new one")
        for left in range(self.settings.attempts - 1, -1, -1):
            try:
                self._recover_once(identify)
                return
            except (TimeoutError_, DesyncError, DisconnectedError) as error:
                tried = self.settings.attempts - left
                gone = isinstance(error, DisconnectedError)
                wait = self.settings.retry if gone else self.settings.quiet
                if not left or not self._patience.allows(wait):
                    raise type(error)(
                        f"{error}; {tried} attempts to bring {self.resource} back failed"
                    ) from error
                self._pause(wait)

    def force(self, text: str) -> None:
        """Send a command in any state, on a new line if there is none: for switching off, and nothing else.

        No answer is awaited, and the session is desynchronised afterwards unless it was open.
        """
        self._check_owner()
        data = self._encode(text)
        if self._busy:
            self._lose("forced while waiting for an answer")
        with self._translated(shown(data)):
            if self._link is None:
                self._open_link()
                self._state = "desynchronised"
            self._send(data)

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Give all that is done inside so many seconds together: a recovery, its waits and its attempts too.

        They begin when the other side must have done what was asked last. Then TimeoutError_ is raised, or
        DisconnectedError: a line that is dead must not hold up what is to be made safe beside it.
        """
        return self._patience.within(seconds)

    def hand_over(self) -> None:
        """Make the calling thread the owner; refused while the other one is waiting for an answer."""
        if self._busy:
            raise OwnerError(f"{self.role}: an exchange is under way; the session cannot change hands now")
        self._owner = threading.get_ident()

    def close(self) -> None:
        """Let go of the line; may be called twice, and from any thread."""
        self._state = "closed"
        self._close_link()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask_once(self, text: str, parse: Callable[[str], T], timeout_s: float | None) -> T:
        reply = self.query(text, timeout_s=timeout_s)
        try:
            return parse(reply)
        except ValueError as error:
            self._lose("answer not understood")
            raise DesyncError(
                f"{self.role}: {text!r} was answered {shown(reply.encode())} ({error}); recover first"
            ) from error

    def _recover_once(self, identify: Callable[[Session], None]) -> None:
        self._state = "desynchronised"
        if self._link is not None:
            with suppress(BenchError):  # a dead line cannot be cleared; it is closed either way
                self.clear()
        self._close_link()
        self._open_link()
        link = self._linked()
        with self._translated("drain"):
            self._drain(link)
        self._recovering = True
        try:
            identify(self)
            with self._translated("drain"):
                stray = self._drain(link)
        finally:
            self._recovering = False
        if stray:
            raise DesyncError(f"{self.role}: {shown(stray)} came after the identity; old answers are about")
        if self._state == "desynchronised":
            self._state = "open"
        self.wire.add(self.role, "event", b"recovered")

    @contextmanager
    def _exchange(self, data: bytes, fresh: bool = True) -> Generator[None]:
        """One transaction; whatever ends it early, Ctrl-C included, leaves the session desynchronised."""
        self._check_owner()
        if self._busy:
            raise OwnerError(f"{self.role}: {shown(data)} asked inside another exchange")
        if self._state != "open" and not self._recovering:
            raise (DisconnectedError if self._state == "closed" else DesyncError)(
                f"{self.role}: the session is {self._state}; {shown(data)} was not sent; "
                + ("open a new one" if self._state == "closed" else "recover first")
            )
        link = self._linked()
        self._busy = True
        done = False
        try:
            with self._translated(shown(data)):
                if fresh:
                    self.transactions += 1
                    self._refuse_leftovers(link, data)
                yield
            done = True
        finally:
            self._busy = False
            if not done:
                self._lose("exchange broken off")

    def _refuse_leftovers(self, link: Link, data: bytes) -> None:
        stray = self._inbox.expect(link)
        if stray:
            self.wire.add(self.role, "received", stray)
            raise DesyncError(
                f"{self.role}: {shown(stray)} was on the line unasked, so {shown(data)} was not sent; "
                "recover first"
            )

    def _send(self, data: bytes) -> None:
        started = time.monotonic()
        self._linked().send(data, self._patience.left(self.settings.timeout))
        self.wire.add(self.role, "sent", data, time.monotonic() - started)

    def _line(self, timeout_s: float | None) -> bytes:
        started = time.monotonic()
        line = self._inbox.line(self._linked(), self._wait(timeout_s))
        self.wire.add(self.role, "received", line + self.settings.read_end, time.monotonic() - started)
        return line

    def _exactly(self, count: int, timeout_s: float | None) -> bytes:
        started = time.monotonic()
        data = self._inbox.exactly(self._linked(), count, self._wait(timeout_s))
        self.wire.add(self.role, "received", data, time.monotonic() - started)
        return data

    def _wait(self, timeout_s: float | None) -> float:
        usual = self.settings.timeout
        wanted = usual if timeout_s is None else timeout_s
        self._patience.expect(max(0.0, wanted - usual))
        return self._patience.left(wanted)

    def _drain(self, link: Link) -> bytes:
        thrown = self._inbox.drain(link, self._patience.left(self.settings.timeout))
        if thrown:
            self.wire.add(self.role, "received", thrown)
        return thrown

    def _decode(self, line: bytes, command: str) -> str:
        if not _PRINTABLE.issuperset(line):
            raise DesyncError(f"{self.role}: {command!r} was answered {shown(line)}, which is no text")
        return line.decode("ascii")

    def _encode(self, text: str) -> bytes:
        data = text.encode("utf-8")
        if not data or not _PRINTABLE.issuperset(data):
            raise ConfigError(
                f"{self.role}: {shown(data)} is no command: one line of printable ASCII is needed"
            )
        return data + self.settings.write_end

    @contextmanager
    def _translated(self, doing: str) -> Generator[None]:
        """Python's TimeoutError and OSError as the project's own; either desynchronises."""
        try:
            yield
        except HilError:
            raise
        except TimeoutError as error:
            self._lose("time-out")
            raise TimeoutError_(
                f"{self.role}: {doing}: {str(error) or 'not taken within the time-out'}; the session is "
                f"desynchronised; is {self.resource} powered and not in local mode?"
            ) from error
        except OSError as error:
            self._lose("disconnected")
            self._close_link()
            raise DisconnectedError(
                f"{self.role}: {doing}: {self.resource} does not answer ({error})"
            ) from error

    def _lose(self, why: str) -> None:
        if self._state == "open":
            self._state = "desynchronised"
            self.wire.add(self.role, "event", f"desynchronised: {why}".encode())

    def _check_owner(self) -> None:
        if threading.get_ident() != self._owner:
            raise OwnerError(
                f"{self.role}: this session belongs to another thread; two threads would take each other's "
                "answers. Use one session a thread, or hand_over()"
            )

    def _linked(self) -> Link:
        if self._link is None:
            raise DisconnectedError(f"{self.role}: {self.resource} is not connected")
        return self._link

    def _open_link(self) -> None:
        with self._translated("connect"):
            longest = self._patience.left(self.settings.open_timeout)
            self._link = self._connect(
                self.resource, self.settings.model_copy(update={"open_timeout": longest})
            )
        self._inbox.forget()
        self.wire.add(self.role, "event", f"opened {self.resource} {self.salt}".encode())

    def _close_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with suppress(OSError):  # what is gone already need not be closed
                link.close()
