"""What a person says of a price, on a command line or in Python: how much to rehearse, how long an exchange
takes, times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hil.calibrate import FOLDER
from hil.config.bench import BenchSettings
from hil.config.said import Option, on_command_line
from hil.errors import ConfigError
from hil.price.exchange import Exchange, exchange_of, recorded_exchange
from hil.price.rehearse import Extent
from hil.units import parse_quantity

MINUTE = Extent(budget_s=20.0)
"""Of each of three rehearsals: the price of any run is known within a minute or two."""


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Where the time of an exchange is from: told, or records in a folder, by default beside the bench."""

    told: float | None = None
    records: Path | None = None
    option: Option = on_command_line

    def __call__(self, settings: BenchSettings) -> Exchange:
        """For a bench.

        Raises
        ------
        ConfigError
            Records that were named do not tell.
        """
        if self.told is not None:
            return Exchange(self.told, f"as told by {self.option('exchange')}")
        now = datetime.now(UTC)
        if self.records is None:
            folders = (Path(settings.file).parent / FOLDER,)
            otherwise = f"{self.option('exchange')} says another, `hil check` shows a round trip"
            return exchange_of(settings, folders, now, otherwise)
        found = recorded_exchange(settings, self.records, now)
        if found is None:
            raise ConfigError(
                f"{self.option('records', self.records)}: no valid record in it tells how long an exchange "
                f"of bench {settings.name} takes; hil calibration list {self.records} lists them, "
                f"{self.option('exchange')} says it without"
            )
        return found

    def require_folder(self) -> None:
        """Refuse a folder of records that is not there. Raises ConfigError."""
        if self.records is not None and not self.records.is_dir():
            raise ConfigError(f"{self.option('records', self.records)}: there is no such folder")


def extent(share: float | None, *, full: bool, option: Option = on_command_line) -> Extent:
    """How much is rehearsed. Raises ConfigError for a share that is none."""
    if share is None:
        return Extent() if full else MINUTE
    if full:
        raise ConfigError(f"{option('share')} and {option('full')}: one of them")
    if not 0 < share <= 1:
        raise ConfigError(f"{option('share', f'{share:g}')}: above 0 and at most 1 is needed")
    return Extent(share)


def seconds(name: str, time: str | float | None, option: Option = on_command_line) -> float | None:
    """A time as text with a unit, or in seconds. Raises ConfigError that names the option."""
    if time is None:
        return None
    try:
        found = parse_quantity(time, "s") if isinstance(time, str) else float(time)
    except ConfigError as error:
        raise ConfigError(f"{option(name)}: {error}".replace("=:", ":")) from error
    if not (found >= 0 and math.isfinite(found)):
        raise ConfigError(f"{option(name, time)}: a time of 0 or more is needed")
    return found
