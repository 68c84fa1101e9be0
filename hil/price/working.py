"""How long pulses and integrations take by themselves, one after the other; a cost so many times."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hil.bench import Cost
from hil.calibrate.record import Record
from hil.schedule import Multiply, Op, Program, Read, Wait
from hil.units import parse_quantity


def working_s(op: Op) -> float:
    """Seconds of an operation's pulses, integrations or waiting; 0 for sums, which may be of readings."""
    if isinstance(op, Program):
        counts = op.counts.astype(np.int64)
        up, down = int(counts[counts > 0].sum()), -int(counts[counts < 0].sum())
        up_s, down_s = (pulse.width_s + pulse.gap_s for pulse in (op.potentiate, op.depress))
        return up * up_s + down * down_s
    if isinstance(op, Read):
        return op.region.rows.size * op.region.cols.size * op.integration_s
    return op.seconds if isinstance(op, Wait) else 0.0


def record_working_s(record: Record) -> tuple[float, float]:
    """Seconds of a record's pulses, settling and integrations one after the other, and of its waits."""
    waits_s = sum(step.op.seconds for step in record.steps if isinstance(step.op, Wait))
    total_s = sum(working_s(step.op) for step in record.steps) - waits_s
    shapes = [step.op.region.shape for step in record.steps if isinstance(step.op, Read)]
    in_sums = record.cost.reads - sum(rows * cols for rows, cols in shapes)
    integration_s = max(
        (step.op.integration_s for step in record.steps if isinstance(step.op, Multiply)), default=0.0
    )
    read: dict[str, Any] = resolved(record).get("read", {})
    settle_s = parse_quantity(read.get("settle", "0 s"), "s")
    return total_s + in_sums * integration_s + record.cost.reads * settle_s, waits_s


def one_by_one(record: Record) -> bool:
    """Whether the bench took at least as long as that, by its clock: then it reads device after device."""
    return record.cost.seconds >= 0.999 * sum(record_working_s(record))


def resolved(record: Record) -> dict[str, Any]:
    """The bench file's values in use, as the record has them."""
    found: dict[str, Any] = record.bench_file.get("resolved", {})
    return found


def scaled(cost: Cost, factor: float) -> Cost:
    """So many times a cost; counts are rounded."""
    return replace(
        cost,
        pulses=round(factor * cost.pulses),
        half_selects=round(factor * cost.half_selects),
        reads=round(factor * cost.reads),
        transactions=round(factor * cost.transactions),
        seconds=factor * cost.seconds,
        joules=factor * cost.joules,
    )
