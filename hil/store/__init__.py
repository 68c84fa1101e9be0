"""The run store: one folder per run, written while it runs, readable at any moment and after any end."""

from hil.store.folder import mark_continued
from hil.store.reader import Intent, RawSnapshot, Run, list_runs, open_run
from hil.store.writer import RunWriter

__all__ = ["Intent", "RawSnapshot", "Run", "RunWriter", "list_runs", "mark_continued", "open_run"]
