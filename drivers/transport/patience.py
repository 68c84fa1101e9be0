"""How long a session waits where it may not wait for long: one bound for all that is done to be safe."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager


class Patience:
    """Cuts waits to what is left of a bound; without one they are as asked.

    Parameters
    ----------
    clock
        Seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: float = math.inf
        self._busy_until: float = -math.inf

    def expect(self, seconds: float) -> None:
        """What was just asked keeps the other side busy for so long: it may hear nothing until then."""
        self._busy_until = self._clock() + seconds

    def left(self, wanted_s: float) -> float:
        """So many seconds, or what is left. Raises TimeoutError if nothing is."""
        left = self._until - self._clock()
        if not left > 0:
            raise TimeoutError("no time is left for it")
        return min(wanted_s, left)

    def allows(self, seconds: float) -> bool:
        """Whether something is left after so many seconds."""
        return self._clock() + seconds < self._until

    @contextmanager
    def within(self, seconds: float) -> Generator[None]:
        """Give all that is done inside so many seconds together, once the other side is not busy any more."""
        before = self._until
        self._until = min(before, max(self._clock(), self._busy_until) + seconds)
        try:
            yield
        finally:
            self._until = before
