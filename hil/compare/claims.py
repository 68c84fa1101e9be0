"""What a study claims: its form in the file, the cases it is about, and whether the runs bear it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from pydantic import Field

from hil.compare.cells import Axis, Cell, label_of
from hil.compare.results import CellResult
from hil.config.validate import Config, MisfitError, MisfitsError, did_you_mean
from hil.units import counted

Scalar: TypeAlias = str | int | float | bool
Select: TypeAlias = str | dict[str, Scalar | list[Scalar]]
Lower: TypeAlias = Literal["update_noise", "raw_update_noise", "pulses", "reads", "seconds", "joules", "loss"]
Pair: TypeAlias = tuple[Cell, Cell | None]


class Claim(Config):
    """Something that the study is to show. It is held against the means over seeds.

    With ``than`` each cell of ``of`` is compared, seed by seed, with the cell that is as ``than`` says and
    agrees with it in all that ``than`` does not name; the claim is met if it holds for every such pair.
    """

    text: str = Field(min_length=1, description="The claim in words.")
    of: Select = Field(description="What it is about: a label, or axis: label (or a list of labels).")
    than: Select | None = Field(default=None, description="What that is compared with.")
    at: dict[str, Scalar | list[Scalar]] = Field(
        default={}, description="The claim is made here only: axis: label (or a list of labels)."
    )
    by: float | None = Field(
        default=None,
        ge=-100,
        le=100,
        description="With than: ahead in accuracy by more than so many points (negative: behind by less).",
    )
    within: float | None = Field(
        default=None, ge=0, le=100, description="With than: accuracies differ by no more than so many points."
    )
    lower: Lower | None = Field(default=None, description="With than: this figure is lower.")
    times: float = Field(default=1.0, ge=1, description="With lower: at least so many times lower.")
    min_accuracy: float | None = Field(
        default=None, gt=0, le=1, description="Without than: the accuracy (0 to 1) that is exceeded."
    )

    @property
    def misfit(self) -> MisfitError | None:
        """Why it does not say one thing, if it does not."""
        compared = [key for key in ("by", "within", "lower") if getattr(self, key) is not None]
        if self.than is None:
            if compared:
                return MisfitError(f"{compared[0]} compares two; say with what: than", compared[0])
            if self.min_accuracy is None:
                return MisfitError("a claim without than needs min_accuracy", "text")
        elif self.min_accuracy is not None:
            return MisfitError("is of one alone; leave out than, or make a second claim", "min_accuracy")
        elif len(compared) != 1:
            found = " and ".join(compared) or "none of them"
            return MisfitError(f"a claim with than needs one of by, within, lower; has {found}", "text")
        return None


def pairs(claim: Claim, axes: Sequence[Axis], cells: Sequence[Cell]) -> list[Pair]:
    """The cells that a claim is about, each with the one that it is compared with.

    Raises
    ------
    MisfitsError
        At the claim's keys, when it does not say one thing, or names no cell, or not one partner for each.
    """
    wrong = [] if claim.misfit is None else [claim.misfit]
    where, _ = _selected(claim.at, "at", axes, wrong)
    of, _ = _selected(claim.of, "of", axes, wrong)
    than, named = _selected(claim.than or {}, "than", axes, wrong)
    if wrong:
        raise MisfitsError(wrong)
    meant = [cell for cell in cells if where(cell) and of(cell)]
    if not meant:
        raise MisfitsError([MisfitError("there is no such case", "of")])
    if claim.than is None:
        return [(cell, None) for cell in meant]
    others = [cell for cell in cells if where(cell) and than(cell)]
    shared = [axis.name for axis in axes if axis.name not in named]
    found: list[Pair] = []
    for cell in meant:
        partners = [other for other in others if all(other.at(name) == cell.at(name) for name in shared)]
        if len(partners) != 1 or partners[0] == cell:
            told = "itself" if partners == [cell] else f"{len(partners)} cases"
            problem = f"{cell} is compared with {told}; name the one that is meant"
            raise MisfitsError([MisfitError(problem, "than")])
        found.append((cell, partners[0]))
    return found


def _selected(
    select: Select, key: str, axes: Sequence[Axis], wrong: list[MisfitError]
) -> tuple[Callable[[Cell], bool], set[str]]:
    """Whether a cell is meant, and the axes that are named; what is ``wrong`` with it is put there."""
    try:
        wanted = _wanted(select, key, axes)
    except MisfitError as error:
        wrong.append(error)
        return lambda _: False, set()
    return lambda cell: all(cell.at(name) in labels for name, labels in wanted.items()), set(wanted)


def _wanted(select: Select, key: str, axes: Sequence[Axis]) -> dict[str, list[str]]:
    """Each axis that is named, and the labels that are meant on it."""
    if isinstance(select, str):
        having = [axis for axis in axes if select in axis.labels]
        if len(having) != 1:
            every = [label for axis in axes for label in axis.labels]
            problem = f"is no label; {did_you_mean(select, every)}"
            if having:
                problem = f"stands on {len(having)} axes; write axis: label"
            raise MisfitError(f"{select!r} {problem}", key)
        select = {having[0].name: select}
    return {name: _labels(name, given, key, axes) for name, given in select.items()}


def _labels(name: str, given: Scalar | list[Scalar], key: str, axes: Sequence[Axis]) -> list[str]:
    known = {axis.name: axis.labels for axis in axes}
    if name not in known:
        raise MisfitError(f"no axis {name!r}; {did_you_mean(name, known)}", key)
    labels = [label_of(value) for value in (given if isinstance(given, list) else [given])]
    for label in labels:
        if label not in known[name]:
            raise MisfitError(f"{name} has no {label!r}; {did_you_mean(label, known[name])}", key)
    return labels


@dataclass(frozen=True, slots=True)
class Evidence:
    """One pair of a claim: its cells, the figure's mean and spread over seeds, and whether it is as claimed.

    ``value`` is the accuracy, the lead in accuracy, both of 0 to 1, or how many times lower the figure is;
    NaN while not known. ``seeds`` counts those that it is the mean of.
    """

    of: str
    than: str | None
    value: float
    spread: float
    seeds: int
    met: bool | None

    def row(self, claim: Claim) -> tuple[str, ...]:
        """In words, for a table."""
        scale, sign = (1.0, "") if claim.lower else (100.0, "" if self.than is None else "+")
        value, spread = (
            "-" if np.isnan(number) else format(scale * number, f"{how}.3g" if claim.lower else f"{how}.2f")
            for number, how in ((self.value, sign), (self.spread, ""))
        )
        holds = {True: "yes", False: "no", None: "open"}[self.met]
        return (self.of, self.than or "", value, spread, str(self.seeds), holds)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim held against the runs: met, not met, or open while runs are missing."""

    claim: Claim
    evidence: tuple[Evidence, ...]

    @property
    def word(self) -> str:
        """One of met, not met, open."""
        if any(pair.met is False for pair in self.evidence):
            return "not met"
        return "open" if any(pair.met is None for pair in self.evidence) else "met"

    @property
    def figures(self) -> str:
        """What it rests on, in a line: the only pair, or how many hold and the weakest."""
        known = [pair for pair in self.evidence if pair.met is not None]
        if not known:
            return "no finished runs to compare"
        worst = min(known, key=self._margin)
        told = f"{self._told(worst)} ({counted(worst.seeds, 'seed')})"
        if len(self.evidence) == 1:
            return told
        held = sum(pair.met is True for pair in known)
        return f"{held} of {len(self.evidence)} hold; weakest: {worst.of}: {told}"

    def _margin(self, pair: Evidence) -> float:
        return -abs(pair.value) if self.claim.within is not None else pair.value

    def _told(self, pair: Evidence) -> str:
        if self.claim.lower is not None:
            name = self.claim.lower.replace("_", " ")
            return f"{name} {pair.value:.3g} times lower than {pair.than}"
        if pair.than is None:
            return f"{100 * pair.value:.2f} %{_spread(pair.spread)}"
        return f"{100 * pair.value:+.2f}{_spread(pair.spread)} points to {pair.than}"


