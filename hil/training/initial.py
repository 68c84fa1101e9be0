"""The weights that training starts from: written and verified, written blind, or left as the devices are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hil.bench import DeviceSheet
from hil.config.experiment import InitialSettings
from hil.network import Tile, TileReading
from hil.network.tile import F32
from hil.plan import Plan
from hil.schedule import MAX_COUNT, Counts


@dataclass(frozen=True, slots=True)
class Written:
    """What initial programming came to: rounds of pulses, devices, those not within tolerance at the last
    reading, and those that were within it at the first and got no pulse.
    """

    rounds: int
    devices: int
    unreached: int
    untouched: int


def initialise(
    tile: Tile,
    settings: InitialSettings,
    rng: np.random.Generator,
    stop: Callable[[], bool] = lambda: False,
) -> Plan[Written]:
    """Bring a tile to random weights: uniform within gain sqrt(6 / (in + out)) (Glorot and Bengio, AISTATS
    2010).

    ``write-verify`` reads and pulses in turn until every device is within the tolerance, a fraction of the
    largest weight wanted, or as near as its steps let it come where they are coarser, or the rounds are used
    up, or ``stop``, asked after each round, says True; ``random`` resets every device by its nominal number
    of levels and pulses it up once, unread; ``keep`` takes the devices as they are.
    """
    if settings.kind == "keep":
        return Written(0, tile.devices, 0, 0)
    limit = settings.gain * float(np.sqrt(6 / (tile.n_in + tile.n_out)))
    target = tile.targets(rng.uniform(-limit, limit, (tile.n_in, tile.n_out)).astype(np.float32))
    if settings.kind == "random":
        yield from _blind(tile, target)
        return Written(1, tile.devices, 0, 0)
    tolerance = settings.tolerance * float(target.plus.max() - target.plus.min()) / 2
    untouched = 0
    for done in range(settings.rounds + 1):
        reading = yield from tile.read()
        off = [
            _beyond(g, t, np.maximum(tolerance, _grain(t, tile.sheet))) for g, t in _sides(reading, target)
        ]
        unreached = _counted(tile, off)
        untouched = untouched if done else tile.devices - unreached
        if unreached == 0 or done == settings.rounds:
            return Written(done, tile.devices, unreached, untouched)
        plus, minus = (
            np.where(o, _counts(g, t, tile.sheet), 0).astype(np.int16)
            for o, (g, t) in zip(off, _sides(reading, target), strict=True)
        )
        schedule = tile.program(plus, minus)
        if not schedule:
            return Written(done, tile.devices, unreached, untouched)
        yield schedule
        if stop():
            return Written(done + 1, tile.devices, unreached, untouched)
    raise AssertionError("unreachable: the last round returns")


def _counted(tile: Tile, off: Sequence[NDArray[np.bool_]]) -> int:
    """Devices that are off, a reference once whatever shares it."""
    plus, minus = off
    if tile.paired:
        return int(np.count_nonzero(plus)) + int(np.count_nonzero(minus))
    shared = [minus[block.inputs, block.first_out] for block in tile.blocks]
    return int(np.count_nonzero(plus)) + sum(int(np.count_nonzero(column)) for column in shared)


def _sides(reading: TileReading, target: TileReading) -> tuple[tuple[F32, F32], tuple[F32, F32]]:
    return (reading.plus, target.plus), (reading.minus, target.minus)


def _grain(target: F32, sheet: DeviceSheet) -> NDArray[np.float64]:
    """How near a typical device can be brought: three quarters of the larger step at the target, siemens."""
    up = np.interp(target, sheet.curve.siemens, sheet.curve.up_s)
    down = -np.interp(target, sheet.curve.siemens, sheet.curve.down_s)
    return 0.75 * np.maximum(up, down)


def _beyond(g: F32, target: F32, tolerance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where a device is not within tolerance; a reading that is only a bound is."""
    return ~(np.abs(g - target) <= tolerance)


def _counts(g: F32, target: F32, sheet: DeviceSheet) -> Counts:
    """Pulses expected to bring g to target, by the data sheet's curve halfway; at least one; 0 where g is not
    known.
    """
    halfway = 0.5 * (g + target)
    up = np.interp(halfway, sheet.curve.siemens, sheet.curve.up_s)
    down = -np.interp(halfway, sheet.curve.siemens, sheet.curve.down_s)
    rise = np.nan_to_num(target - g, nan=0.0)
    step = np.where(
        rise > 0, np.maximum(up, 0.02 * sheet.step_up_s), np.maximum(down, 0.02 * sheet.step_down_s)
    )
    pulses = np.sign(rise) * np.maximum(1, np.round(np.abs(rise) / step))
    return np.clip(pulses, -MAX_COUNT, MAX_COUNT).astype(np.int16)


def _blind(tile: Tile, target: TileReading) -> Plan[None]:
    levels = int(np.ceil((tile.sheet.g_max_s - tile.sheet.g_min_s) / tile.sheet.step_down_s))
    reset = np.full((tile.n_in, tile.n_out), -min(levels, MAX_COUNT), np.int16)
    yield tile.program(reset, reset)
    pulses, reached = _staircase(tile.sheet)
    plus, minus = (
        np.interp(t, reached, pulses).round().astype(np.int16) for t in (target.plus, target.minus)
    )
    schedule = tile.program(plus, minus)
    if schedule:
        yield schedule


def _staircase(sheet: DeviceSheet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Number of potentiating pulses from g_min, and the conductance expected after as many, up to g_max or
    where it stops rising.
    """
    g = [sheet.g_min_s]
    smallest = 1e-3 * sheet.step_up_s
    while g[-1] < sheet.g_max_s and len(g) < MAX_COUNT:
        step = float(np.interp(g[-1], sheet.curve.siemens, sheet.curve.up_s))
        if step < smallest:
            break
        g.append(g[-1] + step)
    return np.arange(len(g), dtype=np.float64), np.asarray(g)
