"""One process at a time on a line to an instrument: a lock that the kernel frees when its holder dies.

Two hosts that share an instrument take each other's answers, and pulse devices behind each other's back.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from platformdirs import user_runtime_path

from hil.errors import BenchError

FOLDER = "HIL_LOCK_DIR"
"""Environment variable: the folder of the locks, the same for all who use the bench."""
_LONGEST_NOTE = 65_536  # characters that another process left about itself
_LONGEST = 200  # of them that are shown of each text


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a line, as told by itself: text that is not to be trusted. pid 0: it is not known."""

    pid: int
    user: str
    since: str
    command: str
    run: str = ""

    @classmethod
    def here(cls) -> Holder:
        """The process that asks, now."""
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
        return cls(os.getpid(), _user(), datetime.now().astimezone().isoformat(" ", "seconds"), command)

    def __str__(self) -> str:
        if self.pid == os.getpid():
            return "this very process; close the bench that it has open"
        if not self.pid:
            return "another process"
        run = f", run {self.run}" if self.run else ""
        return f"process {self.pid} of user {self.user} since {self.since} ({self.command}{run})"


class LineLocks:
    """The locks that one bench holds. A line is named by any text that is the same for all who mean it."""

    def __init__(self) -> None:
        self._held: dict[Path, FileLock] = {}
        self._holder = Holder.here()

    def take(self, line: str) -> Holder | None:
        """Take a line, if it is free; else who has it. One that is held here already is taken once.

        Raises
        ------
        BenchError
            There is no place for locks that can be written.
        """
        try:
            path = _folder() / f"{_slug(line)}.lock"
            if path in self._held:
                return None
            lock = FileLock(path, mode=0o666, thread_local=False)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                return _told(path)
        except OSError as error:
            raise BenchError(
                f"{line} cannot be locked ({error}); set {FOLDER} to a folder that all who use the bench can "
                "write to"
            ) from error
        self._held[path] = lock
        _tell(path, self._holder)
        return None

    def note_run(self, run: Path) -> None:
        """Let those who are refused know the run, too."""
        self._holder = replace(self._holder, run=str(run.resolve()))
        for path in self._held:
            _tell(path, self._holder)

    def release(self) -> None:
        """Let go of all; may be called twice."""
        while self._held:
            self._held.popitem()[1].release()


def _folder() -> Path:
    """A folder for all users of this machine where the system has one: another user's run counts too."""
    named = os.environ.get(FOLDER)
    if named:
        folder = Path(named)
    else:
        places = [place for place in map(Path, ("/run/lock", "/tmp")) if _is_shared(place)]
        folder = places[0] / "hil" if places else user_runtime_path("hil")
    with suppress(FileExistsError):
        folder.mkdir(parents=True)
        if not named:
            folder.chmod(0o1777)
    return folder


def _is_shared(place: Path) -> bool:
    """Whether anybody may make files there and nobody may take away another's."""
    return place.is_dir() and place.stat().st_mode & 0o1002 == stat.S_ISVTX | stat.S_IWOTH


def _slug(line: str) -> str:
    return f"{re.sub('[^A-Za-z0-9.]+', '-', line)[:60]}-{sha256(line.encode()).hexdigest()[:12]}"


def _tell(path: Path, holder: Holder) -> None:
    """Write who holds a lock, beside it. The lock counts without it, so that a failure is none."""
    note = path.with_suffix(".holder")
    try:
        flags = os.O_WRONLY | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | (0 if note.exists() else os.O_CREAT)
        with os.fdopen(os.open(note, flags, 0o666), "w", encoding="utf-8") as file:
            if flags & os.O_CREAT:
                note.chmod(0o666)
            json.dump(asdict(holder), file)
    except OSError:
        return


def _told(path: Path) -> Holder:
    """Read who holds a lock."""
    try:
        with path.with_suffix(".holder").open(encoding="utf-8") as file:
            found: Any = json.loads(file.read(_LONGEST_NOTE))
        return _holder(found)
    except (OSError, ValueError, TypeError, KeyError):
        return Holder(0, "", "", "")


def _holder(found: Mapping[str, Any]) -> Holder:
    texts = (_clean(str(found[key])) for key in ("user", "since", "command", "run"))
    return Holder(int(found["pid"]), *texts)


def _clean(text: str) -> str:
    """Without what a terminal would obey."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
