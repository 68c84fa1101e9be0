"""Checks every case of a study before any is begun: settings, data, bench, network, what methods demand."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

from hil import plugins, session, setup
from hil.compare.cells import Cell, Setting
from hil.config.bench import BenchSettings
from hil.config.experiment import Experiment, experiment_model
from hil.config.validate import overridden, validate
from hil.config.yaml import Document
from hil.data import Dataset
from hil.errors import BenchError, ConfigError

Problems: TypeAlias = list[tuple[Cell, str]]


@dataclass(frozen=True)
class Planned:
    """A cell that was checked.

    ``resolved`` experiment and bench are all that its runs are made of but the seed; ``given`` is what of
    that differs from the defaults; ``chip`` is the seed of the simulated chip that calibration records are
    of, None where there are none.
    """

    cell: Cell
    overrides: tuple[str, ...]
    bench_overrides: tuple[str, ...]
    resolved: tuple[Mapping[str, Any], ...]
    given: tuple[Mapping[str, Any], ...]
    durable: bool
    chip: int | None = None

    def fingerprint(self, seed: int) -> str:
        """What tells a run of this cell and seed from every other: all settings, whatever they came from."""
        return json.dumps(self._seeded(seed), sort_keys=True)

    def made(self, header: Mapping[str, Any], seed: int) -> bool:
        """Whether the run of this header is one of this cell and seed: every setting is the same.

        A setting that the record lacks came to the program later, and counts as it is by default.
        """
        try:
            chip = header["identity"].get("seed") if self.chip is not None else None
            if chip not in (None, str(self.chip)):
                return False
            recorded = [_unnamed(header["experiment"]["resolved"]), header["bench"]["resolved"]]
        except (KeyError, TypeError, AttributeError):
            return False
        return _same(recorded, self._seeded(seed), list(self.given))

    def _seeded(self, seed: int) -> list[Mapping[str, Any]]:
        experiment, bench = self.resolved
        return [_unnamed({**experiment, "seed": seed}), bench]


def _unnamed(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """The name of a run is no part of what it is."""
    return {key: value for key, value in experiment.items() if key != "name"}


def _same(recorded: Any, full: Any, given: Any) -> bool:
    """Whether a record says what ``full`` says; what it lacks must be by default, not ``given``."""
    if isinstance(full, dict) and isinstance(recorded, dict):
        theirs, ours = cast(dict[str, Any], recorded), cast(dict[str, Any], full)
        changed = cast(dict[str, Any], given) if isinstance(given, dict) else {}
        return theirs.keys() <= ours.keys() and all(
            _same(theirs[key], value, changed.get(key)) if key in theirs else key not in changed
            for key, value in ours.items()
        )
    if isinstance(full, list) and isinstance(recorded, list):
        items, records = cast(list[Any], full), cast(list[Any], recorded)
        changes = cast(list[Any], given) if isinstance(given, list) else [None] * len(items)
        return len(items) == len(records) and all(map(_same, records, items, changes))
    return recorded == full


@cache
def _model() -> type[Experiment]:
    return experiment_model(plugins.load_all("gradients"), plugins.load_all("updates"))


@dataclass(frozen=True, slots=True)
class _Sound:
    """A cell whose settings are valid, each on its own."""

    cell: Cell
    spec: Experiment
    bench: BenchSettings
    overrides: tuple[str, ...]
    bench_overrides: tuple[str, ...]

    @property
    def needs(self) -> str:
        """Equal for cells that can share one opened bench."""
        resolved = self.spec.model_dump(mode="json", include={"data", "network", "initial"})
        return json.dumps([resolved, self.bench.model_dump(mode="json")], sort_keys=True)

    def planned(self, durable: bool, chip: int) -> Planned:
        """As a cell that was checked."""
        models = (self.spec, self.bench)
        resolved = tuple(model.model_dump(mode="json") for model in models)
        given = tuple(model.model_dump(mode="json", exclude_defaults=True) for model in models)
        return Planned(self.cell, self.overrides, self.bench_overrides, resolved, given, durable,
                       chip if self.bench.of_one_chip else None)  # fmt: skip


class Checker:
    """Builds what a run of each cell would be made of, and lets go of it again; nothing is output.

    Parameters
    ----------
    experiment, bench
        What the cells change.
    data_dir
        Folder of data files.
    seed
        The one that is checked with.
    chip
        As in `hil.setup.opens_chip`.
    """

    def __init__(
        self, experiment: Document, bench: Document, data_dir: Path | None, seed: int, chip: int
    ) -> None:
        self._experiment = experiment
        self._bench = bench
        self._data_dir = data_dir
        self._chip = chip
        self._seed = Setting("--seeds", "seed", seed, of_bench=False)
        self._data: dict[str, Dataset] = {}

    def check(self, cells: Iterable[tuple[Cell, Sequence[Setting]]]) -> tuple[tuple[Planned, ...], Problems]:
        """The cells in their order, and what is wrong with any: a line for each problem."""
        problems: Problems = []
        groups: dict[str, list[_Sound]] = {}
        order: list[Cell] = []
        for cell, settings in cells:
            sound, wrong = self._read(cell, settings)
            problems += ((cell, line) for line in wrong)
            order.append(cell)
            if sound is not None:
                groups.setdefault(sound.needs, []).append(sound)
        planned: dict[tuple[str, ...], Planned] = {}
        for group in groups.values():
            try:
                planned |= {each.cell.labels: each for each in self._build(group, problems)}
            except (ConfigError, BenchError) as error:
                problems += ((group[0].cell, line) for line in str(error).splitlines())
        return tuple(planned[cell.labels] for cell in order if cell.labels in planned), problems

    def _read(self, cell: Cell, settings: Sequence[Setting]) -> tuple[_Sound | None, list[str]]:
        ours = [setting for setting in settings if not setting.of_bench]
        theirs = [setting for setting in settings if setting.of_bench]
        experiment, wrong = _put(self._experiment, [*ours, self._seed])
        bench, also_wrong = _put(self._bench, theirs)
        spec, spec_wrong = _valid(_model(), experiment, wrong)
        driver, driver_wrong = _driver(bench)
        found, bench_wrong = (None, []) if driver is None else _valid(driver, bench, also_wrong)
        problems = [*spec_wrong, *driver_wrong, *bench_wrong]
        if spec is not None and found is None:  # the data tell more of it, whatever its bench is
            noted: Problems = []
            with _noting(cell, noted):
                setup.check_batches(spec, self._loaded(spec))
            problems += (line for _, line in noted)
        if spec is None or found is None:
            return None, problems
        overrides, bench_overrides = (tuple(setting.text for setting in some) for some in (ours, theirs))
        return _Sound(cell, spec, found, overrides, bench_overrides), []

    def _build(self, group: Sequence[_Sound], problems: Problems) -> list[Planned]:
        """Open the bench that a group shares, place its network, and let each cell's methods refuse it."""
        first, planned = group[0], list[Planned]()
        data = self._loaded(first.spec)
        for each in group:
            with _noting(each.cell, problems):
                setup.check_batches(each.spec, data)
        opened = setup.bench_for(first.spec, data, first.bench, setup.opens_chip(first.bench, self._chip))
        try:
            network = setup.build_network(first.spec, data, opened)
            for each in group:
                with _noting(each.cell, problems):
                    session.ask_methods(each.spec, network, opened)
                planned.append(each.planned(opened.durable, self._chip))
        finally:
            opened.close()
        return planned

    def _loaded(self, spec: Experiment) -> Dataset:
        """Cases mostly share their data, and reading it takes longer than all the rest."""
        key = spec.data.model_dump_json()
        if key not in self._data:
            self._data[key] = setup.load_data(spec, self._data_dir)
        return self._data[key]


@contextmanager
def _noting(cell: Cell, problems: Problems) -> Generator[None]:
    """A refusal is a problem of a cell, and no reason to leave the others unread."""
    try:
        yield
    except ConfigError as error:
        problems += ((cell, line) for line in str(error).splitlines())


def _put(document: Document, settings: Sequence[Setting]) -> tuple[Document, list[str]]:
    """Put settings in, one after the other; the last word on a key is the last setting's."""
    problems: list[str] = []
    for setting in settings:
        document, wrong = overridden(document, [setting.text], setting.where)
        problems += wrong
    return document, problems


def _valid(model: type[Any], document: Document, problems: Sequence[str]) -> tuple[Any, list[str]]:
    try:
        return validate(model, document, problems=problems), []
    except ConfigError as error:
        return None, str(error).splitlines()


def _driver(document: Document) -> tuple[type[BenchSettings] | None, list[str]]:
    asked: Any = document.data.get("driver")
    where = document.where((*document.path, "driver"))
    if not isinstance(asked, str):
        return None, [f"{where}: driver: missing; name one of: {', '.join(plugins.names('drivers'))}"]
    try:
        return plugins.load("drivers", asked).settings, []
    except ConfigError as error:
        return None, [f"{where}: driver: {error}"]
