"""Is the bench as its file says? Each instrument is connected to, asked, and let go of; nothing is output.
Or each is made safe, whatever is wrong with the others.

A driver offers this by an entry point of its name in the group ``hil.checks``; see :class:`Examiner` and
:class:`Calmer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from hil.config.bench import BenchSettings, Resource
from hil.config.validate import did_you_mean
from hil.errors import ConfigError, HilError
from hil.fits import forbidden
from hil.instruments import Identity
from hil.lock import LineLocks
from hil.opened import placed, take, told_with_its_key

T = TypeVar("T")


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


class Calm(NamedTuple):
    """What an instrument that was made safe said: ``problems`` is what could not be verified, () if all was;
    ``errors`` were in its queue before, and are taken out by reading them.
    """

    problems: tuple[str, ...]
    errors: tuple[str, ...] = ()


@runtime_checkable
class Calmer(Protocol):
    """What an entry point of ``hil.checks`` is as well, where its instruments can be made safe one by one."""

    def make_safe(self, settings: Any, role: str) -> Calm:
        """Connect to the instrument of one role, switch it off or open it, read that back, and let go.

        Raises
        ------
        BenchError
            It is not there, or another one is, which is left alone; begins with the role.
        """
        ...


class Calmed(NamedTuple):
    """One instrument that was to be made safe; no ``problems``: it was, and said so. ``errors`` as `Calm`."""

    resource: Resource
    problems: tuple[str, ...]
    errors: tuple[str, ...] = ()


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
    asked = _each(settings, lambda role: examiner.examine(settings, role))
    return [_finding(settings, resource, answer) for resource, answer in asked]


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
    asked = _each(settings, lambda role: calmer.make_safe(settings, role))
    return [_calmed(settings, resource, answer) for resource, answer in asked]


def _each(settings: BenchSettings, ask: Callable[[str], T]) -> list[tuple[Resource, T | HilError]]:
    """What each instrument answers, or what kept it from that; all lines are held until the last is done."""
    found: list[tuple[Resource, T | HilError]] = []
    locks = LineLocks()
    try:
        for resource in settings.resources:
            try:
                take(settings, resource, locks)
                with told_with_its_key(settings):
                    found.append((resource, ask(resource.role)))
            except HilError as error:
                found.append((resource, error))
    finally:
        locks.release()
    return found


def _finding(settings: BenchSettings, resource: Resource, seen: Seen | HilError) -> Finding:
    if isinstance(seen, HilError):
        return Finding(resource, None, (_told(seen),))
    keys = resource.key.split(".")
    problems = [placed(settings, each, *keys) for each in seen.problems]
    if seen.errors:
        told = "; ".join(seen.errors)
        problems.append(
            f"{settings.where(*keys)}: errors of earlier commands were in its queue: {told}; they are taken "
            "out, check again"
        )
    return Finding(
        resource, seen, tuple(problems), tuple(placed(settings, each, *keys) for each in seen.warnings)
    )


def _calmed(settings: BenchSettings, resource: Resource, calm: Calm | HilError) -> Calmed:
    if isinstance(calm, HilError):
        return Calmed(resource, (_told(calm),))
    keys = resource.key.split(".")
    return Calmed(resource, tuple(placed(settings, each, *keys) for each in calm.problems), calm.errors)


def _told(error: HilError) -> str:
    notes: list[str] = getattr(error, "__notes__", [])
    return "; ".join([str(error), *notes])


def _examiner(settings: BenchSettings) -> Examiner:
    points: Mapping[str, Any] = {point.name: point for point in entry_points(group="hil.checks")}
    if settings.driver not in points:
        raise ConfigError(
            f"{settings.where('driver')}: no check for {settings.driver!r}; "
            f"{did_you_mean(settings.driver, points)}"
        )
    return points[settings.driver].load()
