"""Bidirectional update: both devices of a pair move, G+ up and G- down for a rise and the reverse for a fall.

A weight held against a reference has one device, which moves alone and takes the whole change. Counts are
the wanted change over the expected step of one pulse, rounded stochastically. The expected step is that of
the data sheet ("nominal"), or what its curve says at each device's last sensed conductance ("compensated").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field

from hil.chance import derive_key
from hil.config.validate import Config
from hil.network.tile import F32, Block, Tile, TileReading, Wanted
from hil.plan import Plan
from hil.schedule import Index
from protocols.updates.kernels import graded_pulses
from protocols.updates.pulsing import (
    Counted,
    held_remark,
    key_of_step,
    nominal_shares,
    pulse_blocks,
    share_s,
    what,
    where,
)
from protocols.updates.sensing import expected_steps


@dataclass(slots=True, eq=False)
class BidirectionalState:
    """``key`` and ``step`` make the rounding's chance; ``up_per_w``, ``down_per_w`` float32 [1 or in, 2 out]
    the pulses per unit of weight that each device is expected to need; ``held`` counts the pulses beyond
    ``max_pulses`` that were not given.
    """

    key: int
    step: int
    up_per_w: F32
    down_per_w: F32
    held: int = 0


class Bidirectional(Config):
    """Both devices of a pair share a wanted change, half each, as identical pulses."""

    name: Literal["bidirectional"] = "bidirectional"
    compensated: bool = Field(
        default=False,
        description=(
            "Take the expected step from the device's curve at its sensed conductance instead of the "
            "nominal step."
        ),
    )
    sense_every: int = Field(
        default=200,
        ge=1,
        description="With compensated: steps between two readings of all conductances (stale in between).",
    )
    max_pulses: int = Field(
        default=31, ge=1, le=32_767, description="Most pulses one device gets in one step."
    )
    smallest_step: float = Field(
        default=0.1,
        gt=0,
        le=1,
        description=(
            "With compensated: an expected step counts as at least this fraction of the nominal one; "
            "near the end of its range a device hardly moves."
        ),
    )

    def start(self, tile: Tile, seed: int) -> Plan[BidirectionalState]:
        """Nominal steps at first; a compensated rule senses the tile before its first change."""
        state = BidirectionalState(int(derive_key(seed)), 0, *nominal_shares(tile, tile.n_out))
        if self.compensated:
            state = self._sensed(tile, (yield from tile.read()), state)
        return state

    def apply(self, tile: Tile, wanted: Wanted, state: BidirectionalState) -> Plan[BidirectionalState]:
        """Pulse both devices of every pair that the wanted change touches."""
        if self.compensated and state.step and state.step % self.sense_every == 0:
            state = self._sensed(tile, (yield from tile.read()), state)
        most, key = np.float32(self.max_pulses), key_of_step(state.key, state.step)

        def counted(block: Block, inputs: Index) -> Counted:
            up, down = (_of_block(per_w, block, tile) for per_w in (state.up_per_w, state.down_per_w))
            return graded_pulses(*what(wanted), inputs, *where(block), up, down, most, key)

        held = state.held + (yield from pulse_blocks(tile, wanted, counted))
        return BidirectionalState(state.key, state.step + 1, state.up_per_w, state.down_per_w, held)

    def at_step(self, state: BidirectionalState, step: int) -> BidirectionalState:
        """As after so many steps, with what was just sensed."""
        return replace(state, step=step)

    def remarks(self, state: BidirectionalState) -> Sequence[str]:
        """Whether steps asked for more pulses than a device may get."""
        return held_remark(state.held, self.max_pulses, "Lower training.rate, or raise update.max_pulses")

    def _sensed(self, tile: Tile, reading: TileReading, state: BidirectionalState) -> BidirectionalState:
        g = np.concatenate((reading.plus, reading.minus), axis=1) if tile.paired else reading.plus
        up, down = expected_steps(g, tile.sheet, self.smallest_step)
        share = np.float32(share_s(tile))
        return replace(state, up_per_w=share / up, down_per_w=share / down)


def _of_block(per_w: F32, block: Block, tile: Tile) -> F32:
    """The columns of a block's outputs, plus then minus; the whole array when the block has all outputs."""
    if block.n_out == tile.n_out:
        return per_w
    sides = per_w.reshape(per_w.shape[0], 1 + tile.paired, tile.n_out)
    return sides[:, :, block.outputs].reshape(per_w.shape[0], -1)
