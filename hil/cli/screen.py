"""Where progress is shown, on a terminal, in a file or in a notebook; and what is said of the compiler."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import IO, Any, cast

from rich.console import Console

from hil.cli.notebook import Notebook
from hil.cli.progress import COMPILING, Display, Lines, Live, Silent

_WIDTH_OF_FILES = 120


class Tough:
    """A text stream that goes quiet when its reader is gone: a lost terminal is no reason to end a run."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As of any stream."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """As of any stream."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def display_on(stream: IO[str], quiet: bool = False) -> Display:
    """The display that suits a stream."""
    width = None if stream.isatty() else _WIDTH_OF_FILES
    console = Console(file=cast(IO[str], Tough(stream)), highlight=False, width=width, force_jupyter=False)
    if quiet:
        return Silent(console)
    return Live(console) if console.is_terminal else Lines(console)


def display_for_python(progress: bool | None) -> Display | None:
    """The display of a training that was called from Python.

    In a notebook a line of its output, else on stderr, whose stdout is the program's own. None where none is
    wanted: ``progress`` is False, or None and nobody looks.
    """
    if progress is False:
        return None
    if Console().is_jupyter:
        file = cast(IO[str], Tough(sys.stdout))
        return Notebook(Console(file=file, highlight=False, width=_WIDTH_OF_FILES, force_jupyter=False))
    return display_on(sys.stderr) if progress or sys.stderr.isatty() else None


@dataclass
class CompilerOnce:
    """Says the first time on a console that kernels are compiled."""

    console: Console
    said: bool = False

    def compiling(self) -> None:
        """Said once, however many there are."""
        if not self.said:
            self.said = True
            self.console.print(f"{COMPILING} ...")

    def compiled(self) -> None:
        """Nothing is said of it."""
