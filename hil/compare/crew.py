"""The processes of a study: each takes a job after the other; one that dies takes no other run with it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

_ONE_THREAD = dict.fromkeys(
    (
        "NUMBA_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)
_ASK_STOP_EVERY_S = 0.2
_LEAVE_S = 30.0
_LINES_OF_TRACE = 8


@dataclass(frozen=True, slots=True)
class Job:
    """One run: a label for people, its seed, and what `hil.session.prepare` needs, as plain data."""

    label: str
    seed: int
    fingerprint: str
    order: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.label}, seed {self.seed}"


class Watch(Protocol):
    """Is told how the jobs go."""

    def began(self, job: Job, pid: int) -> None:
        """A process took it."""
        ...

    def compiling(self, job: Job) -> None:
        """Its process compiles a kernel."""
        ...

    def at(self, job: Job, samples: int, total: int) -> None:
        """So many training samples are done."""
        ...

    def tested(self, job: Job, accuracy: float) -> None:
        """The network was evaluated; 0 to 1."""
        ...

    def ended(self, job: Job, status: str, accuracy: float | None) -> None:
        """It has come to its end: finished or stopped."""
        ...

    def failed(self, job: Job, error: str) -> None:
        """It could not be run, or was ended by an error; in full."""
        ...


@dataclass(eq=False)
class _Process:
    """A worker, and the job it is at."""

    popen: subprocess.Popen[str]
    stderr: IO[str]
    job: Job | None = None

    def give(self, job: Job) -> None:
        """Hand it a job."""
        self.job = job
        if self.popen.stdin is not None:
            self.popen.stdin.write(json.dumps(dict(job.order)) + "\n")
            self.popen.stdin.flush()

    def last_words(self) -> str:
        """How it died: the signal, or the end of what it said on stderr."""
        self.stderr.seek(0)
        said = self.stderr.read().strip().splitlines()[-_LINES_OF_TRACE:]
        code = self.popen.wait()
        how = f"exit code {code}"
        if code < 0:
            how = signal.Signals(-code).name
            how += " (out of memory?)" if how == "SIGKILL" else ""
        return "\n".join([f"its process {self.popen.pid} was ended by {how}", *said])


@dataclass
class Crew:
    """At most ``size`` processes, alive within ``with``.

    Leaving asks those at work to end their run at the next step, and waits for them; an error on the way out,
    Ctrl-C included, insists.
    """

    size: int
    watch: Watch
    _processes: list[_Process] = field(default_factory=list[_Process])
    _leaving: bool = False
    _said: queue.SimpleQueue[tuple[_Process, str | None]] = field(
        default_factory=queue.SimpleQueue[tuple[_Process, str | None]]
    )

    def work(self, jobs: Iterable[Job], stop: Callable[[], bool] = lambda: False) -> None:
        """Have every job run; returns when the last has ended, or soon after ``stop`` says True."""
        waiting = deque(jobs)
        while not stop():
            self._fill(waiting)
            if not any(process.job for process in self._processes):
                return
            self._hear(_ASK_STOP_EVERY_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        for process in self._processes:
            if process.popen.stdin is not None:
                with contextlib.suppress(OSError):
                    process.popen.stdin.close()
        insisted = error is not None
        try:
            while self._processes and not insisted:
                self._hear(None)
        except KeyboardInterrupt:
            insisted = True
            raise
        finally:
            if insisted:
                self._insist()

    def _insist(self) -> None:
        """Workers make their bench safe on SIGTERM; who does not leave in time is killed."""
        for process in self._processes:
            process.popen.terminate()
        late = time.monotonic() + _LEAVE_S
        while self._processes and time.monotonic() < late:
            self._hear(_ASK_STOP_EVERY_S)
        for process in self._processes:
            process.popen.kill()

    def _fill(self, waiting: deque[Job]) -> None:
        while waiting:
            idle = next((process for process in self._processes if process.job is None), None)
            if idle is None and len(self._processes) >= self.size:
                return
            process = self._started() if idle is None else idle
            job = waiting.popleft()
            self.watch.began(job, process.popen.pid)
            with contextlib.suppress(OSError):  # of one that just died its end of file tells
                process.give(job)

    def _started(self) -> _Process:
        """A new worker: it finds the modules that this process finds, and uses one thread."""
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        popen = subprocess.Popen(
            [sys.executable, "-P", "-m", "hil.compare.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding="utf-8",
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C on the terminal is for the study, which tells its workers
        )
        process = _Process(popen, stderr)
        self._processes.append(process)
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        return process

    def _listen(self, process: _Process) -> None:
        for line in process.popen.stdout or ():
            self._said.put((process, line))
        self._said.put((process, None))

    def _hear(self, wait_s: float | None) -> None:
        """Take one message, if one comes in time."""
        try:
            process, line = self._said.get(timeout=wait_s)
        except queue.Empty:
            return
        if line is None:
            self._bury(process)
        elif process.job is not None:
            self._take(process, process.job, json.loads(line))

    def _take(self, process: _Process, job: Job, said: Mapping[str, Any]) -> None:
        match said["what"]:
            case "compiling":
                self.watch.compiling(job)
            case "at":
                self.watch.at(job, said["samples"], said["total"])
            case "test":
                self.watch.tested(job, said["accuracy"])
            case "ended":
                process.job = None
                self.watch.ended(job, said["status"], said["accuracy"])
            case _:
                process.job = None
                trace = "\n".join(said["trace"].strip().splitlines()[-_LINES_OF_TRACE:])
                self.watch.failed(job, "\n".join(part for part in (said["error"], trace) if part))

    def _bury(self, process: _Process) -> None:
        words = process.last_words()
        self._processes.remove(process)
        for stream in (process.popen.stdin, process.popen.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        if process.job is not None and not self._leaving:
            self.watch.failed(process.job, words)
