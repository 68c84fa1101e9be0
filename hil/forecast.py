"""Few lines for a notebook, before a run: the twin of a measured array, and what a run will take. What
`hil twin` and `hil price` do, as functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from hil.calibrate.gather import gather
from hil.calibrate.record import Record
from hil.calibrate.twin import Asked, Model, Twin
from hil.calibrate.twins import TwinFiles, twin_of_records
from hil.cli.bars import bar_for_python, rehearsals
from hil.config.said import all_of, file_given, in_python, list_given
from hil.errors import ConfigError
from hil.face import PathLike
from hil.price.asked import Exchanges, extent, seconds
from hil.price.price import NIGHT_S, Price, price
from hil.price.price import Asked as PriceAsked


def price_of(
    experiment: PathLike | None = None,
    bench: PathLike | None = None,
    *,
    twin: PathLike | None = None,
    overrides: Sequence[str] = (),
    bench_overrides: Sequence[str] = (),
    seeds: int = 3,
    share: float | None = None,
    full: bool = False,
    exchange: str | float | None = None,
    records: PathLike | None = None,
    night: str | float = NIGHT_S,
    data_dir: PathLike | None = None,
    progress: bool | None = None,
) -> Price:
    """Say what `train` of the same files will take, by rehearsals on simulated devices as `hil price` does.

    No instrument is opened, nothing is recorded. Each figure is a mean over the seeds with the least and the
    most: ``price.seconds.mean``, ``price.pulses.high``; ``print(price)`` tells them all.

    Parameters
    ----------
    experiment, bench, overrides, bench_overrides, data_dir
        As of `train`.
    twin
        Bench file of simulated devices, or a `Twin`, in place of the bench's data sheet.
    seeds
        Rehearsals, each with a seed of its own.
    share, full
        Part of the steps to rehearse, 0 to 1, or all of them; by default what fits into 20 s each. Accuracy
        comes from whole runs alone.
    exchange, records
        Time of one exchange with an instrument, seconds or text as "3 ms", or a folder of calibration records
        to take it from; by default from ``calibrations`` beside the bench file.
    night
        Warn of longer runs, seconds or text as "12 h".
    progress
        Whether it is shown how it goes; None shows it on a terminal and in a notebook.

    Raises
    ------
    ConfigError, DataError
        A file, an override, an option or the data is wrong, or the bench's driver cannot be rehearsed.
    LimitError, BenchError, ScheduleError
        What would end the run.
    """
    if seeds < 1:
        raise ConfigError(f"seeds={seeds}: 1 or more are needed")
    asked = PriceAsked(
        file_given("experiment", experiment),
        file_given("bench", bench),
        list_given("overrides", overrides),
        list_given("bench_overrides", bench_overrides, "limits.read=0.2 V"),
        file_given("twin", twin),
        file_given("data_dir", data_dir, "data"),
        seeds,
        extent(share, full=full, option=in_python),
        seconds("night", night, in_python) or NIGHT_S,
        in_python,
    )
    takes = seconds("exchange", exchange, in_python)
    exchanges = Exchanges(takes, file_given("records", records, "calibrations"), in_python)
    exchanges.require_folder()
    with bar_for_python(progress) as shown:
        return price(asked, exchanges, rehearsals(shown, seeds))


def twin(
    records: PathLike | Record | Sequence[PathLike | Record],
    output: PathLike = "twin.yaml",
    *,
    model: Model = "auto",
    array: str | None = None,
    expired: bool = False,
    force: bool = False,
) -> Twin:
    """Fit a simulated bench to the calibration records of an array as `hil twin` does, and write its files.

    ``twin.path`` is its bench file, beside which are the maps of all devices (.npz) and the figure of what
    the fit leaves (.png); ``twin.goodness`` and ``twin.estimates`` are numbers with their 95 % intervals.
    The twin itself is taken wherever the path of a bench file is.

    Parameters
    ----------
    records
        A folder of records, or records and files; of each routine the newest valid one is taken.
    output
        Bench file to write, .yaml.
    model
        How devices answer pulses; "auto": by goodness of fit.
    array
        Of records of several arrays.
    expired, force
        Take expired records too; write over files there are.

    Raises
    ------
    StoreError
        Records cannot be read, do not go together, or a file cannot be written.
    ConfigError
        There is nothing to fit, or an output is there already.
    """
    if model not in (models := get_args(Model)):
        raise ConfigError(f"model: asked for {model!r}; one of {', '.join(models)} is needed")
    files = TwinFiles.beside(Path(output))
    if not force:
        files.require_free("force=True writes over, output= names another")
    found, passed_over = _gathered(records)
    return files.write(twin_of_records(found, passed_over, Asked(model, array, expired)))


def _gathered(records: object) -> tuple[list[tuple[Path, Record]], list[str]]:
    """Records with their files, and what was passed over."""
    asked = all_of((records,) if isinstance(records, str | Path | Record) else records, str, Path, Record)
    if not asked:
        raise ConfigError(
            f"records: asked for {records!r}; a folder of records, or some of them, are needed: "
            'records="calibrations"'
        )
    given = {each.path: each for each in asked if isinstance(each, Record)}
    if None in given:
        raise ConfigError(f"records: {given[None]!r} was not read from a file, which the twin would name")
    named = [Path(each) for each in asked if not isinstance(each, Record)]
    found, passed_over = gather(named)
    return [*((path, each) for path, each in given.items() if path is not None), *found], passed_over
