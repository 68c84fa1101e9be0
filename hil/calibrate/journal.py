"""What a calibration is about to do to devices and what it has measured, on disk as it goes: on a bench whose
devices outlive the process, a process that is killed leaves what is in doubt and what was measured.

One SQLite file beside the records, `NAME.journal`; gone as soon as the record `NAME.npz` is written.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from hil.bench import Cost, Execution
from hil.calibrate.file import free_path, header_of, record_of, write_record
from hil.calibrate.record import Record
from hil.calibrate.tape import Arrays, Step, Tape, doubtful, from_arrays, to_arrays
from hil.errors import StoreError
from hil.schedule import Schedule
from hil.store.blobs import pack, unpack

SUFFIX = ".journal"
KILLED = "killed, or the power failed"
_SCHEMA = (
    "CREATE TABLE header (text TEXT NOT NULL)",
    "CREATE TABLE intent (id INTEGER PRIMARY KEY, steps BLOB NOT NULL)",
    "CREATE TABLE done (intent INTEGER, cost TEXT NOT NULL, steps BLOB NOT NULL)",
)


class Journal:
    """A recorder for `hil.plan.run` that commits before devices change, and whatever was measured after.

    Parameters
    ----------
    folder
        Where the record will be; the name of both is reserved.
    record
        The record as far as it is known at the start.
    tape
        Told of everything too.

    Raises
    ------
    StoreError
        Nothing can be written there.
    """

    def __init__(self, folder: Path, record: Record, tape: Tape) -> None:
        self.record_path = free_path(folder, record, SUFFIX)
        self._path = self.record_path.with_suffix(SUFFIX)
        self._tape = tape
        self._intent: int | None = None
        with _told(self._path):
            self._file = sqlite3.connect(self._path, isolation_level=None)
            # Exclusive: the lock lives as long as the process, and says to others that it does.
            self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = FULL")
            self._file.execute("BEGIN")
            for statement in _SCHEMA:
                self._file.execute(statement)
            self._file.execute("INSERT INTO header VALUES (?)", (json.dumps(header_of(record)),))
            self._file.execute("COMMIT")

    def before(self, schedule: Schedule, *, durable: bool) -> None:
        """Commit the pulses of a schedule; they are on disk when this returns."""
        self._tape.before(schedule, durable=durable)
        self._intent = None
        pulses = self._tape.in_doubt
        if pulses:
            with _told(self._path):
                new = self._file.execute("INSERT INTO intent (steps) VALUES (?)", (pack(to_arrays(pulses)),))
            self._intent = new.lastrowid

    def after(self, schedule: Schedule, execution: Execution) -> None:
        """Commit what came of it."""
        self._tape.after(schedule, execution)
        new = pack(to_arrays(self._tape.steps[-len(schedule) :])) if schedule else pack({})
        with _told(self._path):
            self._file.execute(
                "INSERT INTO done VALUES (?, ?, ?)", (self._intent, json.dumps(asdict(self._tape.cost)), new)
            )

    def close(self) -> None:
        """Let go of the file and leave it; may be called twice."""
        self._file.close()

    def discard(self) -> None:
        """Remove it: the record is written, or there is nothing to keep."""
        self.close()
        _remove(self._path)


def journals(folder: Path) -> list[Path]:
    """Those in a folder, oldest first."""
    return sorted(folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []


def is_written(path: Path) -> bool:
    """Whether the process that writes a journal lives."""
    with _told(path), closing(sqlite3.connect(path, timeout=0.1)) as file:
        try:
            file.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return True
            raise
    return False


def read_journal(path: Path) -> Record | None:
    """What a process that was killed left, as a partial record: pulses in doubt are in it as given. None if
    it had not begun.

    Raises
    ------
    StoreError
        It is no journal, damaged, or still written.
    """
    with _told(path), closing(sqlite3.connect(path, timeout=0.1)) as file:
        if not file.execute("SELECT count(*) FROM sqlite_master WHERE name = 'header'").fetchone()[0]:
            return None
        (header,) = file.execute("SELECT text FROM header").fetchone()
        done = file.execute("SELECT intent, cost, steps FROM done ORDER BY rowid").fetchall()
        intents = file.execute("SELECT id, steps FROM intent ORDER BY id").fetchall()
    try:
        plain = json.loads(header)
        array = plain["array"]["name"]
        steps = [step for _, _, blob in done for step in _unpacked(blob, array, path)]
        over = {intent for intent, _, _ in done}
        doubt = [step for key, blob in intents if key not in over for step in _unpacked(blob, array, path)]
        cost = Cost(**json.loads(done[-1][1])) if done else Cost()
        record = record_of(plain, {})
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path}: no journal of a calibration: {error!r}") from error
    return replace(record, partial=f"{KILLED}{doubtful(doubt)}", cost=cost, steps=(*steps, *doubt))


def rescue(folder: Path) -> list[tuple[Path, Record]]:
    """Make partial records of what killed processes left in a folder; those and where they are.

    Raises
    ------
    StoreError
        A journal cannot be read, or a record not be written.
    """
    found: list[tuple[Path, Record]] = []
    for path in journals(folder):
        if not is_written(path):
            record = read_journal(path)
            if record is not None:
                found.append((write_record(folder, record, free_path(folder, record)), record))
            _remove(path)
    return found


def _unpacked(blob: bytes, array: str, path: Path) -> Sequence[Step]:
    arrays: Arrays = dict(unpack(blob, str(path)))
    return from_arrays(arrays, array)


def _remove(path: Path) -> None:
    try:
        for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            each.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: cannot be removed: {error.strerror}") from error


@contextmanager
def _told(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path}: the journal of the calibration: {error}") from error
