"""Tables of pulse responses as labs keep them, read with file and line in every complaint.

A long table has a column of pulse numbers and one of conductances, currents or resistances, their unit in the
header or told; staircases are found by where pulse numbers begin again, and where the course turns. One
column alone is such a course, a pulse before each value. A wide table has a column for each ramp, shorter
ones padded at the end.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.errors import ConfigError, DataError
from hil.units import Unit, parse_quantity

Floats = NDArray[np.float64]
Dimension: TypeAlias = Literal["S", "A", "ohm", ""]

_PULSE = re.compile(r"(pulse|n$|number|index)", re.IGNORECASE)
_VALUE = re.compile(r"(conductance|current|resistance|g|i|r)(?![a-z])", re.IGNORECASE)
_UNIT = re.compile(r"[\[(_ ]\s*([A-Za-z\u00b5\u03bc\u03a9\u2126]+)\s*[\])]?\s*$")
_EMPTY = {"", "nan", "na"}
_TURN = 0.3


@dataclass(frozen=True, slots=True)
class Ramps:
    """Courses of values [points], each rising or falling in one go; ``dimension`` of the values, "" if it is
    not told; ``file`` they are from; whether it is a single ``trace``, without numbers of pulses.
    """

    file: Path
    courses: tuple[Floats, ...]
    dimension: Dimension
    trace: bool = False


def read_ramps(path: Path, unit: str | None = None) -> Ramps:
    """Read a file of either kind.

    Raises
    ------
    DataError
        It is empty, a column is missing, a cell is no number, or nothing in it rises or falls; file and line.
    """
    rows = _rows(path)
    first, header = rows[0]
    named = any(_number(cell) is None and cell.lower() not in _EMPTY for cell in header)
    body = rows[1:] if named else rows
    if not body:
        raise DataError(f"{path}:{first}: a header and no data")
    width = len(header)
    for line, cells in body:
        if len(cells) != width:
            raise DataError(f"{path}:{line}: {len(cells)} columns; line {first} has {width}")
    pulse = next((n for n, name in enumerate(header) if named and _PULSE.match(name)), None)
    if width == 1 and pulse is None:
        factor, dimension = _scale(path, first, header[0] if named else "", unit)
        values = _whole(path, body, 0)
        courses = _staircases(np.arange(values.size, dtype=np.float64), values)
    elif pulse is None:
        _refuse_unnumbered(path, first, header)
        courses = tuple(_column(path, body, n) for n in range(width))
        factor, dimension = _scale(path, first, "", unit)
    else:
        value = next((n for n, name in enumerate(header) if n != pulse and _VALUE.match(name)), None)
        if value is None:
            raise DataError(
                f"{path}:{first}: no column of conductances among {', '.join(header)}; name it "
                '"conductance (uS)", "current (A)" or "resistance (ohm)"'
            )
        factor, dimension = _scale(path, first, header[value], unit)
        courses = _staircases(_whole(path, body, pulse), _whole(path, body, value))
    courses = tuple(factor * each for each in courses if each.size >= 3)
    if not courses:
        raise DataError(f"{path}: no course of 3 values or more in it")
    return Ramps(path, courses, dimension, width == 1)


def _refuse_unnumbered(path: Path, line: int, header: Sequence[str]) -> None:
    """A column of conductances beside others is a long table whose pulses are not named, not one of ramps."""
    values = [name for name in header if _VALUE.match(name)]
    others = [repr(name) for name in header if name not in values]
    if len(values) == 1 and others:
        raise DataError(
            f"{path}:{line}: {values[0]!r} beside {', '.join(others)}: no column of pulse numbers; "
            f'name it "pulse", or keep {values[0]!r} alone; ramps in columns are "r1", "r2", ...'
        )


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Line numbers and cells of lines that are not empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no text: {error.reason} at byte {error.start}") from error
    lines = text.splitlines()
    found = next((each for each in lines if each.strip()), None)
    if found is None:
        raise DataError(f"{path}: is empty")
    separator = next((each for each in (",", ";", "\t") if each in found), ",")
    cells = ([cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator))
    return [(n, row) for n, row in enumerate(cells, start=1) if any(row)]


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _whole(path: Path, body: Sequence[tuple[int, list[str]]], column: int) -> Floats:
    """A column in which every cell is a number."""
    found: list[float] = []
    for line, cells in body:
        value = _number(cells[column])
        if value is None or not np.isfinite(value):
            raise DataError(f"{path}:{line}: {cells[column]!r} in column {column + 1} is no number")
        found.append(value)
    return np.array(found)


def _column(path: Path, body: Sequence[tuple[int, list[str]]], column: int) -> Floats:
    """A column that may end before the others do."""
    last = max((n for n, (_, cells) in enumerate(body) if cells[column].lower() not in _EMPTY), default=-1)
    return _whole(path, body[: last + 1], column) if last >= 0 else np.zeros(0)


def _scale(path: Path, line: int, name: str, unit: str | None) -> tuple[float, Dimension]:
    """Factor to SI, and what the values are: by the header, else as told."""
    found = _UNIT.search(name)
    text = found[1] if found is not None and unit is None else unit
    if text is None:
        return 1.0, ""
    units: tuple[Unit, ...] = ("S", "A", "ohm")
    for each in units:
        try:
            return parse_quantity(f"1 {text}", each), each  # pyright: ignore[reportReturnType]
        except ConfigError:
            continue
    raise DataError(
        f"{path}:{line}: {text!r} is no unit of a conductance, current or resistance: uS, A, kohm"
    )


def _staircases(pulses: Floats, values: Floats) -> tuple[Floats, ...]:
    """Cut where pulse numbers begin again, and where the course turns for good."""
    begins = np.flatnonzero(np.diff(pulses) <= 0) + 1
    span = _TURN * float(np.ptp(values))
    return tuple(course for part in np.split(values, begins) for course in _turned(part, span))


def _turned(values: Floats, span: float) -> list[Floats]:
    """Cut at extremes from which a course comes back by more than ``span``; both parts have the extreme."""
    turns, extreme = [0], 0
    rising: bool | None = None
    for n in range(1, values.size):
        away = float(values[n] - values[extreme])
        if rising is None and abs(away) >= span:
            rising, extreme = away > 0, n
        elif rising is not None and away != 0 and (away > 0) == rising:
            extreme = n
        elif rising is not None and abs(away) >= span:
            turns.append(extreme)
            rising, extreme = not rising, n
    ends = [*turns[1:], values.size - 1]
    return [values[begin : end + 1] for begin, end in zip(turns, ends, strict=True)]
