"""Devices brought to conductances in a closed loop: pulses by what is expected of them, a reading, and again.

The loop of Wan et al., Nature 608, 504 (2022), 10.1038/s41586-022-04992-8, with as many pulses a round as the
data sheet's curve and what the device did before ask for, instead of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hil.bench import DeviceSheet
from hil.config.verify import Verify
from hil.network.tile import F32, read_answer
from hil.plan import Plan
from hil.schedule import MAX_COUNT, Answer, Counts, Index, Op, Program, Pulse, Pulses, Read, Region, Wait

_STILL = 0.1
"""A device moved when it made a tenth of the way that its pulses should have made."""
_FLAT = 0.02
"""An expected step counts as at least this fraction of the nominal one: near an end of the range it is 0."""
_FURTHEST = 2.0
"""A device that is more ranges than this from its aim, as a shorted one is, gets what crosses one alone."""
_DOUBT = 8.0
"""Nominal steps of the way as expected that stand beside a device's own when its gain is estimated."""


@dataclass(frozen=True, slots=True, eq=False)
class Aim:
    """Conductances wanted of a region, float32 siemens [rows, cols]; NaN: leave the device alone.

    ``relative``: changes of what the first reading finds.
    """

    region: Region
    siemens: F32
    relative: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """Where the devices of one aim ended: ``places`` int64 [k] in the flat region, ``readings`` float32
    siemens [k], and what is ``left`` from there to the aim, siemens [k].
    """

    places: Index
    readings: F32
    left: F32


@dataclass(slots=True, eq=False)
class Verified:
    """What a closed loop came to.

    ``rounds`` of pulses and ``pulses`` in all; of ``aimed`` devices those ``untouched``, there at the first
    reading, those ``unreached`` at the last, and those ``given_up`` among these. ``arrived``: of each aim.
    """

    rounds: int
    pulses: int
    aimed: int
    untouched: int
    unreached: int
    given_up: int
    arrived: list[Arrived]


def bring(
    aims: Sequence[Aim],
    sheet: DeviceSheet,
    tolerance_s: float,
    settings: Verify,
    stop: Callable[[], bool] = lambda: False,
) -> Plan[Verified]:
    """Pulse and read devices until each is within ``tolerance_s`` of its aim, or as near as its steps let it
    come where they are coarser.

    It ends before that when the rounds are used up, when those that are left do not move or cannot be read,
    or when ``stop``, asked after each round, says True.
    """
    chases = [_Chase(aim, sheet, tolerance_s, settings) for aim in aims]
    reads = tuple(Read(aim.region, sheet.read_voltage_v, sheet.integration_s) for aim in aims)
    first = yield reads
    for chase, answer in zip(chases, first.answers, strict=True):
        chase.find(_siemens(answer))
    aimed = sum(chase.places.size for chase in chases)
    untouched = aimed - sum(chase.off for chase in chases)
    rounds = 0
    for wait_s in (0.0, settings.again_after) if settings.again_after else (0.0,):
        if wait_s:
            for chase in chases:
                chase.start_over()
            yield from _look(chases, (Wait(wait_s),), reads)
        for _ in range(settings.rounds):
            ops = tuple(op for chase in chases for op in chase.pulse())
            if not ops:
                break
            rounds += 1
            yield from _look(chases, ops, reads)
            if stop():
                break
    return Verified(
        rounds,
        sum(chase.pulses for chase in chases),
        aimed,
        untouched,
        sum(chase.off for chase in chases),
        sum(chase.given_up for chase in chases),
        [Arrived(chase.places, chase.reading, chase.wanted - chase.reading) for chase in chases],
    )


def _look(chases: Sequence[_Chase], ops: tuple[Op, ...], reads: tuple[Read, ...]) -> Plan[None]:
    """Pulses and the readings after them, in one transaction."""
    execution = yield (*ops, *reads)
    for chase, answer in zip(chases, execution.answers[len(ops) :], strict=True):
        chase.see(_siemens(answer))


def _siemens(answer: Answer) -> F32:
    return read_answer(answer).siemens.astype(np.float32, copy=False)


