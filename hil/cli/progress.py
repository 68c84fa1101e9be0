"""What a person sees while a run goes on.

Displays are fed by the rows of the journal, so that a step costs nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from hil.cli.words import rate
from hil.training.events import EvaluationRow, Snapshot, TrainingRow, UpdateNoiseRow
from hil.units import counted, duration, percent

Clock: TypeAlias = Callable[[], float]

COMPILING = "compiling kernels (first run only)"

_LINE_EVERY_S = 3.0
_REFRESHES_PER_S = 4
_ROWS_OF_PACE = 20  # an epoch's evaluations are among so many rows, so the time left counts them


class Pace:
    """Samples a second over the latest rows."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._paused = 0.0
        self._points: deque[tuple[float, int]] = deque(maxlen=_ROWS_OF_PACE)

    def at(self, samples: int) -> None:
        """Note how many samples are done by now."""
        self._points.append((self._clock() - self._paused, samples))

    def pause(self, seconds: float) -> None:
        """Leave out so many seconds, which were spent on something that will not come again."""
        self._paused += seconds

    @property
    def per_second(self) -> float:
        """NaN until two moments are known."""
        if len(self._points) < 2 or self._points[-1][0] <= self._points[0][0]:
            return float("nan")
        (start, first), (end, last) = self._points[0], self._points[-1]
        return (last - first) / (end - start)

    def left(self, total: int) -> float:
        """Seconds until ``total`` samples at this pace; NaN while it is not known."""
        pace = self.per_second
        return (total - self._points[-1][1]) / pace if pace > 0 else float("nan")


class Display(ABC):
    """A journal that shows what it is told.

    Parameters
    ----------
    console
        Where to write.
    clock
        Seconds, rising.
    """

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self.console = console
        self.clock = clock
        self.total = 0
        self.epochs = 0
        self._behind = 0
        self.doing = ""
        self.row: TrainingRow | None = None
        self.test: EvaluationRow | None = None
        self.pace = Pace(clock)
        self._compiling_since = 0.0
        self._has_told_compiling = False

    def begin(self, total: int, epochs: int, behind: int = 0) -> None:
        """Tell how many samples and epochs there will be, and how many samples lie behind."""
        self.total, self.epochs, self._behind = total, epochs, behind

    def training(self, row: TrainingRow) -> None:
        """A window of steps is over."""
        self.row, self.doing = row, "training"
        self.pace.at(row.samples)
        self.changed()

    def evaluation(self, row: EvaluationRow) -> None:
        """The network was evaluated."""
        self.test = row
        self.pace.at(row.samples)
        self.changed()

    def update_noise(self, row: UpdateNoiseRow) -> None:  # noqa: B027 - the same for every display
        """Nothing is shown of it: it is in the report."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """Initial weights are programmed once they are read for the record."""
        if snapshot.moment == "initial" and self.row is None:
            self.pace.at(self._behind)
            self.phase("training")

    def event(self, kind: str, text: str) -> None:
        """Show it, unless the result tells it or nobody has to act on it."""
        if kind not in ("end", "initial"):
            self.say(Text.assemble((f"{kind}: ", "yellow"), text))

    def say(self, what: RenderableType) -> None:
        """Show a line, or more."""
        self.console.print(what)

    def headline(self, what: RenderableType) -> None:
        """Show what is going to run."""
        self.say(what)

    def phase(self, text: str) -> None:
        """Something else than before is being done."""
        if text != self.doing:
            self.doing = text
            self.phase_changed()

    def compiling(self) -> None:
        """A kernel is being compiled: said the first time."""
        self._compiling_since = self.clock()
        if not self._has_told_compiling:
            self._has_told_compiling = True
            self.tell_compiling()

    def compiled(self) -> None:
        """It is compiled; that time tells nothing of the pace."""
        self.pace.pause(self.clock() - self._compiling_since)

    def tell_compiling(self) -> None:
        """Say that kernels are compiled."""
        self.say(f"{COMPILING} ...")

    def line(self, row: TrainingRow) -> str:
        """A row and what is known with it."""
        at = f"epoch {row.epoch}/{self.epochs}  {row.samples:,} of {counted(self.total, 'sample')}"
        return "  ".join([at, *self.facts()])

    def facts(self) -> list[str]:
        """What is known of the training now."""
        if self.row is None:
            return []
        known = [f"loss {self.row.loss:.3f}", f"accuracy {percent(self.row.accuracy)}"]
        known += [] if self.test is None else [f"test {percent(self.test.accuracy)}"]
        pace = self.pace.per_second
        if pace > 0:
            known += [rate(pace), f"{duration(self.pace.left(self.total))} left"]
        return known

    @abstractmethod
    def changed(self) -> None:
        """A new row is known."""

    @abstractmethod
    def phase_changed(self) -> None:
        """What is being done has changed."""

    @abstractmethod
    def stopping(self, name: str) -> None:
        """A signal asked to stop. Called inside its handler."""

    def __enter__(self) -> Self:
        return self

    def __exit__(  # noqa: B027 - most displays have nothing to put away
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put away what is on the screen."""


