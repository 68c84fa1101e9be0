"""A bench as it is opened from its file: within its limits, locked against other processes, recorded.

Whatever keeps it from being opened is told with the key of the file, and with what to do about it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hil.bench import Bench, Returning
from hil.config.bench import BenchSettings, Resource
from hil.config.validate import Config
from hil.corrected import CorrectedBench
from hil.errors import BenchError, DisconnectedError, IdentityError, InUseError, TimeoutError_
from hil.limits import LimitedBench
from hil.lock import LineLocks
from hil.wire import Talking, WireLog

if TYPE_CHECKING:
    from hil.calibrate.use import Calibrations
    from hil.setup import Given

WIRE = "wire.jsonl.gz"
"""The wire log in a run's folder."""


def wire_of(path: Path) -> Path:
    """The wire log of a run's folder, or of a calibration record; earlier ones are not compressed."""
    found = path / WIRE if path.is_dir() else path.with_suffix(f".{WIRE}")
    plain = found.with_suffix("")
    return plain if plain.exists() and not found.exists() else found


class OpenedBench(LimitedBench):
    """Made by `hil.setup.open_bench`. ``locks`` are let go of with the bench.

    ``settings`` are those of its file, ``given`` the file as it was given, where it was.
    ``doubts`` is what of its file is allowed and hard to believe, with file, line and key: to be told.
    ``calibrations`` are the records that its arrays and answers are corrected by; None: as they are.
    """

    def __init__(
        self,
        bench: Bench,
        settings: BenchSettings,
        locks: LineLocks,
        calibrations: Calibrations | None = None,
        given: Given | None = None,
    ) -> None:
        corrected = bench if calibrations is None else CorrectedBench(bench, calibrations.known)
        super().__init__(corrected, settings.limits.limits(), where=settings.where_limit)
        self.settings = settings
        self.given = given
        self.calibrations = calibrations
        self._locks = locks
        self.doubts = tuple(placed(settings, doubt) for doubt in settings.doubts)
        self.reconnect_s = settings.reconnect
        self._returning = bench if isinstance(bench, Returning) else None
        self._wire: WireLog | None = bench.wire if isinstance(bench, Talking) else None

    def come_back(self) -> None:
        """As :class:`hil.bench.Returning`; BenchError from a bench that is not."""
        if self._returning is None:
            raise BenchError("the instruments of this bench cannot be reached again")
        self._returning.come_back()

    def record_in(self, folder: Path) -> None:
        """Keep all messages to and from instruments in a run's folder, those since opening too."""
        self._locks.note_run(folder)
        if self._wire is not None:
            self._wire.keep_in(folder / WIRE)

    def record_beside(self, record: Path) -> None:
        """Keep them beside the record of a calibration that begins."""
        self._locks.note_run(record)
        if self._wire is not None:
            self._wire.keep_in(wire_of(record))

    @property
    def lost_record(self) -> str:
        """Why messages are no longer kept; "" while they are."""
        return "" if self._wire is None else self._wire.failure

    def close(self) -> None:
        """Make safe, let go of the instruments, and let others have them."""
        try:
            super().close()
        finally:
            self._locks.release()
            if self._wire is not None:
                self._wire.close()


def lock_lines(settings: BenchSettings) -> LineLocks:
    """Take all lines that a bench connects to.

    Raises
    ------
    InUseError
        Another process has one of them; says which process. None is held then.
    """
    locks = LineLocks()
    try:
        for resource in settings.resources:
            take(settings, resource, locks)
    except BaseException:
        locks.release()
        raise
    return locks


def take(settings: BenchSettings, resource: Resource, locks: LineLocks) -> None:
    """Take one line. Raises InUseError if another process has it."""
    holder = locks.take(resource.line)
    if holder is not None:
        raise InUseError(f"{_where(settings, resource)}: {resource.name} is in use by {holder}")


@contextmanager
def told_with_its_key(settings: BenchSettings) -> Generator[None]:
    """Put file, line and key before a BenchError that begins with a role, and what to do behind it."""
    try:
        yield
    except BenchError as error:
        role, _, problem = str(error).partition(": ")
        resource = next((each for each in settings.resources if each.role == role), None)
        if resource is not None:
            told = [f"{_where(settings, resource)}: {problem}", *_advice(error, settings)]
            error.args = ("; ".join(told),)
        raise


def placed(settings: Config, message: str, *keys: str) -> str:
    """Put file and line before a message: of the key that it begins with, else of ``keys``."""
    head, colon, problem = message.partition(": ")
    named = head.split(".")
    if colon and named[0] in type(settings).model_fields:
        return f"{settings.where(*named)}: {problem}"
    return f"{settings.where(*keys)}: {message}".removeprefix(": ")


def _where(settings: BenchSettings, resource: Resource) -> str:
    return settings.where(*resource.key.split("."))


def _advice(error: BenchError, settings: BenchSettings) -> list[str]:
    if isinstance(error, InUseError):
        return []
    if isinstance(error, IdentityError):
        return ["correct the file, or connect the instrument that it names"]
    if isinstance(error, TimeoutError_):
        return ["is another program connected to it?"]
    if not isinstance(error, DisconnectedError):
        return []
    if "virtual" in settings.model_fields_set:
        return [f"this bench has virtual instruments; start them: hil virtual {settings.file}"]
    return ["is it powered and connected, and its address right?"]
