"""Is the bench as its file says? Each instrument is connected to, asked, and let go of; nothing is output.

A driver offers this by an entry point of its name in the group ``hil.checks``; see :class:`Examiner`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol

from hil.config.bench import BenchSettings, Resource
from hil.config.validate import did_you_mean
from hil.errors import ConfigError, HilError
from hil.fits import forbidden
from hil.instruments import Identity
from hil.lock import LineLocks
from hil.opened import placed, take, told_with_its_key


@dataclass(frozen=True, slots=True)
class Seen:
    """What one instrument said of itself.

    ``limits`` and ``state`` in words; ``errors`` were in its queue, and are taken out by reading them;
    ``problems`` is what else is not as the file needs it, each beginning with its key ("read.voltage: …")
    where it has one; ``warnings`` are what may be meant. ``round_trip_s`` is the median time of a question
    and its answer.
    """

    identity: Identity
    limits: str
    state: str
    errors: tuple[str, ...]
    round_trip_s: float
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Examiner(Protocol):
    """What an entry point of ``hil.checks`` names."""

    def examine(self, settings: Any, role: str) -> Seen:
        """Connect to the instrument of one role, ask, and let go. No output changes, no setting is loaded.

        Raises
        ------
        BenchError
            It is not there, or another one is; begins with the role.
        """
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One instrument of a bench. ``seen`` is None where nobody answered; no ``problems``: all is well."""

    resource: Resource
    seen: Seen | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()


class FileFinding(NamedTuple):
    """What is wrong with a bench file by itself, and what of it is hard to believe; each with its place."""

    problems: tuple[str, ...]
    doubts: tuple[str, ...]


def check_file(settings: BenchSettings) -> FileFinding:
    """Hold the file's limits against its own read voltage and pulses; connects to nothing."""
    device = settings.typical
    found = () if device is None else forbidden(settings.limits.limits(), "the typical device", device)
    return FileFinding(
        tuple(placed(settings, problem) for problem in found),
        tuple(placed(settings, doubt) for doubt in settings.doubts),
    )


def check_instruments(settings: BenchSettings) -> list[Finding]:
    """Examine every instrument that a bench connects to, also after another has failed.

    Raises
    ------
    ConfigError
        The bench's driver does not offer it.
    """
    if not settings.resources:
        return []
    examiner = _examiner(settings)
    with _locks() as locks:
        return [_find(settings, resource, examiner, locks) for resource in settings.resources]


@contextmanager
def _locks() -> Generator[LineLocks]:
    locks = LineLocks()
    try:
        yield locks
    finally:
        locks.release()


def _find(settings: BenchSettings, resource: Resource, examiner: Examiner, locks: LineLocks) -> Finding:
    try:
        take(settings, resource, locks)
        with told_with_its_key(settings):
            seen = examiner.examine(settings, resource.role)
    except HilError as error:
        notes: list[str] = getattr(error, "__notes__", [])
        return Finding(resource, None, ("; ".join([str(error), *notes]),))
    where = settings.where(*resource.key.split("."))
    problems = [placed(settings, each, *resource.key.split(".")) for each in seen.problems]
    if seen.errors:
        told = "; ".join(seen.errors)
        problems.append(
            f"{where}: errors of earlier commands were in its queue: {told}; they are taken out, check again"
        )
    warnings = tuple(placed(settings, each, *resource.key.split(".")) for each in seen.warnings)
    return Finding(resource, seen, tuple(problems), warnings)


def _examiner(settings: BenchSettings) -> Examiner:
    points: Mapping[str, Any] = {point.name: point for point in entry_points(group="hil.checks")}
    if settings.driver not in points:
        raise ConfigError(
            f"{settings.where('driver')}: no check for {settings.driver!r}; "
            f"{did_you_mean(settings.driver, points)}"
        )
    return points[settings.driver].load()
