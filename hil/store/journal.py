"""Reads the journal file of a run and trusts nothing in it: whatever is wrong becomes one StoreError."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.errors import StoreError
from hil.store.blobs import unpack
from hil.store.schema import APPLICATION_ID, FORMAT, JOURNAL, SELECT, dtype

Table: TypeAlias = NDArray[np.void]


class JournalFile:
    """A journal, opened anew for every question: it is read while it grows and never kept busy."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Answer a question; StoreError if there is no journal, or none of ours."""
        try:
            with closing(self._connect()) as journal:
                return journal.execute(sql).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: cannot be read: {error}") from error

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """Give all rows of a table in the order in which they came."""
        return self.query(SELECT[table])

    def table(self, table: str) -> Table:
        """Give a table of numbers as a structured array."""
        rows = [tuple(np.nan if value is None else value for value in row) for row in self.rows(table)]
        try:
            return np.array(rows, dtype(table))
        except (ValueError, TypeError, OverflowError) as error:
            raise StoreError(f"{self.path}: table {table} is damaged: {error}") from error

    def decode(self, text: str) -> Any:
        """Read a stored JSON text."""
        try:
            return json.loads(text)
        except (ValueError, TypeError) as error:
            raise StoreError(f"{self.path}: a record is damaged: {error}") from error

    def arrays(self, blob: bytes, *names: str) -> list[NDArray[Any]]:
        """Read the named arrays of a stored blob."""
        arrays = unpack(blob, str(self.path))
        if missing := [name for name in names if name not in arrays]:
            raise StoreError(f"{self.path}: a stored array lacks {missing[0]}")
        return [arrays[name] for name in names]

    def _connect(self) -> sqlite3.Connection:
        journal = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
        try:
            mark = journal.execute("PRAGMA application_id").fetchone()[0]
            if (mark, journal.execute("PRAGMA user_version").fetchone()[0]) != (APPLICATION_ID, FORMAT):
                raise StoreError(f"{self.path}: not a run journal of format {FORMAT}")
        except BaseException:
            journal.close()
            raise
        return journal
