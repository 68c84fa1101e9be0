"""Conducts a study: finds what is finished, runs the rest, and reads what came of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hil.compare.check import Planned
from hil.compare.claims import judge
from hil.compare.crew import Crew, Job, Watch
from hil.compare.outcome import Outcome
from hil.compare.plan import StudyPlan
from hil.compare.results import CellResult, Result, absent, result_of
from hil.errors import StoreError
from hil.store import Run, list_runs
from hil.store.folder import WriterLock


def missing(plan: StudyPlan) -> list[Job]:
    """The runs asked for that are not finished, seed by seed so that every case has its first early."""
    known = _known(plan)
    jobs: dict[str, Job] = {}
    for seed in plan.seeds:
        for planned in (each for each in plan.planned if each.cell.labels in plan.only):
            key = planned.fingerprint(seed)
            if key not in known or known[key].status != "finished":
                jobs.setdefault(key, Job(str(planned.cell), seed, key, _order(plan, planned, seed)))
    return list(jobs.values())


def conduct(
    plan: StudyPlan, jobs: list[Job], watch: Watch, processes: int, stop: Callable[[], bool] = lambda: False
) -> None:
    """Run jobs in at most so many processes; on a real bench one after the other.

    Raises
    ------
    StoreError
        Another process is at work on this study, or its folder cannot be written.
    """
    with _alone(plan.folder):
        plan.experiment.write()
        plan.bench.write()
        size = 1 if plan.durable else max(1, min(processes, len(jobs)))
        with Crew(size, watch) as crew:
            crew.work(jobs, stop)


def outcome(plan: StudyPlan, errors: Mapping[str, str] | None = None) -> Outcome:
    """Read what there is now; ``errors`` says, by fingerprint, why jobs of this session failed."""
    known, errors = _known(plan), errors or {}
    cells = tuple(
        CellResult(
            planned.cell,
            tuple(
                _result(known.get(key := planned.fingerprint(seed)), seed, plan.study.reach, errors.get(key))
                for seed in plan.seeds
            ),
        )
        for planned in plan.planned
    )
    results = {result.cell.labels: result for result in cells}
    verdicts = tuple(judge(claim, plan.study.pairs(claim), results) for claim in plan.study.claims)
    return Outcome(plan.study, plan.given, plan.changed, plan.folder, cells, verdicts)


def _result(run: Run | None, seed: int, reach: float | None, error: str | None) -> Result:
    if run is None:
        return absent(seed, error)
    try:
        found = result_of(run, seed, reach)
    except StoreError as damaged:
        found = replace(absent(seed, str(damaged)), path=run.path)
    return found if error is None or found.is_finished else replace(found, status="failed", error=error)


def _known(plan: StudyPlan) -> dict[str, Run]:
    """The runs in the study's folder by fingerprint: a finished one if there is any, else the newest."""
    runs = list_runs(plan.folder) if plan.folder.is_dir() else []
    seeded = [(run.header.get("seed"), run) for run in runs]
    known: dict[str, Run] = {}
    for planned in plan.planned:
        for seed in plan.seeds:
            found = [run for theirs, run in seeded if theirs == seed and planned.made(run.header, seed)]
            finished = [run for run in found if run.status == "finished"]
            if found:
                known[planned.fingerprint(seed)] = [*finished, *reversed(found)][0]
    return known


def _order(plan: StudyPlan, planned: Planned, seed: int) -> dict[str, Any]:
    """What a worker is told of a run."""
    return {
        "experiment": str(plan.experiment.path),
        "bench": str(plan.bench.path),
        "overrides": [*planned.overrides, f"seed={seed}", f"name={json.dumps(planned.cell.slug)}"],
        "bench_overrides": list(planned.bench_overrides),
        "data_dir": None if plan.data_dir is None else str(plan.data_dir),
        "chip": plan.chip,
        "root": str(plan.folder),
        "command": sys.argv,
    }


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """One study at a time in a folder; the operating system lets go of it when its process dies."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be made: {error.strerror}") from error
    lock = WriterLock(folder)
    try:
        lock.take()
    except StoreError as error:
        told = "is another hil compare at work on it? --show looks at a study that is going on"
        raise StoreError(f"{error}; {told}") from error
    try:
        yield
    finally:
        lock.release()
