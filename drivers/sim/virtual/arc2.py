"""A virtual ArC TWO: the library's calls on simulated devices, in this process: there is no wire to serve.

Written from the documents and sources of pyarc2 and libarc2, not from the driver: what is queued happens at
`execute`, voltages are clipped and rounded in silence as the DACs do, a board without its cable is busy for
ever. Time is virtual.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.sim.bench import SimBench
from drivers.sim.virtual.arc2_settings import Arc2Fault, FaultKind, VirtualArc2Settings
from hil.region import Index, Region
from hil.schedule import Multiply, MultiplyAnswer, Program, Pulse, Wait

CHANNELS = 64
Values = NDArray[np.float32]
_STEP_V = 20 / 65536
_GAINS = ((15e6, 10.24), (110e3, 10.24), (830.0, 10.24))
"""Ohms of the amplifiers, most sensitive first, and volts of the 18-bit converter behind them."""


class VirtualArc2Error(Exception):
    """As ``pyarc2.ArC2Error``: its one argument says what is wrong."""


class PanicException(BaseException):
    """As what a Rust library raises that broke down: below BaseException."""


class Lines(NamedTuple):
    """Channels that the rows and columns of an array are on, int [rows] and [cols]."""

    rows: Index
    cols: Index


@dataclass
class VirtualArc2:
    """The board and its devices, which outlive every `VirtualInstrument` that is opened on it.

    ``pulses`` by array [rows, cols], ``executions``, ``openings``, ``clipped`` voltages and ``seconds`` are
    counted here, where no host can touch them. ``sample_s``: of one reading.
    """

    bench: SimBench
    lines: Mapping[str, Lines]
    settings: VirtualArc2Settings
    sample_s: float = 10e-6
    pulses: dict[str, NDArray[np.int64]] = field(init=False)
    executions: int = field(default=0, init=False)
    openings: int = field(default=0, init=False)
    clipped: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)
    volts: NDArray[np.float64] = field(init=False)
    grounded: NDArray[np.bool_] = field(init=False)
    connected: NDArray[np.bool_] = field(init=False)
    lost: bool = field(default=False, init=False)
    _away: int = field(default=0, init=False)
    _open: weakref.ref[VirtualInstrument] | None = field(default=None, init=False)
    _at: dict[str, tuple[Index, ...]] = field(init=False)

    def __post_init__(self) -> None:
        self.pulses = {name: np.zeros(info.shape, np.int64) for name, info in self.bench.arrays.items()}
        self._at = {name: tuple(map(_positions, lines)) for name, lines in self.lines.items()}
        self.reset()

    def clock(self) -> float:
        """Virtual seconds so far."""
        return self.seconds

    def leave_alone(self, seconds: float) -> None:
        """Virtual time passes."""
        self.seconds += seconds
        self.keep_time()

    def keep_time(self) -> None:
        """The devices' time follows the board's."""
        self.bench.execute((Wait(max(0.0, self.seconds - self.bench.seconds)),))

    def reset(self) -> None:
        """As the firmware does when it is loaded: DACs at 0 V, all switches open."""
        self.volts = np.zeros(CHANNELS)
        self.grounded = np.zeros(CHANNELS, np.bool_)
        self.connected = np.zeros(CHANNELS, np.bool_)

    def find_ids(self) -> list[int]:
        """Boards that are listed; a lost one is again after it was asked for often enough."""
        if self.lost and self._away > 0:
            self._away -= 1
            return []
        return [0]

    def open(self, port: int, firmware: str) -> VirtualInstrument:
        """Load the firmware. The board is open as long as the object lives, and cannot be opened twice."""
        if port != 0:
            raise VirtualArc2Error(f"Invalid ArC2 device id: {port}")
        if self._open is not None and self._open() is not None:
            raise VirtualArc2Error("FPGA Error: the device is open already")
        if self.lost and self._away > 0:
            raise VirtualArc2Error("FPGA Error: device not found")
        self.lost = False
        self.openings += 1
        self.reset()
        made = VirtualInstrument(self)
        self._open = weakref.ref(made)
        return made

    def fault(self) -> FaultKind | None:
        """What goes wrong with the execution that is counted now."""
        here: Arc2Fault | None = next(
            (f for f in self.settings.faults if self.executions in f.executions), None
        )
        if here is None:
            return None
        self._away = here.away
        return here.kind

    def outputs(self) -> NDArray[np.float64]:
        """Volts of all channels; NaN where one is open."""
        volts = np.where(self.grounded, 0.0, np.where(self.connected, self.volts, np.nan))
        for channel, stuck in self.settings.stuck.items():
            volts[channel] = stuck
        return volts

    def put(self, channels: Index, volts: NDArray[np.float64]) -> None:
        """Connect channels to their DACs, at the nearest voltage that these have."""
        ideal = np.rint((volts + 10) / _STEP_V)
        codes = np.clip(ideal, 0, 65535)
        self.clipped += int((codes != ideal).sum())
        self.volts[channels] = codes * _STEP_V - 10
        self.connected[channels] = True

    def currents(self, sensed: Index) -> Values:
        """Amperes that leave the sensed channels, which are at 0 V; NaN for all others."""
        outputs = self.outputs()
        if not np.all(outputs[sensed] == 0):
            raise VirtualArc2Error("virtual: only channels at 0 V can be sensed here")
        found = np.full(CHANNELS, np.nan)
        found[sensed] = 0.0
        for name, lines in self.lines.items():
            for axis, (driven, other) in enumerate(((lines.rows, lines.cols), (lines.cols, lines.rows))):
                back = axis == 1
                here = self._positions(name, 1 - axis, sensed)
                if here.size:
                    found[other[here]] -= self._into(name, outputs[driven], here, back=back)
        return _digitised(found)

    def _into(self, name: str, volts: NDArray[np.float64], here: Index, *, back: bool) -> NDArray[np.float64]:
        if np.isnan(volts).any():
            raise VirtualArc2Error(
                "virtual: a line is open while its array is sensed, which is not simulated"
            )
        rows, cols = (np.arange(lines.size) for lines in self.lines[name])
        region = Region(name, here, cols) if back else Region(name, rows, here)
        op = Multiply(region, volts[None].astype(np.float32), self.sample_s, transpose=back)
        answer = self.bench.execute((op,)).answers[0]
        if not isinstance(answer, MultiplyAnswer):
            raise TypeError("the simulated bench answered a Multiply otherwise")
        return answer.amperes[0].astype(np.float64)

    def _positions(self, name: str, axis: int, channels: Index) -> Index:
        """Rows (axis 0) or columns of an array that are on some channels."""
        found = self._at[name][axis][channels]
        return found[found >= 0]

    def pulse(self, low: int, highs: Index, volts: float, width_s: float, count: int) -> None:
        """So many equal pulses from one channel to others; all other channels are open then.

        Channels that are still connected to ground stay there.
        """
        highs = highs[~self.grounded[highs]]
        if self.grounded[low]:
            return
        self.put(np.array([low]), np.array([-volts / 2]))
        self.put(highs, np.full(highs.size, volts / 2))
        self.connected[...] = False
        for name in self.lines:
            device = self.bench.arrays[name].device
            for axis, sign in ((0, -1), (1, 1)):  # from low to highs is from column to row, or the other way
                line = self._positions(name, axis, np.array([low]))
                across = self._positions(name, 1 - axis, highs)
                if not (line.size and across.size):
                    continue
                seen = Pulse(sign * volts, width_s)
                rising = seen.amplitude_v * device.potentiate.amplitude_v > 0
                region = Region(name, line, across) if sign < 0 else Region(name, across, line)
                counts = np.full(region.shape, count if rising else -count)
                shapes = (seen, device.depress) if rising else (device.potentiate, seen)
                self.bench.execute((Program(region, counts, *shapes),))
                self.pulses[name][np.ix_(region.rows, region.cols)] += count
        self.volts[...] = 0.0


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


def _positions(lines: Index) -> Index:
    """Position of the line on each channel; -1 where none is."""
    found = np.full(CHANNELS, -1)
    found[lines] = np.arange(lines.size)
    return found


def _channels(given: Iterable[int]) -> Index:
    channels = np.array(list(given), np.int64)
    if channels.size and not 0 <= channels.min() <= channels.max() < CHANNELS:
        raise PanicException(f"index out of bounds: the len is {CHANNELS} but the index is {channels.max()}")
    return channels


def _digitised(amperes: NDArray[np.float64]) -> Values:
    """On the most sensitive amplifier whose range a current is in; beyond all it is the last one's end."""
    found = np.full(amperes.shape, np.nan)
    left = ~np.isnan(amperes)
    for ohms, full in _GAINS:
        codes = np.rint(amperes * ohms * 2**18 / (2 * full))
        fits = left & ((np.abs(codes) < 2**17) | (ohms == _GAINS[-1][0]))
        found[fits] = np.clip(codes[fits], -(2**17), 2**17 - 1) * 2 * full / 2**18 / ohms
        left &= ~fits
    return found.astype(np.float32)
