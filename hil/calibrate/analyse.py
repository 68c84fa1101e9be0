"""A result from a tape alone: of a calibration that was ended behind its last schedule, without a bench.

Whether a tape is whole is asked of the routine's own plan, which is sent what the tape has of its answers.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hil.bench import Cost, Execution
from hil.calibrate.choose import recorded_routine
from hil.calibrate.conduct import Kept
from hil.calibrate.contracts import Irreversible, Routine, result_of
from hil.calibrate.file import read_record, record_paths, write_record
from hil.calibrate.record import Analysed, Record
from hil.calibrate.tape import Step
from hil.errors import StoreError
from hil.schedule import Multiply, Op, Program, Read, Schedule, Wait
from hil.versions import versions


@dataclass(frozen=True, slots=True)
class _Walk:
    """How far a tape follows a plan: schedules that are on it, the next one (None: it is whole), and whether
    something else is there in its place.
    """

    done: int
    left: Schedule | None
    differs: bool = False


def analyse_record(path: Path, now: datetime | None = None) -> Kept:
    """Derive the result of a record from its tape, as a new record beside it.

    The new one is of the same time, conditions and expiry, and says what it was derived from and when.

    Raises
    ------
    StoreError
        The record cannot be read, its tape lacks schedules (it is said which) or is of another version of
        the routine, or nothing can be written.
    ConfigError
        The routine is not installed, or knows other settings.
    """
    record = read_record(path)
    routine = recorded_routine(record)
    walks = [_walk(each, record) for each in _as_asked(routine, path, record)]
    walk = max(walks, key=lambda each: (each.left is None, each.done))
    if walk.left is not None:
        raise StoreError(f"{path}: {_lacking(walk, walk.left, routine, record)}")
    derived = Analysed(
        datetime.now(UTC).replace(microsecond=0) if now is None else now,
        path.name,
        _digest(path),
        record.partial,
        versions("numpy", "scipy"),
    )
    result = result_of(routine, record.steps, record.target)
    new = replace(record, partial=None, result=result, analysed=derived)
    written = write_record(path.parent, new)
    return Kept(written, replace(new, path=written))


def to_be_analysed(folder: Path) -> Path:
    """The newest partial record of a folder whose result was not derived yet; damaged ones are passed over.

    Raises
    ------
    StoreError
        There is none.
    """
    records = list(_readable(record_paths(folder)))
    derived = {record.analysed.sha256 for _, record in records if record.analysed is not None}
    for path, record in reversed(records):
        if record.partial is not None and _digest(path) not in derived:
            return path
    raise StoreError(f"{folder}: no partial record in it is without a result; name one to analyse it again")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _readable(paths: Sequence[Path]) -> Iterator[tuple[Path, Record]]:
    for path in paths:
        try:
            yield path, read_record(path)
        except StoreError:
            continue


def _as_asked(routine: Routine, path: Path, record: Record) -> list[Routine]:
    """The routine as it may have been asked: where earlier records count, with what they said, or without."""
    if not isinstance(routine, Irreversible):
        return [routine]
    same = (record.routine, record.bench)
    others = [each for each in record_paths(path.parent) if each != path]
    earlier = [
        each
        for _, each in _readable(others)
        if (each.routine, each.bench) == same and each.created <= record.created and each.analysed is None
    ]
    return [routine.after(earlier), routine]


def _walk(routine: Routine, record: Record) -> _Walk:
    """Send a plan the answers of a tape."""
    steps, at, done = record.steps, 0, 0
    with closing(routine.plan(record.target)) as plan:
        schedule = next(plan, None)
        while schedule is not None:
            here = steps[at : at + len(schedule)]
            if not here or _in_doubt(schedule, steps[at:]):
                return _Walk(done, schedule)
            asked = [step.op for step in here]
            if len(here) < len(schedule) or not all(map(_same, asked, schedule)):
                return _Walk(done, schedule, differs=True)
            at, done = at + len(schedule), done + 1
            costs = tuple(Cost(seconds=step.ended_s - step.begun_s) for step in here)
            try:
                schedule = plan.send(Execution(tuple(step.answer for step in here), costs))
            except StopIteration:
                break
    return _Walk(done, None if at == len(steps) else (), differs=at < len(steps))


def _in_doubt(schedule: Schedule, rest: Sequence[Step]) -> bool:
    """Whether the end of a tape has the pulses of a schedule alone, whose readings never came."""
    pulses = [op for op in schedule if isinstance(op, Program) and op.counts.any()]
    if len(pulses) == len(schedule) or len(pulses) != len(rest):
        return False
    return all(_same(step.op, op) for step, op in zip(rest, pulses, strict=True))


def _same(one: Op, other: Op) -> bool:
    """Whether two operations ask for the same; waits are differences of times, which may round otherwise."""
    if isinstance(one, Wait) and isinstance(other, Wait):
        return math.isclose(one.seconds, other.seconds, rel_tol=1e-9, abs_tol=1e-9)
    return type(one) is type(other) and all(map(np.array_equal, _parts(one), _parts(other)))


def _parts(op: Op) -> tuple[Any, ...]:
    match op:
        case Read():
            own = (op.voltage_v, op.integration_s)
        case Multiply():
            own = (op.volts, op.integration_s, op.transpose)
        case Program():
            pulses = ((each.amplitude_v, each.width_s, each.gap_s) for each in (op.potentiate, op.depress))
            own = (op.counts, *pulses)
        case _:
            raise StoreError(f"a tape has no {type(op).__name__}")
    return (op.region.array, op.region.rows, op.region.cols, *own)


def _lacking(walk: _Walk, left: Schedule, routine: Routine, record: Record) -> str:
    """What is wrong with a tape, and what can be done about it."""
    number = walk.done + 1
    if walk.differs:
        measured = record.versions.get("synapse-hil", "?")
        return (
            f"no result: from schedule {number} on its tape is not what {record.routine} asks for in this "
            f"version; analyse it with that which measured it, synapse-hil {measured}, or calibrate again"
        )
    kinds = Counter(type(op).__name__ for op in left)
    lacks = " and ".join(f"{times} {kind}" for kind, times in kinds.items())
    return (
        f"no result: its tape ends after {walk.done} of about {max(number, routine.rounds(record.target))} "
        f"schedules ({record.partial}); schedule {number} ({lacks} on {record.array}) and what follows it "
        "were not run; calibrate again"
    )