@dataclass(slots=True, eq=False)
class _Chase:
    """The devices of one aim on their way; all arrays [k], of those that have one."""

    aim: Aim
    sheet: DeviceSheet
    tolerance_s: float
    settings: Verify
    places: Index = field(init=False)
    wanted: F32 = field(init=False)
    reading: F32 = field(init=False)
    pulses: int = 0
    _near: NDArray[np.float64] = field(init=False)
    _counts: Counts = field(init=False)
    _expected: F32 = field(init=False)
    _level: NDArray[np.int16] = field(init=False)
    _still: NDArray[np.int16] = field(init=False)
    _moved_sum: F32 = field(init=False)
    _expected_sum: F32 = field(init=False)

    def __post_init__(self) -> None:
        self.places = np.flatnonzero(~np.isnan(self.aim.siemens))
        self.wanted = self.aim.siemens.ravel()[self.places]
        self._moved_sum, self._expected_sum = np.zeros_like(self.wanted), np.zeros_like(self.wanted)
        self._still = np.zeros(self.wanted.shape, np.int16)
        self.start_over()

    def find(self, siemens: F32) -> None:
        """Take the first reading [rows, cols]."""
        self.reading = siemens.ravel()[self.places]
        if self.aim.relative:
            self.wanted = self.reading + self.wanted
        up, down = self.sheet.curve.steps(self.wanted)
        self._near = np.maximum(self.tolerance_s, 0.75 * np.maximum(up, down))

    def start_over(self) -> None:
        """As if no pulse had been given yet, but for what is known of the devices."""
        k = self.wanted.size
        self._counts, self._level = np.zeros(k, np.int16), np.zeros(k, np.int16)
        self._expected = np.zeros(k, np.float32)

    @property
    def off(self) -> int:
        """Number of devices that are not there; one whose reading is only a bound is not."""
        return int(np.count_nonzero(self._off()))

    @property
    def given_up(self) -> int:
        """Number of devices that are not there and did not move."""
        return int(np.count_nonzero(self._off() & (self._still >= self.settings.give_up)))

    def see(self, siemens: F32) -> None:
        """Take a reading [rows, cols], after the pulses given last."""
        reading = siemens.ravel()[self.places]
        moved = _known((reading - self.reading) * np.sign(self._counts))
        self._moved_sum += moved
        self._expected_sum += self._expected
        still = moved < _STILL * self._expected
        self._still = np.where(self._counts != 0, np.where(still, self._still + 1, 0), self._still)
        self.reading = reading

    def pulse(self) -> list[Program]:
        """Pulses for all that are not there and still move, one operation for each amplitude."""
        active = self._off() & (self._still < self.settings.give_up)
        rise = np.where(active, _known(self.wanted - self.reading), np.float32(0))
        up, down = self.sheet.curve.steps(0.5 * (self.wanted + self.reading))
        step = np.where(
            rise > 0,
            np.maximum(up, _FLAT * self.sheet.step_up_s),
            np.maximum(down, _FLAT * self.sheet.step_down_s),
        )
        number = np.where(rise != 0, np.maximum(1, np.round(np.abs(rise) / (step * self._gain()))), 0)
        span = self.sheet.g_max_s - self.sheet.g_min_s
        across = max(1, round(span / min(self.sheet.step_up_s, self.sheet.step_down_s)))
        number = np.where(np.abs(rise) > _FURTHEST * span, np.minimum(number, across), number)
        counts = (np.sign(rise) * np.minimum(number, MAX_COUNT)).astype(np.int16)
        onward = np.sign(counts) == np.sign(self._counts)
        self._level = np.where(onward, np.minimum(self._level + 1, self.settings.levels), 0).astype(np.int16)
        self._counts = counts
        self._expected = _known((np.abs(counts) * step).astype(np.float32))
        self.pulses += int(np.abs(counts.astype(np.int64)).sum())
        return self._programs()

    def _off(self) -> NDArray[np.bool_]:
        return ~(np.abs(self.reading - self.wanted) <= self._near)

    def _gain(self) -> F32:
        """How far a device went of the way expected of it; with ISPP a slow one is answered by amplitude, not
        by number.
        """
        doubt = np.float32(_DOUBT * max(self.sheet.step_up_s, self.sheet.step_down_s))
        gain = (self._moved_sum + doubt) / (self._expected_sum + doubt)
        return np.clip(gain, 1 if self.settings.levels else _STILL, 10).astype(np.float32)

    def _programs(self) -> list[Program]:
        programs: list[Program] = []
        rows, cols = self.aim.region.shape
        for level in np.unique(self._level[self._counts != 0]):
            now = (self._level == level) & (self._counts != 0)
            row, col = np.divmod(self.places[now], cols)
            starts = np.searchsorted(row, np.arange(rows + 1))
            pulses = Pulses(starts, col.astype(np.int32), self._counts[now])
            factor = 1 + self.settings.amplitude_step * int(level)
            shapes = (raised(pulse, factor) for pulse in (self.sheet.potentiate, self.sheet.depress))
            programs.append(Program.of(self.aim.region, pulses, *shapes))
        return programs


def _known(siemens: F32) -> F32:
    """0 where a reading was only a bound."""
    return np.where(np.isnan(siemens), np.float32(0), siemens)


def raised(pulse: Pulse, factor: float) -> Pulse:
    """The pulse with its amplitude times a factor; itself where that is 1."""
    return pulse if factor == 1 else replace(pulse, amplitude_v=pulse.amplitude_v * factor)
