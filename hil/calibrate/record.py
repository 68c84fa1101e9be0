"""A dated calibration as a value: whose array it was, under which conditions, all raw data, the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hil.bench import Cost, DeviceSheet
from hil.calibrate.contracts import Drawing, Estimate, Maps, Result, Target
from hil.calibrate.tape import Step, pulses_spent, to_arrays
from hil.calibrate.words import html, in_short, lines
from hil.errors import ConfigError, StoreError
from hil.schedule import Pulse
from hil.stack import Stack

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Analysed:
    """How a result came to be later than its measurement: when, from which file with SHA-256, why that had
    ended without a result (None: it had one), and versions of what derived it.
    """

    when: datetime
    file: str
    sha256: str
    ended: str | None
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One calibration of one array.

    Parameters
    ----------
    routine, settings
        Name of the routine and its settings as plain data, quantities as text with units.
    target
        The array with its data sheet at that time, and the lines that were calibrated.
    bench, bench_file, identity
        Name of the bench, its file (text as given and values in use), and who took part: role to identity.
    conditions
        What the experimenter noted: temperature, chip, humidity; text by name.
    created, expires
        Times with zone; ``expires`` None: never.
    partial
        Why the calibration ended early; None when it is complete. A partial record has no result.
    cost, steps, result, versions
        What it took; everything asked and answered; what it comes to; versions of what measured it.
    analysed
        How the result was derived from another record's tape; None: with the measurement.
    path
        The file that it was read from or written to; None: neither.
    """

    routine: str
    settings: Mapping[str, Any]
    target: Target
    bench: str
    bench_file: Mapping[str, Any]
    identity: Mapping[str, str]
    conditions: Mapping[str, str]
    created: datetime
    expires: datetime | None
    partial: str | None
    cost: Cost
    steps: tuple[Step, ...]
    result: Result
    versions: Mapping[str, str]
    analysed: Analysed | None = None
    path: Path | None = None

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        """What it comes to, by name; none of a partial record."""
        return self.result.estimates

    @property
    def maps(self) -> Maps:
        """Arrays by name: those of devices [rows, cols] of the region that was calibrated, in SI units."""
        return self.result.maps

    @property
    def findings(self) -> tuple[str, ...]:
        """Sentences for the person who asked."""
        return tuple(self.result.findings)

    @property
    def raw(self) -> dict[str, NDArray[Any]]:
        """All that was asked and measured as plain arrays, made anew each time: "read0.amperes" [n, rows,
        cols], "program0.counts", times, volts, seconds; :func:`hil.calibrate.tape.to_arrays` names them all.
        """
        return {
            name: np.stack(values.parts) if isinstance(values, Stack) else values
            for name, values in to_arrays(self.steps).items()
        }

    def draw(self, file: Path | str | None = None) -> Figure:
        """Draw it as the field does, and write that into ``file`` (.png, .svg or .pdf) if one is named.

        Raises
        ------
        StoreError
            The record is partial, or the file cannot be written.
        ConfigError
            The file's ending is none that can be drawn, or the routine is not installed or has no ``draw``.
        """
        from hil.calibrate.choose import recorded_routine
        from hil.figures.file import draw

        where = self.path or f"record of {self.routine}"
        if self.partial is not None:
            raise StoreError(f"{where}: partial ({self.partial}); there is no result to draw")
        routine = recorded_routine(self)
        if not isinstance(routine, Drawing):
            kind = type(routine).__name__
            raise ConfigError(f"{where}: {self.routine} draws no figure: {kind} has no draw")
        return draw(lambda: routine.draw(self), None if file is None else Path(file))

    @property
    def array(self) -> str:
        """Name of the array."""
        return self.target.info.name

    @property
    def pulses_spent(self) -> NDArray[np.int64]:
        """Pulses that the calibration gave to every device of the array [rows, cols]: endurance spent."""
        return pulses_spent(self.steps, self.target.info.shape)

    def expired(self, now: datetime) -> bool:
        """Whether it holds no longer."""
        return self.expires is not None and now >= self.expires

    def state(self, now: datetime) -> str:
        """In one word: "partial", "expired" or "valid"."""
        if self.partial is not None:
            return "partial"
        return "expired" if self.expired(now) else "valid"

    def __repr__(self) -> str:
        return f"<Record: {self._head()[0]}>"

    def __str__(self) -> str:
        return "\n".join([*self._head(), *lines(self.estimates), *self.findings])

    def _repr_html_(self) -> str:
        told = [*map(escape, self._head()), html(self.estimates), *map(escape, self.findings)]
        return "<br>".join(told)

    def _head(self) -> list[str]:
        """Which record it is, and why it has no result, if it has none."""
        rows, cols = self.target.shape
        date, state = self.created.isoformat(timespec="minutes"), self.state(datetime.now(UTC))
        told = f"{self.routine} of {self.bench}, {self.array} {rows} x {cols}, {date}, {state}"
        return [told] if self.partial is None else [told, f"without a result: {in_short(self.partial)}"]


