"""A lost line in the middle of a run: wait, safe, until the same instruments answer again, or give up."""

from __future__ import annotations

import time
from collections.abc import Callable

from hil.bench import Bench, Returning
from hil.errors import (
    BenchError,
    DesyncError,
    DisconnectedError,
    IdentityError,
    InstrumentError,
    InUseError,
    TimeoutError_,
)
from hil.units import format_quantity

_LOST = (DisconnectedError, TimeoutError_, DesyncError)
_BETWEEN_S = 2.0
"""Between two attempts to reach instruments that are away."""
_TIMES = 3
"""Pauses at one place; what fails there each time will fail again."""


class Pause:
    """Asked by :func:`hil.plan.run` after an error of the bench: True once it can be worked with again.

    Parameters
    ----------
    bench
        Whose instruments may come back; one that is not :class:`hil.bench.Returning` never does.
    most_s
        How long they may be away, seconds on ``clock``; 0: not at all.
    place
        Where the run is. The third error at one place is not waited for.
    told
        Gets an event of the run: its kind, "paused" or "resumed", and what happened.
    stop
        Whether to give up waiting.
    """

    def __init__(
        self,
        bench: Bench,
        most_s: float,
        place: Callable[[], str],
        told: Callable[[str, str], None],
        stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bench = bench
        self._most_s = most_s
        self._place = place
        self._told = told
        self._stop = stop
        self._clock = clock
        self._sleep = sleep
        self._last = ("", 0)

    def __call__(self, error: BenchError) -> bool:
        """Wait for the bench; False, with a note on the error, when the run has to end."""
        if not _lost(error) or isinstance(error, IdentityError | InstrumentError | InUseError):
            return False
        if not isinstance(self._bench, Returning) or self._most_s <= 0:
            return False
        place, (before, times) = self._place(), self._last
        self._last = place, times + 1 if place == before else 1
        if self._last[1] > _TIMES:
            error.add_note(f"not waited for again: lost {_TIMES} times before at {place}")
            return False
        self._bench.make_safe()
        return self._wait(error, self._bench, place)

    def _wait(self, error: BenchError, bench: Returning, place: str) -> bool:
        most = format_quantity(self._most_s, "s")
        self._told("paused", f"at {place}: {error}; outputs off; waiting up to {most} for it to come back")
        began = self._clock()
        while True:
            try:
                bench.come_back()
                break
            except IdentityError as other:
                error.add_note(f"not gone on with: {other}")
                return False
            except BenchError as away:
                waited = self._clock() - began
                if self._stop() or waited >= self._most_s:
                    error.add_note(f"waited {format_quantity(round(waited, 1), 's')} for it: {away}")
                    return False
                self._sleep(min(_BETWEEN_S, self._most_s - waited))
        away = format_quantity(round(self._clock() - began, 1), "s")
        self._told("resumed", f"after {away}: the same instruments answer, outputs are off")
        return True


def _lost(error: BenchError) -> bool:
    """Whether a lost line is what happened, or what is behind it: a board that lost its power, say."""
    return isinstance(error, _LOST) or isinstance(error.__cause__, _LOST)
