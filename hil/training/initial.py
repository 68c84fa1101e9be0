"""The weights that training starts from: written and verified, written blind, or left as the devices are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hil.config.experiment import InitialSettings
from hil.network import Tile, TileReading
from hil.network.compensate import around_faults
from hil.network.tile import F32
from hil.plan import Plan
from hil.schedule import MAX_COUNT
from hil.training.verify import Aim, bring


@dataclass(frozen=True, slots=True)
class Written:
    """What initial programming came to: rounds of pulses, pulses, devices, those not within tolerance at the
    last reading, those among them that were given up because they did not move, and those that were within it
    at the first and got no pulse.
    """

    rounds: int
    pulses: int
    devices: int
    unreached: int
    given_up: int
    untouched: int


def random_weights(tile: Tile, gain: float, rng: np.random.Generator) -> F32:
    """Weights [in, out], uniform within gain sqrt(6 / (in + out)) (Glorot and Bengio, AISTATS 2010)."""
    limit = gain * float(np.sqrt(6 / (tile.n_in + tile.n_out)))
    return rng.uniform(-limit, limit, (tile.n_in, tile.n_out)).astype(np.float32)


def write(
    tile: Tile,
    weights: F32,
    settings: InitialSettings,
    stop: Callable[[], bool] = lambda: False,
) -> Plan[Written]:
    """Bring a tile to weights [in, out].

    Open-loop resets every device by its nominal number of levels and pulses it up once, unread. Otherwise
    devices are pulsed and read in turn (:func:`hil.training.verify.bring`) until they are within the
    tolerance, a fraction of what the largest weight asks of a device. Devices known not to work are left
    alone, and their partners make up for them.
    """
    target = tile.targets(weights)
    tolerance_s = settings.within * float(target.plus.max() - target.plus.min()) / 2
    if tile.faults:
        target = around_faults(tile, weights, target)
    if settings.kind == "random" or settings.open_loop:
        pulses = yield from _blind(tile, target)
        return Written(1, pulses, tile.devices, 0, 0, 0)
    aims = [Aim(block.region, siemens) for block, siemens in tile.laid_out(target.plus, target.minus)]
    done = yield from bring(aims, tile.sheet, tolerance_s, settings, stop)
    return Written(done.rounds, done.pulses, done.aimed, done.unreached, done.given_up, done.untouched)


def _blind(tile: Tile, target: TileReading) -> Plan[int]:
    """Reset and pulse up; answers the number of pulses."""
    levels = int(np.ceil((tile.sheet.g_max_s - tile.sheet.g_min_s) / tile.sheet.step_down_s))
    reset = np.full((tile.n_in, tile.n_out), -min(levels, MAX_COUNT), np.int16)
    total = 0
    reached = tile.sheet.staircase()
    pulses = np.arange(reached.size, dtype=np.float64)
    plus, minus = (
        np.nan_to_num(np.interp(t, reached, pulses)).round().astype(np.int16)
        for t in (target.plus, target.minus)
    )
    for schedule in (tile.program(reset, reset), tile.program(plus, minus)):
        if schedule:
            total += (yield schedule).cost.pulses
    return total
