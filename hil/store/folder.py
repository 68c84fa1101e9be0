"""A run's folder: its name, its header file, and the lock that says whether its writer lives."""

import json
import os
import re
import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import yaml

from hil.config.yaml import load_yaml
from hil.errors import ConfigError, StoreError
from hil.store.schema import FORMAT, HEADER

JSON: TypeAlias = Mapping[str, "JSON"] | list["JSON"] | str | int | float | bool | None

LOCK = "writer.lock"
CONTINUED = "continued-by.txt"
_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_NUMBER_LIKE = tuple("+-.0123456789")
_MOST_OF_ONE_NAME = 10_000


def make_folder(root: Path, header: Mapping[str, JSON]) -> Path:
    """Make the folder ``root/<yyyymmdd-hhmmss>-<name>``, numbered -2, -3 … where there is one already."""
    name, created = header.get("name"), header.get("created")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise StoreError(f"run name {name!r}: 1 to 64 of the characters a-z, 0-9, _ and - are needed")
    try:
        stamp = datetime.fromisoformat(created if isinstance(created, str) else "").strftime("%Y%m%d-%H%M%S")
    except ValueError as error:
        raise StoreError(f"run {name}: created is {created!r}; an ISO 8601 time is needed") from error
    try:
        root.mkdir(parents=True, exist_ok=True)
        for number in range(1, _MOST_OF_ONE_NAME):
            folder = root / (f"{stamp}-{name}" if number == 1 else f"{stamp}-{name}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        raise StoreError(f"{root}: no run folder can be made here: {error.strerror}") from error
    raise StoreError(f"{root}: {_MOST_OF_ONE_NAME} runs of the name {stamp}-{name}; choose another name")


def order(folder: Path) -> tuple[str, int, str]:
    """Sorts run folders by the time and number in their names."""
    number = re.search(r"-([0-9]+)$", folder.name[16:])
    return folder.name[:15], int(number[1]) if number else 1, folder.name


def header_text(header: Mapping[str, JSON]) -> bytes:
    """Give the content of run.yaml, proved to read back the same; StoreError if it is not plain data."""
    try:
        plain = json.loads(json.dumps({"format": FORMAT, **header}, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise StoreError(f"the header of a run must be plain, finite data: {error}") from error
    text = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    try:
        same = load_yaml(text, HEADER).data == plain
    except ConfigError as error:
        raise StoreError(f"the header of a run must be readable again: {error}") from error
    if not same:
        raise StoreError("the header of a run does not read back as it was given")
    return text.encode()


def read_header(folder: Path) -> dict[str, Any]:
    """Read run.yaml; StoreError if there is none, or none of ours."""
    path = folder / HEADER
    if not path.is_file():
        raise StoreError(f"{folder}: not a run folder, it holds no {HEADER}")
    try:
        header = cast(dict[str, Any], load_yaml(path).data)
    except ConfigError as error:
        raise StoreError(f"{folder}: its header is damaged: {error}") from error
    if header.get("format") != FORMAT or not isinstance(header.get("name"), str):
        raise StoreError(f"{path}: format {header.get('format')!r}; this version reads format {FORMAT}")
    return header


def write_whole(path: Path, data: bytes | Callable[[IO[bytes]], object]) -> None:
    """Write a file beside its place and rename it there, so that no reader ever sees a half of it; ``data``
    may be what writes it.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            if callable(data):
                data(file)
            else:
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def mark_continued(folder: Path, by: Path) -> None:
    """Note in a run's folder, once for all, which run goes on from it.

    Raises
    ------
    StoreError
        Another one does already, or the folder cannot be written.
    """
    path = folder / CONTINUED
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(f"{by.resolve()}\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise StoreError(f"{folder}: {continued_by(folder)} goes on from it already") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error


def continued_by(folder: Path) -> Path | None:
    """The folder of the run that goes on from this one; None: none does."""
    try:
        return Path((folder / CONTINUED).read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{folder / CONTINUED}: cannot be read: {error}") from error


class WriterLock:
    """Held by the one writer of a folder and released by the operating system when its process dies.

    It is SQLite's own exclusive lock on a file that never gets content: it works wherever the journal works.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._held: sqlite3.Connection | None = None

    def take(self) -> None:
        """Take the lock; StoreError if another writer, here or in another process, holds it."""
        try:
            held = sqlite3.connect(self._path, timeout=0.2, isolation_level=None)
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: cannot be written: {error}") from error
        try:
            held.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            held.close()
            if _busy(error):
                raise StoreError(f"{self._path.parent}: another writer is at work on this run") from error
            raise StoreError(f"{self._path}: cannot be locked: {error}") from error
        self._held = held

    def release(self) -> None:
        """Give the lock back; may be called twice."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def is_held(self) -> bool:
        """Whether some writer lives. Asking does not take the lock and needs no right to write."""
        if not self._path.exists():
            return False
        try:
            asking = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", timeout=0.0, uri=True)
            try:
                asking.execute("SELECT count(*) FROM sqlite_master")
            finally:
                asking.close()
        except sqlite3.Error as error:
            if _busy(error):
                return True
            raise StoreError(f"{self._path}: cannot be read: {error}") from error
        return False


def _busy(error: sqlite3.Error) -> bool:
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


class _Dumper(yaml.SafeDumper):
    """Writes long texts as they are, and quotes what YAML 1.2 takes for a number and YAML 1.1 does not."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write same values out again: a header has no anchors."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if text.startswith(_NUMBER_LIKE) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)  # pyright: ignore[reportUnknownMemberType]


_Dumper.add_representer(str, _represent_text)
