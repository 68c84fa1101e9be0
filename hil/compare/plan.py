"""From a study file to runs that are known to be possible: every case is checked before any is begun."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hil import builtin
from hil.compare.cells import Setting
from hil.compare.check import Checker, Planned
from hil.compare.select import only_these
from hil.compare.study import Study, study_and_problems
from hil.config.yaml import Document, load_value, load_yaml
from hil.errors import ConfigError
from hil.store.folder import write_whole


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for beside the study file: other ``seeds`` than its own, ``only`` some cases to be run.

    ``settings`` go on top of all that the file sets. ``runs``: where runs are kept.
    """

    runs: Path
    data_dir: Path | None = None
    seeds: tuple[int, ...] = ()
    only: tuple[str, ...] = ()
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """A file that runs are made from, and its text if it has yet to be written."""

    path: Path
    text: str | None = None

    def write(self) -> None:
        """Write it, if what it says stood in the study file."""
        if self.text is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, self.text.encode())


@dataclass(frozen=True)
class StudyPlan:
    """A study, checked: its folder and its cells in order.

    ``only``: labels of the cells that are to be run; ``changed``: what the command line sets in all;
    ``chip``: seed of the simulated chip of all runs where the bench names calibration records, the first that
    the study names.
    """

    study: Study
    given: str
    folder: Path
    experiment: Source
    bench: Source
    data_dir: Path | None
    seeds: tuple[int, ...]
    planned: tuple[Planned, ...]
    only: frozenset[tuple[str, ...]]
    changed: tuple[str, ...]
    chip: int

    @property
    def durable(self) -> bool:
        """Whether any bench is a real one, which takes one run at a time."""
        return any(planned.durable for planned in self.planned)


def plan_study(path: Path, options: Options) -> StudyPlan:
    """Read a study and check every case of it: settings, data, bench, and whether the network fits.

    Nothing is written and nothing output. Each case is checked with the first seed.

    Raises
    ------
    ConfigError
        One line for each problem of any case, with file, line and key.
    """
    study, document, wrong = study_and_problems(path)
    given = path.read_text(encoding="utf-8")
    seeds = options.seeds or study.seeds
    only = frozenset(cell.labels for cell in only_these(options.only, study.axes, study.cells))
    folder = options.runs / study.name
    files: list[tuple[Document, Source]] = []
    for key in ("experiment", "bench"):
        try:
            files.append(_document(study, document, key, path, folder))
        except ConfigError as error:
            wrong.append(str(error))
    if len(files) < 2:
        raise ConfigError("\n".join(wrong))
    (experiment, experiment_source), (bench, bench_source) = files
    beside = _beside(study, experiment, path)
    settings = [(cell, (*beside, *cell.settings, *options.settings)) for cell in study.cells]
    planned, problems = Checker(experiment, bench, options.data_dir, seeds[0], study.seeds[0]).check(settings)
    wrong += (line if _names(line, path) else f"{cell}: {line}" for cell, line in problems)
    if wrong:
        raise ConfigError("\n".join(dict.fromkeys(wrong)))
    return StudyPlan(
        study,
        given,
        folder,
        experiment_source,
        bench_source,
        options.data_dir,
        seeds,
        planned,
        only,
        tuple(f"{setting.where} {setting.text}" for setting in options.settings),
        study.seeds[0],
    )


def asked_settings(overrides: Sequence[str], bench_overrides: Sequence[str]) -> tuple[Setting, ...]:
    """Settings from the command line, of the form key.path=value.

    Raises
    ------
    ConfigError
        Not of that form.
    """
    settings: list[Setting] = []
    for option, texts in (("--set", overrides), ("--bench-set", bench_overrides)):
        for text in texts:
            key, equals, value = text.partition("=")
            if not equals or not key.strip() or not value.strip():
                raise ConfigError(
                    f"{option} {text}: not of the form key.path=value; write e.g. {option} name=test"
                )
            given = load_value(value, f"{option} {text}").data
            settings.append(Setting(option, key.strip(), given, of_bench=option == "--bench-set"))
    return tuple(settings)


def _document(
    study: Study, document: Document, key: str, path: Path, folder: Path
) -> tuple[Document, Source]:
    given = getattr(study, key)
    if given is None:
        return load_yaml(builtin.BENCH), Source(builtin.BENCH)
    if isinstance(given, str):
        file = path.parent / given
        if not file.is_file():
            raise ConfigError(f"{study.where(key)}: there is no file {file}; paths start from {path.parent}")
        return load_yaml(file), Source(file)
    return document.section(key), Source(folder / f"{key}.yaml", json.dumps(given, indent=2) + "\n")


def _beside(study: Study, experiment: Document, path: Path) -> tuple[Setting, ...]:
    """A relative data.path or initial.path counts from the file that it stands in, be it the study's own."""
    file = path.parent / study.experiment if isinstance(study.experiment, str) else path
    found: list[Setting] = []
    for key in ("data", "initial"):
        part: Any = experiment.data.get(key)
        given: Any = cast(dict[str, Any], part).get("path") if isinstance(part, dict) else None
        if isinstance(given, str) and not Path(given).is_absolute() and (file.parent / given).exists():
            place = experiment.where((*experiment.path, key, "path"))
            found.append(Setting(f"{place}:", f"{key}.path", str(file.parent / given), of_bench=False))
    return tuple(found)


def _names(line: str, path: Path) -> bool:
    return line.startswith((f"{path}:", "--"))
