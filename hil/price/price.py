"""The price of an experiment on a bench: rehearsals with several seeds, their range, what is over budget.

The instruments are never opened. A simulated bench is its own rehearsal; another is rehearsed by its driver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hil import setup
from hil.config.bench import BenchSettings, Life
from hil.config.experiment import Experiment
from hil.errors import ConfigError
from hil.price.exchange import Exchange
from hil.price.opening import rehearsal_of
from hil.price.rehearse import Extent, Rehearsed, rehearse
from hil.session import ask_methods
from hil.training.controller import Training
from hil.units import counted, duration

NIGHT_S = 12 * 3600.0
WHOLE = Extent()


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be priced.

    ``exchange`` is what an exchange with an instrument takes; ``twin`` a bench file of simulated devices in
    place of the data sheet; the rehearsals have the experiment's seed and the next ``seeds`` - 1.
    """

    experiment: Path | None
    bench: Path | None
    overrides: tuple[str, ...] = ()
    bench_overrides: tuple[str, ...] = ()
    twin: Path | None = None
    data_dir: Path | None = None
    seeds: int = 3
    extent: Extent = WHOLE
    night_s: float = NIGHT_S


class Range(NamedTuple):
    """Mean, least and most over the seeds."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        """Of one value or more."""
        return cls(sum(values) / len(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Price:
    """What came of the rehearsals.

    ``devices`` says whose devices were simulated; ``exchange`` is None where nothing is exchanged with
    instruments; ``dose`` is the budget of the bench file and ``life`` that of a device's life;
    ``calibrations`` says what is made of the records that the bench file names, "" where it names none.
    """

    experiment: str
    bench: str
    devices: str
    exchange: Exchange | None
    runs: tuple[Rehearsed, ...]
    dose: int | None
    night_s: float
    life: Life | None = None
    calibrations: str = ""

    def range(self, value: Callable[[Rehearsed], float]) -> Range:
        """Of one figure of all runs."""
        return Range.of([value(run) for run in self.runs])

    @property
    def whole(self) -> bool:
        """Whether all runs were rehearsed to their end."""
        return all(run.whole for run in self.runs)

    @property
    def accuracy(self) -> Range | None:
        """Test accuracy, 0 to 1; None unless all runs were rehearsed to their end."""
        found = [run.accuracy for run in self.runs if run.accuracy is not None]
        return Range.of(found) if len(found) == len(self.runs) else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Budgets that a run may exceed."""
        told: list[str] = []
        longest = max(run.cost.seconds for run in self.runs)
        if longest > self.night_s:
            nights = longest / self.night_s
            told.append(f"longer than a night of {duration(self.night_s)}: {nights:.1f} of them")
        worn = max(run.wear for run in self.runs)
        if self.dose is not None and worn > self.dose:
            told.append(
                f"a device would get {counted(worn, 'pulse')}; limits.dose allows {self.dose:,}: the run "
                "would be refused on its way"
            )
        if self.life is not None:
            lives = [each for run in self.runs for each in self.life.warnings(run.given)]
            told += lives[:1]
        return tuple(told)


def price(
    asked: Asked,
    exchange: Callable[[BenchSettings], Exchange],
    told: Callable[[int, int, int], None] = lambda number, done, of: None,
) -> Price:
    """Rehearse an experiment; ``told`` gets the number of the rehearsal, its steps done, and all its steps.

    Raises
    ------
    ConfigError, DataError
        The files are wrong, do not fit each other, or the bench's driver offers no rehearsal.
    BenchError, LimitError, ScheduleError
        What would end the run.
    """
    (first, _), (settings, _) = setup.load_both(
        asked.experiment, asked.bench, asked.overrides, asked.bench_overrides
    )
    twin = None if asked.twin is None else _twin(asked.twin)
    devices, takes, life, records = _devices(settings, twin), None, settings.life, _records(settings, twin)
    if settings.resources:
        takes = exchange(settings)
        opens = rehearsal_of(settings, twin, takes, calibrated=True)
    else:
        settings = twin or settings.unworn
        opens = setup.opens_chip(settings, first.seed)
    runs: list[Rehearsed] = []
    for number in range(asked.seeds):
        overrides = (*asked.overrides, f"seed={first.seed + number}")
        experiment = setup.load_experiment(asked.experiment, overrides)[0]
        runs.append(_one(experiment, settings, opens, asked, lambda done, of, n=number: told(n, done, of)))
    return Price(
        first.name,
        settings.name,
        devices,
        takes,
        tuple(runs),
        settings.limits.dose,
        asked.night_s,
        life,
        records,
    )


def _one(
    experiment: Experiment,
    settings: BenchSettings,
    opens: setup.Opens,
    asked: Asked,
    told: Callable[[int, int], None],
) -> Rehearsed:
    data = setup.load_data(experiment, asked.data_dir)
    setup.check_batches(experiment, data)
    limits = settings.limits.model_copy(update={"dose": None})  # it is warned of, for all seeds
    bench = setup.bench_for(experiment, data, settings.model_copy(update={"limits": limits}), opens)
    try:
        network = setup.build_network(experiment, data, bench)
        ask_methods(experiment, network, bench)
    except BaseException:
        bench.close()
        raise
    training = Training(
        network, data, experiment.gradient, experiment.update, experiment.training, experiment.initial,
        experiment.seed,
    )  # fmt: skip
    return rehearse(experiment, training, bench, asked.extent, told)


def _twin(path: Path) -> BenchSettings:
    twin = setup.load_bench(path)[0]
    if twin.resources:
        raise ConfigError(
            f"{twin.where('driver')}: asked for {twin.driver}; a twin is a simulated bench (sim)"
        )
    return twin


def _devices(settings: BenchSettings, twin: BenchSettings | None) -> str:
    if twin is not None:
        return f"the twin {twin.file}"
    if not settings.resources:
        return "the simulated bench itself"
    return (
        "the data sheet of the bench file, and begin as device.initial has them, not where yours stand: "
        "--twin takes measured ones as their records left them"
    )


def _records(settings: BenchSettings, twin: BenchSettings | None) -> str:
    if not settings.resources:
        records = (twin or settings).calibrations
        if records is None:
            return "" if settings.calibrations is None else "left out: the twin names none"
        return "used" if records.of is None else f"used, those of {records.of.bench}, whose twin this is"
    if settings.calibrations is None:
        return ""
    if twin is not None:
        return "used; which instruments they are of is not asked"
    return (
        "faults are avoided; measured ranges, steps and offsets are left out, since the rehearsed devices "
        "are those of the data sheet (--twin: as measured)"
    )
