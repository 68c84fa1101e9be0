"""Few lines for a notebook: measure a chip, read its records. What `hil calibrate` does, as functions."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Never, TypeAlias, cast

from hil import plugins
from hil.calibrate import FOLDER
from hil.calibrate.choose import routines as chosen_routines
from hil.calibrate.choose import within
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Irreversible, Routine, Target, cautions_of
from hil.calibrate.gather import in_folder
from hil.calibrate.journal import rescue
from hil.calibrate.prepare import DEFAULT_SIZE, about_of, informed
from hil.calibrate.record import Record
from hil.calibrate.words import in_short
from hil.cli.bars import Shown, bar_for_python
from hil.config.bench import BenchSettings
from hil.config.said import all_of, file_given, list_given, said_in_python
from hil.errors import ConfigError
from hil.face import PathLike, opened_bench
from hil.limits import LimitedBench
from hil.opened import OpenedBench
from hil.schedule import Region

Lines: TypeAlias = str | Region


def measure(
    bench: PathLike | BenchSettings | LimitedBench | None,
    routines: str | Sequence[str],
    *,
    devices: Lines | Sequence[Lines] = (),
    overrides: Sequence[str] = (),
    bench_overrides: Sequence[str] = (),
    arrays: Mapping[str, tuple[int, int]] | None = None,
    seed: int | None = None,
    notes: Mapping[str, str] | None = None,
    out: PathLike = FOLDER,
    yes: bool = False,
    progress: bool | None = None,
    **unknown: Never,
) -> list[Record]:
    """Measure the arrays of a bench as `hil calibrate` does, and return a dated record of each routine.

    Nobody is asked: pulses that routines give are given at once, and count against the limits' dose.

    Parameters
    ----------
    bench
        A bench file, settings that were loaded, None for the built-in bench, each opened and closed here; or
        a bench of `open_bench`, whose devices stay as they are left.
    routines
        One or more of those that `hil list calibrations` names, in this order on each array.
    devices
        Some lines, as a `Region` or as text, "0-7,all" or "main:0-31/4,3"; none: all arrays, all devices.
    overrides
        Settings of routines, ``"[routine.]key=value"``, quantities with their unit.
    bench_overrides, arrays, seed
        As ``overrides``, ``arrays`` and ``seed`` of `open_bench`; an open bench takes none. A simulated bench
        whose file names no arrays has one of 32 x 32 by default.
    notes
        Conditions to record, text by name: ``{"temperature": "295 K"}``.
    out
        Folder of the records.
    yes
        Needed for routines that change devices for good, such as forming.
    progress
        Whether it is shown how it goes; None shows it on a terminal and in a notebook.

    Raises
    ------
    ConfigError
        Something of it is wrong, or does not fit the arrays; nothing was output.
    LimitError, ScheduleError, BenchError, KeyboardInterrupt
        What ended it. What was measured is kept, as the error's notes say.
    StoreError
        A record cannot be written.
    TypeError
        There is no such argument: settings of routines are changed by ``overrides``.
    """
    for name, value in unknown.items():
        raise TypeError(
            f'measure takes no {name!r}; settings of routines are changed by overrides=["{name}={value}"]'
        )
    chosen = chosen_routines(_names(routines), list_given("overrides", overrides, "update-curve.cycles=12"))
    _refuse_unmeant(chosen, yes=yes)
    lines, conditions = _lines(devices), _conditions(notes)
    with _opened(bench, bench_overrides, arrays, seed) as opened, bar_for_python(progress) as shown:
        jobs = [(target, name) for target in within(opened, lines) for name in chosen]
        if not jobs:
            raise ConfigError("bench: it has no array, so there is nothing to measure")
        return _conducted(opened, chosen, jobs, about_of(opened, conditions), Path(out), shown)


def _conducted(
    bench: OpenedBench,
    routines: Mapping[str, Routine],
    jobs: Sequence[tuple[Target, str]],
    about: About,
    folder: Path,
    shown: Shown,
) -> list[Record]:
    """One after the other. What settings and arrays make impossible is refused before the first output."""
    rounds = [_expected(routines[name], target) for target, name in jobs]
    warned = (told for target, name in jobs for told in cautions_of(routines[name], target))
    for warning in dict.fromkeys((*bench.doubts, *warned)):
        shown.say(f"warning: {warning}")
    for path, old in rescue(folder):
        shown.say(f"an earlier {old.routine} of {old.array} was {old.partial}; it is kept as {path}")
    found: list[Record] = []
    for (target, name), expected in zip(jobs, rounds, strict=True):
        rows, cols = target.shape
        told = shown.begin(f"{name} of {target.info.name} {rows} x {cols}", expected)
        try:
            routine = informed(name, routines[name], bench, folder)
            kept = calibrate(
                name, routine, bench, target, about, folder, told, begun=bench.record_beside,
                reconnect_s=bench.reconnect_s,
                happened=lambda kind, text: shown.say(f"{kind}: {in_short(text)}"),
            )  # fmt: skip
        except BaseException as error:
            if found:
                error.add_note(f"kept before: {', '.join(str(record.path) for record in found)}")
            raise
        found.append(kept.record)
    if bench.lost_record:
        shown.say(bench.lost_record)
    return found


def _expected(routine: Routine, target: Target) -> int:
    """About how many schedules it will take. A plan says before its first one what does not fit."""
    with closing(routine.plan(target)) as plan:
        next(plan, None)
    return routine.rounds(target)


def records(folder: PathLike = FOLDER) -> list[Record]:
    """Calibration records in a folder, oldest first, or that of one file.

    What cannot be read, and what a killed calibration left, is passed over with a warning.

    Raises
    ------
    StoreError
        There is no such folder or file, or the file is no record.
    """
    found, passed_over = in_folder(file_given("folder", folder, "calibrations") or FOLDER)
    for told in passed_over:
        warnings.warn(told, stacklevel=2)
    return found


@contextmanager
def _opened(
    bench: PathLike | BenchSettings | LimitedBench | None,
    overrides: Sequence[str],
    arrays: Mapping[str, tuple[int, int]] | None,
    seed: int | None,
) -> Generator[OpenedBench]:
    """An open bench as it is, which stays open; any other opened, and closed in the end."""
    if isinstance(bench, OpenedBench):
        if overrides or arrays is not None or seed is not None:
            raise ConfigError(
                "bench: one that is open takes no bench_overrides, arrays or seed; open_bench does"
            )
        if bench.calibrations is not None:
            raise ConfigError(
                "bench: it is corrected by calibration records; a calibration needs one of hil.open_bench"
            )
        yield bench
        return
    given: object = bench
    if not isinstance(given, str | os.PathLike | BenchSettings | None):
        raise ConfigError(
            f"bench: asked for {type(bench).__name__}; the path of a bench file is needed, or a bench of "
            'hil.open_bench: bench="bench.yaml"'
        )
    texts = list_given("bench_overrides", overrides, "limits.read=0.2 V")
    sizes, of_chance = {"main": DEFAULT_SIZE}, 1 if seed is None else seed
    with opened_bench(given, texts, arrays, of_chance, sizes) as opened:
        yield opened


def _names(routines: object) -> tuple[str, ...]:
    """Names of routines, each once, as they were given. Raises ConfigError if there is none."""
    texts = all_of((routines,) if isinstance(routines, str) else routines, str)
    if texts is None:
        raise ConfigError(
            f'routines: asked for {routines!r}; a list of names is needed, routines=["devices"]; '
            'their settings go into overrides=["update-curve.cycles=12"]'
        )
    if not texts:
        installed = ", ".join(plugins.names("calibrations")) or "none"
        raise ConfigError(f"routines: none is named, so nothing would be measured; installed: {installed}")
    return tuple(dict.fromkeys(texts))


def _refuse_unmeant(routines: Mapping[str, Routine], *, yes: bool) -> None:
    for name, routine in routines.items():
        if isinstance(routine, Irreversible) and not yes:
            raise ConfigError(f"{name} {routine.warning}; say so with yes=True if that is meant")


def _lines(devices: object) -> tuple[Lines, ...]:
    """Regions, and texts with the words that they were given in."""
    found = all_of((devices,) if isinstance(devices, str | Region) else devices, str, Region)
    if found is None:
        raise ConfigError(
            f"devices: asked for {devices!r}; lines as text or a Region are needed: "
            'devices="0-7,all", or devices=hil.Region.block("main", range(8), range(32))'
        )
    return tuple(each if isinstance(each, Region) else said_in_python("devices", each) for each in found)


def _conditions(notes: object) -> dict[str, str]:
    if notes is None:
        return {}
    if isinstance(notes, Mapping):
        items = cast(Mapping[object, object], notes)
        names, texts = all_of([*items], str), all_of([*items.values()], str)
        if names is not None and texts is not None:
            return dict(zip(names, texts, strict=True))
    raise ConfigError(f'notes: asked for {notes!r}; text by name is needed: notes={{"temperature": "295 K"}}')
