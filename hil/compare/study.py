"""What a study file may say: an experiment and a bench, what varies, the seeds, and what is claimed of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias, cast

from annotated_types import Ge, Le
from pydantic import Field, model_validator

from hil.compare.cells import Axis, Cell, Setting, label_of
from hil.compare.claims import Claim, Pair, pairs
from hil.config.kinds import OF_EXPERIMENTS
from hil.config.validate import Config, MisfitError, MisfitsError, did_you_mean, validate
from hil.config.yaml import Document, dotted, load_yaml
from hil.errors import ConfigError

BENCH_PREFIX = "bench."
NAME = r"^[a-z0-9_-]{1,64}$"
CASE = "case"

Seed: TypeAlias = Annotated[int, Ge(0), Le(2**63 - 1)]


class Point(Config):
    """One point of an axis of the grid, by what it sets."""

    set: dict[str, Any] = Field(default={}, description="Keys of the experiment (key.path: value).")
    bench_set: dict[str, Any] = Field(default={}, description="Keys of the bench (key.path: value).")


class Case(Point):
    """One of the cases that are compared."""

    label: str = Field(min_length=1, max_length=60, description="What tables and figures call it.")


class Study(Config):
    """A study: one experiment in many variations, each with the same seeds."""

    name: str = Field(pattern=NAME, description="Of its folder: a-z, 0-9, - and _, at most 64.")
    title: str = Field(default="", description="Heading of its page; none: the name.")
    about: str = Field(default="", description="What it asks, in a sentence or more.")
    experiment: str | dict[str, Any] = Field(
        description="File of the experiment, from this file's folder; or the experiment itself."
    )
    bench: str | dict[str, Any] | None = Field(
        default=None, description="File of the bench, or the bench itself; none: the built-in one."
    )
    set: dict[str, Any] = Field(default={}, description="Keys of the experiment, for all cases.")
    bench_set: dict[str, Any] = Field(default={}, description="Keys of the bench, for all cases.")
    cases: tuple[Case, ...] = Field(default=(), description="What is compared, each by what it sets.")
    grid: dict[str, list[Any] | dict[str, Point]] = Field(
        default={},
        description=(
            "What every case is varied over; all combinations are run. A list: the values of this key of the "
            f"experiment, or with {BENCH_PREFIX!r} before it of the bench. A mapping: labelled points, each "
            "by what it sets."
        ),
    )
    seeds: tuple[Seed, ...] = Field(default=(1,), min_length=1, description="Every case is run with each.")
    x: str | None = Field(
        default=None, description="The axis (case, or a key of grid) that figures show along x."
    )
    reach: float | None = Field(
        default=None, gt=0, le=1, description="Show what it took to reach this accuracy (0 to 1)."
    )
    claims: tuple[Claim, ...] = Field(default=(), description="What the study is to show.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        of_axes = list(self._misfits_of_axes())
        # Cells, which claims are about, are only there if the axes are sound.
        wrong = [*self._misfits(), *(of_axes or self._misfits_of_claims())]
        if wrong:
            raise MisfitsError(wrong)
        return self

    @property
    def axes(self) -> tuple[Axis, ...]:
        """What varies: the cases, if there are any, then the keys of the grid."""
        cases = [Axis(CASE, tuple(case.label for case in self.cases))] if self.cases else []
        grid = [
            Axis(name, tuple(values) if isinstance(values, dict) else tuple(map(label_of, values)))
            for name, values in self.grid.items()
        ]
        return (*cases, *grid)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every combination of the axes' values, in the file's order, with all that it sets."""
        common = (*self._settings("set"), *self._bench_settings("bench_set"))
        points = [
            [
                (*self._settings("cases", number, "set"), *self._bench_settings("cases", number, "bench_set"))
                for number in range(len(self.cases))
            ]
        ] * bool(self.cases)
        points += [self._points(name) for name in self.grid]
        labels = product(*(axis.labels for axis in self.axes))
        return tuple(
            Cell(self.axes, here, (*common, *(setting for point in chosen for setting in point)))
            for here, chosen in zip(labels, product(*points), strict=True)
        )

    def pairs(self, claim: Claim) -> list[Pair]:
        """As :func:`hil.compare.claims.pairs`, over the cells of this study."""
        return pairs(claim, self.axes, self.cells)

    def _misfits(self) -> Iterator[MisfitError]:
        if len({*self.seeds}) < len(self.seeds):
            yield MisfitError("a seed stands here twice", "seeds")
        for *keys, settings in self._all_settings():
            for key in settings:
                if key in ("seed", "name"):
                    yield MisfitError(f"{key} is set for each run; give the study's own {key}s", *keys, key)
        names = [axis.name for axis in self.axes]
        if self.x is not None and self.x not in names:
            yield MisfitError(f"no axis {self.x!r}; {did_you_mean(self.x, names)}", "x")

    def _misfits_of_axes(self) -> Iterator[MisfitError]:
        if CASE in self.grid:
            yield MisfitError(f"{CASE!r} is the name of the cases' axis; choose another", "grid", CASE)
        for number, axis in enumerate(self.axes):
            keys = ("cases",) if number == 0 and self.cases else ("grid", axis.name)
            if not axis.labels:
                yield MisfitError("must have at least one value", *keys)
            if twice := [label for label in axis.labels if axis.labels.count(label) > 1]:
                yield MisfitError(f"the label {twice[0]!r} stands here twice", *keys)

    def _misfits_of_claims(self) -> Iterator[MisfitError]:
        for number, claim in enumerate(self.claims):
            try:
                self.pairs(claim)
            except MisfitsError as error:
                yield from (MisfitError(str(one), "claims", number, *one.keys) for one in error.misfits)

    def _all_settings(self) -> list[tuple[Any, ...]]:
        """(keys of the place, what is set there) of everything that sets keys of the experiment."""
        found: list[tuple[Any, ...]] = [("set", self.set)]
        found += [("cases", n, "set", case.set) for n, case in enumerate(self.cases)]
        for name, values in self.grid.items():
            if isinstance(values, dict):
                found += [("grid", name, label, "set", point.set) for label, point in values.items()]
            else:
                found.append(("grid", {name: values}))
        return found

    def _points(self, name: str) -> list[tuple[Setting, ...]]:
        values = self.grid[name]
        if isinstance(values, dict):
            return [
                (
                    *self._settings("grid", name, label, "set"),
                    *self._bench_settings("grid", name, label, "bench_set"),
                )
                for label in values
            ]
        key = name.removeprefix(BENCH_PREFIX)
        return [
            (Setting(self._line("grid", name, number), key, value, of_bench=key != name),)
            for number, value in enumerate(values)
        ]

    def _settings(self, *keys: str | int, of_bench: bool = False) -> tuple[Setting, ...]:
        found: Any = self
        for key in keys:
            found = getattr(found, str(key)) if isinstance(found, Config) else found[key]
        return tuple(Setting(self._line(*keys, key), key, value, of_bench) for key, value in found.items())

    def _line(self, *keys: str | int) -> str:
        """File and line of a key; the key itself for a study built in Python."""
        where = self.where(*keys)
        return f"{where.removesuffix(dotted(keys)).removesuffix(': ') or where}:"

    def _bench_settings(self, *keys: str | int) -> tuple[Setting, ...]:
        return self._settings(*keys, of_bench=True)


