"""The adaptive rule: one identical pulse at most for a synapse and sample, by thresholds on input and error.

Unidirectional pairs only ever rise, G+ for a wanted rise and G- for a fall, and are refreshed before they
saturate; so what a device does under depression does not matter to the learning. Bidirectional pairs and
single devices follow the same rule for comparison.

Lim et al., Neural Comput. Appl. 31, 8101 (2019), 10.1007/s00521-018-3659-y; reconstructed, see
docs/methods/unidirectional.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field

from hil.bench import ArrayInfo
from hil.chance import derive_key
from hil.config.validate import Config
from hil.errors import ConfigError
from hil.network import Network
from hil.network.tile import F32, Block, Tile, Wanted
from hil.plan import Plan
from hil.schedule import Index
from hil.units import counted
from protocols.updates.kernels import graded_pulses
from protocols.updates.one_device import directed_pulses, threshold_pulses
from protocols.updates.pulsing import (
    Counted,
    held_remark,
    key_of_step,
    nominal_shares,
    pulse_blocks,
    what,
    where,
)
from protocols.updates.refresh import Refresh, Wear, refresh


@dataclass(frozen=True, slots=True, eq=False)
class UnidirectionalState:
    """``key`` and ``step`` make the rounding's chance; ``held`` counts the times that a device was asked for
    more than ``max_pulses``; ``wear`` is that of pairs that are refreshed, else None.
    """

    key: int
    step: int
    held: int = 0
    wear: Wear | None = None


class Unidirectional(Config):
    """Pulses by thresholds on input and error; a pair of devices only rises and is refreshed."""

    name: Literal["unidirectional"] = "unidirectional"
    scheme: Literal["unidirectional", "bidirectional", "single"] = Field(
        default="unidirectional",
        description=(
            "unidirectional: G+ up for a wanted rise, G- up for a fall, with refresh; bidirectional: G+ up "
            "and G- down, or the reverse; single: the one device of a weight against a reference, up or down."
        ),
    )
    counts: Literal["identical", "graded"] = Field(
        default="identical",
        description=(
            "identical: one pulse for a sample, whatever the rate; graded: the wanted change of the samples "
            "above the thresholds over the nominal step, rounded stochastically."
        ),
    )
    input_threshold: float = Field(
        default=0.5, ge=0, description="A sample pulses the inputs whose magnitude exceeds this."
    )
    error_threshold: float = Field(
        default=0.1, ge=0, description="A sample pulses the outputs whose error exceeds this in magnitude."
    )
    max_pulses: int = Field(
        default=31, ge=1, le=32_767, description="Most pulses that one device gets in one step."
    )
    refresh: Refresh = Field(
        default=Refresh(), description="With scheme unidirectional: when and how pairs are written anew."
    )

    def start(self, tile: Tile, seed: int) -> Plan[UnidirectionalState]:
        """Nothing is measured.

        Raises
        ------
        ConfigError
            The network's weights cannot hold the scheme.
        """
        yield from ()
        self._hold(tile)
        wear = Wear.of(tile) if self.scheme == "unidirectional" else None
        return UnidirectionalState(int(derive_key(seed)), 0, 0, wear)

    def check(self, network: Network, arrays: Mapping[str, ArrayInfo]) -> None:
        """Refuse weights that cannot hold the scheme."""
        for layer in network.layers:
            self._hold(layer.tile)

    def apply(self, tile: Tile, wanted: Wanted, state: UnidirectionalState) -> Plan[UnidirectionalState]:
        """Refresh when it is time, then pulse what exceeds the thresholds."""
        wear = state.wear
        if wear is not None and self._is_due(state.step):
            wear = yield from refresh(tile, self.refresh, wear)
        if self.counts == "graded":
            wanted = self._above_thresholds(wanted)
        held = state.held + (yield from pulse_blocks(tile, wanted, self._counted(tile, wanted, state)))
        return replace(state, step=state.step + 1, held=held, wear=wear)

    def at_step(self, state: UnidirectionalState, step: int) -> UnidirectionalState:
        """As after so many steps; what refreshing learned of single devices is learned anew."""
        return replace(state, step=step)

    def remarks(self, state: UnidirectionalState) -> Sequence[str]:
        """Whether pulses were held back, and whether refresh missed devices."""
        told = list(held_remark(state.held, self.max_pulses, "Raise update.max_pulses, or its thresholds"))
        if state.wear is not None and state.wear.missed:
            told.append(
                f"refresh wrote {state.wear.pairs:,} pairs; {state.wear.missed:,} of their devices did not "
                f"come within tolerance in {counted(self.refresh.rounds, 'round')} (keys "
                "update.refresh.tolerance and update.refresh.rounds)"
            )
        return told

    def _hold(self, tile: Tile) -> None:
        if tile.paired == (self.scheme == "single"):
            held = "pairs of devices" if tile.paired else "single devices against a reference"
            default = "" if "scheme" in self.model_fields_set else " (the default)"
            scheme, weights = ("unidirectional", "reference") if tile.paired else ("single", "pair")
            raise ConfigError(
                f"update.scheme: asked for {self.scheme!r}{default}; network.weights holds {tile.name} by "
                f"{held}; write update: {{name: unidirectional, scheme: {scheme}}}, or "
                f"network.weights: {weights}"
            )

    def _is_due(self, step: int) -> bool:
        return self.refresh.every > 0 and step > 0 and step % self.refresh.every == 0

    def _above_thresholds(self, wanted: Wanted) -> Wanted:
        """The part of a wanted change that the thresholds let through."""
        if not wanted.factored:
            low = np.float32(self.input_threshold * self.error_threshold)
            return replace(wanted, matrix=_above(wanted.matrix, low))
        inputs = _above(wanted.inputs, np.float32(self.input_threshold))
        return replace(wanted, delta=_above(wanted.delta, np.float32(self.error_threshold)), inputs=inputs)

    def _counted(
        self, tile: Tile, wanted: Wanted, state: UnidirectionalState
    ) -> Callable[[Block, Index], Counted]:
        most, key = np.float32(self.max_pulses), key_of_step(state.key, state.step)
        low = np.float32(self.input_threshold), np.float32(self.error_threshold)
        one_way = self.scheme == "unidirectional"

        def counted(block: Block, inputs: Index) -> Counted:
            asked = *what(wanted), inputs, *where(block)
            if self.counts == "identical":
                return threshold_pulses(*asked, *low, one_way, self.max_pulses)
            if one_way:
                per_w = np.full((1, tile.n_out), tile.scale_s / tile.sheet.step_up_s, np.float32)
                return directed_pulses(*asked, per_w, per_w, most, key)
            return graded_pulses(*asked, *nominal_shares(tile, block.n_out), most, key)

        return counted


def _above(values: F32, threshold: np.float32) -> F32:
    return np.where(np.abs(values) > threshold, values, np.float32(0))
