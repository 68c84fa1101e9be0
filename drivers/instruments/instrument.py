"""What a driver of one instrument at the end of one line is: found, identified, made safe, whatever fails."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field

from drivers.instruments.failure import Queue, made_safe, safely
from drivers.transport.session import Session
from hil.errors import BenchError, IdentityError
from hil.instruments import Identity, Standing
from hil.units import format_quantity


@dataclass
class LineInstrument(ABC):
    """An `hil.instruments.Instrument`.

    Parameters
    ----------
    session
        The line to it.
    serial
        The serial number that it must have; None takes any, and from then on the same.
    """

    session: Session
    _: KW_ONLY
    serial: str | None = None
    errors_found: Sequence[tuple[int, str]] = field(default_factory=list[tuple[int, str]], init=False)

    @property
    def transactions(self) -> int:
        """Exchanges so far."""
        return self.session.transactions

    def attach(self) -> None:
        """Find out who is there; no output changes, nothing is switched. Errors found in the queue are in
        ``errors_found``.

        Raises IdentityError as `identify`, BenchError if nobody answers as such an instrument does.
        """
        self.session.recover(self._identified)
        self.session.identify = self._identified
        self.errors_found = self._queue.errors()

    @abstractmethod
    def identify(self) -> Identity:
        """Ask who is there; changes nothing. Raises IdentityError if it is not what the bench names."""

    def make_safe(self) -> tuple[str, ...]:
        """Sources at 0 V and off, relays open, read back; what could not be verified. Never raises."""
        self._forget()
        return safely(self.session, self._off, self._identified, self._switched_off)

    @abstractmethod
    def standing(self) -> Standing:
        """See `hil.instruments.Stands.standing`."""

    @property
    @abstractmethod
    def _queue(self) -> Queue: ...

    @property
    @abstractmethod
    def _off(self) -> str:
        """Commands, legal in any state, after which nothing runs and all is off, at 0 V, or open."""

    @abstractmethod
    def _switched_off(self) -> tuple[str, ...]:
        """Send them and read back; what is not as it should be, () if all is."""

    @abstractmethod
    def _forget(self) -> None:
        """Settings that were loaded are not known to be held any more."""

    def _identified(self, session: Session) -> None:
        """For `Session.recover`. It may have been switched off and on since."""
        self._forget()
        self.identify()

    def _check_serial(self, serial: str) -> None:
        if self.serial not in (None, serial):
            raise IdentityError(
                f"{self.session.role}: serial number {serial} answers; the bench names {self.serial}"
            )

    @contextmanager
    def safe_on_failure(self, safe: str, note: Callable[[], str] = str) -> Generator[None]:
        """A BenchError inside makes it safe, and is raised with notes: what was made safe, in the words of
        ``safe``, or could not be verified, and what ``note`` says. Where the error queue has its reason, that
        is raised in its place.
        """
        try:
            yield
        except BenchError as error:
            reason = made_safe(error, self.make_safe, self.session, self._queue, safe)
            if told := note():
                reason.add_note(told)
            if reason is error:
                raise
            raise reason from error


def output_at(on: bool, *volts: float) -> Standing:
    """An output that is off, on at a level, or on to give pulses between two levels."""
    levels = [format_quantity(level, "V", digits=3) for level in volts]
    if not on:
        return Standing(False, "output off")
    return Standing(True, f"output on{', pulses from' if len(levels) > 1 else ' at'} {' to '.join(levels)}")
