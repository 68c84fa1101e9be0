"""Lines of the array controller protocol as the board sees them (docs/array-controller.md).

Written from that page and not from the driver, so that the two do not share one misreading.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hil.region import Index

_LINE = re.compile(rb"([\x20-\x29\x2b-\x7e]*)\*([0-9A-F]{8})")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_LARGEST_TAG = 2**32 - 1


class Refused(Exception):  # noqa: N818 - an answer of the protocol, not an error of this program
    """What is answered by ERR."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Request(NamedTuple):
    """A line that was understood."""

    tag: int
    verb: str
    values: dict[str, str]
    body: str


def seal(body: str) -> bytes:
    """A body with its checksum and line feed."""
    raw = body.encode("ascii")
    return b"%s*%08X\n" % (raw, binascii.crc32(raw))


def body_of(line: bytes) -> str | None:
    """The body of a line without its line feed, or None when it is damaged."""
    match = _LINE.fullmatch(line.removesuffix(b"\r"))
    if match is None or binascii.crc32(match[1]) != int(match[2], 16):
        return None
    return match[1].decode("ascii")


def request(body: str) -> Request:
    """Split a body into tag, verb and values; ``Refused`` when it is none of this protocol."""
    tag, *words = body.split(" ")
    if not (re.fullmatch("[1-9][0-9]{0,9}", tag) and int(tag) <= _LARGEST_TAG and words):
        raise Refused(2, "a tag from 1 to 4294967295 and a verb are needed")
    values: dict[str, str] = {}
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if not (key and equals) or key in values:
            raise Refused(5 if key in values else 2, f"{key!r}: each key once, as key=value")
        values[key] = value
    return Request(int(tag), words[0], values, body)


def whole(values: dict[str, str], key: str, most: int = 2**63 - 1) -> int:
    """A whole number."""
    text = _value(values, key)
    if not re.fullmatch("[0-9]{1,19}", text) or int(text) > most:
        raise Refused(6, f"{key}={text[:40]}: a whole number up to {most} is needed")
    return int(text)


def decimal(values: dict[str, str], key: str) -> float:
    """A finite number in volts."""
    text = _value(values, key)
    if len(text) > 40 or not _DECIMAL.fullmatch(text) or not np.isfinite(float(text)):
        raise Refused(6, f"{key}={text[:40]}: a finite decimal number is needed")
    return float(text)


def channels(values: dict[str, str], key: str, count: int) -> Index:
    """Lines in their order."""
    found: list[int] = []
    text = _value(values, key)
    for part in text.split(",") if text else []:
        match = re.fullmatch("([0-9]{1,6})(?:-([0-9]{1,6}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise Refused(6, f"{key}={part[:40]}: numbers and rising ranges are needed")
        if last >= count:
            raise Refused(7, f"{key}={part}: channels are 0 to {count - 1}")
        found.extend(range(first, last + 1))
    if len(set(found)) != len(found):
        raise Refused(6, f"{key}: a line is named twice")
    return np.array(found, np.int64)


def vector(values: dict[str, str], key: str, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Finite float32 of a shape."""
    try:
        raw = base64.b64decode(_value(values, key), validate=True)
    except ValueError:
        raise Refused(6, f"{key}: base64 is needed") from None
    if len(raw) != 4 * shape[0] * shape[1]:
        raise Refused(6, f"{key}: {len(raw)} bytes; {shape[0]} x {shape[1]} float32 are needed")
    found = np.frombuffer(raw, "<f4").astype(np.float32).reshape(shape)
    if not np.isfinite(found).all():
        raise Refused(6, f"{key}: a value is not finite")
    return found


def base64_of(values: NDArray[Any]) -> str:
    """Numbers in little-endian base64."""
    return base64.b64encode(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()).decode()


def flags_of(flags: NDArray[np.bool_]) -> str:
    """Flags, eight to a byte, "0" where none is set."""
    if not flags.any():
        return "0"
    return base64.b64encode(np.packbits(flags, bitorder="little").tobytes()).decode()


def only(values: dict[str, str], needed: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Refuse keys that are missing or unknown."""
    missing = [key for key in needed if key not in values]
    unknown = [key for key in values if key not in (*needed, *optional)]
    if missing or unknown:
        raise Refused(
            5, f"missing: {' '.join(missing) or 'none'}; unknown: {' '.join(unknown)[:80] or 'none'}"
        )


def _value(values: dict[str, str], key: str) -> str:
    if key not in values:
        raise Refused(5, f"missing: {key}")
    return values[key]
