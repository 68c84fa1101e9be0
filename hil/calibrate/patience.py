"""A calibration whose line was lost goes on where it broke off: readings are taken again, pulses never.

Between the routine's plan, its recorder and :func:`hil.plan.run`. To the plan and on the tape a schedule that
broke off and was finished later is one schedule, only that time went by within it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TypeVar

from hil.bench import Cost, Execution, Progress
from hil.calibrate.tape import Tape
from hil.errors import BenchError, BrokenOffError
from hil.plan import Recorder
from hil.schedule import Nudge, Program, Schedule

T = TypeVar("T")


class Patience:
    """A recorder around another, and a plan around a plan.

    Parameters
    ----------
    record, tape
        Told of whole schedules; the tape also of the time that was lost.
    pause
        Waits for the bench: as :class:`hil.pause.Pause`.
    clock
        Seconds, rising.
    """

    def __init__(
        self,
        record: Recorder,
        tape: Tape,
        pause: Callable[[BenchError], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._record = record
        self._tape = tape
        self._pause = pause
        self._clock = clock
        self._number = 0
        self._asked: Schedule = ()
        self._left: Schedule = ()
        self._resumed = False
        self._done = Execution((), ())
        self._begun = Cost()
        self._whole = Execution((), ())
        self._since = 0.0

    def __str__(self) -> str:
        """Where the calibration is."""
        return f"schedule {self._number:,}, operation {len(self._done.answers) + 1:,} of {len(self._asked):,}"

    def before(self, schedule: Schedule, *, durable: bool) -> None:
        """A schedule is told of once: what is left of one is covered by the intent of the whole."""
        self._since = self._clock()
        if not self._resumed:
            self._record.before(schedule, durable=durable)
            self._number += 1
            self._asked = self._left = schedule
            self._done, self._begun = Execution((), ()), Cost()
        self._resumed = False

    def after(self, schedule: Schedule, execution: Execution) -> None:
        """The last of it was done: it is told of as a whole."""
        first, *others = execution.costs or (Cost(),)
        costs = (*self._done.costs, self._begun + first, *others)[: len(self._asked)]
        self._whole = Execution((*self._done.answers, *execution.answers), costs)
        self._record.after(self._asked, self._whole)

    def revive(self, error: BenchError) -> bool:
        """Wait for the bench, where what is left of the schedule is known and no pulse is in doubt."""
        failed, since, progress = self._clock(), self._since, error.progress
        if progress is None and any(isinstance(op, Program | Nudge) for op in self._left):
            error.add_note("not gone on with: pulses of this schedule are in doubt, and none is given twice")
            return False
        begun = Cost()
        if progress is not None:
            since, begun = failed - progress.begun.seconds, self._keep(progress)
        if not self._pause(error):
            return False
        self._begun += begun
        self._tape.paused(len(self._done.answers), self._clock() - since)
        self._resumed = True
        return True

    def _keep(self, progress: Progress) -> Cost:
        """Note what was done of the schedule; the cost of what was given of its next operation."""
        costs = progress.done.costs
        if costs:
            costs = (self._begun + costs[0], *costs[1:])
            self._begun = Cost()
        self._done = Execution((*self._done.answers, *progress.done.answers), (*self._done.costs, *costs))
        self._left = progress.left
        return replace(progress.begun, seconds=0.0) if isinstance(self._left[0], Program) else Cost()

    def plan(self, inner: Generator[Schedule, Execution, T]) -> Generator[Schedule, Execution, T]:
        """The plan, which is not told of what broke off and was finished."""
        try:
            schedule = next(inner)
            while True:
                asked = schedule
                while True:
                    try:
                        yield asked
                        break
                    except BrokenOffError:
                        asked = self._left
                schedule = inner.send(self._whole)
        except StopIteration as stop:
            return stop.value
        finally:
            inner.close()
