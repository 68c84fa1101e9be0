"""From what is asked on a command line to routines with their settings and lines of arrays."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil import plugins
from hil.bench import ArrayInfo
from hil.calibrate.contracts import Routine, Target
from hil.calibrate.record import Record
from hil.config.validate import Config, override, validate
from hil.config.yaml import Document
from hil.errors import ConfigError
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
        key = asked.partition("=")[0].strip()
        head, dot, _ = key.partition(".")
        if dot and head in own:
            own[head].append(asked.strip().removeprefix(f"{head}."))
        elif dot and head in others:
            raise ConfigError(f"--set {asked}: {head} is not among the routines asked for: {', '.join(own)}")
        elif len(own) == 1:
            next(iter(own.values())).append(asked)
        else:
            raise ConfigError(f"--set {asked}: begin with the routine it is for: {', '.join(own)}")
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


def targets(arrays: Mapping[str, ArrayInfo], asked: Sequence[str] = ()) -> list[Target]:
    """All arrays, or the lines asked for as ``[ARRAY:]ROWS,COLS``: "0-7,all", "main:0-31/4,3".

    Raises
    ------
    ConfigError
        Text that is not of that form, an array or a line that is not there.
    """
    if not asked:
        return [Target.whole(info) for info in arrays.values()]
    found: list[Target] = []
    for text in asked:
        name, colon, lines = text.rpartition(":")
        if not colon and len(arrays) > 1:
            raise ConfigError(f"--devices {text}: name the array: {', '.join(arrays)}")
        info = arrays.get(name if colon else next(iter(arrays)))
        sides = lines.split(",")
        if info is None:
            ranges = "; ranges of lines are written 0-7" if ":" in name or name.isdecimal() else ""
            raise ConfigError(
                f"--devices {text}: no array {name!r}; this bench has {', '.join(arrays)}{ranges}"
            )
        if len(sides) != 2:
            raise ConfigError(f"--devices {text}: not of the form [ARRAY:]ROWS,COLS; write e.g. 0-7,all")
        rows = _lines(text, sides[0], info.rows, "row")
        cols = _lines(text, sides[1], info.cols, "column")
        found.append(Target(info, Region(info.name, rows, cols)))
    return found


def _lines(text: str, side: str, number: int, what: str) -> NDArray[np.int64]:
    if side.strip() == "all":
        return np.arange(number)
    match = _LINES.fullmatch(side.strip())
    if match is None:
        raise ConfigError(f"--devices {text}: {side!r} is no choice of {what}s; write all, 3, 0-7 or 0-31/4")
    first = int(match["first"])
    last = first if match["last"] is None else int(match["last"])
    every = 1 if match["every"] is None else int(match["every"])
    if not (first <= last < number and every > 0):
        raise ConfigError(f"--devices {text}: {what}s {side.strip()}; there are 0 to {number - 1}")
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
