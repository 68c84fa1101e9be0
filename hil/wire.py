"""The wire log: every message of every instrument as it went over the line, so that a run can be read back.

One JSON object a line; bytes are kept exactly (one character a byte, Latin-1). A file named .gz is a gzip
stream, flushed at every message. A torn end, from a crash while writing, is ignored on reading; so are the
zeros that a file may end with after a power failure.
"""

from __future__ import annotations

import json
import re
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol, TypeAlias, runtime_checkable

from hil.errors import ConfigError, StoreError

Direction: TypeAlias = Literal["sent", "received", "event"]

_PARTS = 3
_LINES = ".jsonl"
_GZIP = 16 + zlib.MAX_WBITS
_CHUNK = 1 << 16
_MARK = 64
"""Bytes that the mark of a flush, a header or an end takes at most."""
_HELD_BYTES = 1 << 24


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


@runtime_checkable
class Talking(Protocol):
    """What a bench that talks to instruments has beside `hil.bench.Bench`: the log of all its sessions."""

    @property
    def wire(self) -> WireLog:
        """Told of every message, from the first on."""
        ...


class WireLog:
    """Keeps the last messages in memory and, with a path, all of them in files; for sessions of any threads.

    Files take ``max_bytes`` and one message at most, in parts of a third: ``path`` is the beginning and
    stays, then come ``-2``, ``-3``, …, of which the newest two stay. They are compressed if ``path`` ends in
    .gz. A file that cannot be written stops nothing, and ``failure`` says why: a full disk must not keep an
    instrument from being switched off.
    """

    def __init__(self, path: Path | None = None, *, keep: int = 1000, max_bytes: int = 256 << 20) -> None:
        if keep < 1 or max_bytes < 1:
            raise ConfigError(f"wire log: keep ({keep}) and max_bytes ({max_bytes}) must be at least 1")
        self.last: deque[Message] = deque(maxlen=keep)
        self.failure = ""
        self._held = 0
        self._path = path
        self._part = 1
        self._most = max_bytes // _PARTS
        self._room = self._most
        self._file: _Plain | None = None
        self._lock = threading.Lock()

    def add(self, role: str, direction: Direction, data: bytes, duration_s: float = 0.0) -> None:
        """Note one message; it reaches the operating system before this returns."""
        with self._lock:
            message = Message(time.monotonic(), role, direction, data, duration_s)
            self._hold(message)
            if self._path is not None and not self.failure:
                self._write(message, self._path)

    def keep_in(self, path: Path) -> None:
        """From now on write all messages to ``path``; first those that are in memory."""
        with self._lock:
            self._close()
            self._path, self._part, self._room, self.failure = path, 1, self._most, ""
            for message in list(self.last):
                if not self.failure:
                    self._write(message, path)

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what cannot be flushed is in ``failure``
                file.close()

    def _hold(self, message: Message) -> None:
        if len(self.last) == self.last.maxlen:
            self._held -= len(self.last.popleft().data)
        self.last.append(message)
        self._held += len(message.data)
        while self._held > _HELD_BYTES:
            self._held -= len(self.last.popleft().data)

    def _write(self, message: Message, path: Path) -> None:
        line = message.to_json().encode("ascii") + b"\n"
        try:
            if len(line) + _MARK >= self._room and self._room < self._most:
                self._next_part(path)
            if self._file is None:
                self._file = (_Gzip if path.suffix == ".gz" else _Plain)(_part(path, self._part))
            self._room -= self._file.write(line)
        except OSError as error:
            self.failure = f"{path}: the wire log cannot be written ({error})"
            self._hold(Message(message.monotonic_s, message.role, "event", self.failure.encode(), 0.0))

    def _next_part(self, path: Path) -> None:
        self._close()
        if self._part >= _PARTS:
            _part(path, self._part - 1).unlink(missing_ok=True)
        self._part += 1
        self._room = self._most


