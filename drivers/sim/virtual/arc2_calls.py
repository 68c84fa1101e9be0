"""The calls of ``pyarc2.Instrument`` on a virtual ArC TWO: what is queued happens at `execute`, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hil.region import Index

if TYPE_CHECKING:
    from drivers.sim.virtual.arc2 import VirtualArc2
    from drivers.sim.virtual.arc2_settings import FaultKind

CHANNELS = 64
Values = NDArray[np.float32]


class VirtualArc2Error(Exception):
    """As ``pyarc2.ArC2Error``: its one argument says what is wrong."""


class PanicException(BaseException):
    """As what a Rust library raises that broke down: below BaseException."""


class VirtualInstrument:
    """As ``pyarc2.Instrument``: calls queue what `execute` does."""

    def __init__(self, board: VirtualArc2) -> None:
        self._board = board
        self._queue: list[tuple[object, Callable[[int], None]]] = []
        self._results: deque[Values] = deque()
        self._hangs = False
        self._next: FaultKind | None = None

    def connect_to_gnd(self, chans: Iterable[int]) -> VirtualInstrument:
        """See pyarc2."""
        board = self._board
        mask = np.zeros(CHANNELS, np.bool_)
        mask[_channels(chans)] = True

        def do(_: int) -> None:
            board.grounded = mask

        return self._queued(do)

    def set_control_mode(self, mode: object) -> VirtualInstrument:
        """See pyarc2; of no effect on simulated devices."""
        if mode not in ("Internal", "Header"):
            raise VirtualArc2Error("Invalid control mode")
        return self

    def ground_all(self) -> VirtualInstrument:
        """See pyarc2."""
        board = self._board

        def do(_: int) -> None:
            board.put(np.arange(CHANNELS), np.zeros(CHANNELS))
            board.seconds += 30e-6

        return self._queued(do)

    def config_channels(
        self,
        input: Iterable[tuple[int, float]],  # noqa: A002
        base: float | None = None,
    ) -> VirtualInstrument:
        """See pyarc2."""
        board = self._board
        pairs = list(input)
        channels, volts = _channels([channel for channel, _ in pairs]), np.array([v for _, v in pairs])

        def do(_: int) -> None:
            if base is not None:
                board.put(np.arange(CHANNELS), np.full(CHANNELS, base))
            board.put(channels, volts)
            board.seconds += 30e-6

        return self._queued(do)

    def read_slice_open_deferred(self, highs: Iterable[int], ground_after: bool) -> VirtualInstrument:
        """See pyarc2."""
        board, results = self._board, self._results
        channels = _channels(highs)

        def do(_: int) -> None:
            results.append(board.currents(channels))
            board.seconds += board.sample_s
            if ground_after:
                board.put(channels, np.zeros(channels.size))

        return self._queued(do)

    def vread_channels_deferred(self, chans: Iterable[int], averaging: bool) -> VirtualInstrument:
        """See pyarc2."""
        board, results = self._board, self._results
        channels = _channels(chans)

        def do(_: int) -> None:
            found = np.full(CHANNELS, np.nan, np.float32)
            found[channels] = board.outputs()[channels]
            results.append(found)
            board.seconds += 320e-6 if averaging else 10e-6

        return self._queued(do)

    def pulse_slice_masked(
        self, chan: int, voltage: float, nanos: int, mask: Iterable[int]
    ) -> VirtualInstrument:
        """See pyarc2; widths of 500 ms and more are not simulated."""
        board = self._board
        highs = _channels(mask)
        (low,) = _channels([chan]).tolist()
        if nanos >= 500_000_000:
            raise VirtualArc2Error("virtual: pulses of 500 ms and more are not simulated")
        if low // 8 in (highs // 8).tolist():
            raise VirtualArc2Error("Attempting to toggle a previously set HS polarity bit")
        width_s = (nanos if nanos == 0 else max(nanos, 40)) / 1e9

        def do(times: int) -> None:
            board.pulse(low, highs, voltage, width_s, times)
            board.seconds += times * (30e-6 + 2 * width_s)

        return self._queued(do, (low, *highs.tolist(), voltage, nanos))

    def delay(self, nanos: int) -> VirtualInstrument:
        """See pyarc2."""
        board = self._board

        def do(_: int) -> None:
            board.seconds += (nanos + 320) / 1e9

        return self._queued(do)

    def execute(self) -> VirtualInstrument:
        """See pyarc2."""
        board = self._board
        board.executions += 1
        fault = board.fault()
        board.lost |= fault == "lost-before"
        if board.lost:
            raise VirtualArc2Error("FPGA Error: device not found (virtual)")
        for _, same in groupby(self._queue, key=lambda queued: queued[0]):
            orders = [do for _, do in same]
            orders[0](len(orders))
        self._queue.clear()
        board.seconds += board.settings.exchange
        board.keep_time()
        board.lost = fault == "lost-after"
        self._hangs, self._next = fault == "busy", fault
        if fault == "no-result":
            self._results.clear()
        return self

    def busy(self) -> bool:
        """See pyarc2: what cannot be asked is taken for busy."""
        return self._hangs or self._board.lost

    def pick_one(self, mode: object, rtype: object) -> Values | None:
        """See pyarc2."""
        if self._board.lost:
            raise VirtualArc2Error("FPGA Error: device not found (virtual)")
        if self._next == "panic":
            raise PanicException("called `Result::unwrap()` on an `Err` value")
        return self._results.popleft() if self._results else None

    def _queued(self, do: Callable[[int], None], key: object = None) -> VirtualInstrument:
        """``do`` is told how often it was queued in a row under an equal ``key``; without one it is once."""
        self._queue.append((object() if key is None else key, do))
        return self


def _channels(given: Iterable[int]) -> Index:
    channels = np.array(list(given), np.int64)
    if channels.size and not 0 <= channels.min() <= channels.max() < CHANNELS:
        raise PanicException(f"index out of bounds: the len is {CHANNELS} but the index is {channels.max()}")
    return channels
