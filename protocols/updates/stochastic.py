"""Stochastic update: random pulse trains on rows and columns, and a device steps where two pulses coincide.

Gokmen and Vlasov, Front. Neurosci. 10, 333 (2016), 10.3389/fnins.2016.00333; update management of Gokmen,
Onen and Haensch, Front. Neurosci. 11, 538 (2017), 10.3389/fnins.2017.00538.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field

from hil.chance import derive_key
from hil.config.validate import Config
from hil.network.tile import F32, Block, Tile, Wanted
from hil.plan import Plan
from hil.schedule import Index
from protocols.updates.pulsing import Counted, pulse_blocks, where
from protocols.updates.trains import bernoulli_trains, binomial_pulses, coincidences


@dataclass(frozen=True, slots=True)
class StochasticState:
    """``key`` and ``step`` make the trains' chance; ``full`` counts the lines whose probability of a pulse
    exceeded 1, ``single`` the steps whose change had no factors.
    """

    key: int
    step: int = 0
    full: int = 0
    single: int = 0


class Stochastic(Config):
    """Trains whose coincidences are the outer product of input and error in expectation."""

    name: Literal["stochastic"] = "stochastic"
    length: int = Field(default=31, ge=1, le=64, description="Slots of a train (BL).")
    management: bool = Field(
        default=True,
        description=(
            "Shift amplitude between rows and columns for each sample, so that the largest input and the "
            "largest error get the same probability; the product stays."
        ),
    )

    def start(self, tile: Tile, seed: int) -> Plan[StochasticState]:
        """Nothing is measured."""
        yield from ()
        return StochasticState(int(derive_key(seed)))

    def apply(self, tile: Tile, wanted: Wanted, state: StochasticState) -> Plan[StochasticState]:
        """Give each device the coincidences of its row's and its column's train."""
        key = state.key << 31 | (2 * state.step & 0x7FFF_FFFF)
        full = yield from (self._coincident if wanted.factored else self._alone)(tile, wanted, key)
        single = state.single + (not wanted.factored)
        return replace(state, step=state.step + 1, full=state.full + full, single=single)

    def at_step(self, state: StochasticState, step: int) -> StochasticState:
        """As after so many steps."""
        return replace(state, step=step)

    def remarks(self, state: StochasticState) -> Sequence[str]:
        """Whether trains were full, and whether changes had no factors to make trains of."""
        told: list[str] = []
        if state.full:
            told.append(
                f"{state.full:,} times a line's probability of a pulse exceeded 1 and its train was full, so "
                "that less was given than wanted. Lower training.rate, or raise update.length"
            )
        if state.single:
            told.append(
                f"in {state.single:,} steps the change was measured weight by weight, without factors that "
                "trains could be made of: counts were binomial with the same mean, each by itself"
            )
        return told

    def _coincident(self, tile: Tile, wanted: Wanted, key: int) -> Plan[int]:
        active = wanted.active_inputs()
        x, d = np.abs(wanted.inputs[:, active]), np.abs(wanted.delta)
        amplitude = np.sqrt(abs(wanted.factor) * _per_slot(tile, self.length))
        shift = _shift(x, d) if self.management else np.float32(1)
        p_rows = (np.float32(amplitude) * shift * x).astype(np.float32)
        p_cols = (np.float32(amplitude) / shift * d).astype(np.float32)
        of_rows = bernoulli_trains(p_rows, self.length, key)
        of_cols = bernoulli_trains(p_cols, self.length, key + 1)
        full = int(np.count_nonzero(p_rows > 1)) + int(np.count_nonzero(p_cols > 1))
        against = 1 if wanted.factor > 0 else -1

        def counted(block: Block, inputs: Index) -> Counted:
            here = of_rows
            if inputs.size < active.size:
                first = int(np.count_nonzero(active < inputs[0]))
                here = np.ascontiguousarray(of_rows[:, first : first + inputs.size])
            signs = wanted.inputs, wanted.delta, against, inputs
            return coincidences(here, of_cols, *signs, *where(block))

        return full + (yield from pulse_blocks(tile, wanted, counted))

    def _alone(self, tile: Tile, wanted: Wanted, key: int) -> Plan[int]:
        asked = np.float32(wanted.factor), np.float32(_per_slot(tile, self.length)), self.length

        def counted(block: Block, inputs: Index) -> Counted:
            return binomial_pulses(wanted.matrix, *asked, inputs, *where(block), key)

        return (yield from pulse_blocks(tile, wanted, counted))


def _per_slot(tile: Tile, length: int) -> float:
    """Probability of a coincidence in a slot, for a wanted change of 1: 1 / (length dw_min)."""
    steps_s = tile.sheet.step_up_s + tile.sheet.step_down_s
    smallest_dw = (steps_s if tile.paired else steps_s / 2) / tile.scale_s
    return 1 / (length * smallest_dw)


def _shift(x: F32, d: F32) -> F32:
    """sqrt(max |delta| / max |x|) of each sample, float32 [n, 1]; 1 where one of them is all 0."""
    most_x, most_d = x.max(axis=1, keepdims=True, initial=0), d.max(axis=1, keepdims=True, initial=0)
    some = (most_x > 0) & (most_d > 0)
    return np.sqrt(np.where(some, most_d / np.where(some, most_x, 1), 1)).astype(np.float32)
