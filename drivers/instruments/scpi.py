"""Talking SCPI (SCPI-99 over IEEE 488.2): commands, their read-back and the error queue in one exchange."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from drivers.instruments.replies import whole
from drivers.transport.session import Session
from hil.errors import InstrumentError, InterlockError

T = TypeVar("T")
_MOST_ERRORS = 200


class ScpiError(NamedTuple):
    """One entry of the error queue."""

    code: int
    message: str


class Scpi:
    """SCPI over a session. An error that a line leaves in the queue is raised with the line's text.

    Parameters
    ----------
    session
        The line.
    error_query
        What the instrument answers by ``code,"message"``, oldest first.
    interlocks
        Its error numbers that say that the interlock is open.
    """

    def __init__(
        self, session: Session, *, error_query: str = ":SYST:ERR?", interlocks: frozenset[int] = frozenset()
    ) -> None:
        self.session = session
        self._error_query = error_query
        self._interlocks = interlocks
        self._proofs = 0

    def ask(
        self,
        commands: str,
        queries: Sequence[str],
        parse: Callable[[list[str]], T],
        *,
        timeout_s: float | None = None,
        heed_errors: bool = True,
    ) -> T:
        """Do the commands, ask the queries, parse the answers, as many fields as queries.

        ``commands`` are joined by ";" and absolute (":SOUR:VOLT 1.000000e-01;:OUTP ON"), and so are queries.
        All goes out as one message and the error queue is asked for at its end; not to ``heed_errors`` leaves
        it, for a question that comes between a command and its errors.

        Raises
        ------
        InstrumentError, InterlockError
            The line left errors in the queue, which is empty now.
        BenchError
            As `Session.ask`. An instrument drops the rest of a message after a command it does not know: the
            answer never comes then, and `raise_errors` after a recovery tells why.
        """
        asked = [*queries, *((self._error_query,) if heed_errors else ())]
        line = ";".join([*((commands,) if commands else ()), *asked])

        def answer(reply: str) -> tuple[T | None, ScpiError | None]:
            fields = split(reply)
            error = queued(fields[-1]) if heed_errors else None
            # a question that failed has no answer: there may be fewer fields
            if error is not None and error.code and (len(fields) == len(asked) or '"' in fields[-1]):
                return None, error
            if len(fields) != len(asked):
                raise ValueError(f"it has {len(fields)} fields; {len(asked)} were asked for")
            return parse(fields[: len(queries)]), None

        result, error = self.session.ask(line, answer, timeout_s=timeout_s)
        if error is not None:
            self._raise(line, [error, *self.errors()])
        return result  # pyright: ignore[reportReturnType]

    def do(self, commands: str, *, timeout_s: float | None = None) -> None:
        """Do the commands; back when the instrument has taken them and its error queue is empty."""
        self.ask(commands, (), lambda _: None, timeout_s=timeout_s)

    def raise_errors(self, line: str) -> None:
        """Raise what is in the error queue, if anything is; the queue is empty then."""
        found = self.errors()
        if found:
            self._raise(line, found)

    def errors(self) -> list[ScpiError]:
        """Empty the error queue; what was in it, oldest first."""
        found: list[ScpiError] = []
        while len(found) < _MOST_ERRORS:
            error = self.session.ask(self._error_query, queued)
            if not error.code:
                break
            found.append(error)
        return found

    def prove_fresh(self) -> None:
        """Have a number echoed that no earlier question asked for, so that an old answer is found out.

        The event status enable register (IEEE 488.2, 11.5.1.3) holds any of 0 to 255 and changes nothing
        unless service requests are used; it is 0 again afterwards.
        """
        self._proofs += 1
        word = 1 + (zlib.crc32(self.session.salt.encode()) + self._proofs) % 255

        def echoed(reply: str) -> None:
            if whole(reply) != word:
                raise ValueError(f"*ESE was set to {word}")

        self.session.ask(f"*ESE {word};*ESE?", echoed)
        self.session.write("*ESE 0")

    def _raise(self, line: str, found: Sequence[ScpiError]) -> None:
        told = "; ".join(f"{error.code} {error.message!r}" for error in found)
        message = f"{self.session.role}: {line!r} left in the error queue: {told}"
        if any(error.code in self._interlocks for error in found):
            raise InterlockError(message)
        raise InstrumentError(message, found[0].code)


def split(reply: str, separator: str = ";") -> list[str]:
    """Fields of an answer; a separator between double quotes is text."""
    pieces = reply.split('"')  # every second one is quoted
    if len(pieces) % 2 == 0:
        raise ValueError(f"{reply[:80]!r} has an open quotation mark")
    fields = [""]
    for index, piece in enumerate(pieces):
        first, *rest = [f'"{piece}"'] if index % 2 else piece.split(separator)
        fields[-1] += first
        fields += rest
    return [field.strip() for field in fields]


def queued(reply: str) -> ScpiError:
    """An entry of the error queue: 0,"No error" or +0,"No error;0;0 0" or -113,"Undefined header"."""
    code, *message = split(reply, ",")
    return ScpiError(whole(code), ",".join(message).strip('"'))
