"""Records at work: which of a folder speak of this bench today, and what they say of its arrays."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from hil.bench import ArrayInfo, Bench, DeviceSheet
from hil.calibrate.contracts import dust_a
from hil.calibrate.file import read_record, record_paths
from hil.calibrate.measured import faults_of, offsets_of, sheet_of
from hil.calibrate.record import Record, check_record
from hil.calibrate.words import said
from hil.config.bench import BenchSettings, CalibrationSettings, Measured
from hil.corrected import Known
from hil.errors import ConfigError, StoreError
from hil.units import counted, format_quantity

_ROUTINES: Mapping[Measured, tuple[str, ...]] = {
    "devices": ("devices",),
    "update-curve": ("update-curve",),
    "offset": ("offset", "read-noise"),
}
"""Who measures what; the first that there is a record of is taken."""
_OF_TWINS: Mapping[Measured, tuple[str, ...]] = {**_ROUTINES, "offset": ("read-noise",)}
"""The readings of a twin carry what its record of read-noise told, the same current in every column."""


_UNSURE = 0.1
"""Part of the range by which an end may be uncertain without a word."""


@dataclass(frozen=True, slots=True)
class Used:
    """A record that a run uses: its file with SHA-256, what it is of, when it was made and expires (ISO
    8601), whether it is "valid" or "expired", and what it told.
    """

    file: str
    sha256: str
    routine: str
    array: str
    created: str
    expires: str | None
    state: str
    told: str


@dataclass(frozen=True, slots=True, eq=False)
class Calibrations:
    """What records tell of the arrays by name, which records these are, and what a user must know of them;
    ``of``: the bench that they are of where this one is its twin, else "".
    """

    known: Mapping[str, Known] = field(default_factory=dict[str, Known])
    used: tuple[Used, ...] = ()
    warnings: tuple[str, ...] = ()
    of: str = ""


def known_by_records(
    settings: BenchSettings, bench: Bench, now: datetime, *, connected: bool = True
) -> Calibrations:
    """What the records that a bench file names tell of its arrays; nothing where it names none.

    Of each kind and array the newest complete record of this bench is taken. Unless its instruments are
    ``connected``, whose they are is not asked. A twin goes by those of its original that it was fitted to.

    Raises
    ------
    ConfigError
        There is no folder or no record of this bench in it; one that is named in ``use`` is missing for an
        array; the newest is damaged, expired, or of another data sheet; a bench of instruments says that it
        is a twin. All reasons at once, with file, line and key.
    """
    asked = settings.calibrations
    if asked is None:
        return Calibrations()
    if asked.of is not None and settings.resources:
        raise ConfigError(
            f"{settings.where('calibrations', 'of')}: records of {asked.of.bench} are for its twin, a "
            "simulated bench; instruments are trained on by their own"
        )
    folder = settings.beside(asked.folder)
    if not folder.is_dir():
        do = f"hil calibrate --out {folder} makes one"
        if asked.of is not None:
            do = (
                "where are the records that the twin was fitted to? Without the key it is trained on as it is"
            )
        raise ConfigError(f"{settings.where('calibrations', 'folder')}: no folder {folder}; {do}")
    name, identity = settings.name, dict(bench.identity) if connected else None
    if asked.of is not None:
        name, identity = asked.of.bench, dict(asked.of.identity)
    search = _Search(folder, name, identity, asked, now)
    known = {name: search.known(info) for name, info in bench.arrays.items()}
    missing = [*search.unusable, *search.absent]
    if asked.use is not None:
        search.refused += missing
    elif not search.used:
        arrays = ", ".join(bench.arrays)
        none = f"no record of {name} with array {arrays} in {folder}; hil calibrate --out {folder}"
        search.refused += search.unusable or ([] if search.refused else [f"{none} makes them"])
    if search.refused:
        raise ConfigError(f"{settings.where('calibrations')}: {'; '.join(_once(search.refused))}")
    uncalibrated = (f"uncalibrated: {each}" for each in missing)
    warnings = (*search.expired, *search.partly, *uncalibrated)
    return Calibrations(known, tuple(search.used), warnings, "" if asked.of is None else name)


@dataclass(slots=True)
class _Search:
    """For the records of one bench in a folder, and what came of it."""

    folder: Path
    name: str
    identity: Mapping[str, str] | None
    asked: CalibrationSettings
    now: datetime
    used: list[Used] = field(default_factory=list[Used])
    expired: list[str] = field(default_factory=list[str])
    partly: list[str] = field(default_factory=list[str])
    absent: list[str] = field(default_factory=list[str])
    unusable: list[str] = field(default_factory=list[str])
    refused: list[str] = field(default_factory=list[str])

    def known(self, info: ArrayInfo) -> Known:
        """What there is of an array."""
        found: dict[Measured, tuple[Path, Record]] = {}
        measure = _ROUTINES if self.asked.of is None else _OF_TWINS
        for kind in get_args(Measured) if self.asked.use is None else self.asked.use:
            try:
                newest = self._newest(measure[kind], info)
            except StoreError as error:
                self.refused.append(str(error))
                continue
            if newest is not None:
                found[kind] = newest
        return self._told(info, found)

    def _newest(self, routines: Sequence[str], info: ArrayInfo) -> tuple[Path, Record] | None:
        """The newest complete record of this bench, of the first routine that has one; None: there is
        none.
        """
        foreign: list[str] = []
        when = self.now if self.asked.expired == "refuse" else None
        for routine in routines:
            for path, record in self._records(routine, info.name):
                identity = dict(record.identity) if self.identity is None else self.identity
                try:
                    check_record(record, self.name, identity, info.shape, when, info.device)
                except StoreError as error:
                    if (record.bench, dict(record.identity)) == (self.name, identity):
                        raise
                    foreign += [str(error)] if not foreign else []
                    continue
                return path, record
        these = " or ".join(routines)
        self.unusable += foreign
        self.absent += [] if foreign else [f"no record of {these} for array {info.name} in {self.folder}"]
        return None

    def _records(self, routine: str, array: str) -> Iterator[tuple[Path, Record]]:
        """Complete records of a routine and array, newest first; none that is later than a twin. Raises
        StoreError at a damaged one of this bench.
        """
        until = None if self.asked.of is None else self.asked.of.until
        of = f"-{re.escape(array)}-{re.escape(routine)}"
        named = re.compile(rf"([0-9]+-[0-9]+)-(.*){of}(?:-([0-9]+))?\.npz")
        found = ((named.fullmatch(path.name), path) for path in record_paths(self.folder))
        dated = [(match[1], int(match[3] or 1), match[2], path) for match, path in found if match]
        for _, _, bench, path in sorted(dated, reverse=True):
            try:
                record = read_record(path)
            except StoreError:
                if bench == self.name:
                    raise
                continue
            later = until is not None and record.created > until
            if (record.routine, record.array, record.partial) == (routine, array, None) and not later:
                yield path, record

    def _told(self, info: ArrayInfo, found: Mapping[Measured, tuple[Path, Record]]) -> Known:
        """What the records of an array say together: currents and conductances are as they were read, so that
        an offset that is taken off from now on is taken off them too.
        """
        offsets = faults = sheet = None
        with self._unless_undetermined():
            if "offset" in found:
                offsets = offsets_of(found["offset"][1], info)
                self._use(*found["offset"], f"{_amperes(offsets.devices, dust_a(info))} taken off readings")
        with self._unless_undetermined():
            if "devices" in found:
                faults = faults_of(found["devices"][1], info, offsets)
                self._use(*found["devices"], _counted(found["devices"][1], faults.kind.size))
        with self._unless_undetermined():
            if "update-curve" in found:
                sheet = sheet_of(found["update-curve"][1], info, offsets)
                self._use(*found["update-curve"], _range(sheet))
                self.partly += _unsure(found["update-curve"][1])
        return Known(faults, sheet, offsets)

    @contextmanager
    def _unless_undetermined(self) -> Generator[None]:
        """A record that did not come to what is needed of it is as good as none."""
        try:
            yield
        except StoreError as error:
            self.unusable.append(str(error))

    def _use(self, path: Path, record: Record, told: str) -> None:
        expires = None if record.expires is None else record.expires.isoformat(timespec="seconds")
        created, state = record.created.isoformat(timespec="seconds"), record.state(self.now)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.used.append(Used(path.name, digest, record.routine, record.array, created, expires, state, told))
        if (left := _left_out(record)) is not None:
            self.partly.append(f"calibration {record.routine} of {record.array}, {created}: {left}")
        if state == "expired":
            self.expired.append(
                f"calibration {record.routine} of {record.array}, {created}, expired {expires} and is used "
                "all the same (calibrations.expired: mark)"
            )


def _once(messages: Sequence[str]) -> list[str]:
    """Messages "WHAT: WHY", a reason that several have said once, behind all that it is said of."""
    of: dict[str, list[str]] = {}
    for message in messages:
        what, _, why = message.partition(": ")
        of.setdefault(why, []).append(what)
    return [f"{', '.join(each)}: {why}" if why else ", ".join(each) for why, each in of.items()]


def _left_out(record: Record) -> str | None:
    """What a record of some lines alone says nothing of, and what is made of that; None: it is of all."""
    whole = record.target.info.shape
    if record.target.shape == whole:
        return None
    (rows, cols), (all_rows, all_cols) = record.target.shape, whole
    of = f"it is of {rows} x {cols} devices of {all_rows} x {all_cols}"
    unseen = all_rows * all_cols - rows * cols
    then = {
        "devices": f"{unseen:,} were not examined and are taken to work",
        "update-curve": "its range and steps are taken for all",
    }
    return f"{of}; {then.get(record.routine, 'the others are taken to have its typical offset')}"


def _unsure(record: Record) -> list[str]:
    """Ends of the range that are known to less than a part of it."""
    ends = {name: record.result.estimates[name] for name in ("g_min", "g_max")}
    most = _UNSURE * (ends["g_max"].value - ends["g_min"].value)
    of = f"calibration {record.routine} of {record.array}, {record.created.isoformat(timespec='seconds')}"
    return [
        f"{of}: its {name} is uncertain, {said(each)[1]}; hil calibration show tells why"
        for name, each in ends.items()
        if each.high - each.low > most
    ]


def _range(sheet: DeviceSheet) -> str:
    siemens = (sheet.g_min_s, sheet.g_max_s, sheet.step_up_s, sheet.step_down_s)
    low, high, up, down = (format_quantity(value, "S", 3) for value in siemens)
    return f"{low} to {high}, pulses of +{up} and -{down}"


def _amperes(cols: NDArray[np.float64], least: float) -> str:
    cols = np.where(np.abs(cols) < least, 0.0, cols)
    mean, spread = format_quantity(float(cols.mean()), "A", 3), float(cols.std())
    return mean if spread < least else f"{mean} (columns differ by {format_quantity(spread, 'A', 2)})"


def _counted(record: Record, devices: int) -> str:
    kinds = record.result.maps["fault"]
    unseen = devices - kinds.size
    told = f"{np.count_nonzero(kinds):,} of {counted(kinds.size, 'device does', 'devices do')} not work"
    return told + (f", {unseen:,} were not examined" if unseen else "")
