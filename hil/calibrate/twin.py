"""What a twin is: a simulated bench fitted to measurements of an array, as the text and maps of its files.

Those who fit come by entry point (``hil.twins``); `calibration/twin/` holds ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from hil.calibrate.contracts import Estimate, Maps
from hil.calibrate.record import Record
from hil.calibrate.words import html, lines
from hil.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Model: TypeAlias = Literal["auto", "exponential", "table"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
    figure
        Makes the figure of residuals; imports matplotlib no sooner.
    records
        Files of the records that it was fitted to.
    calibrations
        The bench file's key of that name but for ``folder``, which is put in where the file is written: with
        it the twin is trained on by those records, as its original. Empty: it is not.
    path
        Its bench file, which every command and `hil.train` take; None: it was not written.
    """

    source: str
    bench: Mapping[str, Any]
    maps: Maps
    estimates: Mapping[str, Estimate]
    goodness: Mapping[str, Estimate]
    findings: Sequence[str] = ()
    figure: Callable[[], Figure] | None = None
    records: Sequence[Path] = ()
    calibrations: Mapping[str, Any] = field(default_factory=dict[str, Any])
    path: Path | None = None

    def draw(self, file: Path | str | None = None) -> Figure:
        """Draw what the fit leaves, and write that into ``file`` (.png, .svg or .pdf) if one is named.

        Raises
        ------
        ConfigError
            It has no figure, or the file's ending is none that can be drawn.
        StoreError
            The file cannot be written.
        """
        from hil.figures.file import draw

        if self.figure is None:
            raise ConfigError(f"the twin of {self.source} has no figure")
        return draw(self.figure, None if file is None else Path(file))

    def __fspath__(self) -> str:
        """Its bench file: a twin is taken wherever the path of one is. Raises ConfigError if not written."""
        if self.path is None:
            raise ConfigError(f"the twin of {self.source} was not written")
        return str(self.path)

    def __repr__(self) -> str:
        return f"<Twin: of {self.source}; {self.path or 'not written'}>"

    def __str__(self) -> str:
        fitted, good = lines(self.estimates), lines(self.goodness)
        return "\n".join([f"twin of {self.source}", *fitted, "goodness of fit", *good, *self.findings])

    def _repr_html_(self) -> str:
        tables = html(self.estimates), "goodness of fit", html(self.goodness)
        return "<br>".join([escape(f"twin of {self.source}"), *tables, *map(escape, self.findings)])


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a fit; ``model`` "auto" lets goodness of fit decide."""

    model: Model = "auto"
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
