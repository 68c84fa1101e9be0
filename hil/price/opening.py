"""Opens a bench to be rehearsed: its driver on virtual instruments in this process, by entry point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import entry_points
from typing import Any

from hil.bench import Bench
from hil.calibrate.use import known_by_records
from hil.config.bench import BenchSettings
from hil.config.validate import did_you_mean
from hil.corrected import Known
from hil.errors import ConfigError
from hil.lock import LineLocks
from hil.opened import OpenedBench, placed
from hil.price.contracts import Rehearsal
from hil.price.exchange import Exchange


def rehearsal_of(
    settings: BenchSettings,
    twin: BenchSettings | None,
    exchange: Exchange,
    *,
    calibrated: bool = False,
) -> Callable[[BenchSettings, dict[str, tuple[int, int]], int], OpenedBench]:
    """How a bench is opened without its instruments: settings, sizes (which the file gives), seed.

    ``calibrated``: with the records that its file names. Of them a rehearsal takes the faults; ranges, steps
    and offsets only with a ``twin``, whose devices are as measured too.

    Raises
    ------
    ConfigError
        Its driver offers no rehearsal; when it is opened: the twin does not fit, or something of the file.
    """
    points: Mapping[str, Any] = {point.name: point for point in entry_points(group="hil.rehearsals")}
    if settings.driver not in points:
        raise ConfigError(
            f"{settings.where('driver')}: {settings.driver!r} cannot be rehearsed without its instruments; "
            f"{did_you_mean(settings.driver, points)}"
        )
    rehearsal: Rehearsal = points[settings.driver].load()

    def opens(settings: BenchSettings, sizes: dict[str, tuple[int, int]], seed: int) -> OpenedBench:
        try:
            bench: Bench = rehearsal.open(settings, twin, exchange.seconds, seed)
        except ConfigError as error:
            raise _with_notes(ConfigError(placed(settings, str(error))), error) from error
        known = None
        if calibrated:
            known = known_by_records(settings, bench, datetime.now(UTC), connected=False)
            if twin is None:
                faults = {name: Known(each.faults) for name, each in known.known.items()}
                known = replace(known, known=faults)
        return OpenedBench(bench, settings, LineLocks(), known if known and known.used else None)

    return opens


def _with_notes(error: ConfigError, other: ConfigError) -> ConfigError:
    for note in getattr(other, "__notes__", ()):
        error.add_note(note)
    return error
