"""Is the bench as its file says? Each instrument is connected to, asked, and let go of; nothing is output.
Or each is made safe, whatever is wrong with the others.

A driver offers this by an entry point of its name in the group ``hil.checks``; see :class:`Examiner` and
:class:`Calmer`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol, runtime_checkable

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


@runtime_checkable
class Calmer(Protocol):
    """What an entry point of ``hil.checks`` is as well, where its instruments can be made safe one by one."""

    def make_safe(self, settings: Any, role: str) -> tuple[str, ...]:
        """Connect to the instrument of one role, switch it off or open it, read that back, and let go.

        Returns
        -------
            What could not be verified, () if all was.

        Raises
        ------
        BenchError
            It is not there, or another one is, which is left alone; begins with the role.
        """
        ...


class Calmed(NamedTuple):
    """One instrument that was to be made safe; no ``problems``: it was, and said so."""

    resource: Resource
    problems: tuple[str, ...]


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


def make_instruments_safe(settings: BenchSettings) -> list[Calmed]:
    """Make every instrument that a bench connects to safe, sources first, also after another has failed.

    Raises
    ------
    ConfigError
        The bench's driver does not offer it.
    """
    if not settings.resources:
        return []
    calmer = _examiner(settings)
    if not isinstance(calmer, Calmer):
        raise ConfigError(
            f"{settings.where('driver')}: instruments of {settings.driver!r} are made safe by a run alone"
        )
    with _locks() as locks:
        return [
            Calmed(resource, _calmed(settings, resource, calmer, locks)) for resource in settings.resources
        ]


def _calmed(settings: BenchSettings, resource: Resource, calmer: Calmer, locks: LineLocks) -> tuple[str, ...]:
    try:
        take(settings, resource, locks)
        with told_with_its_key(settings):
            problems = calmer.make_safe(settings, resource.role)
    except HilError as error:
        return (_told(error),)
    return tuple(placed(settings, each, *resource.key.split(".")) for each in problems)


def _told(error: HilError) -> str:
    notes: list[str] = getattr(error, "__notes__", [])
    return "; ".join([str(error), *notes])


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
        return Finding(resource, None, (_told(error),))
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