def check_record(
    record: Record,
    bench: str,
    identity: Mapping[str, str],
    shape: tuple[int, int],
    now: datetime | None,
    sheet: DeviceSheet | None = None,
) -> None:
    """Refuse a record that does not speak of this array, or holds no longer.

    Parameters
    ----------
    bench, identity, shape
        Name of the bench; who takes part in it; (rows, cols) of its array of the record's name.
    now
        None: whether it expired does not matter.
    sheet
        The array's data sheet, which must be that of the record: pulses, read voltage, nominal devices.

    Raises
    ------
    StoreError
        It is partial, expired, or of another bench, chip, instrument, shape or data sheet; all reasons in one
        message.
    """
    wrong: list[str] = []
    if record.partial is not None:
        wrong.append(f"it is partial ({record.partial})")
    if now is not None and record.expires is not None and record.expired(now):
        wrong.append(f"it expired {record.expires.isoformat(timespec='minutes')}")
    if record.bench != bench:
        wrong.append(f"it is of bench {record.bench!r}, this is {bench!r}")
    if record.target.info.shape != shape:
        ours, theirs = (f"{rows} x {cols}" for rows, cols in (shape, record.target.info.shape))
        wrong.append(f"its array {record.array} is {theirs}, this one is {ours}")
    roles = sorted({*record.identity, *identity})
    differing = {role for role in roles if record.identity.get(role) != identity.get(role)}
    for role in sorted(differing):
        theirs, ours = record.identity.get(role, "absent"), identity.get(role, "absent")
        wrong.append(f"its {role} was {theirs}, this is {ours}")
    if sheet is not None:
        wrong += _other_sheet(record.target.info.device, sheet)
    if wrong:
        remedy = "calibrate again"
        theirs, ours = record.identity.get("seed"), identity.get("seed")
        if len(wrong) == 1 and differing == {"seed"} and None not in (theirs, ours):  # a simulated bench
            remedy += f" (hil calibrate --seed {ours}), or use --seed {theirs}"
        date = record.created.isoformat(timespec="minutes")
        raise StoreError(
            f"calibration {record.routine} of {record.array}, {date}: {'; '.join(wrong)}; {remedy}"
        )


def _other_sheet(theirs: DeviceSheet, ours: DeviceSheet) -> list[str]:
    """What a measurement was told of the devices and is not so here."""
    wrong: list[str] = []
    for item in fields(DeviceSheet):
        was, here = getattr(theirs, item.name), getattr(ours, item.name)
        if item.name == "curve":
            same = all(
                np.array_equal(getattr(was, each.name), getattr(here, each.name)) for each in fields(was)
            )
            if not same:
                wrong.append("the nominal step curve was another")
        elif was != here:
            wrong.append(f"{item.name} was {_plain(was)}, this is {_plain(here)}")
    return wrong


def _plain(value: Pulse | float) -> str:
    if isinstance(value, Pulse):
        return f"{value.amplitude_v:g} V for {value.width_s:g} s and {value.gap_s:g} s"
    return f"{value:g}"
