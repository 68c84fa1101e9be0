"""ONC RPC over TCP (RFC 5531) in XDR (RFC 4506), the serving side: what VXI-11 and a port mapper need."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, TypeAlias

_LAST = 0x80000000
_LONGEST = 1 << 20
_CALL, _REPLY = 0, 1
_VERSION = 2
_ACCEPTED, _DENIED = 0, 1
_SUCCESS, _NO_PROGRAM, _NO_VERSION, _NO_PROCEDURE, _GARBAGE = range(5)
_NO_CREDENTIALS = (0, 0)


class Arguments:
    """What a call carries, read from front to end. Raises struct.error if there is less than is asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def word(self) -> int:
        """An unsigned integer; also what XDR calls int, bool and enum."""
        (value,) = struct.unpack_from("!I", self._data, self._at)
        self._at += 4
        return value

    def opaque(self) -> bytes:
        """Counted bytes, or a string."""
        size = self.word()
        data = self._data[self._at : self._at + size]
        if len(data) < size:
            raise struct.error(f"{size} bytes announced, {len(data)} came")
        self._at += size + -size % 4
        return data


Procedure: TypeAlias = Callable[[Arguments], Awaitable[bytes]]


class Program(NamedTuple):
    """What is served on a port, by procedure number."""

    number: int
    version: int
    procedures: Mapping[int, Procedure]


def words(*values: int) -> bytes:
    """Unsigned integers."""
    return struct.pack(f"!{len(values)}I", *values)


def opaque(data: bytes) -> bytes:
    """Counted bytes, padded to whole words."""
    return words(len(data)) + data + bytes(-len(data) % 4)


async def serve_calls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, program: Program) -> None:
    """Answer the calls of one connection, one after the other, until its end."""
    try:
        while True:
            reply = await _replied(await _record(reader), program)
            writer.write(words(_LAST | len(reply)) + reply)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, struct.error):
        return  # a host that vanished, or that speaks otherwise


async def _record(reader: asyncio.StreamReader) -> bytes:
    """One message, which may come in fragments."""
    record, last = b"", False
    while not last:
        (header,) = struct.unpack("!I", await reader.readexactly(4))
        last, size = bool(header & _LAST), header & ~_LAST
        if len(record) + size > _LONGEST:
            raise ConnectionAbortedError(f"a message of over {_LONGEST} bytes")
        record += await reader.readexactly(size)
    return record


async def _replied(record: bytes, program: Program) -> bytes:
    call = Arguments(record)
    transaction, kind, version = call.word(), call.word(), call.word()
    if kind != _CALL:
        raise ConnectionAbortedError("a reply where a call is expected")
    if version != _VERSION:
        return words(transaction, _REPLY, _DENIED, 0, _VERSION, _VERSION)
    number, asked, procedure = call.word(), call.word(), call.word()
    for _ in ("credentials", "verifier"):
        call.word()
        call.opaque()

    def accepted(status: int, answer: bytes = b"") -> bytes:
        return words(transaction, _REPLY, _ACCEPTED, *_NO_CREDENTIALS, status) + answer

    if number != program.number:
        return accepted(_NO_PROGRAM)
    if asked != program.version:
        return accepted(_NO_VERSION, words(program.version, program.version))
    if procedure == 0:  # the null procedure, which every program has
        return accepted(_SUCCESS)
    if procedure not in program.procedures:
        return accepted(_NO_PROCEDURE)
    try:
        return accepted(_SUCCESS, await program.procedures[procedure](call))
    except struct.error:
        return accepted(_GARBAGE)
