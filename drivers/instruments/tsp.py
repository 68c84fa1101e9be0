"""Talking TSP, the Lua of Keithley's 2600, 3700 and 700 series: one line asks, one answers, errors are found.

Each answer carries a word that was never used before: an answer to another question cannot be taken for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from itertools import count
from typing import NamedTuple, TypeVar

from drivers.instruments.replies import whole
from drivers.transport.session import Session
from hil.errors import BenchError, InstrumentError, InterlockError

T = TypeVar("T")
_INTERLOCK = 802
_MOST_ERRORS = 200


class QueuedError(NamedTuple):
    """One entry of the error queue."""

    code: int
    message: str


class Tsp:
    """TSP over a session. An error that a line leaves in the queue is raised with the line's text.

    Parameters
    ----------
    session
        The line.
    node
        Number of an instrument on the TSP-Link of the one that the line goes to: its queue is asked for too.
    mark
        Told apart by it from others on the session; the node's number does as well.
    """

    def __init__(self, session: Session, node: int | None = None, mark: str = "") -> None:
        self.session = session
        self.at = "" if node is None else f"node[{node}]."
        self._queues = ("errorqueue",) if node is None else ("errorqueue", f"{self.at}errorqueue")
        self._mark = mark or ("" if node is None else f"{node}.")
        self._count = count(1)

    def ask(
        self,
        statements: str,
        expressions: Sequence[str],
        parse: Callable[[list[str]], T],
        *,
        timeout_s: float | None = None,
        heed_errors: bool = True,
    ) -> T:
        """Do the statements, print the expressions, and parse what was printed: as many fields.

        Not to ``heed_errors`` leaves them in the queue, for a question that comes between a command and its
        errors.

        Raises
        ------
        InstrumentError, InterlockError
            The line left errors in the queue, which is empty now.
        BenchError
            As `Session.ask`.
        """
        counts = [f"{queue}.count" for queue in self._queues]
        line, fields = self._line(statements, (*expressions, *counts))

        def answer(reply: str) -> tuple[T, int]:
            found = fields(reply)
            printed, errors = found[: len(expressions)], found[len(expressions) :]
            if len(errors) != len(counts):
                asked = len(expressions) + len(counts)
                raise ValueError(f"it has {len(found)} fields; {asked} were asked for")
            failed = sum(map(whole, errors)) if heed_errors else 0
            return (parse(printed) if not failed else None), failed  # pyright: ignore[reportReturnType]

        result, failed = self.session.ask(line, answer, timeout_s=timeout_s)
        if failed:
            self.raise_errors(line)
        return result

    def raise_errors(self, line: str) -> None:
        """Raise what is in the error queue, if anything is; the queue is empty then."""
        errors = self.errors()
        if not errors:
            return
        told = "; ".join(f"{error.code} {error.message!r}" for error in errors)
        message = f"{self.session.role}: {line!r} left in the error queue: {told}"
        if any(error.code == _INTERLOCK for error in errors):
            raise InterlockError(message)
        raise InstrumentError(message, errors[0].code)

    def errors(self) -> list[QueuedError]:
        """Empty the error queue; what was in it, oldest first, then what was in the node's.

        Where there is a reason already, a node that cannot be asked does not hide it.
        """
        found: list[QueuedError] = []
        for queue in self._queues:
            with suppress(BenchError) if found else nullcontext():
                self._empty(queue, found)
        return found

    def _empty(self, queue: str, found: list[QueuedError]) -> None:
        while len(found) < _MOST_ERRORS:
            line, fields = self._line("", (f"{queue}.next()",))
            error = self.session.ask(line, lambda reply, fields=fields: _queued(fields(reply)))
            if not error.code:
                break
            found.append(error)

    def _line(self, statements: str, expressions: Sequence[str]) -> tuple[str, Callable[[str], list[str]]]:
        word = f"{self.session.salt}.{self._mark}{next(self._count)}"

        def fields(reply: str) -> list[str]:
            first, *rest = reply.split("\t")
            if first != word:
                raise ValueError(f"the answer to this question begins with {word}")
            return rest

        return f'{statements} print("{word}",{",".join(expressions)})'.lstrip(), fields


def _queued(fields: list[str]) -> QueuedError:
    """Code, message, severity, node."""
    if len(fields) != 4:
        raise ValueError(f"{len(fields)} fields; an entry of the error queue has 4")
    return QueuedError(whole(fields[0]), fields[1])
