"""What a check of an instrument (`hil check`) asks of every kind of it: how long an answer takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Protocol

from hil.errors import ConfigError, LimitError, ScheduleError

QUESTIONS = 20


class Asked(Protocol):
    """What is asked who it is."""

    @property
    def transactions(self) -> int:
        """Exchanges so far."""
        ...

    def identify(self) -> object:
        """Ask; changes nothing."""
        ...


def round_trip_s(instrument: Asked, clock: Callable[[], float] = time.perf_counter) -> float:
    """Median seconds of an exchange, of twenty times asking who is there."""
    taken: list[float] = []
    for _ in range(QUESTIONS):
        began, before = clock(), instrument.transactions
        instrument.identify()
        taken.append((clock() - began) / max(1, instrument.transactions - before))
    return median(taken)


def refusals(*checks: Callable[[], object]) -> tuple[str, ...]:
    """What those of the checks say that refuse."""
    found: list[str] = []
    for check in checks:
        try:
            check()
        except (ConfigError, LimitError, ScheduleError) as error:
            found.append(str(error))
    return tuple(found)
