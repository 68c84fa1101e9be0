"""How long a bench takes for a reading and for a burst, from what calibrations took: its twin's timing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hil.calibrate.record import Record
from hil.calibrate.tape import Step
from hil.price.working import one_by_one, working_s
from hil.schedule import Multiply, MultiplyAnswer, Program, Read
from hil.units import format_quantity


def timing_of(records: Sequence[Record]) -> dict[str, str | bool]:
    """The keys of ``timing`` in the file of a simulated bench that takes as long as the bench of the records.

    Least squares over all readings, and over all programming: ``settle`` is what a reading (on a board: a
    driven vector) takes beside its integration, ``shot`` what a burst to a device (a shot) takes beside its
    pulses. A bench that takes at least as long as all its readings and pulses one after the other has
    ``one_by_one``. Empty without records.
    """
    if not records:
        return {}
    serial = all(one_by_one(record) for record in records)
    steps = [step for record in records for step in record.steps]
    settle_s = _beside([_reading(step, serial=serial) for step in steps])
    shot_s = _beside([_burst(step, serial=serial) for step in steps])
    found: dict[str, str | bool] = {
        "settle": format_quantity(settle_s, "s"),
        "shot": format_quantity(shot_s, "s"),
    }
    return {**found, "one_by_one": True} if serial else found


def _beside(rows: Sequence[tuple[float, float]]) -> float:
    """Seconds a unit, of (units, seconds beside nominal); 0 or more."""
    units, seconds = np.array([row for row in rows if row[0]] or [(1.0, 0.0)]).T
    return max(0.0, float(units @ seconds / (units @ units)))


def _reading(step: Step, *, serial: bool) -> tuple[float, float]:
    op, took_s = step.op, step.ended_s - step.begun_s
    if isinstance(op, Read):
        rows, cols = op.region.shape
        number = rows * cols if serial else rows
        return number, took_s - number * op.integration_s
    if isinstance(op, Multiply) and isinstance(step.answer, MultiplyAnswer) and not step.answer.emulated:
        number = op.volts.shape[0]
        return number, took_s - number * op.integration_s
    return 0.0, 0.0  # sums that are made of readings: of how many is not on the tape


def _burst(step: Step, *, serial: bool) -> tuple[float, float]:
    op, took_s = step.op, step.ended_s - step.begun_s
    if not isinstance(op, Program):
        return 0.0, 0.0
    if serial:
        return float(np.count_nonzero(op.counts)), took_s - working_s(op)
    up, down = _shots(op.counts), _shots(-op.counts)
    pulses_s = up * (op.potentiate.width_s + op.potentiate.gap_s) + down * (
        op.depress.width_s + op.depress.gap_s
    )
    return up + down, took_s - pulses_s


def _shots(counts: NDArray[np.int16]) -> float:
    """Shots of one polarity: rows that want the same are driven together, as often as their largest count."""
    patterns = np.unique(counts, axis=0)
    return float(np.maximum(patterns, 0).max(axis=1, initial=0).sum())
