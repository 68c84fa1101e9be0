"""What a session needs of a line: bytes out, bytes in, TimeoutError or ConnectionError.

A link keeps nothing back: all buffering is the session's, or an old answer could hide in it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Chunk(NamedTuple):
    """What arrived, and whether the line itself said that the message ends here (GPIB EOI, VXI-11 END, …)."""

    data: bytes
    end: bool


class Link(Protocol):
    """A connected line."""

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send all of it. Raises TimeoutError if the other side does not take it, ConnectionError if gone."""
        ...

    def receive(self, timeout_s: float) -> Chunk:
        """Wait for at least one byte. Raises TimeoutError if none came, ConnectionError if gone."""
        ...

    def waiting(self) -> bool:
        """Whether bytes can be received now; False where the line cannot tell."""
        ...

    def clear(self) -> None:
        """Device clear where the line has one (GPIB, USB, VXI-11, HiSLIP); else nothing."""
        ...

    def close(self) -> None:
        """Let go of the line."""
        ...
