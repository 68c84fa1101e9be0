"""Progress in a notebook, without widgets: they may not be installed, and are not in a saved notebook."""

from __future__ import annotations

import time
from types import TracebackType
from typing import IO

from rich.console import Console, RenderableType

from hil.cli.progress import COMPILING, Clock, Display

EVERY_S = 0.5


class Line:
    """One line that is written over, by the carriage return that notebooks understand as terminals do."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._length = 0

    def write(self, text: str) -> None:
        """In place of what stands there."""
        if text or self._length:
            blank = "" if text else "\r"
            self._file.write("\r" + text.ljust(self._length) + blank)
            self._file.flush()
        self._length = len(text)

    def end(self) -> None:
        """What stands there stays."""
        self._file.write("\n" if self._length else "")
        self._file.flush()


class Notebook(Display):
    """The training in such a line."""

    _next = 0.0

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        super().__init__(console, clock)
        self._line = Line(console.file)

    def changed(self) -> None:
        """Written over the line before, unless that was just now."""
        if self.row is not None and self.clock() >= self._next:
            self._next = self.clock() + EVERY_S
            self._line.write(self.line(self.row))

    def phase_changed(self) -> None:
        """Written over the line before."""
        self._line.write(f"{self.doing} ...")

    def tell_compiling(self) -> None:
        """Written over the line before."""
        self._line.write(f"{COMPILING} ...")

    def say(self, what: RenderableType) -> None:
        """In place of the line, which is written anew below it when something changes."""
        self._line.write("")
        super().say(what)

    def stopping(self, name: str) -> None:
        """As on a plain display."""
        self.say(f"{name}: finishing this step; once more stops at once")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The last line stays as it is when training was over."""
        if self.row is not None and error is None:
            self._line.write(self.line(self.row))
        self._line.end()
