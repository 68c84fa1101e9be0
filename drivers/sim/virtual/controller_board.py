"""The firmware of a virtual array controller: lines in, lines out, written from docs/array-controller.md.

It knows no socket and no time; `drivers.sim.virtual.controller` carries its lines and tells it of silence.
"""

from __future__ import annotations

import binascii
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.sim.virtual.controller_grid import Grid, Hardware, Order, cut
from drivers.sim.virtual.controller_lines import (
    Refused,
    Request,
    base64_of,
    body_of,
    channels,
    decimal,
    flags_of,
    only,
    request,
    seal,
    whole,
)
from hil.bench import Execution
from hil.schedule import MultiplyAnswer, ReadAnswer

_ERRORS_KEPT = 16
_LARGEST_SEQ = 2**32 - 1


@dataclass
class _Buffer:
    """OP lines since the last RUN."""

    tag: int = 0
    crc: int = 0
    size: int = 0
    ops: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    wrong: Refused | None = None


@dataclass
class _Last:
    """The last program that began: its number, its checksum, how it ended, and its whole answer."""

    seq: int = 0
    crc: int = 0
    state: str = "idle"
    op: int = 0
    shots: int = 0
    code: int = 0
    answer: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Cut:
    """A fault: the watchdog ends program ``program`` in operation ``op`` after ``shots`` shots."""

    program: int
    op: int
    shots: int


