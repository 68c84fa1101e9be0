"""Refresh of pairs that only ever rise: where both devices stand high, erase both and write their difference
on one side, so that the weight stays and there is room to rise again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from hil.bench import DeviceSheet
from hil.config.validate import MisfitError
from hil.config.verify import Verify
from hil.network.tile import F32, Tile
from hil.plan import Plan
from hil.schedule import MAX_COUNT, Counts, Index
from hil.training.verify import Aim, bring
from protocols.updates.sensing import states

_FEWEST = 4
"""Pulses below which what a device moved says too little of its gain."""
_TRUST = 8
"""Pulses whose reading counts as much as what was known of a gain before."""
_GAINS = (0.25, 4.0)


class Refresh(Verify):
    """When pairs are read, which of them are written anew, and how."""

    every: int = Field(
        default=100,
        ge=0,
        description="Steps between two readings of all conductances for refresh; 0 never refreshes.",
    )
    high: float = Field(
        default=0.75,
        gt=0,
        lt=1,
        description="A pair is refreshed when its larger state (0 at g_min, 1 at g_max) exceeds this ...",
    )
    low: float = Field(default=0.25, gt=0, lt=1, description="... and its smaller state exceeds this.")
    by: Literal["write-verify", "curve", "measured-gain"] = Field(
        default="write-verify",
        description=(
            "How the difference is written after erasing. write-verify: pulsed and read until within "
            "tolerance; curve: as many pulses as the typical device's curve asks for, unread; measured-gain: "
            "as many by the device's own gain, which is read off each refresh for the next one."
        ),
    )
    tolerance: float = Field(
        default=0.002,
        gt=0,
        lt=1,
        description="Of write-verify, as a fraction of the range; never finer than three quarters of a step.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.low < self.high:
            raise MisfitError(f"{self.low:g} must be below refresh.high, {self.high:g}", "low")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Wear:
    """What refreshing has come to, and what it knows of the devices.

    ``stairs`` siemens [k]: conductances expected after 0, 1, 2, ... pulses from g_min; ``gain`` float32
    [2, in, out] of plus and minus devices: their steps over the typical ones; ``pairs`` written anew so far,
    ``missed`` the devices among them that did not come within tolerance.
    """

    stairs: NDArray[np.float64]
    gain: F32
    pairs: int = 0
    missed: int = 0

    @classmethod
    def of(cls, tile: Tile) -> Wear:
        """Nothing refreshed yet, all devices typical."""
        return cls(tile.sheet.staircase(), np.ones((2, tile.n_in, tile.n_out), np.float32))


def refresh(tile: Tile, rule: Refresh, wear: Wear) -> Plan[Wear]:
    """Read a tile of pairs and write those anew whose devices both stand high.

    A pair of which a reading was only a bound is left as it is.
    """
    sheet = tile.sheet
    siemens = yield from _both(tile)
    g = states(siemens, sheet)
    worn = (g.max(axis=0) > rule.high) & (g.min(axis=0) > rule.low)
    if not worn.any():
        return wear
    rise = siemens[0] - siemens[1]
    target = np.float32(sheet.g_min_s) + np.maximum(np.stack((rise, -rise)), np.float32(0))
    target[:, ~worn] = np.nan
    erase = np.where(worn, -_levels(sheet), 0).astype(np.int16)
    erased = tile.program(erase, erase)
    wear = replace(wear, pairs=wear.pairs + int(np.count_nonzero(worn)))
    if rule.by == "curve":
        pulses = _whole(_after(target, wear.stairs))
        yield erased + tile.program(pulses[0], pulses[1])
        return wear
    yield erased
    if rule.by == "measured-gain":
        return (yield from _by_gain(tile, target, wear))
    tolerance_s = rule.tolerance * (sheet.g_max_s - sheet.g_min_s)
    verified = yield from bring(_aims(tile, target), sheet, tolerance_s, rule)
    return replace(wear, missed=wear.missed + verified.unreached)


def _both(tile: Tile, rows: Index | None = None) -> Plan[F32]:
    """Conductances of plus and minus devices, float32 siemens [2, in, out]; NaN for inputs not read."""
    reading = yield from tile.read(rows)
    return np.stack((reading.plus, reading.minus))


def _aims(tile: Tile, target: F32) -> list[Aim]:
    """Of each block that holds devices with a target (float32 siemens [2, in, out], NaN: none)."""
    aims: list[Aim] = []
    for block, siemens in tile.laid_out(target[0], target[1]):
        rows = np.flatnonzero(~np.isnan(siemens).all(axis=1))
        if rows.size:
            aims.append(Aim(block.region.with_rows(rows), siemens[rows]))
    return aims


def _by_gain(tile: Tile, target: F32, wear: Wear) -> Plan[Wear]:
    """Write erased devices by their own gains, and read what that came to."""
    rows = np.flatnonzero(~np.isnan(target[0]).all(axis=1))
    before = yield from _both(tile, rows)
    way = _after(target, wear.stairs) - _after(before, wear.stairs)
    pulses = _whole(np.maximum(way, 0) / wear.gain)
    schedule = tile.program(pulses[0], pulses[1])
    if not schedule:
        return wear
    yield schedule
    after = yield from _both(tile, rows)
    return replace(wear, gain=_measured(wear, before, after, pulses))


def _levels(sheet: DeviceSheet) -> int:
    """Pulses that bring a typical device from one end of its range to the other."""
    return min(MAX_COUNT, int(np.ceil((sheet.g_max_s - sheet.g_min_s) / sheet.step_down_s)))


def _after(siemens: F32, stairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Potentiating pulses from g_min to a conductance, in parts of a pulse; NaN stays NaN."""
    return np.interp(siemens, stairs, np.arange(stairs.size, dtype=np.float64))


def _whole(pulses: NDArray[np.float64]) -> Counts:
    """Whole pulses; none where the number is not known."""
    return np.minimum(np.rint(np.nan_to_num(pulses, nan=0.0)), MAX_COUNT).astype(np.int16)


def _measured(wear: Wear, before: F32, after: F32, pulses: Counts) -> F32:
    """Gains with what the pulses did: a device that moved as far as n typical pulses by m has n / m."""
    inside = (pulses >= _FEWEST) & (after < wear.stairs[-1])
    moved = _after(after, wear.stairs) - _after(before, wear.stairs)
    found = np.where(inside, moved / np.maximum(pulses, 1), wear.gain)
    trust = pulses / (pulses + _TRUST)
    gain = wear.gain + trust * (np.clip(found, *_GAINS) - wear.gain)
    return np.where(np.isfinite(gain), gain, wear.gain).astype(np.float32)