class Lines(Display):
    """Plain lines, one at most every few seconds: for files and pipes."""

    _next = 0.0

    def changed(self) -> None:
        """A line, unless there was one just now."""
        if self.row is not None and self.clock() >= self._next:
            self._next = self.clock() + _LINE_EVERY_S
            self.say(self.line(self.row))

    def phase_changed(self) -> None:
        """A line of its own."""
        self.say(f"{self.doing} ...")

    def stopping(self, name: str) -> None:
        """Written past Python's buffers, which the signal may have come in the middle of."""
        _from_handler(f"{name}: finishing this step; once more stops at once\n")


class Silent(Display):
    """Warnings alone."""

    def tell_compiling(self) -> None:
        """It is not shown."""

    def changed(self) -> None:
        """Rows are not shown."""

    def phase_changed(self) -> None:
        """Phases are not shown."""

    def headline(self, what: RenderableType) -> None:
        """It is not shown."""

    def stopping(self, name: str) -> None:
        """As on a plain display: who asks is answered."""
        _from_handler(f"{name}: finishing this step; once more stops at once\n")


class Live(Display):
    """A bar that stays on the last line of a terminal."""

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        super().__init__(console, clock)
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=_REFRESHES_PER_S,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None, facts="")
        self._is_stopping = False
        self._was_at = "starting"

    def changed(self) -> None:
        """Only the state is changed; the bar is drawn a few times a second."""
        if self.row is not None and not self._is_stopping:
            self._progress.update(
                self._task,
                description=self._at(f"epoch {self.row.epoch}/{self.epochs}"),
                total=self.total,
                completed=self.row.samples,
                facts="  ".join(self.facts()),
            )

    def phase_changed(self) -> None:
        """Say it beside the bar."""
        if not self._is_stopping:
            self._progress.update(self._task, description=self._at(self.doing))

    def compiling(self) -> None:
        """Said beside the bar as long as it takes, each time."""
        super().compiling()
        if not self._is_stopping:
            self._progress.update(self._task, description=COMPILING)

    def compiled(self) -> None:
        """What was said before comes back."""
        super().compiled()
        if not self._is_stopping:
            self._progress.update(self._task, description=self._was_at)

    def tell_compiling(self) -> None:
        """It is beside the bar."""

    def stopping(self, name: str) -> None:
        """Say it beside the bar; the lock it takes is one that a handler may take again."""
        self._is_stopping = True
        asked = f"{name}: finishing this step; once more stops at once"
        self._progress.update(self._task, description=asked, facts="")

    def _at(self, description: str) -> str:
        self._was_at = description
        return description

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._progress.stop()


def _from_handler(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), text.encode())
