"""What relay matrices have in common: crosspoints and their names, refusals, exact read-back, safe state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from drivers.instruments.failure import Queue, made_safe, safely
from drivers.transport.session import Session
from hil.errors import BenchError, IdentityError, LimitError, SettingError
from hil.instruments import Crosspoint, Identity


class Card(NamedTuple):
    """One card, or one bank of a card: where it is and how many rows and columns it has."""

    slot: int
    rows: int
    columns: int
    bank: int = 0


@dataclass
class RelayMatrix(ABC):
    """An `hil.instruments.SwitchMatrix`. All its cards stand in a row: their columns are counted on from slot
    to slot, their rows are the same rows.

    Parameters
    ----------
    session
        The line to it.
    serial
        The serial number that it must have; None takes any, and from then on the same.
    forbidden
        Crosspoints that are never closed.
    """

    session: Session
    serial: str | None = None
    forbidden: Sequence[Crosspoint] = ()
    errors_found: Sequence[tuple[int, str]] = field(default=(), init=False)
    _names: dict[Crosspoint, str] = field(default_factory=dict[Crosspoint, str], init=False)
    _prepared: bool = field(default=False, init=False)

    @property
    def transactions(self) -> int:
        """Exchanges so far."""
        return self.session.transactions

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of all cards; (0, 0) before `attach`."""
        return (
            max((point.row + 1 for point in self._names), default=0),
            max((point.col + 1 for point in self._names), default=0),
        )

    def attach(self) -> None:
        """Find out who is there and which cards it has; nothing is switched. Errors found in the queue are in
        ``errors_found``.

        Raises IdentityError as `identify`, BenchError if nobody answers as it should.
        """
        self.session.recover(self._identified)
        self.session.identify = self._identified
        self.errors_found = self._errors()

    @abstractmethod
    def identify(self) -> Identity:
        """Ask who is there, and for the cards; nothing is switched.

        Raises IdentityError for another model, serial number or language, or without a card that is known.
        """

    def connect(self, closed: Collection[Crosspoint]) -> None:
        """See `hil.instruments.SwitchMatrix.connect`."""
        names = self._checked(closed)
        try:
            if not self._prepared:
                self._verify(frozenset(), self._prepare())
                self._prepared = True
            self._verify(names, self._switch(names))
        except BenchError as error:
            reason = made_safe(error, self.make_safe, self.session, self._queue, "all open")
            if reason is error:
                raise
            raise reason from error

    def make_safe(self) -> tuple[str, ...]:
        """All open, read back; what could not be verified."""
        return safely(self.session, self._all_open, self._identified, self._opened)

    def _opened(self) -> tuple[str, ...]:
        left = self._open_all()
        if left:
            return (f"{self.session.role}: after {self._all_open!r} {_listed(left)} are still closed",)
        return ()

    @property
    @abstractmethod
    def _queue(self) -> Queue: ...

    @property
    @abstractmethod
    def _all_open(self) -> str:
        """The command that opens everything."""

    @abstractmethod
    def _errors(self) -> Sequence[tuple[int, str]]:
        """Empty the error queue; what was in it."""

    @abstractmethod
    def _prepare(self) -> frozenset[str]:
        """Open all, set what must be set before anything is switched; what is closed then."""

    @abstractmethod
    def _switch(self, names: frozenset[str]) -> frozenset[str]:
        """Open all others, then close these; what is closed then."""

    @abstractmethod
    def _open_all(self) -> frozenset[str]:
        """Open everything, whatever is in the error queue; what is closed then."""

    def _forbidden_names(self) -> list[str]:
        return sorted(self._names[Crosspoint(*point)] for point in self.forbidden)

    def _identified(self, session: Session) -> None:
        self._prepared = False  # it may have been switched off and on since
        self.identify()

    def _wired(self, model: str, serial: str, named: Iterable[tuple[Card, Sequence[Sequence[str]]]]) -> None:
        """Number the crosspoints of the cards [rows][columns] named so."""
        role = self.session.role
        if self.serial not in (None, serial):
            raise IdentityError(f"{role}: serial number {serial} answers; the bench names {self.serial}")
        names: dict[Crosspoint, str] = {}
        first = 0
        for card, channels in named:
            for row, line in enumerate(channels):
                for col, name in enumerate(line):
                    names[Crosspoint(row, first + col)] = name
            first += card.columns
        missing = [point for point in self.forbidden if Crosspoint(*point) not in names]
        if not names or missing:
            wrong = f"no crosspoint {tuple(missing[0])}" if missing else "no matrix card"
            raise IdentityError(f"{role}: {model} has {wrong}" + (", which is forbidden" if missing else ""))
        self.serial, self._names = serial, names

    def _checked(self, closed: Collection[Crosspoint]) -> frozenset[str]:
        role, forbidden = self.session.role, {Crosspoint(*point) for point in self.forbidden}
        for row, col in closed:
            if (row, col) not in self._names:
                rows, columns = self.shape
                raise LimitError(
                    f"{role}: asked for row {row}, column {col}; there are rows 0 to {rows - 1} and columns "
                    f"0 to {columns - 1}, as far as the card in each slot has them"
                )
            if (row, col) in forbidden:
                raise LimitError(f"{role}: asked for row {row}, column {col}; the bench forbids it")
        return frozenset(self._names[Crosspoint(*point)] for point in closed)

    def _verify(self, asked: frozenset[str], held: frozenset[str]) -> None:
        if asked != held:
            raise SettingError(
                f"{self.session.role}: closed should be: {_listed(asked)}; the instrument says: "
                f"{_listed(held)}"
            )


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"
