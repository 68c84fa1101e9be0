"""How long an exchange with the instruments takes, from what calibrations took on the same bench."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hil.calibrate.file import read_record, record_paths
from hil.calibrate.record import Record
from hil.config.bench import BenchSettings
from hil.errors import StoreError
from hil.schedule import Multiply, Program, Read, Wait
from hil.units import parse_quantity

ASSUMED_S = 2e-3
"""An exchange where no record tells: a query over LAN or GPIB takes 1 ms to some ms."""


class Exchange(NamedTuple):
    """Seconds of one exchange, and where the number is from."""

    seconds: float
    source: str


def exchange_of(settings: BenchSettings, folder: Path, now: datetime) -> Exchange:
    """From the valid records of a bench in a folder, else what is assumed."""
    records = [record for record in _readable(folder) if _speaks_of(record, settings, now)]
    found = exchange_s(records)
    if found is None:
        return Exchange(ASSUMED_S, "assumed; --exchange says another, `hil check` shows a round trip")
    number = f"{len(records)} record{'s' if len(records) > 1 else ''}"
    return Exchange(found, f"from {number} in {folder}")


def exchange_s(records: Sequence[Record]) -> float | None:
    """Seconds of an exchange beside the pulses, integrations and waits in it; None where records do not tell.

    They tell of benches that read device after device on the host's clock. A controller's clock is its own,
    and leaves out what the host waits for.
    """
    left, exchanges = 0.0, 0
    for record in records:
        working_s, waits_s = _working(record)
        if record.cost.transactions and record.cost.seconds >= 0.999 * (working_s + waits_s):
            # Virtual instruments answer before a pulse or an integration would be over.
            left += record.cost.seconds - waits_s - (0.0 if _virtual(record) else working_s)
            exchanges += record.cost.transactions
    return left / exchanges if exchanges else None


def _working(record: Record) -> tuple[float, float]:
    """Seconds of pulses and integrations one after the other, and of waits."""
    pulses_s = waits_s = reads_s = 0.0
    reads, sums = 0, [0.0]
    for step in record.steps:
        op = step.op
        if isinstance(op, Program):
            counts = op.counts.astype(np.int64)
            up, down = int(counts[counts > 0].sum()), -int(counts[counts < 0].sum())
            pulses_s += up * (op.potentiate.width_s + op.potentiate.gap_s)
            pulses_s += down * (op.depress.width_s + op.depress.gap_s)
        elif isinstance(op, Wait):
            waits_s += op.seconds
        elif isinstance(op, Read):
            reads += op.region.rows.size * op.region.cols.size
            reads_s += op.region.rows.size * op.region.cols.size * op.integration_s
        elif isinstance(op, Multiply):
            sums.append(op.integration_s)
    reads_s += (record.cost.reads - reads) * max(sums)  # sums are made of readings
    return pulses_s + reads_s + record.cost.reads * _settle_s(record), waits_s


def _settle_s(record: Record) -> float:
    read: dict[str, Any] = _resolved(record).get("read", {})
    return parse_quantity(read.get("settle", "0 s"), "s")


def _virtual(record: Record) -> bool:
    return _resolved(record).get("virtual") is not None


def _resolved(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = record.bench_file.get("resolved", {})
    return found


def _readable(folder: Path) -> Iterable[Record]:
    for path in record_paths(folder):
        try:
            yield read_record(path)
        except StoreError:
            continue  # `hil calibration list` says what is wrong with it


def _speaks_of(record: Record, settings: BenchSettings, now: datetime) -> bool:
    """Whether it is of this bench, by name and driver, and holds: who is connected is not asked here."""
    ours = record.bench == settings.name and _resolved(record).get("driver") == settings.driver
    return ours and record.state(now) == "valid"
