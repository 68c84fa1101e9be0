"""What every driver does about a failed exchange: make the instrument safe, then find out why it failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from drivers.transport.session import Session
from hil.errors import (
    BenchError,
    DesyncError,
    DisconnectedError,
    InstrumentError,
    InterlockError,
    TimeoutError_,
)

_LINE = (TimeoutError_, DesyncError, DisconnectedError)


class Queue(Protocol):
    """An instrument's error queue."""

    def raise_errors(self, line: str) -> None:
        """Raise what is in it, as left by ``line``; it is empty then."""
        ...


def made_safe(
    error: BenchError, make_safe: Callable[[], tuple[str, ...]], session: Session, queue: Queue, safe: str
) -> BenchError:
    """Make safe; the error to raise, with a note of what was made safe (``safe``) or could not be verified.

    An answer that never came may have its reason in the error queue: that is raised then, not the time-out.
    """
    told, problems = error, make_safe()
    if isinstance(error, _LINE) and session.state == "open":
        try:
            queue.raise_errors(str(error))
        except (InstrumentError, InterlockError) as reason:
            told = reason
        except BenchError:
            pass  # the line failed again: the first failure is told
    if problems:
        told.add_note(f"{session.role}: NOT VERIFIED SAFE: {'; '.join(dict.fromkeys(problems))}")
    else:
        told.add_note(f"made safe: {safe}, read back")
    return told


def last_try(session: Session, off: str) -> tuple[str, ...]:
    """Send the off-command once more, whatever the line is like; what went wrong with that."""
    try:
        session.force(off)
    except Exception as error:  # the contract of make_safe: never raises, whatever is broken
        return (str(error),)
    return ()
