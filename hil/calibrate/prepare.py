"""Before the first output of a calibration: what its records will say of the bench, and what a routine that
changes devices for good must know of earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hil.calibrate.conduct import About
from hil.calibrate.contracts import Irreversible, Routine
from hil.calibrate.file import read_record, record_paths
from hil.errors import StoreError
from hil.opened import OpenedBench

DEFAULT_SIZE = (32, 32)
"""Rows and columns of a simulated array where none are asked for."""


def about_of(bench: OpenedBench, conditions: Mapping[str, str]) -> About:
    """Its name, its file as far as it was opened from one, and what the experimenter noted."""
    settings = bench.settings
    file = (
        {"file": Path(settings.file).name, "resolved": settings.model_dump(mode="json")}
        if bench.given is None
        else bench.given.recorded(settings)
    )
    return About(settings.name, file, conditions)


def informed(name: str, routine: Routine, bench: OpenedBench, folder: Path) -> Routine:
    """A routine that changes devices for good, told what its records in the folder say of this bench, if its
    devices outlive the process; any other as it is.

    Raises
    ------
    StoreError
        A record in the folder cannot be read.
    """
    if not (bench.durable and isinstance(routine, Irreversible)):
        return routine
    try:
        records = [read_record(path) for path in record_paths(folder)]
    except StoreError as error:
        error.add_note(f"{name} has to know what was done to these devices before; nothing was output")
        raise
    ours = (name, bench.settings.name)
    return routine.after([each for each in records if (each.routine, each.bench) == ours])
