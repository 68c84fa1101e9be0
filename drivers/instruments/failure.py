"""What every driver does about a failed exchange: make the instrument safe, then find out why it failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

_LAST_S = 0.25
_LINE = (TimeoutError_, DesyncError, DisconnectedError)


class Queue(Protocol):
    """An instrument's error queue."""

    def errors(self) -> Sequence[tuple[int, str]]:
        """Empty it; codes and messages that were in it, oldest first."""
        ...

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


def tell_unsafe(error: BaseException, problems: Sequence[str]) -> None:
    """Add to what ended a schedule what of the bench could not be verified to be safe, if anything."""
    if problems:
        told = "; ".join(dict.fromkeys(problems))
        error.add_note(f"NOT VERIFIED SAFE, switch off by hand what may be on: {told}")


def require_safe(problems: Sequence[str]) -> None:
    """Raise BenchError with what could not be verified to be safe, if anything."""
    if problems:
        raise BenchError("; ".join(dict.fromkeys(problems)))


def safely(
    session: Session, off: str, identified: Callable[[Session], None], verified: Callable[[], tuple[str, ...]]
) -> tuple[str, ...]:
    """What `make_safe` of a driver does: off in any state of the line, recover it, verify; never raises.

    Parameters
    ----------
    off
        The command that is legal in any state and after which all is off.
    identified
        For `Session.recover`.
    verified
        Sends it again and reads back; what is not as it should be, () if all is.

    Returns
    -------
        What could not be verified within ``safe`` of the line's settings and what was still under way.
    """
    try:
        with session.within(session.settings.safe):
            if session.state == "desynchronised":
                session.force(off)
                session.recover(identified)
            return verified()
    except Exception as error:  # whatever is broken
        return (*_last_try(session, off), str(error))


def _last_try(session: Session, off: str) -> tuple[str, ...]:
    """Send the off-command once more, whatever the line is like; what went wrong with that."""
    try:
        with session.within(_LAST_S):
            session.force(off)
    except Exception as error:
        return (str(error),)
    return ()
