"""From what is asked, on a command line or in Python, to routines with their settings and lines of arrays."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil import plugins
from hil.bench import ArrayInfo
from hil.calibrate.contracts import Routine, Target
from hil.calibrate.record import Record
from hil.config.said import Said, words_of
from hil.config.validate import Config, override, validate
from hil.config.yaml import Document
from hil.errors import ConfigError
from hil.limits import LimitedBench
from hil.schedule import Region

_LINES = re.compile(r"(?P<first>[0-9]{1,6})(?:-(?P<last>[0-9]{1,6})(?:/(?P<every>[0-9]{1,6}))?)?")


def routines(names: Sequence[str], overrides: Sequence[str] = ()) -> dict[str, Routine]:
    """Routines by name, with ``[routine.]key=value`` put in; a bare key is for the one routine there is.

    Raises
    ------
    ConfigError
        There is no such routine, or a setting is wrong.
    """
    own: dict[str, list[str]] = {name: [] for name in names}
    others = {*plugins.names("calibrations")} - own.keys()
    for asked in overrides:
        key, words = asked.partition("=")[0].strip(), words_of(asked, "--set")
        head, dot, _ = key.partition(".")
        if dot and head in own:
            own[head].append(Said(asked.strip().removeprefix(f"{head}."), words))
        elif dot and head in others:
            raise ConfigError(f"{words}: {head} is not among the routines asked for: {', '.join(own)}")
        elif len(own) == 1:
            next(iter(own.values())).append(asked)
        else:
            raise ConfigError(f"{words}: begin with the routine it is for: {', '.join(own)}")
    return {name: _routine(name, settings) for name, settings in own.items()}


def recorded_routine(record: Record) -> Routine:
    """The routine of a record, with the settings it was measured with.

    Raises
    ------
    ConfigError
        It is not installed, or is another version that knows other settings.
    """
    kind = _load(record.routine)
    return validate(kind, Document(f"record of {record.routine}", dict(record.settings), {}, {}, {}))  # pyright: ignore[reportReturnType]


def _routine(name: str, overrides: Sequence[str]) -> Routine:
    document = override(Document("", {}, {}, {}, {}), overrides)
    return validate(_load(name), document)  # pyright: ignore[reportReturnType]


def _load(name: str) -> type[Config]:
    kind: Any = plugins.load("calibrations", name)
    if not (isinstance(kind, type) and issubclass(kind, Config)):
        raise ConfigError(f"calibration {name!r} is no settings class (hil.config.validate.Config)")
    return kind


def within(bench: LimitedBench, devices: Sequence[str | Region]) -> list[Target]:
    """As `targets`, with the limits of the bench."""
    return [replace(each, limits=bench.limits) for each in targets(bench.arrays, devices)]


def targets(arrays: Mapping[str, ArrayInfo], asked: Sequence[str | Region] = ()) -> list[Target]:
    """All arrays, or the lines asked for as ``[ARRAY:]ROWS,COLS``, "0-7,all" or "main:0-31/4,3", or regions.

    Raises
    ------
    ConfigError
        Text that is not of that form, an array or a line that is not there.
    """
    if not asked:
        return [Target.whole(info) for info in arrays.values()]
    return [_target_of(arrays, each) if isinstance(each, Region) else _target(arrays, each) for each in asked]


def _target_of(arrays: Mapping[str, ArrayInfo], region: Region) -> Target:
    info = arrays.get(region.array)
    if info is None:
        raise ConfigError(
            f"{region}: no array {region.array!r}; this bench has {', '.join(arrays) or 'none'}"
        )
    for lines, number, what in ((region.rows, info.rows, "row"), (region.cols, info.cols, "column")):
        if lines.size == 0 or lines.max() >= number:
            asked = f"{what} {lines.max()}" if lines.size else f"no {what}"
            raise ConfigError(f"{region}: {asked}; there are 0 to {number - 1}")
    return Target(info, region)


def _target(arrays: Mapping[str, ArrayInfo], text: str) -> Target:
    name, colon, lines = text.rpartition(":")
    words = words_of(text, "--devices")
    if not colon and len(arrays) > 1:
        raise ConfigError(f"{words}: name the array: {', '.join(arrays)}")
    info = arrays.get(name if colon else next(iter(arrays), ""))
    sides = lines.split(",")
    if info is None:
        ranges = "; ranges of lines are written 0-7" if ":" in name or name.isdecimal() else ""
        raise ConfigError(f"{words}: no array {name!r}; this bench has {', '.join(arrays) or 'none'}{ranges}")
    if len(sides) != 2:
        raise ConfigError(f"{words}: not of the form [ARRAY:]ROWS,COLS; write e.g. 0-7,all")
    rows = _lines(words, sides[0], info.rows, "row")
    cols = _lines(words, sides[1], info.cols, "column")
    return Target(info, Region(info.name, rows, cols))


def _lines(words: str, side: str, number: int, what: str) -> NDArray[np.int64]:
    if side.strip() == "all":
        return np.arange(number)
    match = _LINES.fullmatch(side.strip())
    if match is None:
        raise ConfigError(f"{words}: {side!r} is no choice of {what}s; write all, 3, 0-7 or 0-31/4")
    first = int(match["first"])
    last = first if match["last"] is None else int(match["last"])
    every = 1 if match["every"] is None else int(match["every"])
    if not (first <= last < number and every > 0):
        raise ConfigError(f"{words}: {what}s {side.strip()}; there are 0 to {number - 1}")
    return np.arange(first, last + 1, every)


def notes(asked: Sequence[str]) -> dict[str, str]:
    """Conditions by name, of ``name=text``.

    Raises
    ------
    ConfigError
        Text of another form.
    """
    found: dict[str, str] = {}
    for text in asked:
        name, equals, value = text.partition("=")
        if not (equals and name.strip() and value.strip()):
            raise ConfigError(f"--note {text}: not of the form name=text; write e.g. temperature=295 K")
        found[name.strip()] = value.strip()
    return json.loads(json.dumps(found))
