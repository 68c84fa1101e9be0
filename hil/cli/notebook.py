"""Progress in a notebook, without widgets: they may not be installed, and are not in a saved notebook."""

from __future__ import annotations

from types import TracebackType

from rich.console import RenderableType

from hil.cli.progress import COMPILING, Display

_EVERY_S = 0.5


class Notebook(Display):
    """One line that is written over, by the carriage return that notebooks understand as terminals do."""

    _next = 0.0
    _length = 0

    def changed(self) -> None:
        """Written over the line before, unless that was just now."""
        if self.row is not None and self.clock() >= self._next:
            self._next = self.clock() + _EVERY_S
            self._write_over(self.line(self.row))

    def phase_changed(self) -> None:
        """Written over the line before."""
        self._write_over(f"{self.doing} ...")

    def tell_compiling(self) -> None:
        """Written over the line before."""
        self._write_over(f"{COMPILING} ...")

    def say(self, what: RenderableType) -> None:
        """In place of the line, which is written anew below it when something changes."""
        self._write_over("")
        super().say(what)

    def stopping(self, name: str) -> None:
        """As on a plain display."""
        self.say(f"{name}: finishing this step; once more stops at once")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The last line stays as it is when training was over."""
        if self.row is not None and error is None:
            self._write_over(self.line(self.row))
        self.console.file.write("\n" if self._length else "")
        self.console.file.flush()

    def _write_over(self, text: str) -> None:
        if text or self._length:
            blank = "" if text else "\r"
            self.console.file.write("\r" + text.ljust(self._length) + blank)
            self.console.file.flush()
        self._length = len(text)
