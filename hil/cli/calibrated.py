"""Calibration records on the screen, as JSON and as figures."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from hil.calibrate.analyse import analyse_record, to_be_analysed
from hil.calibrate.conduct import WHOLE
from hil.calibrate.file import analysed_of, read_record, record_paths
from hil.calibrate.journal import KILLED, is_written, journals, read_journal, rescue
from hil.calibrate.record import Record
from hil.calibrate.words import in_short, listed
from hil.cli.show import instruments, print_json, two_columns
from hil.errors import ConfigError, StoreError
from hil.faults import KINDS
from hil.units import counted, duration, energy, parse_quantity

_WIDTH_OF_FILES = 160


def print_list(folder: Path, json: bool) -> None:
    """One line a record; one that cannot be read is listed as damaged."""
    rows = [_row(path) for path in record_paths(folder)] + [_unfinished(path) for path in journals(folder)]
    if json:
        print_json(rows)
        return
    if not rows:
        typer.echo(f"no calibration records in {folder}")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("record", no_wrap=True)
    for heading in ("routine", "array", "state", "expires"):
        table.add_column(heading)
    for row in rows:
        table.add_row(*(str(row[key] or "") for key in ("record", "routine", "array", "state", "expires")))
    width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
    console = Console(highlight=False, width=width)
    console.print(table)
    for row in rows:
        if row["state"] == "killed":
            makes = "the next hil calibrate, or hil calibration analyse, makes a partial record of it"
            told = f"{row['record']}: {row['partial']}; {makes}"
            console.print(Text(told, "yellow"), soft_wrap=True)


def print_record(path: Path, json: bool) -> None:
    """Who was measured, when and how; what it took; what it comes to."""
    path = newest(path)
    record = read_record(path)
    if json:
        print_json({"record": str(path), **document(record)})
        return
    console = Console(highlight=False)
    rows, cols = record.target.shape
    facts = [
        ("record", str(path)),
        ("routine", record.routine),
        ("state", record.state(_now())),
        ("bench", f"{record.bench}; {instruments(record.identity)}"),
        (
            "array",
            f"{record.array}, {rows} x {cols} of {record.target.info.rows} x {record.target.info.cols}",
        ),
        ("measured", record.created.isoformat(" ", "minutes")),
        ("expires", "never" if record.expires is None else record.expires.isoformat(" ", "minutes")),
        *_derived(record),
        *record.conditions.items(),
        (
            "settings",
            ", ".join(
                f"{key} {_setting(value)}"
                for key, value in record.settings.items()
                if value is not None and key != "name"
            ),
        ),
        ("took", spent(record)),
    ]
    console.print(two_columns(facts), Text(), results(record), sep="\n")


def _derived(record: Record) -> list[tuple[str, str]]:
    """When and from what the result was derived, where that was not with the measurement."""
    if (derived := record.analysed) is None:
        return []
    ended = "" if derived.ended is None else f", which ended: {derived.ended}"
    return [("analysed", f"{derived.when.isoformat(' ', 'minutes')}, from {derived.file}{ended}")]


def print_analysed(path: Path, again: bool, json: bool) -> None:
    """Derive a result from a record's raw data into a new record, and show that.

    Raises
    ------
    StoreError
        Schedules are missing (it is said which), or nothing can be read or written.
    ConfigError
        The record has a result, and another was not asked for (``again``).
    """
    rescued = rescue(path) if path.is_dir() else []
    for left, record in rescued:
        typer.echo(
            f"an earlier {record.routine} of {record.array} was {record.partial}; kept as {left}", err=True
        )
    if path.is_file() and not again and read_record(path).partial is None:
        raise ConfigError(
            f"{path}: it has its result; --again derives it anew by this version, as a new record beside it, "
            "which training then takes"
        )
    kept = analyse_record(to_be_analysed(path) if path.is_dir() else path)
    print_record(kept.path, json)


def results(record: Record) -> Group | Text:
    """Estimates with intervals and words, then findings."""
    if record.partial is not None:
        told = f"partial, without a result: {in_short(record.partial)}"
        if record.partial.startswith((KILLED, "KeyboardInterrupt")) and WHOLE not in record.partial:
            told += "; if nothing is missing, hil calibration analyse derives one"
        return Text(told, "yellow")
    table = Table(box=None, pad_edge=False, header_style="bold", caption_justify="left", caption_style="")
    for heading, justify in (("", "left"), ("value", "right"), ("95 % interval", "left"), ("", "left")):
        table.add_column(heading, justify=justify, no_wrap=bool(heading))  # pyright: ignore[reportArgumentType]
    rows, untold = listed(record.result.estimates)
    for row in rows:
        table.add_row(*row)
    told = Text("\n".join([*untold, *record.result.findings]))
    return Group(table, Text(), told, Text()) if rows else Group(told, Text())


def spent(record: Record) -> str:
    """What the calibration took, and the wear of the device that got most."""
    cost = record.cost
    most = int(record.pulses_spent.max(initial=0))
    parts = [
        duration(cost.seconds) + " on the bench",
        counted(cost.reads, "reading"),
        counted(cost.pulses, "pulse") + (f", {most:,} to one device" if most else ""),
        counted(cost.transactions, "transaction"),
        "energy " + energy(cost.joules, cost.pulses + cost.reads),
    ]
    return ", ".join(parts)


def document(record: Record) -> dict[str, Any]:
    """Everything of a record but its arrays."""
    return {
        "routine": record.routine,
        "bench": record.bench,
        "identity": dict(record.identity),
        "array": record.array,
        "rows": record.target.region.rows.tolist(),
        "cols": record.target.region.cols.tolist(),
        "created": record.created.isoformat(),
        "expires": None if record.expires is None else record.expires.isoformat(),
        "state": record.state(_now()),
        "partial": record.partial,
        "conditions": dict(record.conditions),
        "analysed": analysed_of(record),
        "settings": {
            key: _setting(value) if isinstance(value, str) else value
            for key, value in record.settings.items()
        },
        "cost": asdict(record.cost),
        "most_pulses": int(record.pulses_spent.max(initial=0)),
        "estimates": {name: asdict(each) for name, each in record.result.estimates.items()},
        "findings": list(record.result.findings),
        "faulty": _faulty(record),
    }


def _faulty(record: Record) -> dict[str, list[list[int]]]:
    """All devices that do not work as [row, column] of the array, by kind; {} where the record tells none."""
    kinds, region = record.result.maps.get("fault"), record.target.region
    if kinds is None:
        return {}
    return {
        name: [[int(region.rows[row]), int(region.cols[col])] for row, col in np.argwhere(kinds == code)]
        for code, name in enumerate(KINDS)
        if code
    }


def plot(path: Path, output: Path | None) -> Path:
    """Draw a record into a file; returns that. Raises as `Record.draw`; StoreError for what is no record."""
    path = newest(path)
    output = path.with_suffix(".png") if output is None else output
    read_record(path).draw(output)
    return output


def newest(path: Path) -> Path:
    """The record itself, or the newest of a folder."""
    if not path.is_dir():
        return path
    found = record_paths(path)
    if not found:
        raise StoreError("; ".join([f"{path}: there are no calibration records in it", *_journals_of(path)]))
    return found[-1]


def _journals_of(folder: Path) -> list[str]:
    """What calibrations without a record left in a folder, and what can be done with it."""
    found = [_unfinished(path) for path in journals(folder)]
    return [
        f"{each['record']} is of one under way"
        if each["state"] == "under way"
        else f"{each['record']} is of one that was {each['state']}: hil calibration analyse {folder} makes a "
        "record of what there is, and its result if nothing is missing"
        for each in found
    ]


def _row(path: Path) -> Mapping[str, Any]:
    try:
        record = read_record(path)
    except StoreError as error:
        return {"record": path.name, "routine": None, "array": None, "state": "damaged", "expires": None,
                "error": str(error)}  # fmt: skip
    expires = None if record.expires is None else record.expires.isoformat(" ", "minutes")
    return {
        "record": path.name,
        "routine": record.routine,
        "array": record.array,
        "state": record.state(_now()),
        "expires": expires,
    }


def _unfinished(path: Path) -> Mapping[str, Any]:
    """A calibration that has no record yet: its process is at it, or was killed."""
    row = {"record": path.name, "routine": None, "array": None, "state": "under way", "expires": None}
    try:
        if is_written(path):
            return row
        record = read_journal(path)
    except StoreError as error:
        return {**row, "state": "damaged", "error": str(error)}
    if record is None:
        return {**row, "state": "killed", "partial": "killed before anything was output"}
    return {**row, "routine": record.routine, "array": record.array, "state": "killed",
            "partial": record.partial}  # fmt: skip


def _setting(value: object) -> str:
    """As it is on the record; a time of whole minutes, hours or days as people say it."""
    try:
        seconds = parse_quantity(value, "s") if isinstance(value, str) else 0.0
        told = duration(seconds)
        return told if seconds >= 60 and parse_quantity(told, "s") == seconds else str(value)
    except ConfigError:  # no time, or one that takes two units
        return str(value)


def _now() -> datetime:
    return datetime.now(UTC)
