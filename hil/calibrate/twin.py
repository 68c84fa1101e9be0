"""What a twin is: a simulated bench fitted to measurements of an array, as the text and maps of its files.

Those who fit come by entry point (``hil.twins``); `calibration/twin/` holds ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hil.calibrate.contracts import Estimate, Maps
from hil.calibrate.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """A fitted bench.

    Parameters
    ----------
    source
        What it was fitted to, in a line.
    bench
        Its bench file as plain data, quantities as text with units; ``device.maps`` and ``device.sha256`` are
        put in where the maps are written.
    maps
        By name, as the driver of the bench reads them.
    estimates, goodness
        What was fitted, and how well it fits; each with its 95 % interval.
    findings
        Sentences for the person who asked.
    draw
        The figure of residuals; imports matplotlib no sooner.
    records
        Files of the records that it was fitted to.
    calibrations
        The bench file's key of that name but for ``folder``, which is put in where the file is written: with
        it the twin is trained on by those records, as its original. Empty: it is not.
    """

    source: str
    bench: Mapping[str, Any]
    maps: Maps
    estimates: Mapping[str, Estimate]
    goodness: Mapping[str, Estimate]
    findings: Sequence[str] = ()
    draw: Callable[[], Figure] | None = field(default=None, repr=False)
    records: Sequence[Path] = ()
    calibrations: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks of a fit; ``model`` "auto" lets goodness of fit decide."""

    model: str = "auto"
    array: str | None = None
    expired: bool = False


class FitsRecords(Protocol):
    """The entry point ``records``: from calibration records to a twin."""

    def __call__(self, records: Sequence[tuple[Path, Record]], asked: Asked, now: datetime) -> Twin:
        """Fit.

        Raises
        ------
        StoreError
            Records that do not go together, or none that can be used; all reasons in one message.
        """
        ...


@dataclass(frozen=True, slots=True)
class Described:
    """What is known of files of data beside what is in them.

    ``unit`` of their values where no header gives it ("uS", "A"); ``read_voltage_v``: currents were read at
    it; ``ends_s``: conductances that the least and the greatest of normalised data stand for; ``size`` (rows,
    cols) of the twin's array.
    """

    model: str = "auto"
    unit: str | None = None
    read_voltage_v: float | None = None
    ends_s: tuple[float, float] | None = None
    size: tuple[int, int] = (128, 128)


class FitsData(Protocol):
    """The entry point ``data``: from files of pulse responses to a twin."""

    def __call__(self, files: Sequence[Path], described: Described) -> Twin:
        """Fit.

        Raises
        ------
        DataError
            A file cannot be read as such data; with file and line.
        """
        ...
