"""Driver of boards with the array controller protocol (docs/array-controller.md), on TCP or serial lines.

A program carries a sequence number. Whatever becomes of the link, the board is asked whether it began that
number: only what never began is sent again. Verified against the virtual controller alone; no hardware seen.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from drivers.line.answers import Answer, BoardLimits, BoardState, Done
from drivers.line.frames import Reply, channels_text, program_crc, seal, unseal, vector
from drivers.line.orders import Order, Result
from drivers.transport.session import Session
from hil.errors import (
    BenchError,
    DesyncError,
    DisconnectedError,
    IdentityError,
    InstrumentError,
    InterlockError,
    SettingError,
    TimeoutError_,
)
from hil.region import Index

T = TypeVar("T")
_LINK = (TimeoutError_, DesyncError, DisconnectedError)
_FRAME = 64  # bytes of an OP line beside its operation
_DAMAGED, _NOT_IN_BUFFER, _INTERLOCK = 1, 10, 15
_ABORTED = (16, 17, 18)
_ATTEMPTS = 4
_POLL_S = 0.05


@dataclass
class ArrayController:
    """One board. Connecting outputs nothing: `connect` asks who it is and what it can do.

    Parameters
    ----------
    session
        The line to it; closed with it.
    serial
        The serial number that it must have; None takes any.
    pause
        Waits so many seconds between questions while a program runs on without us.
    """

    session: Session
    serial: str | None = None
    pause: Callable[[float], None] = time.sleep
    limits: BoardLimits = field(init=False)
    identity: str = field(default="", init=False)
    _boot: int = field(default=-1, init=False)
    _seq: int = field(default=0, init=False)
    _tags: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        # Another start each time: an answer left over from an earlier process carries another tag.
        self._tags = itertools.cycle(range(1 + time.time_ns() % 2**31, 2**32))

    @property
    def transactions(self) -> int:
        """Exchanges so far."""
        return self.session.transactions

    def connect(self) -> None:
        """Find out who is there and what it can do.

        Raises
        ------
        IdentityError
            Another serial number or protocol answers.
        BenchError
            Nobody does, or not as the protocol says.
        """
        self.identity = self._retried(lambda: self._identify(self.session))
        self.limits = self._asked("LIMITS", BoardLimits.of)
        state = self._ended(math.inf)
        self._boot, self._seq = state.boot, state.seq
        self._errors()  # an earlier host's; they are in the wire log

    def narrow(self, **asked: float) -> None:
        """Load limits into the board and read them back; without any the hardware's own hold again.

        Raises
        ------
        InstrumentError, SettingError
            It allows no such limit, or holds another than it was given.
        """
        words = " ".join(["LIMIT", *(f"{key}={value!r}" for key, value in asked.items())])
        self.limits = self._asked(words, BoardLimits.of)
        for key, value in asked.items():
            held = getattr(self.limits, key)
            if held != value:
                raise SettingError(
                    f"{self.session.role}: {key} was set to {value!r}; the board holds {held!r}"
                )

    def run(self, orders: Sequence[Order]) -> list[Result]:
        """Carry out orders, each exactly once, in as few transactions as the board's buffer allows.

        Raises
        ------
        InstrumentError, InterlockError
            The board refused a program, of which then nothing ran, or reported an error of its own.
        BenchError
            A program was aborted, or cannot be told to have run: its pulses are in doubt.
        """
        results: list[Result] = []
        bodies: list[str] = []
        size = first = 0
        for number, order in enumerate(orders):
            text = order.text()
            if len(text) + _FRAME > self.limits.line:
                raise InstrumentError(
                    f"{self.session.role}: an operation of {len(text)} bytes; lines hold {self.limits.line}"
                )
            if bodies and (len(bodies) == self.limits.ops or size + len(text) + _FRAME > self.limits.bytes):
                results += self._program(orders[first:number], bodies)
                bodies, size, first = [], 0, number
            bodies.append(f"OP i={len(bodies)} {text}")
            size += len(bodies[-1]) + 1
        return results + self._program(orders[first:], bodies) if bodies else results

    def state(self) -> BoardState:
        """What the board says of its last program."""
        return self._asked("STATE", BoardState.of)

    def pulses(self, rows: Index, cols: Index) -> NDArray[np.uint32]:
        """Pulses of each device since the board was made [rows, cols]."""
        words = f"COUNT r={channels_text(rows)} c={channels_text(cols)}"
        return self._retried(lambda: self._counted(words, rows.size * cols.size)).reshape(
            rows.size, cols.size
        )

    def totals(self) -> dict[str, int]:
        """Programs, shots, device-pulses and nanoseconds with output on, since the board was made."""
        keys = ("programs", "shots", "pulses", "on_ns")
        return self._asked("COUNT", lambda reply: {key: reply.whole(key) for key in keys})

    def make_safe(self) -> None:
        """Stop what runs, all outputs at 0 V. Never raises: what failed is in the wire log."""
        try:
            if self.session.state != "open":
                self.session.recover(self._identified)
            self._answer("STOP")
            self._seq = BoardState.of(self._answer("STATE")).seq
        except BenchError:
            with suppress(BenchError):
                self.session.force(seal(next(self._tags), "STOP").decode("ascii").rstrip("\n"))

    def close(self) -> None:
        """Make safe and let go of the line."""
        if self.session.state != "closed":
            self.make_safe()
            self.session.close()

    def _program(self, orders: Sequence[Order], bodies: Sequence[str]) -> list[Result]:
        seq = self._seq + 1
        allowed_s = sum(order.longest_ns for order in orders) / 1e9 + self.session.settings.timeout
        lines = (*bodies, f"RUN seq={seq} ops={len(bodies)} crc={program_crc(bodies):08X}")
        done, attempts = None, 0
        while done is None:
            attempts += 1
            try:
                done = self._collected(lines, orders, seq, allowed_s)
            except _LINK as error:
                done = self._after_loss(error, orders, seq, allowed_s)
                if done is None and attempts == _ATTEMPTS:
                    raise BenchError(
                        f"{self.session.role}: program {seq} did not begin in {attempts} attempts, nothing "
                        f"was output: {error}"
                    ) from error
        self._seq = seq
        found = self._errors() if done.errors else []
        if found:
            told = "; ".join(f"{code} {message}" for code, message in found)
            raise InstrumentError(f"{self.session.role}: after program {seq}: {told}", found[0][0])
        return done.results

    def _after_loss(
        self, error: BenchError, orders: Sequence[Order], seq: int, allowed_s: float
    ) -> Done | None:
        """Find out what became of a program whose answer was lost; None when it never began."""
        self._retried(lambda: self.session.recover(self._identified))
        state = self._ended(allowed_s)
        if state.boot != self._boot:
            self._boot, self._seq = state.boot, state.seq
            raise BenchError(
                f"{self.session.role}: the board was reset during program {seq}; its pulses are in doubt, "
                f"read the devices; before that: {error}"
            ) from error
        if state.seq == seq - 1:
            return None
        if state.seq != seq:
            raise BenchError(
                f"{self.session.role}: program {state.seq} ran where {seq} was sent; is another host on?"
            )
        if state.run == "aborted":
            raise self._aborted(seq, f"the link was lost: {error}", None)
        return self._retried(lambda: self._collected((f"RECALL seq={seq}",), orders, seq, allowed_s))

    def _collected(self, lines: Sequence[str], orders: Sequence[Order], seq: int, allowed_s: float) -> Done:
        """Send a program, or ask for its answer, and take the answer apart."""
        tag = next(self._tags)
        answer = Answer(orders)
        self.session.write_bytes(b"".join(seal(tag, line) for line in lines))
        while True:
            reply = unseal(self.session.read_line(allowed_s), tag)
            if reply.kind == "ERR":
                self._refused(reply, seq)
            if reply.kind == "OK":
                if reply.whole("seq") != seq:
                    raise DesyncError(
                        f"{self.session.role}: program {reply.whole('seq')} was answered, {seq} asked"
                    )
                return Done(answer.results(reply.whole("lines")), reply.whole("errors"))
            answer.take(reply)

    def _refused(self, reply: Reply, seq: int) -> NoReturn:
        code, message = reply.whole("code"), reply.values.get("msg", "")[:300]
        if code in (_DAMAGED, _NOT_IN_BUFFER):
            raise DesyncError(f"{self.session.role}: program {seq} arrived damaged: {message}")
        if code in _ABORTED:
            raise self._aborted(seq, message, code)
        text = (
            f"{self.session.role}: error {code}: {message}; program {seq} was not begun, nothing was output"
        )
        raise InterlockError(text) if code == _INTERLOCK else InstrumentError(text, code)

    def _aborted(self, seq: int, why: str, code: int | None) -> InstrumentError:
        state = self.state()
        self._seq = state.seq
        return InstrumentError(
            f"{self.session.role}: program {seq} was aborted in operation {state.op} after {state.shots} "
            f"shots of it; outputs are at 0 V; read the devices before going on: {why}",
            code,
        )

    def _errors(self) -> list[tuple[int, str]]:
        """Empty the board's error queue; lines damaged on the way had no effect and are left out."""
        found: list[tuple[int, str]] = []
        left = 1
        while left:
            reply = self._answer("ERROR")
            left = reply.whole("left")
            if reply.whole("code") not in (0, _DAMAGED):
                found.append((reply.whole("code"), reply.values.get("msg", "")[:100]))
        return found

    def _ended(self, allowed_s: float) -> BoardState:
        """The board's state once no program runs any more."""
        waited_s = 0.0
        while (state := self.state()).run == "running":
            if waited_s > allowed_s:
                raise TimeoutError_(
                    f"{self.session.role}: program {state.seq} still runs after {waited_s:g} s"
                )
            self.pause(_POLL_S)
            waited_s += _POLL_S
        return state

    def _counted(self, words: str, count: int) -> NDArray[np.uint32]:
        tag = next(self._tags)
        parts: list[NDArray[np.uint32]] = []
        self.session.write_bytes(seal(tag, words))
        while (reply := unseal(self.session.read_line(), tag)).kind == "DATA":
            parts.append(vector(reply.text("u"), reply.whole("n"), "<u4").astype(np.uint32))
        self._must_be_ok(reply, words)
        if sum(part.size for part in parts) != count:
            raise DesyncError(
                f"{self.session.role}: {sum(part.size for part in parts)} counters came for {count}"
            )
        return np.concatenate([np.zeros(0, np.uint32), *parts])

    def _identified(self, session: Session) -> None:
        self._identify(session)

    def _identify(self, session: Session) -> str:
        """Who answers; the tag is a fresh word that an old answer cannot carry."""
        reply = self._answer("HELLO v=1")
        if reply.text("v") != "1":
            raise IdentityError(f"{session.role}: protocol version {reply.text('v')} answers; 1 is needed")
        found = reply.text("serial")
        if self.serial is not None and found != self.serial:
            raise IdentityError(
                f"{session.role}: serial number {found} answers; {self.serial} is needed; nothing was output"
            )
        return f"{reply.text('model')}, serial {found}, firmware {reply.text('firmware')}"

    def _asked(self, words: str, parse: Callable[[Reply], T]) -> T:
        """A question that changes nothing, put again after a failure of the link."""
        return self._retried(lambda: parse(self._answer(words)))

    def _retried(self, ask: Callable[[], T]) -> T:
        for _ in range(_ATTEMPTS - 1):
            try:
                return ask()
            except _LINK as first:
                try:
                    self.session.recover(self._identified)
                except _LINK as error:
                    raise type(error)(f"{error}; it began with: {first}") from first
        return ask()

    def _answer(self, words: str) -> Reply:
        tag = next(self._tags)
        self.session.write_bytes(seal(tag, words))
        reply = unseal(self.session.read_line(), tag)
        self._must_be_ok(reply, words)
        return reply

    def _must_be_ok(self, reply: Reply, words: str) -> None:
        if reply.kind == "ERR":
            code, message = reply.whole("code"), reply.values.get("msg", "")[:300]
            raise InstrumentError(f"{self.session.role}: {words[:60]!r}: error {code}: {message}", code)
        if reply.kind != "OK":
            raise DesyncError(f"{self.session.role}: {words[:60]!r} was answered by {reply.kind[:20]!r}")