def judge(claim: Claim, pairs: Sequence[Pair], results: Mapping[tuple[str, ...], CellResult]) -> Verdict:
    """Hold a claim against what the runs came to: means over the seeds that both of a pair have.

    ``results`` are by the cells' labels. A pair counts only when every seed of both is finished; until then
    it is open.
    """
    return Verdict(
        claim,
        tuple(
            _evidence(claim, results[a.labels], None if b is None else results[b.labels]) for a, b in pairs
        ),
    )


def _evidence(claim: Claim, of: CellResult, than: CellResult | None) -> Evidence:
    figure = claim.lower or "accuracy"
    mine = of.by_seed(figure)
    theirs = {} if than is None else than.by_seed(figure)
    seeds = [seed for seed in mine if than is None or seed in theirs]
    partner = None if than is None else str(than.cell)
    if not seeds:
        return Evidence(str(of.cell), partner, float("nan"), float("nan"), 0, None)
    here, there = (np.array([values.get(seed, 0.0) for seed in seeds]) for values in (mine, theirs))
    values = here - there
    if claim.lower is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            values = there / here
    value = float(values.mean())
    spread = float(values.std(ddof=1)) if len(seeds) > 1 else float("nan")
    complete = of.is_complete and (than is None or than.is_complete)
    return Evidence(
        str(of.cell), partner, value, spread, len(seeds), _holds(claim, value) if complete else None
    )


def _holds(claim: Claim, value: float) -> bool:
    if claim.lower is not None:
        return value > 1 and value >= claim.times
    if claim.within is not None:
        return abs(100 * value) <= claim.within
    if claim.by is not None:
        return 100 * value > claim.by
    return value > (claim.min_accuracy or 0.0)


def _spread(spread: float) -> str:
    return "" if np.isnan(spread) else f" ± {100 * spread:.2f}"
