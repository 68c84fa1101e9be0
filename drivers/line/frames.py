"""Lines of the array controller protocol as the host writes and takes them (docs/array-controller.md).

An answer is untrusted: whatever is not exactly what was asked for is a DesyncError, never a value.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hil.errors import DesyncError
from hil.region import Index

_SEALED = re.compile(r"([ -)+-~]*)\*([0-9A-F]{8})")
_WHOLE = re.compile("[0-9]{1,19}")


class Reply(NamedTuple):
    """One line of an answer: OK, ERR, DATA or TIME, and its values."""

    kind: str
    values: dict[str, str]

    def text(self, key: str) -> str:
        """A value; DesyncError when the board did not send it."""
        if key not in self.values:
            raise DesyncError(f"the board's {self.kind} has no {key}: {self.values}")
        return self.values[key]

    def whole(self, key: str) -> int:
        """A whole number."""
        text = self.text(key)
        if not _WHOLE.fullmatch(text):
            raise DesyncError(f"the board's {self.kind} says {key}={text[:40]!r}; a whole number is expected")
        return int(text)

    def number(self, key: str) -> float:
        """A finite number."""
        return _finite(self.text(key), key)


def seal(tag: int, body: str) -> bytes:
    """A line as it is sent."""
    raw = f"{tag} {body}".encode("ascii")
    return b"%s*%08X\n" % (raw, zlib.crc32(raw))


def program_crc(bodies: Iterable[str]) -> int:
    """What RUN says of the OP lines before it."""
    crc = 0
    for body in bodies:
        crc = zlib.crc32(body.encode("ascii") + b"\n", crc)
    return crc


def unseal(line: str, tag: int) -> Reply:
    """A line of the answer to ``tag``.

    Raises DesyncError when it is damaged, or an answer to something else.
    """
    match = _SEALED.fullmatch(line.removesuffix("\r"))
    if match is None or zlib.crc32(match[1].encode("ascii")) != int(match[2], 16):
        raise DesyncError(f"a damaged line came: {line[:100]!r}")
    found, _, rest = match[1].partition(" ")
    if found != str(tag):
        raise DesyncError(f"a line of transaction {found[:20]} came, {tag} was asked: {line[:100]!r}")
    kind, _, rest = rest.partition(" ")
    words, has_message, message = f" {rest}".partition(" msg=")
    values: dict[str, str] = {}
    for word in words.split():
        key, equals, value = word.partition("=")
        if not equals or key in values:
            raise DesyncError(f"not a line of the protocol: {line[:100]!r}")
        values[key] = value
    if has_message:
        values["msg"] = message
    return Reply(kind, values)


def channels_text(channels: Index) -> str:
    """Channels in their order, runs of neighbours as ranges."""
    parts: list[str] = []
    first = last = -2
    for channel in [*channels.tolist(), -2]:
        if channel == last + 1 and last >= 0:
            last = channel
            continue
        if first >= 0:
            parts.append(str(first) if first == last else f"{first}-{last}")
        first = last = channel
    return ",".join(parts)


def vector_text(values: NDArray[np.floating]) -> str:
    """float32, little-endian, base64."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def vector(text: str, count: int, dtype: str) -> NDArray[np.generic]:
    """So many finite numbers of a little-endian type."""
    raw = _bytes(text)
    if len(raw) != count * np.dtype(dtype).itemsize:
        raise DesyncError(f"{len(raw)} bytes came for {count} values")
    found = np.frombuffer(raw, dtype)
    if not np.isfinite(found).all():
        raise DesyncError("a value of the board is not finite")
    return found


def flags(text: str, count: int) -> NDArray[np.bool_]:
    """So many flags."""
    if text == "0":
        return np.zeros(count, np.bool_)
    raw = _bytes(text)
    if len(raw) != -(-count // 8):
        raise DesyncError(f"{len(raw)} bytes of flags came for {count} values")
    return np.unpackbits(np.frombuffer(raw, np.uint8), count=count, bitorder="little").astype(np.bool_)


def numbers(text: str, key: str) -> list[float]:
    """Finite numbers with commas between them."""
    return [_finite(part, key) for part in text.split(",")]


def _finite(text: str, key: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if len(text) > 40 or not np.isfinite(value):
        raise DesyncError(f"the board says {key}={text[:40]!r}; a finite number is expected")
    return value


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise DesyncError(f"no base64: {text[:40]!r}") from error
