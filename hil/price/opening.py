"""Opens a bench to be rehearsed: its driver on virtual instruments in this process, by entry point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from hil.bench import Bench
from hil.config.bench import BenchSettings
from hil.config.validate import did_you_mean
from hil.errors import ConfigError
from hil.lock import LineLocks
from hil.opened import OpenedBench, placed
from hil.price.contracts import Rehearsal
from hil.price.exchange import Exchange


def rehearsal_of(
    settings: BenchSettings, twin: BenchSettings | None, exchange: Exchange
) -> Callable[[BenchSettings, dict[str, tuple[int, int]], int], OpenedBench]:
    """How a bench is opened without its instruments: settings, sizes (which the file gives), seed.

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
        return OpenedBench(bench, settings, LineLocks())

    return opens


def _with_notes(error: ConfigError, other: ConfigError) -> ConfigError:
    for note in getattr(other, "__notes__", ()):
        error.add_note(note)
    return error
