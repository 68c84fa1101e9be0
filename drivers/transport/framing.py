"""From bytes to answers: lines and counted blocks, with a cap, a deadline and nothing left behind unseen."""

from __future__ import annotations

import time

from drivers.transport.link import Link
from drivers.transport.settings import TransportSettings
from hil.errors import ConfigError, DesyncError

_SHOWN = 200


class Inbox:
    """What has arrived and not been asked for yet. ``role`` is for messages."""

    def __init__(self, settings: TransportSettings, role: str) -> None:
        self.settings = settings
        self.role = role
        self._held = bytearray()
        self._ended = False

    def expect(self, link: Link) -> bytes:
        """Before a question: what is on the line unasked, b"" as it should be."""
        if self._held:
            return bytes(self._held)
        return link.receive(self.settings.quiet).data if link.waiting() else b""

    def forget(self) -> None:
        """Drop what is held: the line it came by is gone, or a new question was sent."""
        self._held.clear()
        self._ended = False

    def line(self, link: Link, timeout_s: float) -> bytes:
        """Up to and without the termination, or to where the line itself says that the message ends.

        Raises TimeoutError with what came instead, DesyncError over the cap.
        """
        end, most = self.settings.read_end, self.settings.max_reply_bytes
        deadline = _Deadline(timeout_s)
        at = self._held.find(end)
        while at < 0 and not (self._ended and self._held) and len(self._held) <= most:
            seen = max(0, len(self._held) - len(end) + 1)
            self._fill(link, deadline)
            at = self._held.find(end, seen)
        if at > most or (at < 0 and len(self._held) > most):
            raise DesyncError(f"{self.role}: an answer of over {most} bytes, which is as much as is taken")
        size = len(self._held) if at < 0 else at
        line = bytes(self._held[:size])
        del self._held[: size + len(end)]
        return line

    def exactly(self, link: Link, count: int, timeout_s: float) -> bytes:
        """So many bytes. Raises TimeoutError with what came instead, ConfigError over the cap."""
        if not 0 < count <= self.settings.max_reply_bytes:
            raise ConfigError(
                f"{self.role}: asked for {count} bytes; 1 to {self.settings.max_reply_bytes} can be read"
            )
        deadline = _Deadline(timeout_s)
        while len(self._held) < count:
            self._fill(link, deadline)
        data = bytes(self._held[:count])
        del self._held[:count]
        return data

    def drain(self, link: Link, longest_s: float) -> bytes:
        """Throw away until `quiet` seconds of silence, or the end of the line, and return it.

        Raises DesyncError if there is no end within ``longest_s`` or the cap, ConnectionError if the line is
        gone and nothing came.
        """
        thrown, deadline = bytes(self._held), _Deadline(longest_s)
        self.forget()
        while len(thrown) <= self.settings.max_reply_bytes and not deadline.over:
            try:
                thrown += link.receive(self.settings.quiet).data
            except TimeoutError:
                return thrown
            except ConnectionError:
                if not thrown:
                    raise
                return thrown
        raise DesyncError(f"{self.role}: {len(thrown)} bytes unasked within {longest_s:g} s, and no end")

    def _fill(self, link: Link, deadline: _Deadline) -> None:
        try:
            chunk = link.receive(deadline.left())
        except TimeoutError as error:
            part = f" but {shown(bytes(self._held))}" if self._held else ""
            raise TimeoutError(f"no answer{part} within {deadline.allowed_s:g} s") from error
        self._held += chunk.data
        self._ended = chunk.end


class _Deadline:
    def __init__(self, allowed_s: float) -> None:
        self.allowed_s = allowed_s
        self._at = time.monotonic() + allowed_s

    @property
    def over(self) -> bool:
        """Whether none are left."""
        return time.monotonic() >= self._at

    def left(self) -> float:
        """Seconds to go; TimeoutError if over."""
        left = self._at - time.monotonic()
        if not left > 0:
            raise TimeoutError
        return left


def shown(data: bytes) -> str:
    """Bytes in a message: one character a byte, escaped, not too long."""
    return repr(data[:_SHOWN].decode("latin-1").rstrip("\r\n")) + ("…" if len(data) > _SHOWN else "")
