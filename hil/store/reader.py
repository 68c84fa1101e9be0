"""Reads a run back: lazily, while it is being written, after kill -9, and from a folder that is not trusted.

Raw amperes are stored; conductances are derived here: NaN where nothing was read or a reading is a bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
from numpy.typing import NDArray

from hil.bench import Cost
from hil.errors import StoreError
from hil.store.folder import WriterLock, continued_by, order, read_header
from hil.store.journal import JournalFile, Table
from hil.store.schema import COST_FIELDS, HEADER, JOURNAL
from hil.units import counted, duration

_CostRows: TypeAlias = Literal["training", "evaluation"]


@dataclass(frozen=True, slots=True)
class Intent:
    """A schedule that was going to change devices; ``cost`` is None while, or if, it is not known to be done.

    ``ops`` describes its operations: kind, array, size of the region, pulses, digest of lines and counts.
    """

    step: int
    pulses: int
    ops: tuple[Mapping[str, Any], ...]
    cost: Cost | None

    @property
    def in_doubt(self) -> bool:
        """Nobody knows whether its pulses were given: read the devices before anything is built on them."""
        return self.cost is None


@dataclass(frozen=True, slots=True, eq=False)
class RawSnapshot:
    """A region as measured: ``amperes`` and ``clipped`` [rows, cols] at the lines ``rows`` and ``cols``."""

    moment: str
    step: int
    array: str
    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    amperes: NDArray[np.floating]
    clipped: NDArray[np.bool_]
    voltage_v: float


class Run:
    """A recorded run. Every property reads the journal anew, so a run that is going on shows its latest rows.

    Made by :func:`open_run`. Any property raises StoreError when what it needs is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = JournalFile(path)

    @cached_property
    def header(self) -> dict[str, Any]:
        """run.yaml: name, seed, experiment, bench, versions … as they were when the run began."""
        return read_header(self.path)

    @property
    def name(self) -> str:
        """The run's name; the folder's name tells its time too."""
        return self.header["name"]

    @property
    def status(self) -> str:
        """One of running, finished, stopped (on purpose), failed (error), interrupted (its writer died)."""
        ended = self._journal.rows("finish")
        if ended:
            return str(ended[0][0])
        return "running" if WriterLock(self.path).is_held() else "interrupted"

    @property
    def going_on(self) -> str:
        """What can be done with a run that ended before it was finished, in a sentence; "" if it did not."""
        if self.status in ("running", "finished"):
            return ""
        if (by := self.continued_by) is not None:
            return f"{by} goes on from it"
        pulsed = self.pulsed
        if pulsed and "initial" not in self.moments and "continues" not in self.header:
            return "it ended while its initial weights were written: begin anew with hil train"
        if pulsed:
            told = f"hil resume {self.path} goes on with it, from what the devices hold"
            if self.status == "interrupted":
                told += "; outputs may still be on: hil safe BENCH.yaml switches them off"
            return told
        return (
            "its simulated devices ended with it: hil train with the same files and seed makes the same run "
            "again"
        )

    @property
    def continued_by(self) -> Path | None:
        """The folder of the run that goes on from this one (`hil resume`), None if none does."""
        return continued_by(self.path)

    @property
    def summary(self) -> dict[str, Any]:
        """What the run said of itself when it ended; empty before."""
        ended = self._journal.rows("finish")
        return dict(self._journal.decode(ended[0][1])) if ended else {}

    @property
    def training(self) -> Table:
        """Windows of training: the fields of :class:`hil.training.events.TrainingRow`."""
        return self._journal.table("training")

    @property
    def evaluations(self) -> Table:
        """Evaluations on test samples: fields step, samples, epoch, loss, accuracy, images, clipped."""
        return self._journal.table("evaluation")

    @property
    def update_noise(self) -> Table:
        """Update noise: fields step, layer, raw, normalised, synapses."""
        return self._journal.table("update_noise")

    @property
    def accuracy(self) -> float | None:
        """Accuracy (0..1) of the last evaluation; None if there was none."""
        evaluations = self.evaluations
        return float(evaluations["accuracy"][-1]) if evaluations.size else None

    @property
    def costs(self) -> dict[str, Cost]:
        """Cost by kind of operation, from the start to the last row that was recorded."""
        rows = self._journal.rows("cost")
        return {row[2]: Cost(*row[3:]) for row in rows if row[:2] == rows[-1][:2]}

    @property
    def cost(self) -> Cost:
        """The sum of :attr:`costs`."""
        return sum(self.costs.values(), Cost())

    @property
    def cost_known(self) -> Cost:
        """:attr:`cost`, and no less than what is known of schedules since the last row, of a killed run."""
        recorded = self.cost
        done = sum((Cost(*row[1:]) for row in self._journal.rows("done")), Cost())
        return Cost(**{name: max(getattr(recorded, name), getattr(done, name)) for name in COST_FIELDS})

    @property
    def cost_in_all(self) -> Cost:
        """:attr:`cost_known` of this run and of those that it continues."""
        before = self.header.get("continues")
        return self.cost_known if before is None else self.cost_known + Cost(**before["spent"])

    @property
    def in_all(self) -> str:
        """:attr:`cost_in_all` in a sentence; "" of a run that continues none."""
        if (before := self.header.get("continues")) is None:
            return ""
        cost = self.cost_in_all
        return (
            f"with the runs before it, which end at step {before['step']:,}, at least: "
            f"{counted(cost.pulses, 'pulse')}, {counted(cost.reads, 'reading')}, "
            f"{duration(cost.seconds)} on the bench"
        )

    @property
    def cost_history(self) -> Table:
        """Costs from the start to the end of each row of :attr:`training`, all operations together."""
        return self.costs_at("training")

    def costs_at(self, rows: _CostRows, op: str | None = None) -> Table:
        """Costs from the start to each row of training or evaluation, of one kind of operation or of all.

        Fields: pulses, half_selects, reads, transactions, seconds, joules. KeyError for other rows.
        """
        if rows not in (allowed := get_args(_CostRows)):
            raise KeyError(f"no costs at {rows!r}; there are {' and '.join(allowed)}")
        fields = [(name, "f8" if name in ("seconds", "joules") else "i8") for name in COST_FIELDS]
        history = np.zeros(len(self._journal.rows(rows)), fields)
        for moment, number, kind, *values in self._journal.rows("cost"):
            if moment == rows and op in (None, kind) and 0 < number <= len(history):
                for name, value in zip(COST_FIELDS, values, strict=True):
                    history[name][number - 1] += value
        return history

    @property
    def events(self) -> list[tuple[int, str, str]]:
        """(step, kind, text) of everything worth a line, in order."""
        return [(row[0], row[1], row[2]) for row in self._journal.rows("event")]

    @property
    def pulsed(self) -> bool:
        """Whether it was going to change devices of a durable bench."""
        return bool(self._journal.query("SELECT 1 FROM intent LIMIT 1"))

    @property
    def intents(self) -> list[Intent]:
        """Schedules that changed devices of a durable bench, in order; empty for a simulated one."""
        done = {row[0]: Cost(*row[1:]) for row in self._journal.rows("done")}
        return [
            Intent(step, pulses, tuple(self._journal.decode(ops)), done.get(number))
            for number, step, pulses, ops in self._journal.query(
                "SELECT id, step, pulses, ops FROM intent ORDER BY id"
            )
        ]

    @property
    def doses(self) -> dict[str, NDArray[np.int64]]:
        """Array name to the pulses each device has seen, [rows, cols]; empty before the end of the run."""
        return {array: self._journal.arrays(data, "pulses")[0] for array, data in self._journal.rows("dose")}

    @property
    def moments(self) -> list[str]:
        """The moments at which snapshots were taken, in order, for example initial and final."""
        return list(
            dict.fromkeys(row[0] for row in self._journal.query("SELECT moment FROM snapshot ORDER BY id"))
        )

    def amperes(self, moment: str) -> list[RawSnapshot]:
        """Raw snapshots of a moment, one for each region read; KeyError if there is no such moment."""
        found = [row for row in self._journal.rows("snapshot") if row[1] == moment]
        if not found:
            raise KeyError(f"no snapshot {moment!r} in {self.path.name}; there are {self.moments}")
        raw: list[RawSnapshot] = []
        names = ("rows", "cols", "amperes", "clipped", "voltage_v")
        for step, _, array, data in found:
            rows, cols, amperes, clipped, voltage = self._journal.arrays(data, *names)
            fit = amperes.shape == clipped.shape == rows.shape + cols.shape and voltage.shape == ()
            if not fit or rows.dtype.kind not in "iu" or cols.dtype.kind not in "iu":
                raise StoreError(
                    f"{self._journal.path}: snapshot {moment!r} of {array} does not fit together"
                )
            raw.append(RawSnapshot(moment, step, array, rows, cols, amperes, clipped, float(voltage)))
        return raw

    def snapshot(self, moment: str) -> dict[str, NDArray[np.float64]]:
        """Array name to siemens [rows, cols] of the whole array; NaN where not read, or only a bound."""
        maps: dict[str, NDArray[np.float64]] = {}
        raw = self.amperes(moment)
        for array in dict.fromkeys(part.array for part in raw):
            parts = [part for part in raw if part.array == array]
            siemens = maps[array] = np.full(self._shape(array, parts), np.nan)
            for part in parts:
                # A reading at compliance or overflow is a bound, no conductance.
                seen = np.where(part.clipped, np.nan, part.amperes / part.voltage_v)
                siemens[np.ix_(part.rows, part.cols)] = seen
        return maps

    def integrity(self) -> str:
        """Say "ok" if the journal is sound and everything in it can be read; else what is wrong."""
        try:
            found = self._journal.query("PRAGMA integrity_check")
            for moment in self.moments:
                self.snapshot(moment)
            _ = self.header, self.doses, self.intents, self.summary
        except StoreError as error:
            return str(error)
        return "; ".join(str(row[0]) for row in found)

    def __repr__(self) -> str:
        return f"<Run {self.name}: {', '.join(self._facts().values())}, {self.path}>"

    def _repr_html_(self) -> str:
        facts = {"run": self.name} | self._facts() | {"path": str(self.path)}
        rows = (f"<tr><th>{escape(key)}</th><td>{escape(text)}</td></tr>" for key, text in facts.items())
        return f"<table>{''.join(rows)}</table>"

    def _facts(self) -> dict[str, str]:
        accuracy, training = self.accuracy, self.training
        return {
            "status": self.status,
            "accuracy": "no evaluation" if accuracy is None else f"accuracy {100 * accuracy:.2f} %",
            "training": counted(training["samples"][-1], "sample") if training.size else "no training",
            "cost": counted(self.cost.pulses, "pulse"),
        }

    def _shape(self, array: str, parts: list[RawSnapshot]) -> tuple[int, int]:
        """Size of an array as the header gives it, and never less than what was read of it."""
        known = cast(dict[str, list[int]], self.header.get("arrays", {})).get(array, [0, 0])
        rows = max(int(part.rows.max(initial=-1)) + 1 for part in parts)
        cols = max(int(part.cols.max(initial=-1)) + 1 for part in parts)
        return max(rows, known[0]), max(cols, known[1])

    def check(self) -> None:
        """Raise StoreError unless the header and the journal can be read and are ours."""
        _ = self.header, self._journal.rows("finish")


def open_run(path: Path | str) -> Run:
    """Open a run's folder, or the newest sound run in a folder of runs.

    Raises
    ------
    StoreError
        There is no such folder, no run in it, or what is there is damaged or not ours.
    """
    path = Path(path)
    if not path.is_dir():
        raise StoreError(f"{path}: no such folder")
    if (path / HEADER).exists() or (path / JOURNAL).exists():
        run = Run(path)
        run.check()
        return run
    runs = list_runs(path)
    if not runs:
        raise StoreError(f"{path}: neither a run nor a folder of runs")
    return runs[-1]


def list_runs(root: Path | str) -> list[Run]:
    """Give the sound runs in a folder, oldest first; :func:`open_run` says what is wrong with others."""
    root = Path(root)
    try:
        folders = sorted((folder for folder in root.iterdir() if folder.is_dir()), key=order)
    except OSError as error:
        raise StoreError(f"{root}: cannot be listed: {error.strerror}") from error
    runs: list[Run] = []
    for run in map(Run, folders):
        try:
            run.check()
        except StoreError:
            continue
        runs.append(run)
    return runs
