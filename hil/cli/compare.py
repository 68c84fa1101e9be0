"""`hil compare`: say what will run, show how far all of it is, and tell what came of it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from hil.cli.compared import outcome_document, print_outcome, write_tables
from hil.cli.screen import CompilerOnce, Tough
from hil.cli.show import print_json
from hil.cli.signals import Stop
from hil.compare.conduct import conduct, missing, outcome
from hil.compare.crew import Job
from hil.compare.forecast import Forecast
from hil.compare.outcome import Outcome
from hil.compare.plan import Options, StudyPlan, plan_study
from hil.jit import watching_compiler
from hil.units import counted, duration, percent

SOME_FAILED = 6
_WIDTH_OF_FILES = 140


def run_study(path: Path, options: Options, processes: int, run: bool, json: bool) -> int:
    """Run what is missing of a study, show all of it, and return the exit code.

    Raises
    ------
    HilError
        What kept the study from starting.
    """
    begun = time.monotonic()
    stream = sys.stderr if json else sys.stdout
    console = _console(stream)
    errors: dict[str, str] = {}
    code = 0
    with Stop() as stop:
        try:
            console.print("checking every case ...")
            compiler = CompilerOnce(console)
            with watching_compiler(compiler):
                plan = plan_study(path, options)
            jobs = missing(plan)
        except KeyboardInterrupt:
            return stop.exit_code
        if run:
            console.print(_headline(plan, len(jobs), processes))
            code = _run(plan, jobs, processes, console, stop, errors, compiler)
        found = outcome(plan, errors)
        page = _written(found) if run or plan.folder.is_dir() else None
    seconds = time.monotonic() - begun if run else None
    if json:
        print_json(outcome_document(found, page, seconds))
    else:
        print_outcome(found, console, page, seconds)
    return code or (SOME_FAILED if found.failed else 0)


def _run(
    plan: StudyPlan,
    jobs: list[Job],
    processes: int,
    console: Console,
    stop: Stop,
    errors: dict[str, str],
    compiler: CompilerOnce,
) -> int:
    shown = (_Bars if console.is_terminal else _Lines)(console, Forecast(jobs, processes), errors, compiler)
    stop.be_patient(_told)
    with shown.shown():
        try:
            conduct(plan, jobs, shown, processes, stop)
        except KeyboardInterrupt:
            console.print(Text("stopped at once", "yellow"))
    return stop.exit_code


def _written(found: Outcome) -> Path:
    from hil.report.study import write_study

    write_tables(found)
    return write_study(found)


def _headline(plan: StudyPlan, jobs: int, processes: int) -> Text:
    runs = len(plan.only) * len(plan.seeds)
    title = plan.study.title or plan.study.name
    size = 1 if plan.durable else min(processes, jobs)
    at_once = f", {size} at once" if size > 1 else ""
    done = f"; {runs - jobs} of them are finished" if jobs < runs else ""
    told = f"{counted(len(plan.only), 'case')} x {counted(len(plan.seeds), 'seed')}: {counted(runs, 'run')}"
    return Text.assemble((title, "bold"), f"\n{told}{done}{at_once}, in {plan.folder}")


def _console(stream: IO[str]) -> Console:
    width = None if stream.isatty() else _WIDTH_OF_FILES
    return Console(file=cast(IO[str], Tough(stream)), highlight=False, width=width, force_jupyter=False)


class _Lines:
    """A line for each end of a run: for files and pipes."""

    def __init__(
        self, console: Console, forecast: Forecast, errors: dict[str, str], compiler: CompilerOnce
    ) -> None:
        self.console = console
        self.compiler = compiler
        self.forecast = forecast
        self.errors = errors

    @contextmanager
    def shown(self) -> Generator[None]:
        """While the runs go on."""
        yield

    def began(self, job: Job, pid: int) -> None:
        """Nothing is said of it."""
        self.forecast.began(job)

    def compiling(self, job: Job) -> None:
        """Said once."""
        self.compiler.compiling()

    def at(self, job: Job, samples: int, total: int) -> None:
        """Only the time left goes by it."""
        self.forecast.at(job, samples, total)

    def tested(self, job: Job, accuracy: float) -> None:
        """It is in the record."""

    def ended(self, job: Job, status: str, accuracy: float | None) -> None:
        """A line, with the time left."""
        self.forecast.ended(job)
        if status == "finished":
            self.say(Text.assemble(f"{job}: ", (percent(accuracy), "bold"), f"  {self.progress()}"))

    def failed(self, job: Job, error: str) -> None:
        """A line; the whole error comes at the end."""
        self.forecast.ended(job)
        self.errors[job.fingerprint] = error
        self.say(Text.assemble(f"{job}: ", ("failed: ", "red"), error.partition("\n")[0]))

    def say(self, text: Text) -> None:
        """Show a line."""
        self.console.print(text, soft_wrap=True)

    def progress(self) -> str:
        """How many are done, and the time left."""
        left = self.forecast.left_s()
        told = "" if left is None or self.forecast.done == self.forecast.all else f", {duration(left)} left"
        return f"{self.forecast.done} of {self.forecast.all}{told}"


class _Bars(_Lines):
    """A bar for all, and one for each run that is going on."""

    def __init__(
        self, console: Console, forecast: Forecast, errors: dict[str, str], compiler: CompilerOnce
    ) -> None:
        super().__init__(console, forecast, errors, compiler)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[facts]}"),
            console=console,
            transient=True,
        )
        self._all = self._bars.add_task("[bold]all runs", total=float(forecast.all), facts="")
        self._tasks: dict[str, TaskID] = {}

    @contextmanager
    def shown(self) -> Generator[None]:
        """The bars go when the runs have ended."""
        with self._bars:
            yield

    def began(self, job: Job, pid: int) -> None:
        """A bar of its own."""
        super().began(job, pid)
        label = str(job).replace("[", r"\[")
        self._tasks[job.fingerprint] = self._bars.add_task(label, total=None, facts="")

    def at(self, job: Job, samples: int, total: int) -> None:
        """Both bars go on."""
        super().at(job, samples, total)
        self._bars.update(self._tasks[job.fingerprint], completed=samples, total=total)
        self._bars.update(self._all, completed=self.forecast.share * self.forecast.all, facts=self.progress())

    def tested(self, job: Job, accuracy: float) -> None:
        """Said beside the bar."""
        self._bars.update(self._tasks[job.fingerprint], facts=f"test {percent(accuracy)}")

    def ended(self, job: Job, status: str, accuracy: float | None) -> None:
        """Its bar becomes a line."""
        self._bars.remove_task(self._tasks.pop(job.fingerprint))
        super().ended(job, status, accuracy)

    def failed(self, job: Job, error: str) -> None:
        """Its bar becomes a line."""
        self._bars.remove_task(self._tasks.pop(job.fingerprint))
        super().failed(job, error)


def _told(name: str) -> None:
    """Written past Python's buffers, which the signal may have come in the middle of."""
    with contextlib.suppress(OSError, ValueError):
        text = f"{name}: the runs under way are stopped and will be run anew; once more stops at once\n"
        os.write(sys.stderr.fileno(), text.encode())


def processes_here() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
