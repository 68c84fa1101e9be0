"""Everything that was asked of a bench in a calibration and what it answered, in order and with times: raw
volts, amperes, pulses. Results are derived from it, and can be derived again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.bench import Cost, Execution
from hil.errors import ScheduleError, StoreError
from hil.schedule import (
    Answer,
    Multiply,
    MultiplyAnswer,
    Op,
    Program,
    Pulse,
    Read,
    ReadAnswer,
    Region,
    Schedule,
    Wait,
)
from hil.stack import Stack
from hil.units import counted

Arrays: TypeAlias = dict[str, NDArray[Any]]
Stacks: TypeAlias = dict[str, NDArray[Any] | Stack]
_PULSE = ("amplitude_v", "width_s", "gap_s")


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation and its answer; ``begun_s`` and ``ended_s`` on the bench's clock, from 0 at the start."""

    op: Op
    answer: Answer
    begun_s: float
    ended_s: float


class Tape:
    """A recorder for :func:`hil.plan.run` that keeps every step of a calibration, and their cost.

    It takes Read, Multiply (without variants), Program and Wait, which is what is stored in a record.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.cost = Cost()
        self._under_way: Schedule = ()
        self._away_s = 0.0
        self._pauses: dict[int, float] = {}

    def paused(self, number: int, seconds: float) -> None:
        """So long nothing was done, before this operation of the schedule under way: no cost, but time."""
        self._pauses[number] = self._pauses.get(number, 0.0) + seconds

    def before(self, schedule: Schedule, *, durable: bool) -> None:
        """Refuse what a record cannot hold, before it is output.

        Raises
        ------
        ScheduleError
            An operation is a Nudge, or a Multiply with variants.
        """
        for op in schedule:
            if not isinstance(op, Read | Program | Wait | Multiply) or (
                isinstance(op, Multiply) and op.variants is not None
            ):
                raise ScheduleError(
                    f"calibration: asked for {type(op).__name__}; a record holds Read, Multiply without "
                    "variants, Program and Wait"
                )
        self._under_way = schedule

    def after(self, schedule: Schedule, execution: Execution) -> None:
        """Keep what came of a schedule."""
        now = self.cost.seconds + self._away_s
        new: list[Step] = []
        for number, (op, answer, cost) in enumerate(
            zip(schedule, execution.answers, execution.costs, strict=True)
        ):
            now += self._pauses.get(number, 0.0)
            new.append(Step(op, answer, now, now + cost.seconds))
            now += cost.seconds
        self.steps.extend(new)  # whole schedules only, whenever a signal comes
        self._under_way = ()
        self._away_s += sum(self._pauses.values())
        self._pauses.clear()
        self.cost += execution.cost

    @property
    def in_doubt(self) -> list[Step]:
        """Pulses that were asked for and not answered: they may have been given."""
        now = self.cost.seconds + self._away_s
        return [
            Step(op, None, now, now) for op in self._under_way if isinstance(op, Program) and op.counts.any()
        ]


def pulses_spent(steps: Iterable[Step], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Pulses asked for, of either sign, to every device of an array of ``shape`` [rows, cols]."""
    given: dict[int, tuple[Region, NDArray[np.int64]]] = {}
    for step in steps:
        if isinstance(op := step.op, Program):
            _, total = given.setdefault(id(op.region), (op.region, np.zeros(op.counts.shape, np.int64)))
            total += np.abs(op.counts)
    spent = np.zeros(shape, np.int64)
    for region, total in given.values():
        spent[np.ix_(region.rows, region.cols)] += total
    return spent


def doubtful(steps: Sequence[Step]) -> str:
    """Words behind the reason for a partial record: which pulses are in doubt; "" if none are."""
    asked = [step.op for step in steps if isinstance(step.op, Program)]
    if not asked:
        return ""
    pulses = sum(int(np.abs(op.counts.astype(np.int64)).sum()) for op in asked)
    arrays = " and ".join(dict.fromkeys(op.region.array for op in asked))
    return f"; {counted(pulses, 'pulse')} to {arrays} are in doubt and counted as given: read the devices"


