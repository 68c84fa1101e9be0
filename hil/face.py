"""Few lines for a notebook: open a bench, read an array, train. What the command line does, as functions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Never, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from hil import session, setup
from hil.bench import Bench
from hil.config.bench import BenchSettings
from hil.config.experiment import Experiment
from hil.config.said import file_given, list_given
from hil.errors import BenchError, ConfigError, ScheduleError
from hil.limits import LimitedBench
from hil.opened import OpenedBench
from hil.plan import Plan, run
from hil.remainder import Remainder, remainder
from hil.schedule import Read, ReadAnswer, Region
from hil.store import Run
from hil.training.events import Journal

PathLike: TypeAlias = os.PathLike[str] | str


def load_bench(path: PathLike | None = None, overrides: Sequence[str] = ()) -> BenchSettings:
    """Read a bench file, or the built-in one, with ``key.path=value`` overrides put in.

    Raises
    ------
    ConfigError
        One line for each problem, with file, line and key.
    """
    return setup.load_bench(file_given("bench", path), list_given("overrides", overrides, "name=test"))[0]


def open_bench(
    bench: PathLike | BenchSettings | None = None,
    overrides: Sequence[str] = (),
    arrays: Mapping[str, tuple[int, int]] | None = None,
    seed: int = 1,
) -> LimitedBench:
    """Open a bench within its limits, changing no output.

    Parameters
    ----------
    bench
        A bench file, settings that were loaded before, or None for the built-in simulated bench.
    overrides
        ``key.path=value`` on top of a file; settings take none.
    arrays
        Name to (rows, cols), for a simulated bench whose file names no arrays; refused where it has its own.
    seed
        Of simulated chance. A simulated chip is its seed; an experiment that names none has the same.

    Raises
    ------
    ConfigError, BenchError
        When the file is wrong, or the bench is not there or not what the file says.
    """
    return opened_bench(bench, overrides, arrays, seed)


def opened_bench(
    bench: PathLike | BenchSettings | None,
    overrides: Sequence[str],
    arrays: Mapping[str, tuple[int, int]] | None,
    seed: int,
    otherwise: Mapping[str, tuple[int, int]] = MappingProxyType({}),
) -> OpenedBench:
    """As `open_bench`; ``otherwise`` are the sizes where neither the file nor ``arrays`` names any."""
    if isinstance(bench, BenchSettings):
        if overrides:
            raise ConfigError("overrides: settings that were loaded take none; give them to load_bench")
        settings, given = bench, None
    else:
        texts = list_given("overrides", overrides, "name=test")
        settings, given = setup.load_bench(file_given("bench", bench), texts)
    sizes = {} if arrays is None else _sizes(arrays)
    opened = setup.open_bench(settings, sizes or dict(otherwise), seed, given=given)
    own = {name: info.shape for name, info in opened.arrays.items()}
    if sizes and own != sizes:
        opened.close()
        raise ConfigError(
            f"arrays: asked for {_named(sizes)}; {settings.file or 'this bench'} has its own, {_named(own)}: "
            "leave arrays= out, or change the file"
        )
    return opened


def read(bench: Bench, region: str | Region) -> NDArray[np.floating]:
    """Conductances of an array, or of a region of it, in siemens [rows, cols].

    NaN where a reading is only a bound. Read at the voltage and integration time of the array's device sheet.

    Raises
    ------
    ScheduleError
        When there is no such array.
    LimitError, BenchError
        As from any bench.
    """
    name = region if isinstance(region, str) else region.array
    info = bench.arrays.get(name)
    if info is None:
        raise ScheduleError(f"there is no array {name!r}; this bench has {', '.join(bench.arrays) or 'none'}")
    whole = Region.block(name, range(info.rows), range(info.cols)) if isinstance(region, str) else region
    return run(_read(Read(whole, info.device.read_voltage_v, info.device.integration_s)), bench)


def train(
    experiment: PathLike | None = None,
    bench: PathLike | None = None,
    *,
    overrides: Sequence[str] = (),
    bench_overrides: Sequence[str] = (),
    runs: PathLike = session.RUNS,
    data_dir: PathLike | None = None,
    progress: bool | Journal | None = None,
    **unknown: Never,
) -> Run:
    """Train as `hil train` does, and return the recorded run.

    Without files it is the built-in experiment on the built-in bench; ``overrides`` are ``key.path=value``.
    ``progress`` says whether it is shown how the run goes; None shows it on a terminal and in a notebook. A
    journal in its place takes the run's rows as they come.

    Raises
    ------
    ConfigError, DataError
        When a file, an override or the data is wrong; nothing was output.
    LimitError, BenchError, StoreError
        What ended the run; it is recorded up to there, and the error's notes say where.
    TypeError
        There is no such argument: keys of the experiment are changed by ``overrides``.
    """
    for name, value in unknown.items():
        asked = f"{Experiment.also_called.get(name, name)}={value}"
        raise TypeError(
            f"train takes no {name!r}; keys of the experiment are changed by overrides=[{asked!r}]"
        )
    files = (
        file_given("experiment", experiment),
        file_given("bench", bench),
        list_given("overrides", overrides),
        list_given("bench_overrides", bench_overrides, "limits.read=0.2 V"),
        file_given("data_dir", data_dir, "data"),
    )
    return _trained(*files, Path(runs), None, progress)


def resume(
    run: PathLike | Run = session.RUNS,
    *,
    experiment: PathLike | None = None,
    bench: PathLike | None = None,
    data_dir: PathLike | None = None,
    progress: bool | Journal | None = None,
) -> Run:
    """Go on with a run that was killed, stopped or failed, as `hil resume` does; the new run's record.

    It begins from what the devices hold. A step of which a pulse may have been given is over; none is given
    twice.

    Parameters
    ----------
    run
        Itself, or its folder, or a folder of runs: then the newest.
    experiment, bench
        Where its files are now; None: where they were.
    data_dir, progress
        As for :func:`train`.

    Raises
    ------
    ConfigError
        It cannot go on (simulated, finished, still at work, continued already), or something is not what it
        was; nothing was output.
    LimitError, BenchError, StoreError
        As from :func:`train`; IdentityError where other instruments answer.
    """
    files = file_given("experiment", experiment), file_given("bench", bench)
    again = remainder(run.path if isinstance(run, Run) else Path(run), *files)
    folder = file_given("data_dir", data_dir, "data")
    return _trained(*again.files, folder, again.run.path.parent, again, progress)


def _trained(
    experiment: Path | None,
    bench: Path | None,
    overrides: Sequence[str],
    bench_overrides: Sequence[str],
    data_dir: Path | None,
    runs: Path,
    again: Remainder | None,
    progress: bool | Journal | None,
) -> Run:
    files = experiment, bench, tuple(overrides), tuple(bench_overrides)
    if progress is None or isinstance(progress, bool):
        from hil.cli.screen import display_for_python

        display = display_for_python(progress)
        if display is not None:
            from hil.cli.train import Asked, train_shown

            with display:
                return train_shown(Asked(*files, data_dir, runs, report=False, again=again), display)
        progress = None
    prepared = session.prepare(*files, data_dir) if again is None else again.prepare(data_dir)
    return session.execute(prepared, runs, progress)


def _read(op: Read) -> Plan[NDArray[np.floating]]:
    execution = yield (op,)
    answer = execution.answers[0]
    if not isinstance(answer, ReadAnswer):
        raise BenchError(f"a Read was answered by {type(answer).__name__}; this is a fault of the bench")
    return answer.siemens


def _sizes(arrays: object) -> dict[str, tuple[int, int]]:
    """Name to (rows, cols), as it was given. Raises ConfigError if it is of another form."""
    given: Any = arrays
    if not isinstance(arrays, Mapping) or not all(_is_size(size) for size in given.values()):
        raise ConfigError(
            f'arrays: asked for {given!r}; a name to (rows, cols) is needed: arrays={{"main": (64, 32)}}'
        )
    return {name: (int(rows), int(cols)) for name, (rows, cols) in given.items()}


def _is_size(size: Any) -> bool:
    """Whether it is two whole numbers above 0."""
    if not isinstance(size, tuple | list):
        return False
    sides = cast(Sequence[object], size)
    return len(sides) == 2 and all(isinstance(each, int | np.integer) and each > 0 for each in sides)


def _named(sizes: Mapping[str, tuple[int, int]]) -> str:
    return ", ".join(f"{name} {rows} x {cols}" for name, (rows, cols) in sizes.items())