class Board:
    """A controller that is switched on.

    Parameters
    ----------
    grid
        Its devices and counters, which outlive a power-up.
    model, serial, firmware, boot
        What HELLO answers.
    cuts
        Programs that the watchdog ends half-way.
    """

    def __init__(
        self, grid: Grid, serial: str, boot: int, *, model: str = "virtual", firmware: str = "1.0",
        cuts: Iterable[Cut] = (),
    ) -> None:  # fmt: skip
        self.grid = grid
        self.limits: Hardware = grid.hardware
        self._identity = f"model={model} serial={serial} firmware={firmware} boot={boot}"
        self._boot = boot
        self._cuts = {each.program: each for each in cuts}
        self._buffer = _Buffer()
        self._last = _Last()
        self._errors: deque[tuple[int, str]] = deque()
        self._held = False
        self._verbs: Mapping[str, Callable[[Request], list[str]]] = {
            "HELLO": self._hello,
            "LIMITS": self._limits,
            "LIMIT": self._limit,
            "STATE": self._state,
            "RUN": self._run,
            "RECALL": self._recall,
            "COUNT": self._count,
            "DRIVE": self._drive,
            "STOP": self._stop,
            "ERROR": self._error,
            "PING": lambda _: ["OK"],
        }

    @property
    def holds(self) -> bool:
        """Whether an output is on between programs."""
        return self._held

    def receive(self, line: bytes) -> list[bytes]:
        """What is answered to a line without its line feed; nothing to OP and to empty lines."""
        if line in (b"", b"\r"):
            return []
        body = body_of(line) if len(line) <= self.limits.line else None
        if body is None:
            self._buffer.wrong = Refused(1, "a line of the buffer was damaged")
            self._note(1, "damaged line")
            return [seal("0 ERR code=1 msg=damaged line")]
        tag = 0
        try:
            asked = request(body)
            tag = asked.tag
            if asked.verb == "OP":
                self._op(asked)
                return []
            if asked.verb not in self._verbs:
                raise Refused(4, f"{asked.verb[:20]} is no verb of version 1")
            return [seal(f"{tag} {each}") for each in self._verbs[asked.verb](asked)]
        except Refused as refused:
            message = "".join(c for c in refused.message if " " <= c <= "~" and c != "*")
            return [seal(f"{tag} ERR code={refused.code} msg={message[:400]}")]

    def silence(self) -> None:
        """No valid line came for the watchdog's time, or the link was closed: outputs go to 0 V."""
        if self._held:
            self._held = False
            self._note(17, "held outputs went to 0 V")

    def _note(self, code: int, message: str) -> None:
        if len(self._errors) < _ERRORS_KEPT - 1:
            self._errors.append((code, message))
        elif len(self._errors) < _ERRORS_KEPT:
            self._errors.append((30, "error queue full"))

    def _hello(self, asked: Request) -> list[str]:
        only(asked.values, ("v",))
        if asked.values["v"] != "1":
            raise Refused(3, "version 1 is spoken here")
        return [f"OK v=1 {self._identity}"]

    def _limits(self, asked: Request) -> list[str]:
        only(asked.values, ())
        h = self.limits
        return [
            f"OK rows={h.rows} cols={h.cols} vread={h.vread!r} vpulse={h.vpulse!r} width_min={h.width_min} "
            f"width_max={h.width_max} tick={h.tick} pulses={h.pulses} bias={h.bias} line={h.line} "
            f"ops={h.ops} bytes={h.bytes} watchdog={h.watchdog}"
        ]

    def _limit(self, asked: Request) -> list[str]:
        hardware, keys = self.grid.hardware, ("vread", "vpulse", "width_min", "width_max", "watchdog")
        held = {key: repr(getattr(self.limits, key)) for key in keys} if asked.values else {}
        self.limits = hardware.narrowed({**held, **asked.values})
        return self._limits(asked._replace(values={}))

    def _state(self, asked: Request) -> list[str]:
        only(asked.values, ())
        last = self._last
        return [
            f"OK boot={self._boot} seq={last.seq} run={last.state} op={last.op} shots={last.shots} "
            f"out={int(self._held)} errors={len(self._errors)}"
        ]

    def _op(self, asked: Request) -> None:
        if asked.tag != self._buffer.tag:
            self._buffer = _Buffer(asked.tag)
        buffer = self._buffer
        raw = asked.body.partition(" ")[2].encode("ascii") + b"\n"
        buffer.crc = binascii.crc32(raw, buffer.crc)
        buffer.size += len(raw)
        if buffer.wrong is None and asked.values.get("i") != str(len(buffer.ops)):
            buffer.wrong = Refused(10, f"i={asked.values.get('i', '')[:20]} where {len(buffer.ops)} was next")
        if len(buffer.ops) >= self.limits.ops or buffer.size > self.limits.bytes:
            buffer.wrong = Refused(11, f"{self.limits.ops} operations, {self.limits.bytes} bytes fit")
        else:
            buffer.ops.append(asked.values)

    def _run(self, asked: Request) -> list[str]:
        only(asked.values, ("seq", "ops", "crc"))
        buffer, self._buffer = self._buffer, _Buffer()
        if asked.tag != buffer.tag:
            buffer = _Buffer(asked.tag)
        last, seq = self._last, whole(asked.values, "seq", _LARGEST_SEQ)
        if buffer.wrong is not None:
            raise buffer.wrong
        if whole(asked.values, "ops") != len(buffer.ops) or asked.values["crc"] != f"{buffer.crc:08X}":
            raise Refused(10, f"{len(buffer.ops)} operations with crc {buffer.crc:08X} are in the buffer")
        if seq == last.seq and seq > 0:
            if buffer.crc != last.crc:
                raise Refused(13, f"seq={seq} was another program")
            return self._remembered()
        if seq != last.seq + 1:
            raise Refused(13, f"seq={seq} asked; {last.seq + 1} is next")
        if self._held:
            raise Refused(12, "an output is held")
        return self._execute(seq, buffer)

    def _execute(self, seq: int, buffer: _Buffer) -> list[str]:
        orders: list[Order] = []
        for number, values in enumerate(buffer.ops):
            try:
                orders.append(self.grid.order(values, self.limits))
            except Refused as refused:
                raise Refused(refused.code, f"i={number} {refused.message}") from None
        broken = self._cuts.get(seq)
        if broken is not None and broken.op < len(orders):
            orders = [*orders[: broken.op], cut(orders[broken.op], broken.shots)]
        done = self.grid.run(orders)
        if broken is None:
            self._last = _Last(seq, buffer.crc, "done", answer=self._answer(done))
        else:
            self._last = _Last(seq, buffer.crc, "aborted", broken.op, broken.shots, 17)
        return self._remembered()

    def _remembered(self) -> list[str]:
        if self._last.state == "aborted":
            raise Refused(
                self._last.code, f"program {self._last.seq} was aborted at operation {self._last.op}"
            )
        lines = self._last.answer
        return [*lines, f"OK seq={self._last.seq} run=done lines={len(lines)} errors={len(self._errors)}"]

    def _answer(self, done: Execution) -> list[str]:
        lines: list[str] = []
        for number, answer in enumerate(done.answers):
            if isinstance(answer, ReadAnswer | MultiplyAnswer):
                amperes = np.where(np.isfinite(answer.amperes), answer.amperes, 0).astype(np.float32).ravel()
                flags = (answer.clipped | ~np.isfinite(answer.amperes)).ravel()
                lines += self._data(number, "x", amperes, flags)
        step = max(1, (self.limits.line - 100) // 40)
        for at in range(0, len(done.costs), step):
            some = done.costs[at : at + step]
            times = ",".join(str(round(cost.seconds * 1e9)) for cost in some)
            lines.append(f"TIME at={at} ns={times} j={','.join(f'{cost.joules:.6g}' for cost in some)}")
        return lines

    def _data(
        self,
        number: int,
        key: str,
        values: NDArray[np.float32] | NDArray[np.uint32],
        flags: NDArray[np.bool_] | None,
    ) -> list[str]:
        step = max(24, (self.limits.line - 120) // 6 // 24 * 24)  # whole bytes of flags, no padding inside
        lines: list[str] = []
        for at in range(0, values.size, step):
            some = values[at : at + step]
            bound = "" if flags is None else f" c={flags_of(flags[at : at + step])}"
            lines.append(f"DATA i={number} at={at} n={some.size} {key}={base64_of(some)}{bound}")
        return lines

    def _recall(self, asked: Request) -> list[str]:
        only(asked.values, ("seq",))
        if whole(asked.values, "seq") != self._last.seq or self._last.seq == 0:
            raise Refused(14, f"the last program was {self._last.seq}")
        return self._remembered()

    def _count(self, asked: Request) -> list[str]:
        counters = self.grid.counters
        if not asked.values:
            return [
                f"OK programs={counters.programs} shots={counters.shots} pulses={counters.pulses} "
                f"on_ns={counters.on_ns}"
            ]
        only(asked.values, ("r", "c"))
        hardware = self.grid.hardware
        rows, cols = channels(asked.values, "r", hardware.rows), channels(asked.values, "c", hardware.cols)
        lines = self._data(0, "u", counters.each[np.ix_(rows, cols)].ravel(), None)
        return [*lines, f"OK lines={len(lines)}"]

    def _drive(self, asked: Request) -> list[str]:
        volts = decimal(asked.values, "v")
        if volts != 0:
            only(asked.values, ("v", "side", "lines"))
            count = {"rows": self.limits.rows, "cols": self.limits.cols}.get(asked.values["side"])
            if count is None:
                raise Refused(6, "side: rows or cols is needed")
            channels(asked.values, "lines", count)
            if not abs(volts) <= self.limits.vread:
                raise Refused(8, f"v={volts:g}: {self.limits.vread:g} V is allowed")
        self._held = volts != 0
        return [f"OK out={int(self._held)}"]

    def _stop(self, asked: Request) -> list[str]:
        only(asked.values, ())
        self._held = False
        return [f"OK seq={self._last.seq} run={self._last.state} out=0"]

    def _error(self, asked: Request) -> list[str]:
        only(asked.values, ())
        code, message = self._errors.popleft() if self._errors else (0, "no error")
        return [f"OK code={code} left={len(self._errors)} msg={message}"]
