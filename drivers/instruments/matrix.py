"""What relay matrices have in common: crosspoints and their names, refusals, exact read-back, safe state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from drivers.instruments.instrument import LineInstrument
from drivers.transport.session import Session
from hil.errors import IdentityError, LimitError, SettingError
from hil.instruments import Crosspoint, Standing

_SHOWN = 4


class Card(NamedTuple):
    """One card, or one bank of a card: where it is and how many rows and columns it has."""

    slot: int
    rows: int
    columns: int
    bank: int = 0


@dataclass
class RelayMatrix(LineInstrument):
    """An `hil.instruments.SwitchMatrix`. All its cards stand in a row: their columns are counted on from slot
    to slot, their rows are the same rows.

    Parameters
    ----------
    forbidden
        Crosspoints that are never closed.
    """

    forbidden: Sequence[Crosspoint] = ()
    _names: dict[Crosspoint, str] = field(default_factory=dict[Crosspoint, str], init=False)
    _prepared: bool = field(default=False, init=False)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of all cards; (0, 0) before `attach`."""
        return (
            max((point.row + 1 for point in self._names), default=0),
            max((point.col + 1 for point in self._names), default=0),
        )

    def connect(self, closed: Collection[Crosspoint]) -> None:
        """See `hil.instruments.SwitchMatrix.connect`."""
        names = self._checked(closed)
        with self.safe_on_failure("all open"):
            self._ready()
            self._verify(names, self._switch(names))

    def _ready(self) -> None:
        if not self._prepared:
            self._verify(frozenset(), self._prepare())
            self._prepared = True

    def standing(self) -> Standing:
        """See `hil.instruments.Stands.standing`; the first of what is closed, by the matrix's own names."""
        closed = sorted(self._closed_now())
        if not closed:
            return Standing(False, "all open")
        more = ", …" if len(closed) > _SHOWN else ""
        return Standing(True, f"{len(closed)} closed: {', '.join(closed[:_SHOWN])}{more}")

    @property
    def _off(self) -> str:
        return self._all_open

    def _switched_off(self) -> tuple[str, ...]:
        left = self._open_all()
        if left:
            return (f"{self.session.role}: after {self._all_open!r} {_listed(left)} are still closed",)
        return ()

    def _forget(self) -> None:
        """Nothing: opening all leaves the rule, and what is forbidden, as they are."""

    def _identified(self, session: Session) -> None:
        self._prepared = False  # it may have been switched off and on since
        super()._identified(session)

    @property
    @abstractmethod
    def _all_open(self) -> str:
        """The command that opens everything."""

    @abstractmethod
    def _prepare(self) -> frozenset[str]:
        """Open all, set what must be set before anything is switched; what is closed then."""

    @abstractmethod
    def _switch(self, names: frozenset[str]) -> frozenset[str]:
        """Open all others, then close these; what is closed then."""

    @abstractmethod
    def _closed_now(self) -> frozenset[str]:
        """Ask what is closed, whatever is in the error queue."""

    @abstractmethod
    def _open_all(self) -> frozenset[str]:
        """Open everything, whatever is in the error queue; what is closed then."""

    def _forbidden_names(self) -> list[str]:
        return sorted(self._names[Crosspoint(*point)] for point in self.forbidden)

    def _wired(self, model: str, serial: str, named: Iterable[tuple[Card, Sequence[Sequence[str]]]]) -> None:
        """Number the crosspoints of the cards [rows][columns] named so."""
        role = self.session.role
        self._check_serial(serial)
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