def to_arrays(steps: Sequence[Step]) -> Stacks:
    """Lay steps out as plain arrays: operations of one kind on one region stacked.

    ``region0.rows``, ``region0.cols``: line numbers. ``read0.region``: number of its region; ``read0.at``:
    places [n] in the whole sequence; ``read0.begun_s``, ``.ended_s``, ``.volts``, ``.integration_s`` [n];
    ``read0.amperes`` and ``.clipped`` [n, rows, cols]. ``program0.counts`` [n, rows, cols];
    ``program0.potentiate`` and ``.depress`` [n, 3]: amplitude (V), width and gap (s). ``multiply0.volts``
    [n, vectors, driven], ``.amperes`` [n, vectors, sensed]; ``multiply0.transpose``. ``wait0.seconds`` [n].
    """
    regions: dict[tuple[str, bytes, bytes], int] = {}
    groups: dict[tuple[Any, ...], list[int]] = {}
    arrays: Stacks = {}
    for place, step in enumerate(steps):
        op = step.op
        if isinstance(op, Wait):
            groups.setdefault(("wait",), []).append(place)
            continue
        region = op.region
        key = (region.array, region.rows.tobytes(), region.cols.tobytes())
        if key not in regions:
            number = regions[key] = len(regions)
            arrays[f"region{number}.rows"], arrays[f"region{number}.cols"] = region.rows, region.cols
        kind: tuple[Any, ...] = (type(op).__name__.lower(), regions[key])
        if isinstance(op, Multiply):
            kind += (op.transpose, op.volts.shape[0])
        groups.setdefault(kind, []).append(place)
    numbers: dict[str, int] = {}
    for kind, places in groups.items():
        number = numbers[kind[0]] = numbers.get(kind[0], -1) + 1
        here = f"{kind[0]}{number}."
        found = _stacked(kind, [steps[place] for place in places])
        found["at"] = np.asarray(places, np.int64)
        arrays |= {here + name: values for name, values in found.items()}
    return arrays


def _stacked(kind: tuple[Any, ...], steps: Sequence[Step]) -> Stacks:
    found: Stacks = {
        "begun_s": np.array([step.begun_s for step in steps]),
        "ended_s": np.array([step.ended_s for step in steps]),
    }
    ops: list[Any] = [step.op for step in steps]
    answers: list[Any] = [step.answer for step in steps]
    if kind[0] == "wait":
        return found | {"seconds": np.array([op.seconds for op in ops])}
    found["region"] = np.asarray(kind[1])
    if kind[0] == "program":
        found["counts"] = Stack([op.counts for op in ops])
        for way in ("potentiate", "depress"):
            found[way] = np.array([[getattr(getattr(op, way), name) for name in _PULSE] for op in ops])
        return found
    found["integration_s"] = np.array([op.integration_s for op in ops])
    found["amperes"] = Stack([answer.amperes for answer in answers])
    found["clipped"] = Stack([answer.clipped for answer in answers])
    if kind[0] == "read":
        found["volts"] = np.array([op.voltage_v for op in ops])
    else:
        found["volts"] = Stack([op.volts for op in ops])
        found["transpose"] = np.asarray(kind[2])
        found["emulated"] = np.array([answer.emulated for answer in answers])
    return found


def from_arrays(arrays: Mapping[str, NDArray[Any]], array: str) -> tuple[Step, ...]:
    """Steps of an array as :func:`to_arrays` laid them out.

    Raises
    ------
    StoreError
        They are not such arrays.
    """
    placed: dict[int, Step] = {}
    try:
        groups: dict[str, Arrays] = {}
        for name, values in arrays.items():
            group, _, part = name.partition(".")
            groups.setdefault(group, {})[part] = values
        for group, here in groups.items():
            if group.startswith("region"):
                continue
            lines = None if "region" not in here else groups[f"region{int(here['region'])}"]
            region = None if lines is None else Region(array, lines["rows"], lines["cols"])
            for n, place in enumerate(here["at"].tolist()):
                op, answer = _unstacked(group.rstrip("0123456789"), here, region, n)
                placed[place] = Step(op, answer, float(here["begun_s"][n]), float(here["ended_s"][n]))
        return tuple(placed[place] for place in range(len(placed)))
    except (KeyError, IndexError, ValueError, TypeError, ScheduleError) as error:
        raise StoreError(f"the raw data of a record are not laid out as expected: {error!r}") from error


def _unstacked(kind: str, here: Arrays, region: Region | None, n: int) -> tuple[Op, Answer]:
    if kind == "wait":
        return Wait(float(here["seconds"][n])), None
    if region is None:
        raise KeyError("region")
    if kind == "program":
        up, down = (Pulse(*here[way][n].tolist()) for way in ("potentiate", "depress"))
        return Program(region, here["counts"][n], up, down), None
    amperes, clipped, integration = here["amperes"][n], here["clipped"][n], float(here["integration_s"][n])
    if kind == "read":
        volts = float(here["volts"][n])
        return Read(region, volts, integration), ReadAnswer(amperes, clipped, volts)
    op = Multiply(region, here["volts"][n], integration, bool(here["transpose"]))
    return op, MultiplyAnswer(amperes, clipped, bool(here["emulated"][n]))