def load_study(path: Path) -> tuple[Study, Document]:
    """Read a study file: what it says, and where each part of it stands.

    Raises
    ------
    ConfigError
        One line for each problem, with file, line and key.
    """
    study, document, problems = study_and_problems(path)
    if problems:
        raise ConfigError("\n".join(problems))
    return study, document


def study_and_problems(path: Path) -> tuple[Study, Document, list[str]]:
    """As `load_study`, but wrong claims are left out and told as problems, so that cases can be checked."""
    document = load_yaml(path)
    if "experiment" not in document.data and (found := sorted(OF_EXPERIMENTS & document.data.keys())):
        place = f"{document.where((found[0],))}: {found[0]}"
        raise ConfigError(f"{place}: this is an experiment, not a study; train it with hil train {path}")
    try:
        return validate(Study, document), document, []
    except ConfigError as error:
        rest = {key: value for key, value in document.data.items() if key != "claims"}
        try:
            study = validate(Study, replace(document, data=rest))
        except ConfigError:
            raise error from None
        lines = [*str(error).splitlines(), *_misfits_of_given(study, document)]
        return study, document, list(dict.fromkeys(lines))


def _misfits_of_given(study: Study, document: Document) -> Iterator[str]:
    """What is wrong with claims that say what a claim may: the model stops at those that do not."""
    given = document.data["claims"]
    claims = cast(list[Any], given) if isinstance(given, list) else []
    for number, one in enumerate(claims):
        try:
            study.pairs(validate(Claim, Document("", one, {}, {}, {})))
        except ConfigError:
            continue  # told by the model
        except MisfitsError as error:
            for misfit in error.misfits:
                place = ("claims", number, *misfit.keys)
                yield f"{document.where(place)}: {dotted(place)}: {misfit}"


def study_schema() -> dict[str, Any]:
    """JSON Schema of a study file."""
    return Study.model_json_schema()
