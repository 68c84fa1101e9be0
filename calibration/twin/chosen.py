"""Which records a twin is fitted to: the newest valid one of each routine, all of one array of one bench."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.calibrate.record import Record
from hil.calibrate.twin import Asked
from hil.calibrate.words import in_short
from hil.errors import StoreError
from hil.schedule import ReadAnswer
from hil.units import counted

NEEDED = "update-curve"
USED = (NEEDED, "devices", "read-noise", "drift", "disturb")


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Records by routine, with the update curve that all others are held against; ``passed_over`` says which
    were left out and why; ``paths`` are the files of those that were not.
    """

    by_routine: Mapping[str, Record]
    passed_over: Sequence[str] = ()
    paths: Sequence[Path] = ()

    @property
    def curve(self) -> Record:
        """The update curve."""
        return self.by_routine[NEEDED]

    @property
    def newest(self) -> Record:
        """The record that was measured last, in the same second the one that pulsed most: it knows what the
        devices hold.
        """
        return max(self.by_routine.values(), key=lambda record: (record.created, record.cost.pulses))

    def on_the_curve(self, routine: str, name: str) -> NDArray[Any] | None:
        """A map of another record, placed on the lines of the update curve [rows, cols]; NaN on lines that
        it did not measure. None where there is no such record.
        """
        record = self.by_routine.get(routine)
        return None if record is None else self.placed(record, record.result.maps[name])

    def placed(self, record: Record, values: NDArray[Any]) -> NDArray[np.float64]:
        """Values [rows, cols] of a record's region on the lines of the update curve."""
        theirs, ours = record.target.region, self.curve.target.region
        whole = np.full(record.target.info.shape, np.nan)
        whole[np.ix_(theirs.rows, theirs.cols)] = values
        return whole[np.ix_(ours.rows, ours.cols)]

    def last_read(self) -> NDArray[np.float64]:
        """What devices held at the last reading of the newest record, siemens [rows, cols]; NaN if unread."""
        for step in reversed(self.newest.steps):
            if isinstance(step.answer, ReadAnswer):
                return self.placed(self.newest, step.answer.siemens)
        return np.full(self.curve.target.shape, np.nan)


def choose(records: Sequence[tuple[Path, Record]], asked: Asked, now: datetime) -> Chosen:
    """The newest usable record of each routine.

    Raises
    ------
    StoreError
        There is no usable update curve; records are of several benches, chips or data sheets, or of several
        arrays and none is asked for.
    """
    of_array = [(path, one) for path, one in records if asked.array in (None, one.array)]
    arrays = sorted({one.array for _, one in of_array})
    if len(arrays) > 1:
        raise StoreError(f"records of the arrays {', '.join(arrays)}; name one: --array {arrays[0]}")
    refused = {path: _unusable(one, now, asked.expired) for path, one in of_array}
    found: dict[str, tuple[Path, Record]] = {}
    for path, one in sorted(of_array, key=lambda each: each[1].created):
        if not refused[path] and one.routine in USED:
            found[one.routine] = (path, one)
    passed_over = [f"{path.name}: {why}" for path, why in refused.items() if why]
    if NEEDED not in found:
        there = "" if asked.array is None else f" of array {asked.array}"
        there += f"; passed over: {'; '.join(passed_over)}" if passed_over else ""
        raise StoreError(
            f"a twin needs a complete record of {NEEDED}, and there is none among "
            f"{counted(len(records), 'record')}{there}; "
            f"measure one: hil calibrate BENCH.yaml --routine {NEEDED}"
        )
    _of_one_array(found)
    used = [path for path, _ in found.values()]
    return Chosen({name: one for name, (_, one) in found.items()}, passed_over, used)


def _unusable(record: Record, now: datetime, take_expired: bool) -> str:
    if record.partial is not None:
        return f"partial ({in_short(record.partial)})"
    if record.expires is not None and record.expired(now) and not take_expired:
        return f"expired {record.expires.isoformat(timespec='minutes')} (--expired takes it)"
    return ""


def _of_one_array(found: Mapping[str, tuple[Path, Record]]) -> None:
    """Refuse what was not measured on the array of the update curve, as it was then."""
    path, first = found[NEEDED]
    wrong: list[str] = []
    for other, record in found.values():
        told = f"{other.name}"
        if record.bench != first.bench:
            wrong.append(f"{told} is of bench {record.bench}")
        elif dict(record.identity) != dict(first.identity):
            wrong.append(f"{told} is of {_said(record.identity)}")
        elif record.target.info.shape != first.target.info.shape:
            wrong.append(
                f"{told} is of an array of {record.target.info.shape[0]} x {record.target.info.shape[1]}"
            )
        elif _sheet(record) != _sheet(first):
            wrong.append(f"{told} has another data sheet (pulses, range, read voltage)")
    if wrong:
        rows, cols = first.target.info.shape
        raise StoreError(
            f"records that do not go together: {path.name} is of bench {first.bench}, array {first.array} "
            f"{rows} x {cols}, {_said(first.identity)}; {'; '.join(wrong)}; give those of one array"
        )


def _said(identity: Mapping[str, str]) -> str:
    return ", ".join(f"{role} {who}" for role, who in sorted(identity.items()))


def _sheet(record: Record) -> tuple[object, ...]:
    sheet = record.target.info.device
    return sheet.potentiate, sheet.depress, sheet.g_min_s, sheet.g_max_s, sheet.read_voltage_v
