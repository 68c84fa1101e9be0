"""The wire log: every message of every instrument as it went over the line, so that a run can be read back.

One JSON object a line; bytes are kept exactly (one character a byte, Latin-1). A torn last line, from a crash
while writing, is ignored on reading.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeAlias

from hil.errors import ConfigError, StoreError

Direction: TypeAlias = Literal["sent", "received", "event"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message. ``monotonic_s`` is when it was complete, by the process's monotonic clock.

    ``duration_s`` is the time it took: to hand over what was sent, or from then to the end of the answer. An
    event ("opened", "timeout", "desynchronised", …) carries its words as data.
    """

    monotonic_s: float
    role: str
    direction: Direction
    data: bytes
    duration_s: float

    def to_json(self) -> str:
        """One line, without its end."""
        return json.dumps(
            {
                "t": round(self.monotonic_s, 6),
                "role": self.role,
                "dir": self.direction,
                "data": self.data.decode("latin-1"),
                "took": round(self.duration_s, 6),
            }
        )


class WireLog:
    """Keeps the last messages in memory and, with a path, all of them in a file; for sessions of any threads.

    The file is never longer than ``max_bytes``: past it, one "full" event is written and the memory goes on.
    So it does when the file cannot be written, and ``failure`` says why: a full disk must not keep an
    instrument from being switched off.
    """

    def __init__(self, path: Path | None = None, *, keep: int = 1000, max_bytes: int = 1 << 30) -> None:
        if keep < 1 or max_bytes < 1:
            raise ConfigError(f"wire log: keep ({keep}) and max_bytes ({max_bytes}) must be at least 1")
        self.last: deque[Message] = deque(maxlen=keep)
        self.failure = ""
        self._path = path
        self._room = max_bytes
        self._file: IO[str] | None = None
        self._lock = threading.Lock()

    def add(self, role: str, direction: Direction, data: bytes, duration_s: float = 0.0) -> None:
        """Note one message; it reaches the operating system before this returns."""
        with self._lock:
            message = Message(time.monotonic(), role, direction, data, duration_s)
            self.last.append(message)
            if self._path is not None and self._room > 0:
                self._write(message, self._path)

    def close(self) -> None:
        """Close the file; may be called twice."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what cannot be flushed is in ``failure``
                file.close()

    def _write(self, message: Message, path: Path) -> None:
        line = message.to_json()
        self._room -= len(line) + 1
        if self._room <= 0:
            line = Message(message.monotonic_s, message.role, "event", b"wire log full", 0.0).to_json()
        try:
            if self._file is None:
                self._file = path.open("a", encoding="utf-8", buffering=1)
            self._file.write(line + "\n")
        except OSError as error:
            self._room = 0
            self.failure = f"{path}: the wire log cannot be written ({error})"
            self.last.append(Message(message.monotonic_s, message.role, "event", self.failure.encode(), 0.0))


def read_wire(path: Path) -> Iterator[Message]:
    """Read the messages back, in order.

    Raises StoreError, with file and line, where a line other than the last is not one of ours.
    """
    try:
        with path.open(encoding="utf-8") as file:
            torn = 0
            for number, line in enumerate(file, 1):
                if torn:
                    raise StoreError(f"{path}:{torn}: no message of a wire log")
                message = _parse(line)
                if message is None:
                    torn = number
                else:
                    yield message
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}: no wire log can be read there ({error})") from error


def _parse(line: str) -> Message | None:
    try:
        entry = json.loads(line)
        return Message(
            float(entry["t"]),
            str(entry["role"]),
            {"sent": "sent", "received": "received", "event": "event"}[entry["dir"]],  # pyright: ignore[reportArgumentType]
            str(entry["data"]).encode("latin-1"),
            float(entry["took"]),
        )
    except (ValueError, KeyError, TypeError, UnicodeEncodeError):
        return None
