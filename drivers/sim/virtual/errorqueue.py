"""An instrument's error queue, as SCPI-99 (21.8) and the TSP manuals describe it: bounded, oldest first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Annotated, NamedTuple

from annotated_types import Ge, Le
from pydantic import Field

from hil.config.validate import Config


class Entry(NamedTuple):
    """One entry; ``severity`` as TSP counts it (20 recoverable)."""

    code: int
    message: str
    severity: int = 20


OVERFLOW = Entry(-350, "Queue overflow")


class ErrorQueue:
    """When it is full the newest entry is replaced by -350 and further ones are lost."""

    def __init__(self, size: int = 50) -> None:
        self._size = size
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: Entry) -> None:
        """Note an error."""
        if len(self._entries) < self._size:
            self._entries.append(entry)
        else:
            self._entries[-1] = OVERFLOW

    def next(self) -> Entry | None:
        """The oldest entry, taken out; None if there is none."""
        return self._entries.popleft() if self._entries else None

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()


class InjectedError(Config):
    """An error put into the queue whenever a line contains ``on``, ``times`` over."""

    on: str = Field(description="part of the line")
    code: int = Field(description="number in the error queue")
    message: str = Field(description="its text")
    times: Annotated[int, Ge(1), Le(1000)] = Field(default=1, description="how many entries")


class Troubles(Config):
    """What goes wrong with an instrument by what it is sent."""

    broken: str = Field(default="", description="messages that contain this are not understood")
    errors: list[InjectedError] = Field(default=[], description="errors that come by themselves")

    def injected(self, text: str) -> Iterator[Entry]:
        """Errors that come by themselves at this message."""
        for injected in self.errors:
            if injected.on in text:
                yield from [Entry(injected.code, injected.message)] * injected.times

    def breaks(self, text: str) -> bool:
        """Whether it is not understood."""
        return bool(self.broken) and self.broken in text
