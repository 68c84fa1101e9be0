"""What virtual instruments know of FLEX: lines of commands, their two output buffers, the error queue.

Written from the B1500 Programming Guide (B1500-90010), chapters 1, 4 and 5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from drivers.sim.virtual.errorqueue import Entry

UNDEFINED = Entry(100, "Undefined GPIB command.")
SYNTAX = Entry(102, "Incorrect numeric data syntax.")
VALUE = Entry(120, "Incorrect parameter value.")
CHANNEL = Entry(121, "Channel number must be 1 to 10.")
OFF = Entry(200, "Channel output switch must be ON.")
_QUEUE = 30
_INPUT = 256


class RefusedError(Exception):
    """An entry for the error queue."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.message)
        self.entry = entry


Handler: TypeAlias = Callable[[Sequence[float]], str | None]


class FlexParser:
    """Does lines of commands.

    Parameters
    ----------
    handlers
        By command; those with ``?`` return the answer, ``TI`` and its like a measured value.
    drops_rest
        Whether the rest of a line is dropped after an error.
    """

    def __init__(self, handlers: Mapping[str, Handler], *, drops_rest: bool = False) -> None:
        self.errors: list[Entry] = []
        own: dict[str, Handler] = {"ERRX?": lambda _: self._next(), "ERR?": lambda _: self._clear()}
        self._handlers = {**handlers, **own}
        self._drops_rest = drops_rest

    def add(self, entry: Entry) -> None:
        """Note an error; when 30 are there, further ones are lost."""
        if len(self.errors) < _QUEUE:
            self.errors.append(entry)

    def receive(self, line: str) -> bytes:
        """Do a line; the last query's answer and the measured values, each on a line of its own."""
        answer, values = "", list[str]()
        if len(line) >= _INPUT:
            self.add(Entry(101, "Incorrect terminator position."))
            return b""
        for text in filter(None, (part.strip() for part in line.split(";"))):
            try:
                name, reply = self._do(text)
            except RefusedError as refused:
                self.add(refused.entry)
                if self._drops_rest:
                    break
                continue
            if reply is None:
                continue
            if name.endswith("?"):
                answer = reply
            else:
                values.append(reply)
        return "".join(f"{each}\r\n" for each in ([answer] if answer else []) + values).encode()

    def _do(self, text: str) -> tuple[str, str | None]:
        match = re.fullmatch(r"(\*?[A-Z]+\??)\s*(.*)", text.upper())  # headers in any case (page 1-22)
        if match is None or match[1] not in self._handlers:
            raise RefusedError(UNDEFINED)
        try:
            parameters = [float(part) for part in match[2].split(",")] if match[2] else []
        except ValueError:
            raise RefusedError(SYNTAX) from None
        try:
            return match[1], self._handlers[match[1]](parameters)
        except IndexError:  # a parameter is missing
            raise RefusedError(SYNTAX) from None

    def _next(self) -> str:
        entry = self.errors.pop(0) if self.errors else Entry(0, "No Error.")
        return f'{entry.code:+d},"{entry.message}"'

    def _clear(self) -> str:
        codes = [entry.code for entry in self.errors[:4]]
        self.errors.clear()
        return ",".join(str(code) for code in codes + [0] * (4 - len(codes)))
