"""How far a calibration or a rehearsal is: a bar on a terminal, one line in a notebook, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import IO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from hil.cli.notebook import EVERY_S, Line
from hil.cli.screen import Tough
from hil.units import counted, duration

_LINE_EVERY_S = 10.0
_WIDTH_OF_FILES = 120


@dataclass(frozen=True, slots=True)
class Shown:
    """``at`` is told what is being done, how much of it is done, and about how much there is of it; ``say``
    a sentence that stays.
    """

    at: Callable[[str, int, int], None]
    say: Callable[[str], None]

    def begin(self, what: str, of: int) -> Callable[[int], None]:
        """Show that it begins; what is given back is told how much of it is done."""
        self.at(what, 0, of)
        return lambda done: self.at(what, done, of)


@contextmanager
def bar_on(console: Console, clock: Callable[[], float] = time.monotonic) -> Generator[Shown]:
    """A bar on a terminal; elsewhere a line where something else is begun, and one now and then."""

    def say(text: str) -> None:
        console.print(Text(text, "yellow"))

    if not console.is_terminal:
        yield Shown(_Lines(console, clock).at, say)
        return
    columns = TextColumn("{task.description}", markup=False), BarColumn(bar_width=20), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def moved(what: str, done: int, of: int) -> None:
            progress.update(task, description=what, completed=done, total=of)

        yield Shown(moved, say)


class _Lines:
    """For files and pipes."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._begun: dict[str, float] = {}
        self._due = 0.0

    def at(self, what: str, done: int, of: int) -> None:
        """A line at the beginning, and one every few seconds on the way."""
        now = self._clock()
        if what not in self._begun:
            self._begun[what], self._due = now, now + _LINE_EVERY_S
            self._console.print(f"{what} ...", markup=False)
        elif now >= self._due and 0 < done < of:
            self._due = now + _LINE_EVERY_S
            left = (now - self._begun[what]) * (of - done) / done
            told = f"{what}: {done:,} of about {of:,}, {duration(left)} left at this pace"
            self._console.print(told, markup=False)


def bar_for_python(progress: bool | None) -> AbstractContextManager[Shown]:
    """Of what was called from Python: in a notebook a line of its output, else on stderr. Nothing is shown
    where ``progress`` is False, or None and nobody looks.
    """
    if progress is not False and Console().is_jupyter:
        return _line_in_notebook(cast(IO[str], Tough(sys.stdout)))
    if progress or (progress is None and sys.stderr.isatty()):
        width = None if sys.stderr.isatty() else _WIDTH_OF_FILES
        return bar_on(Console(file=cast(IO[str], Tough(sys.stderr)), highlight=False, width=width))
    return nullcontext(Shown(lambda what, done, of: None, lambda text: None))


def rehearsals(shown: Shown, seeds: int) -> Callable[[int, int, int], None]:
    """What `hil.price.price.price` tells, shown."""
    return lambda number, done, of: shown.at(
        f"rehearsal {number + 1} of {seeds}, {counted(of, 'step')}", done, of
    )


@contextmanager
def _line_in_notebook(file: IO[str]) -> Generator[Shown]:
    line, now, due = Line(file), "", 0.0

    def at(what: str, done: int, of: int) -> None:
        nonlocal now, due
        if what != now or done >= of or time.monotonic() >= due:
            now, due = what, time.monotonic() + EVERY_S
            line.write(f"{what}: {done:,} of {of:,}")

    def say(text: str) -> None:
        line.write("")
        file.write(f"{text}\n")

    try:
        yield Shown(at, say)
    finally:
        line.end()
