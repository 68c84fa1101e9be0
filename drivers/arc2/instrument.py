"""An ArC TWO on its library: batches of queued calls that end at 0 V, waits that end, errors that are typed.

The library's queue cannot be taken back: what was queued when something went wrong would be put out by the
next `execute`. So after any error the board is let go of and opened anew, which begins with an empty queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from traceback import clear_frames
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from drivers.arc2.api import CHANNELS, Board, Channels, Library
from drivers.arc2.orders import Drive, Shot
from hil.errors import (
    BenchError,
    ConfigError,
    DesyncError,
    DisconnectedError,
    IdentityError,
    InstrumentError,
    TimeoutError_,
)
from hil.instruments import Identity

ROLE = "instrument"
MOST_CALLS = 48
"""Queued between two executions, some thirty instructions each: the library waits by itself, without an end,
where more than 2048 are sent at once.
"""
SAFE_V = 0.02
"""Of a channel that counts as being at 0 V."""
_POLL_S = 0.5e-3
_EVERY: Channels = np.arange(CHANNELS, dtype=np.uint64)
_NONE: Channels = np.zeros(0, np.uint64)


@dataclass
class _Batch:
    """Kinds of the results that a batch will have, in order, and the results: float32 [64] each."""

    kinds: list[object] = field(default_factory=list[object])
    found: list[NDArray[np.float32]] = field(default_factory=list[NDArray[np.float32]])


@dataclass
class Arc2:
    """One board.

    Parameters
    ----------
    library
        pyarc2, or a virtual one.
    port
        Which of the boards that the library lists.
    firmware
        File that is loaded into the board; None for a virtual one.
    control
        Where the daughterboard routes the channels to.
    timeout_s
        How long the board may take beside what it was told to wait and pulse.
    clock, pause
        Seconds, and waiting for some.
    """

    library: Library
    port: int = 0
    firmware: Path | None = None
    control: Literal["internal", "header"] = "internal"
    timeout_s: float = 2.0
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    transactions: int = field(default=0, init=False)
    _board: Board | None = field(default=None, init=False)
    _doubtful: bool = field(default=False, init=False)
    _checksum: str = field(default="", init=False)

    def attach(self) -> None:
        """Open the board anew: firmware loaded, all channels at 0 V and routed as the file says.

        Raises
        ------
        ConfigError
            The firmware file cannot be read.
        DisconnectedError
            No such board is there, or it does not take the firmware.
        """
        self.read_firmware()
        self._board = None  # the library lets go of a board with the last reference to it, and opens it once
        self._doubtful = False
        self._found()
        with self._told():
            self._board = self.library.instrument(self.port, str(self.firmware or ""))
        with self._batch():
            mode = self.library.internal if self.control == "internal" else self.library.header
            self._live.set_control_mode(mode)

    def listed(self) -> list[int]:
        """Numbers of the boards that are connected; none of them tells its serial number."""
        with self._told():
            return self.library.find_ids()

    def require_alone(self) -> None:
        """Raise IdentityError where other boards are connected: which is ours cannot be told then."""
        others = len(self.listed()) - 1
        if others > 0:
            raise IdentityError(
                f"{ROLE}: {others} other ArC TWO connected, and which is ours cannot be told; connect it "
                "alone"
            )

    def read_firmware(self) -> None:
        """Find the file's checksum, part of the identity. Raises ConfigError if it cannot be read."""
        self._checksum = "" if self.firmware is None else _checksum(self.firmware)

    def identify(self) -> Identity:
        """Who it is, as far as the library tells, which knows no serial numbers. Raises DisconnectedError."""
        self._found()
        name = "virtual" if self.firmware is None else f"{self.firmware.name} sha256 {self._checksum[:16]}"
        return Identity(
            "ArC Instruments", "ArC TWO", f"not told, number {self.port}", name, self.library.version
        )

    def _found(self) -> None:
        found = self.listed()
        self.transactions += 1
        if self.port not in found:
            there = ", ".join(map(str, found)) or "none"
            raise DisconnectedError(f"{ROLE}: no ArC TWO number {self.port}: connected are {there}")

    def sense(self, drives: Iterable[Drive], repeats: int, settle: int) -> list[NDArray[np.float64]]:
        """Currents that each drive makes, as the library gives them: [repeats, sensed] for each.

        ``repeats`` readings of each drive; ``settle`` ns between driving and the first of them.
        """
        found: list[NDArray[np.float64]] = []
        pending: list[tuple[Drive, int]] = []
        used = 0
        for drive in drives:
            left = repeats
            while left:
                if used + 3 > MOST_CALLS:
                    found += self._sensed(pending, settle)
                    pending, used = [], 0
                some = min(left, MOST_CALLS - used - 2)
                pending.append((drive, some))
                left, used = left - some, used + some + 2
        found += self._sensed(pending, settle)
        return _joined(found, repeats)

    def shoot(self, shots: Iterable[Shot]) -> None:
        """Put out pulses in order; between two of them is at least the gap asked for.

        A pulse that was sent is never sent again: after an error it is in doubt which of a batch were.
        """
        queue: list[Shot] = []
        used = 0
        for shot in shots:
            left = shot.times
            while left:
                each = 2 if shot.gap else 1
                if used + each > MOST_CALLS:
                    self._shot(queue)
                    queue, used = [], 0
                some = min(left, (MOST_CALLS - used) // each)
                queue.append(shot._replace(times=some))
                left, used = left - some, used + some * each
        self._shot(queue)

    def make_safe(self) -> tuple[str, ...]:
        """All channels at 0 V, measured, then grounded. What could not be verified; never raises."""
        try:
            if self._doubtful or self._board is None:
                self.attach()
            with self._batch() as batch:
                self._live.ground_all()
                self._live.vread_channels_deferred(_EVERY, True)
                batch.kinds.append(self.library.voltages)
            with self._batch(ground=True):
                pass
            volts = batch.found[0].astype(np.float64)
        except (BenchError, ConfigError) as error:
            return (str(error),)
        off = np.flatnonzero(~(np.abs(volts) <= SAFE_V))
        return tuple(f"{ROLE}: channel {k} is at {volts[k]:.3g} V after grounding" for k in off.tolist())

    def close(self) -> None:
        """Let go of the board."""
        self._board = None

    @property
    def _live(self) -> Board:
        """The open board. No variable keeps it: in a traceback it would be, and could not be opened again."""
        if self._board is None:
            raise DisconnectedError(f"{ROLE}: the ArC TWO is not open")
        return self._board

    def _sensed(self, drives: list[tuple[Drive, int]], settle: int) -> list[NDArray[np.float64]]:
        if not drives:
            return []
        with self._batch(waits_s=len(drives) * settle / 1e9) as batch:
            for drive, repeats in drives:
                self._live.config_channels(list(drive.volts), 0.0)
                if settle:
                    self._live.delay(settle)
                for _ in range(repeats):
                    self._live.read_slice_open_deferred(drive.sensed.astype(np.uint64), False)
                    batch.kinds.append(self.library.currents)
        ends = np.cumsum([repeats for _, repeats in drives])[:-1]
        parts = np.split(np.stack(batch.found).astype(np.float64), ends)
        return [part[:, drive.sensed] for (drive, _), part in zip(drives, parts, strict=True)]

    def _shot(self, shots: list[Shot]) -> None:
        if not shots:
            return
        waits_s = sum(shot.times * (2 * shot.width + shot.gap) for shot in shots) / 1e9
        with self._batch(waits_s=waits_s):
            for shot in shots:
                mask = shot.highs.astype(np.uint64)
                for _ in range(shot.times):
                    self._live.pulse_slice_masked(shot.low, shot.volts, shot.width, mask)
                    if shot.gap:
                        self._live.delay(shot.gap)

    @contextmanager
    def _batch(self, *, waits_s: float = 0.0, ground: bool = False) -> Generator[_Batch]:
        """Calls within are queued, then done, for so long beside their own time, and their results fetched.

        All channels are at 0 V after it, and connected to ground if ``ground``.
        """
        if self._doubtful:
            raise DisconnectedError(f"{ROLE}: the ArC TWO has to be opened anew after an error")
        batch = _Batch()
        self._doubtful = True
        with self._told():
            self._live.connect_to_gnd(_NONE)
            yield batch
            self._live.ground_all()
            if ground:
                self._live.connect_to_gnd(_EVERY)
            self._live.execute()
            self.transactions += 1
            self._wait(waits_s)
            batch.found += [self._fetch(kind) for kind in batch.kinds]
        self._doubtful = False

    def _wait(self, waits_s: float) -> None:
        """Until the queue is done, by asking: the library's own wait has no end where the cable is out."""
        until = self.clock() + waits_s + self.timeout_s
        while self._live.busy():
            if self.clock() >= until:
                raise TimeoutError_(
                    f"{ROLE}: the ArC TWO is still busy, or away, {waits_s + self.timeout_s:.3g} s after it "
                    "was given its orders; which of them were done is in doubt"
                )
            self.pause(_POLL_S)

    def _fetch(self, kind: object) -> NDArray[np.float32]:
        values = self._live.pick_one(self.library.all_channels, kind)
        self.transactions += 1
        if values is None or np.shape(values) != (CHANNELS,):
            got = "nothing" if values is None else f"values of shape {np.shape(values)}"
            raise DesyncError(f"{ROLE}: {got} where {CHANNELS} values of a reading were expected")
        return values

    @contextmanager
    def _told(self) -> Generator[None]:
        """What the library raises, as errors of this project."""
        try:
            yield
        except BaseException as error:
            clear_frames(error.__traceback__)  # the library's own hold the board, which could not be reopened
            if isinstance(error, self.library.error):
                raise _failure(str(error.args[0]) if error.args else str(error)) from error
            if type(error).__name__ == "PanicException":  # of pyo3: not importable, and no Exception
                raise DisconnectedError(f"{ROLE}: the ArC TWO's library broke down: {error}") from error
            raise


def _failure(text: str) -> BenchError:
    if text.startswith(("FPGA Error", "Invalid ArC2 device id")):
        return DisconnectedError(f"{ROLE}: the ArC TWO does not answer on USB: {text}")
    return InstrumentError(f"{ROLE}: the ArC TWO's library refused: {text}")


def _joined(parts: list[NDArray[np.float64]], repeats: int) -> list[NDArray[np.float64]]:
    """Parts of [some, sensed] put together to [repeats, sensed] again."""
    found: list[NDArray[np.float64]] = []
    open_parts: list[NDArray[np.float64]] = []
    for part in parts:
        open_parts.append(part)
        if sum(map(len, open_parts)) == repeats:
            found.append(np.concatenate(open_parts))
            open_parts = []
    return found


def _checksum(firmware: Path) -> str:
    try:
        return sha256(firmware.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(
            f"instrument.firmware: {firmware} cannot be read: {error.strerror or error}; it came with the "
            "board"
        ) from error
