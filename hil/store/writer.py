"""Writes a run: it is the Recorder of ``hil.plan.run`` and the Journal of a training plan.

On a durable bench an intent is on disk before anything is output, and done after it; in simulation, where
nothing outlives the process, it only adds up costs between rows, so that training is not slowed.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from hil.bench import Cost, CostMeter, Execution
from hil.errors import StoreError
from hil.schedule import Multiply, Nudge, Program, Schedule
from hil.store.blobs import pack
from hil.store.folder import JSON, WriterLock, header_text, make_folder, write_whole
from hil.store.intents import describe
from hil.store.schema import COLUMNS, COST_FIELDS, HEADER, INSERT, JOURNAL, script

if TYPE_CHECKING:
    from hil.training.events import EvaluationRow, Snapshot, TrainingRow, UpdateNoiseRow

Status: TypeAlias = Literal["finished", "stopped", "failed"]

_COMMIT_EVERY_S = 1.0  # how much of a simulated run a power cut may cost; content never depends on it


class RunWriter:
    """The open folder of one run; made by :meth:`create`, used by one thread, left with ``with``.

    Attributes
    ----------
    path
        The run's folder.
    costs
        What the run took so far, by kind of operation.
    now
        Asked for the step that the run is in, which intents and events carry.
    in_doubt
        Pulses of a schedule that was begun and not seen to end, and the arrays they were for; None: none.
    """

    def __init__(self, path: Path, journal: sqlite3.Connection, lock: WriterLock) -> None:
        self.path = path
        self.costs = CostMeter()
        self.now: Callable[[], int] = lambda: 0
        self.in_doubt: tuple[int, tuple[str, ...]] | None = None
        self._db = journal
        self._lock = lock
        self._durable = False
        self._open_intent: int | None = None
        self._step = 0
        self._committed_at = time.monotonic()
        self._failed = False
        self._finished = False
        self._closed = False

    @classmethod
    def create(cls, root: Path, header: Mapping[str, JSON]) -> RunWriter:
        """Make a new run folder under ``root`` and open it; an existing folder is never touched.

        Parameters
        ----------
        root
            Where runs are kept; made if need be.
        header
            Plain data for run.yaml. Needed are ``name`` ([a-z0-9_-]{1,64}) and ``created`` (ISO 8601);
            ``arrays`` (name to [rows, cols]) gives snapshots their full shape.

        Raises
        ------
        StoreError
            The name or header is not usable, or the place cannot be written.
        """
        text = header_text(header)
        path = make_folder(root, header)
        lock = WriterLock(path)
        lock.take()
        with _told(path / JOURNAL):
            journal = sqlite3.connect(path / JOURNAL, isolation_level=None)
            try:
                journal.execute("PRAGMA journal_mode = WAL")
                journal.execute("PRAGMA synchronous = NORMAL")
                journal.executescript(f"BEGIN; {script()} COMMIT;")
                write_whole(path / HEADER, text)
            except BaseException:
                journal.close()
                lock.release()
                raise
        return cls(path, journal, lock)

    def before(self, schedule: Schedule, *, durable: bool) -> None:
        """On a durable bench: commit the intent of a schedule that changes devices."""
        if not durable:
            return
        if not self._durable:
            self._become_durable()
        self._open_intent = None  # one whose schedule failed stays in doubt
        if any(isinstance(op, Program | Nudge) for op in schedule):
            ops = [describe(op) for op in schedule]
            pulses = sum(int(op.get("pulses", 0)) for op in ops)
            self._open_intent = self._insert("intent", self._moment(), pulses, json.dumps(ops))
            self._commit()
            arrays = dict.fromkeys(op.region.array for op in schedule if isinstance(op, Program | Nudge))
            self.in_doubt = pulses, tuple(arrays)

    def after(self, schedule: Schedule, execution: Execution) -> None:
        """Add up the costs; on a durable bench commit that the intent is done."""
        add = self.costs.add
        for op, cost in zip(schedule, execution.costs, strict=True):
            transposed = type(op) is Multiply and op.transpose
            add("Multiply transposed" if transposed else type(op).__name__, cost)
        if self._open_intent is not None:
            self._insert("done", self._open_intent, *_cost_values(execution.cost))
            self._commit()
            self._open_intent = self.in_doubt = None

    def refused(self) -> None:
        """The schedule whose intent is open was refused: nothing of it was output."""
        if self._open_intent is not None:
            self._insert("done", self._open_intent, *_cost_values(Cost()))
            self._commit()
            self._open_intent = self.in_doubt = None

    def training(self, row: TrainingRow) -> None:
        """Record a window of training, and the costs up to its end."""
        self._step = row.step
        number = self._insert("training", *_values("training", row))
        self._write_costs("training", number)
        self._settle()

    def evaluation(self, row: EvaluationRow) -> None:
        """Record an evaluation, and the costs up to its end; commits."""
        self._step = row.step
        number = self._insert("evaluation", *_values("evaluation", row))
        self._write_costs("evaluation", number)
        self._commit()

    def update_noise(self, row: UpdateNoiseRow) -> None:
        """Record the update noise of a layer."""
        self._step = row.step
        self._insert("update_noise", *_values("update_noise", row))
        self._settle()

    def snapshot(self, snapshot: Snapshot) -> None:
        """Record the raw currents of a region; commits."""
        self._step = snapshot.step
        region = snapshot.region
        data = pack(
            {
                "rows": region.rows,
                "cols": region.cols,
                "amperes": snapshot.amperes,
                "clipped": snapshot.clipped,
                "voltage_v": snapshot.voltage_v,
            }
        )
        self._insert("snapshot", snapshot.step, snapshot.moment, region.array, data)
        self._commit()

    def event(self, kind: str, text: str) -> None:
        """Record something worth a line; commits."""
        self._insert("event", self._moment(), kind, text)
        self._commit()

    def finish(self, status: Status, summary: Mapping[str, JSON], doses: Mapping[str, NDArray[Any]]) -> None:
        """Record how the run ended; nothing can be recorded after it.

        Parameters
        ----------
        status
            "finished": went to its end; "stopped": ended early on purpose; "failed": by an error.
        summary
            Plain data, shown by the report.
        doses
            Array name to pulses each device has seen, integers [rows, cols].

        Raises
        ------
        StoreError
            The run is finished already, the summary is not plain data, or the journal cannot be written.
        """
        try:
            text = json.dumps(summary, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise StoreError(f"{self.path}: the summary must be plain, finite data: {error}") from error
        self._write_costs("finish", 1)
        for array, pulses in doses.items():
            self._insert("dose", array, pack({"pulses": np.asarray(pulses, np.int64)}))
        self._insert("finish", status, text)
        self._commit()
        self._finished = True

    def fail(
        self,
        error: BaseException,
        summary: Mapping[str, JSON],
        doses: Mapping[str, NDArray[Any]],
        notes: Sequence[str] = (),
    ) -> None:
        """Record an error on its way through: "failed", or "stopped" by Ctrl-C and its like.

        ``notes`` are the bench's own: what was made safe, what is in doubt.

        ``summary`` and ``doses`` are what is known by then, as for :meth:`finish`; the error's text is added.
        Should that fail too (disk full), the first error counts and carries a note.
        """
        self._failed = True
        text = "\n".join([f"{type(error).__name__}: {error}", *notes])
        status: Status = "failed" if isinstance(error, Exception) else "stopped"
        try:
            self.event("error" if status == "failed" else "stop", text)
            self.finish(status, {**summary, "error": text}, doses)
        except StoreError as second:
            error.add_note(f"The run could not be marked as {status}: {second}")

    def close(self) -> None:
        """Commit what there is and let go of the folder; may be called twice."""
        try:
            if not self._closed:
                self._closed = True
                self._commit()
                if self._finished:
                    self._fold()
        finally:
            self._db.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None and not (self._failed or self._finished or self._closed):
                self.fail(error, {}, {})
        finally:
            self.close()

    def _become_durable(self) -> None:
        """Have every commit on the disk itself when it returns, not only safe from this process's death."""
        self._commit()
        with _told(self.path / JOURNAL):
            self._db.execute("PRAGMA synchronous = FULL")
        self._durable = True

    def _insert(self, table: str, *values: object) -> int:
        if self._finished or self._closed:
            raise StoreError(f"{self.path}: this run is closed; nothing can be added to it")
        with _told(self.path / JOURNAL):
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
            number = self._db.execute(INSERT[table], values).lastrowid
        return number or 0

    def _moment(self) -> int:
        return max(self._step, self.now())

    def _settle(self) -> None:
        """Commit at once on a durable bench, and about once a second otherwise."""
        if self._durable or time.monotonic() - self._committed_at > _COMMIT_EVERY_S:
            self._commit()

    def _write_costs(self, moment: str, number: int) -> None:
        for op, cost in self.costs.by_op.items():
            self._insert("cost", moment, number, op, *_cost_values(cost))

    def _commit(self) -> None:
        with _told(self.path / JOURNAL):
            if self._db.in_transaction:
                self._db.execute("COMMIT")
        self._committed_at = time.monotonic()

    def _fold(self) -> None:
        """Leave one plain file that can be copied and read anywhere; a reader at work may prevent it."""
        try:
            self._db.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError:
            return


@contextmanager
def _told(path: Path) -> Generator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{path}: cannot be written: {error}; is the disk full or read-only?") from error


def _values(table: str, row: object) -> list[object]:
    """The row's fields as Python's own numbers: sqlite3 would store numpy's integers as raw bytes."""
    values = (getattr(row, name) for name in COLUMNS[table])
    return [cast(Any, value).item() if isinstance(value, np.generic) else value for value in values]


def _cost_values(cost: Cost) -> list[object]:
    return [getattr(cost, name) for name in COST_FIELDS]