class _Plain:
    """A file of lines; every one reaches the operating system at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, line: bytes) -> int:
        """Bytes that it takes."""
        return self._file.write(line)

    def close(self) -> None:
        """Whole."""
        self._file.close()


class _Gzip(_Plain):
    """The same as a gzip stream. A full flush at every line would forget what was said before; a sync flush
    does not, and messages are much alike.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._packed = zlib.compressobj(wbits=_GZIP)

    def write(self, line: bytes) -> int:
        """Bytes that it takes; what is written so far can be read."""
        return super().write(self._packed.compress(line) + self._packed.flush(zlib.Z_SYNC_FLUSH))

    def close(self) -> None:
        """With its checksum."""
        super().write(self._packed.flush())
        super().close()


def _part(path: Path, number: int) -> Path:
    head, ending = _split(path)
    return path if number == 1 else path.with_name(f"{head}-{number}{ending}")


def _split(path: Path) -> tuple[str, str]:
    """The name and its ending, .jsonl or .jsonl.gz."""
    head, lines, ending = path.name.rpartition(_LINES)
    return (head, lines + ending) if lines else (path.stem, path.suffix)


def read_wire(path: Path) -> Iterator[Message]:
    """Read the messages back, in order, of all parts; an event says where parts were dropped.

    Raises StoreError, with file and line, where a line other than the last is not one of ours, and where a
    gzip stream is damaged; what stands before has been read by then.
    """
    head, ending = _split(path)
    name = re.compile(rf"{re.escape(head)}-(\d{{1,9}}){re.escape(ending)}")
    files = path.parent.iterdir() if path.parent.is_dir() else ()
    later = {int(found[1]) for file in files if (found := name.fullmatch(file.name))}
    number, moment = 1, 0.0
    for part in (1, *sorted(later)):
        if part > number + 1:
            text = f"{part - number - 1} parts of this log were dropped to keep it small"
            yield Message(moment, "", "event", text.encode(), 0.0)
        number = part
        for message in _read(_part(path, part)):
            moment = message.monotonic_s
            yield message


def _read(path: Path) -> Iterator[Message]:
    try:
        with path.open("rb") as file:
            torn = 0
            for number, line in enumerate(_unpacked(file) if path.suffix == ".gz" else file, 1):
                if torn:
                    raise StoreError(f"{path}:{torn}: no message of a wire log")
                message = _parse(line)
                if message is None:
                    torn = number
                else:
                    yield message
    except zlib.error as error:
        raise StoreError(f"{path}: damaged; no more of this wire log can be read ({error})") from error
    except OSError as error:
        raise StoreError(f"{path}: no wire log can be read there ({error})") from error


def _unpacked(file: IO[bytes]) -> Iterator[bytes]:
    """Lines of gzip streams, one after the other, as far as they go. zlib.error behind the last line before
    damage, unless there is nothing but zeros from there on.
    """
    packed, rest = zlib.decompressobj(_GZIP), b""
    while chunk := file.read(_CHUNK):
        while chunk:
            before = packed.copy()
            try:
                text = packed.decompress(chunk)
            except zlib.error:
                text, left = _sound(before, chunk)
                yield from (rest + text).split(b"\n")[:-1]
                if (left + file.read()).strip(b"\0"):
                    raise
                return
            *lines, rest = (rest + text).split(b"\n")
            yield from lines
            chunk = packed.unused_data
            if packed.eof:
                packed = zlib.decompressobj(_GZIP)
    if rest:
        yield rest


def _sound(packed: Any, chunk: bytes) -> tuple[bytes, bytes]:
    """What a chunk holds before its damage, and the rest of it from there on: zlib itself keeps nothing of a
    chunk that is damaged anywhere.
    """
    text = b""
    for at in range(len(chunk)):
        try:
            text += packed.decompress(chunk[at : at + 1])
        except zlib.error:
            return text, chunk[at:]
    return text, b""


def _parse(line: bytes) -> Message | None:
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
