"""Driver of boards with the array controller protocol (docs/array-controller.md), on TCP or serial lines.

A program carries a sequence number. Whatever becomes of the link, the board is asked whether it began that
number: only what never began is sent again. Verified against the virtual controller alone; no hardware seen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from drivers.line.answers import Answer, BoardLimits, BoardState, Done
from drivers.line.frames import Reply, channels_text, program_crc
from drivers.line.link import DAMAGED, LOST, BoardLink
from drivers.line.lowering import Ticks
from drivers.line.orders import Bias, MultiplyOrder, Order, Result, ShotOrder
from drivers.transport.session import Session
from hil.errors import (
    BenchError,
    DesyncError,
    IdentityError,
    InstrumentError,
    InterlockError,
    LimitError,
    SettingError,
    TimeoutError_,
)
from hil.instruments import Identity, Readings, Shot
from hil.region import Floats, Index

_FRAME = 64  # bytes of an OP line beside its operation
_NOT_IN_BUFFER, _INTERLOCK = 10, 15
_ABORTED = (16, 17, 18)
_BEYOND = (7, 8, 9, 19)  # a channel, a limit, the tick, the bias
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
    bias
        How `shoot` holds unselected lines.
    pause
        Waits so many seconds between questions while a program runs on without us.
    """

    session: Session
    serial: str | None = None
    bias: Bias = "V/2"
    pause: Callable[[float], None] = time.sleep
    limits: BoardLimits = field(init=False)
    _link: BoardLink = field(init=False)
    _boot: int = field(default=-1, init=False)
    _seq: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._link = BoardLink(self.session, self.serial, self.pause)

    @property
    def transactions(self) -> int:
        """Exchanges so far."""
        return self.session.transactions

    @property
    def shape(self) -> tuple[int, int]:
        """Channels: (rows, columns)."""
        return self.limits.rows, self.limits.cols

    def attach(self) -> None:
        """Find out who is there, what it can do, and the last program that it began.

        Raises
        ------
        InUseError
            The board serves another host.
        IdentityError
            Another serial number or protocol answers.
        BenchError
            Nobody does, or not as the protocol says.
        """
        self._link.greet()
        self.identify()
        self.limits = self._link.ask("LIMITS", BoardLimits.of)
        state = self._ended(math.inf)
        self._boot, self._seq = state.boot, state.seq
        self._link.errors()  # an earlier host's; they are in the wire log

    def recover(self) -> None:
        """Bring a line back that was lost; IdentityError when another board answers than the one named."""
        if self.session.state != "open":
            self._link.recover()

    def identify(self) -> Identity:
        """Ask who is there; IdentityError when it is not the board that is named."""
        return self._link.retried(self._link.identify)

    def narrow(self, **asked: float) -> None:
        """Load limits into the board and read them back; without any the hardware's own hold again.

        Raises
        ------
        InstrumentError, SettingError
            It allows no such limit, or holds another than it was given.
        """
        words = " ".join(["LIMIT", *(f"{key}={value!r}" for key, value in asked.items())])
        self.limits = self._link.ask(words, BoardLimits.of)
        for key, value in asked.items():
            held = getattr(self.limits, key)
            if held != value:
                raise SettingError(f"{self._role}: {key} was set to {value!r}; the board holds {held!r}")

    def run(self, orders: Sequence[Order]) -> list[Result]:
        """Carry out orders, each exactly once, in as few transactions as the board's buffer allows.

        Raises
        ------
        LimitError, InstrumentError, InterlockError
            The board refused a program, of which then nothing ran, or reported an error of its own.
        BenchError
            A program was aborted, or cannot be told to have run: its pulses are in doubt.
        """
        texts = [order.text() for order in orders]
        longest = max(map(len, texts), default=0)
        if longest + _FRAME > self.limits.line:
            raise LimitError(f"{self._role}: an operation of {longest} bytes; lines hold {self.limits.line}")
        results: list[Result] = []
        bodies: list[str] = []
        size = first = 0
        for number, text in enumerate(texts):
            if bodies and (len(bodies) == self.limits.ops or size + len(text) + _FRAME > self.limits.bytes):
                results += self._program(orders[first:number], bodies)
                bodies, size, first = [], 0, number
            bodies.append(f"OP i={len(bodies)} {text}")
            size += len(bodies[-1]) + 1
        return results + self._program(orders[first:], bodies) if bodies else results

    def read_lines(self, volts: Floats, integration_s: float, *, transpose: bool = False) -> Readings:
        """Drive all rows with each vector of ``volts`` [n, rows] and sense the columns: amperes [n, columns];
        ``transpose``: the other way. Raises as `run`.
        """
        rows, cols = (np.arange(count) for count in self.shape)
        ns = Ticks(self.limits.tick).of("integration", integration_s)
        self.limits.check_volts(volts, self._role)
        order = [MultiplyOrder(rows, cols, vector[np.newaxis], ns, transpose=transpose) for vector in volts]
        results = self.run(order)
        others = self.shape[0 if transpose else 1]
        amperes = np.array([result.amperes for result in results], np.float32).reshape(-1, others)
        clipped = np.array([result.clipped for result in results], np.bool_).reshape(-1, others)
        return Readings(volts, amperes, clipped)

    def shoot(self, shots: Sequence[Shot]) -> None:
        """Each shot exactly once, in order. Raises as `run`."""
        ticks, orders = Ticks(self.limits.tick), list[Order]()
        for shot in shots:
            rows, cols = np.array(shot.rows, np.int64), np.array(shot.cols, np.int64)
            width, gap = ticks.of("width", shot.pulse.width_s), ticks.of("gap", shot.pulse.gap_s)
            counts = np.full(cols.size, shot.count)
            self.limits.check_channels(rows, cols)
            self.limits.check_pulses(shot.pulse, shot.count, self._role)
            orders.append(ShotOrder(rows, cols, counts, shot.pulse.amplitude_v, width, gap, self.bias))
        self.run(orders)

    def state(self) -> BoardState:
        """What the board says of its last program."""
        return self._link.ask("STATE", BoardState.of)

    def pulses(self, rows: Index, cols: Index) -> NDArray[np.uint32]:
        """Pulses of each device since the board was made [rows, cols]."""
        words = f"COUNT r={channels_text(rows)} c={channels_text(cols)}"
        return self._link.numbers(words, rows.size * cols.size).reshape(rows.size, cols.size)

    def totals(self) -> dict[str, int]:
        """Programs, shots, device-pulses and nanoseconds with output on, since the board was made."""
        keys = ("programs", "shots", "pulses", "on_ns")
        return self._link.ask("COUNT", lambda reply: {key: reply.whole(key) for key in keys})

    def make_safe(self) -> tuple[str, ...]:
        """Stop what runs, all outputs at 0 V. Never raises; what could not be verified, () if all was."""
        self._seq = None
        with self.session.within(self.session.settings.safe):
            try:
                if self.session.state != "open":
                    self._link.recover()
                return self._stopped()
            except LOST:  # an answer that was broken off may still be on the line
                with suppress(BenchError):
                    self._link.recover()
                    return self._stopped()
            except BenchError as error:
                if isinstance(error, IdentityError):
                    return (str(error),)
        with suppress(BenchError):
            self._link.force_stop()
        return (f"{self._role}: sent STOP; the board did not say that its outputs are at 0 V",)

    def close(self) -> None:
        """Make safe and let go of the line."""
        if self.session.state != "closed":
            self.make_safe()
            self.session.close()

    @property
    def _role(self) -> str:
        return self.session.role

    def _stopped(self) -> tuple[str, ...]:
        off = self._link.answer("STOP").whole("out") == 0
        self._seq = BoardState.of(self._link.answer("STATE")).seq
        return () if off else (f"{self._role}: an output is still on after STOP",)

    def _program(self, orders: Sequence[Order], bodies: Sequence[str]) -> list[Result]:
        if self._seq is None:
            self._seq = self._ended(math.inf).seq
        seq = self._seq + 1
        allowed_s = sum(order.longest_ns for order in orders) / 1e9 + self.session.settings.timeout
        lines = (*bodies, f"RUN seq={seq} ops={len(bodies)} crc={program_crc(bodies):08X}")
        done, attempts = None, 0
        while done is None:
            attempts += 1
            try:
                done = self._collected(lines, orders, seq, allowed_s)
            except LOST as error:
                done = self._after_loss(error, orders, seq, allowed_s)
                if done is None and attempts == _ATTEMPTS:
                    raise BenchError(
                        f"{self._role}: program {seq} did not begin in {attempts} attempts, nothing of it "
                        f"was output: {error}"
                    ) from error
        self._seq = seq
        found = self._link.errors() if done.errors else []
        if found:
            told = "; ".join(f"{code} {message}" for code, message in found)
            raise InstrumentError(f"{self._role}: after program {seq}: {told}", found[0][0])
        return done.results

    def _after_loss(
        self, error: BenchError, orders: Sequence[Order], seq: int, allowed_s: float
    ) -> Done | None:
        """Find out what became of a program whose answer was lost; None when it never began."""
        self._link.retried(self._link.recover)
        state = self._ended(allowed_s)
        if state.boot != self._boot:
            self._boot, self._seq = state.boot, state.seq
            raise BenchError(
                f"{self._role}: the board was reset during program {seq}; its pulses are in doubt, read the "
                f"devices; before that: {error}"
            ) from error
        if state.seq == seq - 1:
            return None
        if state.seq != seq:
            raise BenchError(f"{self._role}: program {state.seq} ran, {seq} was sent; is another host on?")
        if state.run == "aborted":
            raise self._aborted(seq, f"the link was lost: {error}", None)
        return self._link.retried(lambda: self._collected((f"RECALL seq={seq}",), orders, seq, allowed_s))

    def _collected(self, lines: Sequence[str], orders: Sequence[Order], seq: int, allowed_s: float) -> Done:
        """Send a program, or ask for its answer, and take the answer apart."""
        answer = Answer(orders)
        for reply in self._link.exchange(lines, allowed_s):
            if reply.kind == "ERR":
                self._refused(reply, seq)
            if reply.kind == "OK":
                if reply.whole("seq") != seq:
                    break
                return Done(answer.results(reply.whole("lines")), reply.whole("errors"))
            answer.take(reply)
        raise DesyncError(f"{self._role}: another program was answered than {seq}")

    def _refused(self, reply: Reply, seq: int) -> NoReturn:
        code, message = reply.whole("code"), reply.values.get("msg", "")[:300]
        if code in (DAMAGED, _NOT_IN_BUFFER):
            raise DesyncError(f"{self._role}: program {seq} arrived damaged: {message}")
        if code in _ABORTED:
            raise self._aborted(seq, message, code)
        text = f"{self._role}: error {code}: {message}; program {seq} was not begun, nothing of it was output"
        if code in _BEYOND:
            raise LimitError(text)
        raise InterlockError(text) if code == _INTERLOCK else InstrumentError(text, code)

    def _aborted(self, seq: int, why: str, code: int | None) -> InstrumentError:
        state = self.state()
        self._seq = state.seq
        return InstrumentError(
            f"{self._role}: program {seq} was aborted in operation {state.op} after {state.shots} shots "
            f"of it; outputs are at 0 V; read the devices before going on: {why}",
            code,
        )

    def _ended(self, allowed_s: float) -> BoardState:
        """The board's state once no program runs any more."""
        waited_s = 0.0
        while (state := self.state()).run == "running":
            if waited_s > allowed_s:
                raise TimeoutError_(f"{self._role}: program {state.seq} still runs after {waited_s:g} s")
            self.pause(_POLL_S)
            waited_s += _POLL_S
        return state
