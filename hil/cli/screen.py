"""Where progress is shown, on a terminal, in a file or in a notebook; and the watch on the compiler."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Any, cast

from rich.console import Console

from hil.cli.notebook import Notebook
from hil.cli.progress import Display, Lines, Live, Silent

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


@contextmanager
def watching_compiler(display: Display) -> Generator[None]:
    """Have the display know when numba compiles: the first run on a machine takes so much longer."""
    from numba.core import event

    class Listener(event.Listener):
        depth = 0  # a kernel that calls another compiles it on the way

        def on_start(self, event: Any) -> None:
            self.depth += 1
            if self.depth == 1:
                display.compiling()

        def on_end(self, event: Any) -> None:
            self.depth -= 1
            if self.depth == 0:
                display.compiled()

    install = cast(Callable[..., AbstractContextManager[Any]], event.install_listener)
    with install("numba:compile", Listener()):
        yield
