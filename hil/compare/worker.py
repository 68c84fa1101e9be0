"""One process of a study: takes jobs as JSON lines on stdin, trains, and tells how it goes on stdout.

``python -m hil.compare.worker``; started by ``hil.compare.crew`` alone. When stdin ends, because the study
stops or its process has died, the run at hand ends in good order at its next step: none outlives its study.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from hil.errors import HilError
from hil.training.events import EvaluationRow, Snapshot, TrainingRow, UpdateNoiseRow


def main() -> None:
    """Work until stdin ends."""
    signal.signal(signal.SIGTERM, _insist)
    # What any library prints must not get between the messages.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    over = threading.Event()
    jobs: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs, over), daemon=True).start()
    teller = _Teller(out)
    while (job := jobs.get()) is not None:
        _work(job, teller, over)


def _listen(jobs: queue.SimpleQueue[dict[str, Any] | None], over: threading.Event) -> None:
    for line in sys.stdin:
        jobs.put(json.loads(line))
    over.set()
    jobs.put(None)


def _insist(number: int, frame: FrameType | None) -> None:
    """Like a second Ctrl-C: the bench is made safe and the run recorded on the way out."""
    raise KeyboardInterrupt(signal.Signals(number).name)


def _work(job: Mapping[str, Any], teller: _Teller, over: threading.Event) -> None:
    from hil import session
    from hil.jit import watching_compiler

    sys.argv = list(job["command"])
    data_dir = None if job["data_dir"] is None else Path(job["data_dir"])
    try:
        with watching_compiler(teller):
            prepared = session.prepare(
                Path(job["experiment"]),
                Path(job["bench"]),
                job["overrides"],
                job["bench_overrides"],
                data_dir,
                job["chip"],
            )
            teller.total = prepared.experiment.training.epochs * len(prepared.training.data.train_y)
            run = session.execute(prepared, Path(job["root"]), teller, over.is_set)
    except Exception as error:
        known = isinstance(error, HilError)
        told = str(error) if known else f"{type(error).__name__}: {error}"
        teller.tell("failed", error=told, trace="" if known else traceback.format_exc())
    else:
        teller.tell("ended", status=run.status, path=str(run.path), accuracy=run.summary.get("accuracy"))


@dataclass
class _Teller:
    """A journal that tells the study's process how far a run is."""

    out: TextIO
    total: int = 0

    def tell(self, what: str, **facts: Any) -> None:
        """Say it, unless nobody listens any more: then stdin has ended, too."""
        try:
            self.out.write(json.dumps({"what": what, **facts}) + "\n")
        except OSError:
            return

    def compiling(self) -> None:
        """A kernel is compiled."""
        self.tell("compiling")

    def compiled(self) -> None:
        """Nobody waits for that word."""

    def training(self, row: TrainingRow) -> None:
        """A window of steps is over."""
        self.tell("at", samples=row.samples, total=self.total)

    def evaluation(self, row: EvaluationRow) -> None:
        """The network was evaluated."""
        self.tell("test", accuracy=row.accuracy)

    def update_noise(self, row: UpdateNoiseRow) -> None:
        """It is in the record."""

    def snapshot(self, snapshot: Snapshot) -> None:
        """It is in the record."""

    def event(self, kind: str, text: str) -> None:
        """It is in the record."""


if __name__ == "__main__":
    main()
