"""Records as files: one .npz a calibration, header as JSON inside, no pickle, with a checksum over all of it.

``numpy.load`` opens one: ``header`` is JSON text, ``raw.*`` the measurements (see hil.calibrate.tape),
``result.*`` what was derived, ``sha256`` the checksum.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.bench import ArrayInfo, Compliance, Cost, DeviceSheet, StepCurve
from hil.calibrate.contracts import Estimate, Result, Target
from hil.calibrate.record import Analysed, Record
from hil.calibrate.tape import Stacks, from_arrays, to_arrays
from hil.errors import HilError, StoreError
from hil.limits import Limits
from hil.schedule import Pulse, Region
from hil.stack import Stack, pieces
from hil.store.blobs import unpack, write
from hil.store.folder import write_whole

FORMAT = 1
SUFFIX = ".npz"
_MOST_OF_ONE_NAME = 1000
_ABLE = ("parallel_read", "parallel_write", "transpose")


def free_path(folder: Path, record: Record, *beside: str) -> Path:
    """Where a record can be written: its name is free, and with the endings ``beside`` as well.

    Raises
    ------
    StoreError
        The folder cannot be made, or holds too many of the name.
    """
    stamp = record.created.strftime("%Y%m%d-%H%M%S")
    name = f"{stamp}-{record.bench}-{record.array}-{record.routine}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: no calibrations can be kept here: {error.strerror}") from error
    for each in (name, *(f"{name}-{number}" for number in range(2, _MOST_OF_ONE_NAME))):
        if not any((folder / f"{each}{ending}").exists() for ending in (SUFFIX, *beside)):
            return folder / f"{each}{SUFFIX}"
    raise StoreError(f"{folder}: {_MOST_OF_ONE_NAME} records of the name {name}")


def write_record(folder: Path, record: Record, path: Path | None = None) -> Path:
    """Write a record into a folder, whole or not at all, under a name that is free or at ``path``; returns
    where it is.

    Raises
    ------
    StoreError
        The folder or file cannot be written.
    """
    path = free_path(folder, record) if path is None else path
    members: Stacks = {"header": np.array(json.dumps(header_of(record), allow_nan=True))}
    members |= {f"raw.{key}": values for key, values in to_arrays(record.steps).items()}
    members |= {f"result.{key}": np.asarray(values) for key, values in record.result.maps.items()}
    members["sha256"] = np.array(_checksum(members))
    write_whole(path, lambda file: write(file, members))
    return path


def read_record(path: Path) -> Record:
    """Read a record back.

    Raises
    ------
    StoreError
        There is none, it is damaged, or another version wrote it.
    """
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        members = unpack(blob, str(path))
    except StoreError as error:
        raise StoreError(f"{path}: not a calibration record, or damaged") from error
    if not {"header", "sha256"} <= members.keys():
        raise StoreError(f"{path}: not a calibration record: it has no header or no checksum")
    claimed = str(members.pop("sha256"))
    if claimed != _checksum(members):
        raise StoreError(f"{path}: damaged: its content does not have the checksum it was written with")
    try:
        header = json.loads(str(members["header"]))
        if header["format"] != FORMAT:
            raise StoreError(f"{path}: format {header['format']!r}; this version reads format {FORMAT}")
        return replace(record_of(header, members), path=path)
    except (KeyError, ValueError, TypeError) as error:
        raise StoreError(f"{path}: its header is not that of a record: {error!r}") from error
    except HilError as error:
        raise StoreError(str(error) if str(path) in str(error) else f"{path}: {error}") from error


def record_paths(folder: Path) -> list[Path]:
    """The records in a folder, oldest first by name; none if there is no such folder."""
    return sorted(folder.glob(f"*{SUFFIX}"), key=_numbered) if folder.is_dir() else []


def _numbered(path: Path) -> tuple[str, int]:
    """A name and its number: that without one is the first (see `free_path`)."""
    name, _, number = path.stem.rpartition("-")
    return (name, int(number)) if number.isdecimal() and int(number) < _MOST_OF_ONE_NAME else (path.stem, 1)


def _checksum(members: Mapping[str, NDArray[Any] | Stack]) -> str:
    found = hashlib.sha256()
    for name in sorted(members):
        values = members[name]
        shape = values.shape or (1,)
        found.update(f"{name}|{values.dtype.str}|{shape}|".encode())
        for part in pieces(values):
            found.update(part)
    return found.hexdigest()


def header_of(record: Record) -> dict[str, Any]:
    """All of a record but raw data and maps, as JSON has it."""
    info, region = record.target.info, record.target.region
    sheet = asdict(info.device)
    sheet["curve"] = {name: values.tolist() for name, values in sheet["curve"].items()}
    return {
        "format": FORMAT,
        "routine": record.routine,
        "settings": dict(record.settings),
        "array": {
            **{name: getattr(info, name) for name in ("name", "rows", "cols", *_ABLE)},
            "emulated": sorted(info.emulated),
            "compliance": None if info.compliance is None else asdict(info.compliance),
            "device": sheet,
        },
        "limits": asdict(record.target.limits),
        "region": {"rows": region.rows.tolist(), "cols": region.cols.tolist()},
        "bench": record.bench,
        "bench_file": dict(record.bench_file),
        "identity": dict(record.identity),
        "conditions": dict(record.conditions),
        "created": record.created.isoformat(),
        "expires": None if record.expires is None else record.expires.isoformat(),
        "partial": record.partial,
        "cost": asdict(record.cost),
        "versions": dict(record.versions),
        "estimates": {name: asdict(each) for name, each in record.result.estimates.items()},
        "findings": list(record.result.findings),
        "analysed": analysed_of(record),
    }


def analysed_of(record: Record) -> dict[str, Any] | None:
    """How its result was derived from another record, as JSON has it."""
    found = record.analysed
    return None if found is None else {**asdict(found), "when": found.when.isoformat()}


def record_of(header: dict[str, Any], members: Mapping[str, NDArray[Any]]) -> Record:
    """The record of a header, and of members ``raw.…`` and ``result.…``."""
    array = header["array"]
    device: dict[str, Any] = dict(array["device"])
    device["curve"] = StepCurve(**{name: np.asarray(values) for name, values in device["curve"].items()})
    for way in ("potentiate", "depress"):
        device[way] = Pulse(**device[way])
    info = ArrayInfo(
        array["name"],
        array["rows"],
        array["cols"],
        DeviceSheet(**device),
        **{name: array[name] for name in _ABLE if name in array},  # older records have none of it
        emulated=frozenset(array.get("emulated", ())),
        compliance=None if array.get("compliance") is None else Compliance(**array["compliance"]),
    )
    region = Region(info.name, *(np.asarray(header["region"][side], np.int64) for side in ("rows", "cols")))
    expires, analysed = header["expires"], header.get("analysed")
    return Record(
        header["routine"],
        header["settings"],
        Target(info, region, Limits(**header.get("limits", {}))),
        header["bench"],
        header["bench_file"],
        header["identity"],
        header["conditions"],
        datetime.fromisoformat(header["created"]),
        None if expires is None else datetime.fromisoformat(expires),
        header["partial"],
        Cost(**header["cost"]),
        from_arrays(_below(members, "raw."), info.name),
        Result(
            {name: Estimate(**each) for name, each in header["estimates"].items()},
            _below(members, "result."),
            tuple(header["findings"]),
        ),
        header["versions"],
        None if analysed is None else Analysed(datetime.fromisoformat(analysed.pop("when")), **analysed),
    )


def _below(members: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): values for name, values in members.items() if name.startswith(prefix)}
