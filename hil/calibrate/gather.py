"""Records of a folder, or of several: those that can be read, and a sentence for each that cannot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hil.calibrate.file import read_record, record_paths
from hil.calibrate.journal import is_written, journals, read_journal
from hil.calibrate.record import Record
from hil.errors import StoreError


def gather(paths: Sequence[Path]) -> tuple[list[tuple[Path, Record]], list[str]]:
    """All records of files and folders, and what was passed over. What is named must be readable, in a folder
    it is passed over.

    Raises
    ------
    StoreError
        A file that is named is no record, or a folder has none.
    """
    found: dict[Path, Record] = {}
    passed_over: list[str] = []
    for path in paths:
        inside, told = in_folder(path)
        if path.is_dir() and not record_paths(path):
            raise StoreError("; ".join([f"{path}: there are no calibration records in it", *told]))
        passed_over += told
        found |= {each.path or path: each for each in inside}
    return list(found.items()), passed_over


def in_folder(path: Path) -> tuple[list[Record], list[str]]:
    """The records in a folder, oldest first, or that of one file; and what was passed over in the folder.

    Raises
    ------
    StoreError
        There is no such folder or file, or the file is no record.
    """
    if not path.is_dir():
        return [read_record(path)], []
    found: list[Record] = []
    passed_over = _killed(path)
    for each in record_paths(path):
        try:
            found.append(read_record(each))
        except StoreError as error:
            passed_over.append(f"passed over: {error}")
    return found, passed_over


def _killed(folder: Path) -> list[str]:
    """What killed calibrations left in a folder, which is no record yet."""
    found: list[str] = []
    for path in journals(folder):
        try:
            record = None if is_written(path) else read_journal(path)
        except StoreError as error:
            found.append(str(error))
            continue
        if record is not None:
            found.append(
                f"a calibration of {record.routine} was killed: hil calibrate BENCH --out {folder} makes a "
                f"partial record of it ({path.name})"
            )
    return found
