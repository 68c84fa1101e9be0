"""A virtual ArC TWO: the library's calls on simulated devices, in this process: there is no wire to serve.

Written from the documents and sources of pyarc2 and libarc2, not from the driver: what is queued happens at
`execute`, voltages are clipped and rounded in silence as the DACs do, a board without its cable is busy for
ever. Time is virtual.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.sim.bench import SimBench
from drivers.sim.virtual.arc2_calls import CHANNELS, Values, VirtualArc2Error, VirtualInstrument
from drivers.sim.virtual.arc2_settings import Arc2Fault, FaultKind, VirtualArc2Settings
from hil.region import Index, Region
from hil.schedule import Multiply, MultiplyAnswer, Program, Pulse, Wait

_STEP_V = 20 / 65536
_GAINS = ((15e6, 10.24), (110e3, 10.24), (830.0, 10.24))
"""Ohms of the amplifiers, most sensitive first, and volts of the 18-bit converter behind them."""


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
        for stuck in self.settings.stuck:
            volts[stuck.channel] = stuck.voltage
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


def _positions(lines: Index) -> Index:
    """Position of the line on each channel; -1 where none is."""
    found = np.full(CHANNELS, -1)
    found[lines] = np.arange(lines.size)
    return found


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
