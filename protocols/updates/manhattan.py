"""Manhattan rule: one pulse by the sign of the wanted change, whatever its size.

To both devices of a pair, in opposite directions, or to the one device that is held against a reference.

Zamanidoost et al., "Manhattan rule training for memristive crossbar circuit pattern classifiers", WISP 2015,
10.1109/WISP.2015.7139171.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from hil.config.validate import Config
from hil.network.tile import Block, Tile, Wanted
from hil.plan import Plan
from hil.schedule import Index
from protocols.updates.kernels import sign_pulses
from protocols.updates.pulsing import Counted, pulse_blocks, what, where


@dataclass(frozen=True, slots=True)
class ManhattanState:
    """Nothing is carried from step to step but their number."""

    step: int = 0


class Manhattan(Config):
    """G+ one pulse up and G- one pulse down for a wanted rise, the reverse for a fall."""

    name: Literal["manhattan"] = "manhattan"
    threshold: float = Field(
        default=0.0,
        ge=0,
        description=(
            "Smallest wanted change, as a fraction of the weight change of one pulse on each of a weight's "
            "devices, that gets a pulse."
        ),
    )

    def start(self, tile: Tile, seed: int) -> Plan[ManhattanState]:
        """There is nothing to measure and no chance in this rule."""
        yield from ()
        return ManhattanState()

    def apply(self, tile: Tile, wanted: Wanted, state: ManhattanState) -> Plan[ManhattanState]:
        """One pulse to each device of a weight whose wanted change exceeds the threshold."""
        devices_step_s = (tile.sheet.step_up_s + tile.sheet.step_down_s) / (1 if tile.paired else 2)
        smallest = np.float32(self.threshold * devices_step_s / tile.scale_s)

        def counted(block: Block, inputs: Index) -> Counted:
            return *sign_pulses(*what(wanted), inputs, *where(block), smallest), 0

        yield from pulse_blocks(tile, wanted, counted)
        return ManhattanState(state.step + 1)

    def at_step(self, state: ManhattanState, step: int) -> ManhattanState:
        """As after so many steps."""
        return ManhattanState(step)

    def remarks(self, state: ManhattanState) -> Sequence[str]:
        """Nothing: the rule always gives what it wants."""
        return ()
