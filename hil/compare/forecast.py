"""How long a study still takes: a sample's cost differs by orders, so each case has its own pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hil.compare.crew import Job

_EARLY = 0.02
"""Part of a run after which its own pace is taken for its case's."""


class Forecast:
    """Told how far the runs are, says how much is left.

    Parameters
    ----------
    jobs
        All that are to be run.
    processes
        How many run at once.
    clock
        Seconds, rising.
    """

    def __init__(
        self, jobs: Sequence[Job], processes: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.all = len(jobs)
        self.done = 0
        self._clock = clock
        self._processes = max(1, min(processes, len(jobs)))
        self._left = {job.fingerprint: job for job in jobs}
        self._begun: dict[str, float] = {}
        self._shares: dict[str, float] = {}
        self._seconds: dict[str, float] = {}  # of a whole run, by case

    def began(self, job: Job) -> None:
        """It is under way."""
        self._begun[job.fingerprint] = self._clock()
        self._shares[job.fingerprint] = 0.0

    def at(self, job: Job, samples: int, total: int) -> None:
        """So much of it is done."""
        share = self._shares[job.fingerprint] = samples / total if total else 0.0
        if share > _EARLY:
            self._seconds[job.label] = (self._clock() - self._begun[job.fingerprint]) / share

    def ended(self, job: Job) -> None:
        """It is no longer under way."""
        self.done += 1
        self._left.pop(job.fingerprint)
        self._shares.pop(job.fingerprint, None)

    @property
    def share(self) -> float:
        """Part of all runs that is done, 0 to 1."""
        return (self.done + sum(self._shares.values())) / max(1, self.all)

    def left_s(self) -> float | None:
        """Seconds until all are done; a case not seen yet counts as the mean of others. None: unknown."""
        if not self._seconds:
            return None
        mean = sum(self._seconds.values()) / len(self._seconds)
        left = [
            self._seconds.get(job.label, mean) * (1 - self._shares.get(key, 0.0))
            for key, job in self._left.items()
        ]
        return max(sum(left) / self._processes, max(left, default=0.0))
