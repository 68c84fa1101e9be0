"""Conducts one routine on a bench: progress, a clean stop, and a record whatever ends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hil.bench import Bench
from hil.calibrate.contracts import Result, Routine, Target, result_of
from hil.calibrate.file import write_record
from hil.calibrate.journal import KILLED, Journal
from hil.calibrate.patience import Patience
from hil.calibrate.record import Record
from hil.calibrate.tape import Tape, doubtful
from hil.config.validate import Config
from hil.errors import LimitError, ScheduleError
from hil.pause import Pause
from hil.plan import run, watched
from hil.versions import versions

WHOLE = "all was measured: hil calibration analyse derives the result"
"""Words behind the reason for a partial record that lacks nothing but its result."""


@dataclass(frozen=True, slots=True)
class About:
    """What a record says of the bench beside what the bench itself tells."""

    bench: str
    bench_file: Mapping[str, Any] = field(default_factory=dict[str, Any])
    conditions: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Kept:
    """A record and where it is."""

    path: Path
    record: Record


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def calibrate(
    name: str,
    routine: Routine,
    bench: Bench,
    target: Target,
    about: About,
    folder: Path,
    told: Callable[[int], None] = lambda done: None,
    stop: Callable[[], bool] = lambda: False,
    now: Callable[[], datetime] = _now,
    begun: Callable[[Path], None] = lambda path: None,
    written: Callable[[Kept], None] = lambda kept: None,
    analysing: Callable[[], AbstractContextManager[object]] = nullcontext,
    keeping: Callable[[], AbstractContextManager[object]] = nullcontext,
    reconnect_s: float = 0.0,
    happened: Callable[[str, str], None] = lambda kind, text: None,
) -> Kept:
    """Run a routine and keep its record in ``folder``.

    ``told`` gets the number of schedules done; ``stop`` is asked before each. Stopped, failed or interrupted,
    the bench is safe and what was measured is kept as a partial record. On a durable bench a journal holds
    both what is about to be output and what was measured until the record is written; ``begun`` is told
    before the first output where the record will be. ``written`` gets the record, complete or partial. The
    result is derived within ``analysing`` and kept within ``keeping``, so that a signal may end the one and
    not the other. A bench whose line was lost is waited for up to ``reconnect_s`` where no pulse is in doubt;
    ``happened`` gets the kind of that, "paused" or "resumed", and what happened.

    Raises
    ------
    HilError, KeyboardInterrupt
        What ended it; a note says where the partial record is.
    """
    tape = Tape()
    created = now()

    def record(partial: str | None, result: Result) -> Record:
        return _record(name, routine, bench, target, about, tape, created, partial, result)

    journal = Journal(folder, record(KILLED, Result()), tape) if bench.durable else None

    def keep(partial: str | None, result: Result) -> Kept:
        found = record(partial, result)
        with keeping():
            path = write_record(folder, found, None if journal is None else journal.record_path)
            kept = Kept(path, replace(found, path=path))
            if journal is not None:
                journal.discard()
            written(kept)
        return kept

    def place() -> str:
        return str(patience)

    patience = Patience(journal or tape, tape, Pause(bench, reconnect_s, place, happened, stop))
    finished = False
    with nullcontext() if journal is None else closing(journal):
        try:
            if journal is not None:
                begun(journal.record_path)
            plan = patience.plan(watched(routine.plan(target), stop, told))
            finished = run(plan, bench, patience, patience.revive)
            result = Result()
            if finished:
                with analysing():
                    result = result_of(routine, tape.steps, target)
        except BaseException as error:
            doubt = [] if isinstance(error, LimitError | ScheduleError) else tape.in_doubt
            tape.steps += doubt
            if tape.steps:
                reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                whole = finished and isinstance(error, KeyboardInterrupt)
                reason += f"; {WHOLE}" if whole else doubtful(doubt)
                kept = keep(reason, Result())
                error.add_note(f"recorded up to here: {kept.path}")
            elif journal is not None:
                journal.discard()
            raise
        return keep(None if finished else "stopped", result)


def _record(
    name: str,
    routine: Routine,
    bench: Bench,
    target: Target,
    about: About,
    tape: Tape,
    created: datetime,
    partial: str | None,
    result: Result,
) -> Record:
    settings = routine.model_dump(mode="json") if isinstance(routine, Config) else {}
    return Record(
        name,
        settings,
        target,
        about.bench,
        about.bench_file,
        dict(bench.identity),
        about.conditions,
        created,
        None if routine.valid_s is None else created + timedelta(seconds=routine.valid_s),
        partial,
        tape.cost,
        tuple(tape.steps),
        result,
        versions("numpy", "scipy"),
    )
