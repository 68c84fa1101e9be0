"""How long an exchange with the instruments takes, from what calibrations took on the same bench."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from hil.calibrate.file import read_record, record_paths
from hil.calibrate.record import Record
from hil.config.bench import BenchSettings
from hil.errors import StoreError
from hil.price.working import one_by_one, record_working_s, resolved
from hil.units import counted

ASSUMED_S = 2e-3
"""An exchange where no record tells: a query over LAN or GPIB takes 1 ms to some ms."""


class Exchange(NamedTuple):
    """Seconds of one exchange, and where the number is from."""

    seconds: float
    source: str


def exchange_of(
    settings: BenchSettings,
    folders: Sequence[Path],
    now: datetime,
    otherwise: str = "`hil check` shows a round trip",
) -> Exchange:
    """From the valid records of a bench in the first of some folders that has any, else what is assumed;
    ``otherwise`` says what may be done about that. The folder that the bench file names comes first.
    """
    named = settings.calibrations
    places = [*([settings.beside(named.folder)] if named is not None else []), *folders]
    told = (recorded_exchange(settings, each, now) for each in places)
    return next(filter(None, told), Exchange(ASSUMED_S, f"assumed; {otherwise}"))


def recorded_exchange(settings: BenchSettings, folder: Path, now: datetime) -> Exchange | None:
    """From the valid records of a bench in a folder; None where they do not tell."""
    records = [record for record in _readable(folder) if _speaks_of(record, settings, now)]
    found = exchange_s(records)
    if found is None:
        return None
    number = counted(len(records), "record")
    return Exchange(found, f"from {number} in {folder}")


def exchange_s(records: Sequence[Record]) -> float | None:
    """Seconds of an exchange beside the pulses, integrations and waits in it; None where records do not tell.

    They tell of benches that read device after device on the host's clock. A controller's clock is its own,
    and leaves out what the host waits for.
    """
    left, exchanges = 0.0, 0
    for record in records:
        working_s, waits_s = record_working_s(record)
        if record.cost.transactions and one_by_one(record):
            # Virtual instruments answer before a pulse or an integration would be over.
            left += record.cost.seconds - waits_s - (0.0 if _virtual(record) else working_s)
            exchanges += record.cost.transactions
    return left / exchanges if exchanges else None


def _virtual(record: Record) -> bool:
    return resolved(record).get("virtual") is not None


def _readable(folder: Path) -> Iterable[Record]:
    for path in record_paths(folder):
        try:
            yield read_record(path)
        except StoreError:
            continue  # `hil calibration list` says what is wrong with it


def _speaks_of(record: Record, settings: BenchSettings, now: datetime) -> bool:
    """Whether it is of this bench, by name and driver, and holds: who is connected is not asked here."""
    ours = record.bench == settings.name and resolved(record).get("driver") == settings.driver
    return ours and record.state(now) == "valid"
