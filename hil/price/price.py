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
from hil.config.said import Option, on_command_line
from hil.errors import ConfigError
from hil.price.exchange import Exchange
from hil.price.opening import rehearsal_of
from hil.price.rehearse import Extent, Rehearsed, rehearse
from hil.price.words import about, figures, headline
from hil.session import ask_methods
from hil.training.controller import Training
from hil.units import counted, duration

NIGHT_S = 12 * 3600.0
WHOLE = Extent()


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be priced.

    ``exchange`` is what an exchange with an instrument takes; ``twin`` a bench file of simulated devices in
    place of the data sheet; the rehearsals have the experiment's seed and the next ``seeds`` - 1; ``option``
    is how whoever asks writes one.
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
    option: Option = on_command_line


class Range(NamedTuple):
    """Mean, least and most over the seeds."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        """Of one value or more."""
        return cls(sum(values) / len(values), min(values), max(values))


RANGES = ("seconds", "transactions", "pulses", "half_selects", "reads", "joules", "wear")
"""Figures of a price that every rehearsal has."""


@dataclass(frozen=True, slots=True, repr=False)
class Price:
    """What came of the rehearsals; ``print`` it for a table.

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
    option: Option = on_command_line

    @property
    def seconds(self) -> Range:
        """Time on the bench."""
        return self.range(lambda run: run.cost.seconds)

    @property
    def transactions(self) -> Range:
        """Exchanges with the bench."""
        return self.range(lambda run: run.cost.transactions)

    @property
    def pulses(self) -> Range:
        """Pulses to all devices."""
        return self.range(lambda run: run.cost.pulses)

    @property
    def half_selects(self) -> Range:
        """Half-selected devices, each time that one is."""
        return self.range(lambda run: run.cost.half_selects)

    @property
    def reads(self) -> Range:
        """Readings."""
        return self.range(lambda run: run.cost.reads)

    @property
    def joules(self) -> Range:
        """Energy; 0 where the bench tells none."""
        return self.range(lambda run: run.cost.joules)

    @property
    def wear(self) -> Range:
        """Pulses to the most pulsed device."""
        return self.range(lambda run: run.wear)

    def __repr__(self) -> str:
        took, wear = duration(self.seconds.mean), counted(round(self.wear.mean), "pulse")
        pulses = counted(round(self.pulses.mean), "pulse")
        return f"<Price: {headline(self)}, {took} on the bench, {pulses}, {wear} to the most pulsed device>"

    def __str__(self) -> str:
        rows = [*about(self), ("", ""), *figures(self)]
        width = max(len(label) for label, _ in rows)
        lines = [f"{label:<{width}}  {text}".rstrip() for label, text in rows]
        return "\n".join([headline(self), *lines, *(f"warning: {each}" for each in self.warnings)])

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
    devices, records = _devices(settings, twin, asked.option), _records(settings, twin, asked.option)
    takes, life = None, settings.life
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
        asked.option,
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


def _devices(settings: BenchSettings, twin: BenchSettings | None, option: Option) -> str:
    if twin is not None:
        return f"the twin {twin.file}"
    if not settings.resources:
        return "the simulated bench itself"
    return (
        "the data sheet of the bench file, and begin as device.initial has them, not where yours stand: "
        f"{option('twin')} takes measured ones as their records left them"
    )


def _records(settings: BenchSettings, twin: BenchSettings | None, option: Option) -> str:
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
        f"are those of the data sheet ({option('twin')}: as measured)"
    )
