"""Conditional reverse update scheme (CRUS): one device of a pair moves, by potentiation as long as that is
effective, else by depression of its partner.

Lee et al., arXiv 2111.07113 (2021); reconstructed, see docs/methods/crus.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field

from hil.bench import ArrayInfo, DeviceSheet
from hil.chance import derive_key
from hil.config.validate import Config
from hil.errors import ConfigError
from hil.network import Network
from hil.network.tile import F32, Block, Tile, Wanted
from hil.plan import Plan
from hil.schedule import Index
from protocols.updates.one_device import directed_pulses
from protocols.updates.pulsing import Counted, held_remark, key_of_step, pulse_blocks, what, where
from protocols.updates.sensing import expected_steps, states

_SMALLEST = 0.01
"""Least expected step, in nominal ones: beyond it counts only grow, and max_pulses holds them."""


@dataclass(frozen=True, slots=True, eq=False)
class CrusState:
    """``key`` and ``step`` make the rounding's chance; ``rise``, ``fall`` float32 [in, out] the pulses per
    unit of weight for a wanted rise and a wanted fall, negative where they depress; ``held`` counts the times
    that a device was asked for more than ``max_pulses``.
    """

    key: int
    step: int
    rise: F32
    fall: F32
    held: int = 0


class Crus(Config):
    """Potentiation of one device, or depression of its partner where potentiation has become weak."""

    name: Literal["crus"] = "crus"
    sense_every: int = Field(
        default=1600,
        ge=1,
        description="Steps between two readings of all conductances (stale in between).",
    )
    sense_bits: int = Field(default=4, ge=1, le=16, description="Bits of a sensed conductance.")
    theta_high: float = Field(
        default=0.4,
        ge=0,
        lt=1,
        description=(
            "Reverse where the state of the device to be pulsed (0 at g_min, 1 at g_max) exceeds this ..."
        ),
    )
    theta_low: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="... and that of its partner, which then is pulsed the other way, exceeds this.",
    )
    max_pulses: int = Field(
        default=4, ge=1, le=32_767, description="Most pulses that one device gets in one step."
    )
    compensated: bool = Field(
        default=True,
        description=(
            "Take the expected step from the device's curve at its sensed state, not the nominal one."
        ),
    )
    abrupt: Literal["depression", "potentiation"] = Field(
        default="depression",
        description=(
            "The way in which devices move abruptly, and which is avoided: with potentiation all roles are "
            "mirrored."
        ),
    )

    def start(self, tile: Tile, seed: int) -> Plan[CrusState]:
        """Sense the tile.

        Raises
        ------
        ConfigError
            The network's weights are not held by pairs.
        """
        _needs_pairs(tile)
        blank = np.zeros((0, 0), np.float32)
        return (yield from self._sensed(tile, CrusState(int(derive_key(seed)), 0, blank, blank)))

    def check(self, network: Network, arrays: Mapping[str, ArrayInfo]) -> None:
        """Refuse weights without a partner."""
        for layer in network.layers:
            _needs_pairs(layer.tile)

    def apply(self, tile: Tile, wanted: Wanted, state: CrusState) -> Plan[CrusState]:
        """Sense when it is time, then pulse one device of each pair that the wanted change touches."""
        if state.step and state.step % self.sense_every == 0:
            state = yield from self._sensed(tile, state)
        per_w = state.rise, state.fall
        most, key = np.float32(self.max_pulses), key_of_step(state.key, state.step)

        def counted(block: Block, inputs: Index) -> Counted:
            return directed_pulses(*what(wanted), inputs, *where(block), *per_w, most, key)

        held = state.held + (yield from pulse_blocks(tile, wanted, counted))
        return replace(state, step=state.step + 1, held=held)

    def at_step(self, state: CrusState, step: int) -> CrusState:
        """As after so many steps, with what was just sensed."""
        return replace(state, step=step)

    def remarks(self, state: CrusState) -> Sequence[str]:
        """Whether steps asked for more pulses than a device may get."""
        return held_remark(state.held, self.max_pulses, "Lower training.rate, or raise update.max_pulses")

    def _sensed(self, tile: Tile, state: CrusState) -> Plan[CrusState]:
        reading = yield from tile.read()
        plus, minus = (states(g, tile.sheet, self.sense_bits) for g in (reading.plus, reading.minus))
        rise = self._pulses_per_w(plus, minus, tile)
        fall = self._pulses_per_w(minus, plus, tile)
        return replace(state, rise=rise, fall=fall)

    def _pulses_per_w(self, up: F32, down: F32, tile: Tile) -> F32:
        """Signed pulses per unit of weight [in, out] for a change that potentiating the devices at states
        ``up`` makes, or depressing those at ``down``; where a state is not known, the nominal pulses of the
        preferred way.
        """
        sheet = tile.sheet
        potentiate = np.float32(tile.scale_s) / self._steps(up, sheet)[0]
        depress = np.float32(-tile.scale_s) / self._steps(down, sheet)[1]
        if self.abrupt == "depression":
            return np.where((up > self.theta_high) & (down > self.theta_low), depress, potentiate)
        mirrored = (1 - down > self.theta_high) & (1 - up > self.theta_low)
        return np.where(mirrored, potentiate, depress)

    def _steps(self, g: F32, sheet: DeviceSheet) -> tuple[F32, F32]:
        if not self.compensated:
            return expected_steps(np.full_like(g, np.nan), sheet, 1)
        return expected_steps(sheet.g_min_s + g * (sheet.g_max_s - sheet.g_min_s), sheet, _SMALLEST)


def _needs_pairs(tile: Tile) -> None:
    if not tile.paired:
        raise ConfigError(
            f"update.name: asked for 'crus'; network.weights holds {tile.name} by single devices against a "
            "reference, and none has a partner that could be pulsed instead; pair or split-pair is needed"
        )
