"""Write-verify: every change is written in a closed loop, pulses and readings in turn, until it is there.

Changes below what a pulse does are kept on the host until they come to one, as in mixed precision
(Nandakumar et al. 2020, 10.3389/fnins.2020.00406), but then written until verified instead of blindly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hil.bench import DeviceSheet
from hil.config.verify import Verify
from hil.network.tile import F32, Block, Tile, Wanted
from hil.plan import Plan
from hil.schedule import Index
from hil.training.verify import Aim, Verified, bring

_BOUND = 2.0
"""Steps that a device is owed at most: what one at the end of its range cannot take is let go."""
_FEW = 0.01
"""Part of the closed loops that may end so without a remark."""


@dataclass(slots=True, eq=False)
class WriteVerifyState:
    """What devices are owed, and how much makes one due: float32 siemens [in, sides, out] each, plus before
    minus. ``aimed``, ``let_go``: closed loops of single devices so far, and those that ended with more left
    than a device may be owed.
    """

    owed_s: F32
    due_s: F32
    aimed: int = 0
    let_go: int = 0


class WriteVerify(Verify):
    """Read, pulse, read again, until a change is in the devices; small changes add up on the host."""

    name: Literal["write-verify"] = "write-verify"
    rounds: int = Field(default=2, ge=1, description="Most rounds of pulses and a reading in one step.")
    tolerance: float = Field(
        default=0.5, ge=0, description="Within how many nominal steps a device is where it should be."
    )
    due: float = Field(
        default=1.0,
        gt=0,
        le=_BOUND,
        description=(
            "Steps of its own, expected where it was last read, that a device must be owed before it is read "
            "and pulsed."
        ),
    )

    def start(self, tile: Tile, seed: int) -> Plan[WriteVerifyState]:
        """Nothing is owed yet; a device is due by nominal steps until it was read."""
        yield from ()
        shape = (tile.n_in, 1 + tile.paired, tile.n_out)
        step = max(tile.sheet.step_up_s, tile.sheet.step_down_s)
        return WriteVerifyState(np.zeros(shape, np.float32), np.full(shape, self.due * step, np.float32))

    def apply(self, tile: Tile, wanted: Wanted, state: WriteVerifyState) -> Plan[WriteVerifyState]:
        """Add the change to what is owed, and write what is due in a closed loop."""
        places: list[tuple[Index, slice, slice]] = []
        aims: list[Aim] = []
        for block, inputs, region in tile.active(wanted):
            sides = slice(0 if block.plus else 1, 2 if block.minus else 1)
            owed = state.owed_s[inputs, sides, block.outputs]
            owed += tile.spare(region, _rises(tile, block, inputs, wanted))
            state.owed_s[inputs, sides, block.outputs] = owed
            due = np.abs(owed) >= state.due_s[inputs, sides, block.outputs]
            rows = np.flatnonzero(due.any(axis=(1, 2)))
            if rows.size == 0:
                continue
            change = np.where(due[rows], owed[rows], np.float32(np.nan)).reshape(rows.size, -1)
            region = block.trained.with_rows(inputs[rows] - block.first_in)
            aims.append(Aim(region, change, relative=True))
            places.append((inputs[rows], sides, block.outputs))
        if not aims:
            return state
        tolerance_s = self.tolerance * min(tile.sheet.step_up_s, tile.sheet.step_down_s)
        done = yield from bring(aims, tile.sheet, tolerance_s, self)
        self._settle(tile, state, places, done)
        return state

    def at_step(self, state: WriteVerifyState, step: int) -> WriteVerifyState:
        """Nothing is owed: what devices were owed on the host ended with it, less than a step each."""
        return state

    def remarks(self, state: WriteVerifyState) -> Sequence[str]:
        """Whether many changes did not arrive."""
        if state.let_go <= _FEW * state.aimed:
            return ()
        return (
            f"{state.let_go:,} of {state.aimed:,} times a device stayed so far off its aim that what exceeds "
            "two steps was let go: it is at the end of its range, or hardly moves. Lower training.rate, or "
            "raise update.rounds",
        )

    def _settle(
        self,
        tile: Tile,
        state: WriteVerifyState,
        places: Sequence[tuple[Index, slice, slice]],
        done: Verified,
    ) -> None:
        """What was not reached stays owed; the readings say how much makes these devices due next time."""
        for (rows, sides, outs), end in zip(places, done.arrived, strict=True):
            owed = np.ascontiguousarray(state.owed_s[rows, sides, outs])
            due = np.ascontiguousarray(state.due_s[rows, sides, outs])
            known = ~np.isnan(end.readings)
            at = end.places[known]
            due.reshape(-1)[at] = _due(end.readings[known], tile.sheet, self.due)
            owed.reshape(-1)[at] = end.left[known]
            bound = np.float32(_BOUND / self.due) * due
            state.let_go += int(np.count_nonzero(np.abs(owed) > bound))
            state.owed_s[rows, sides, outs] = np.clip(owed, -bound, bound)
            state.due_s[rows, sides, outs] = due
        state.aimed += done.aimed


def _rises(tile: Tile, block: Block, inputs: Index, wanted: Wanted) -> F32:
    """What the wanted change asks of the block's devices, siemens [r, sides, out]."""
    if wanted.factored:
        gradient = wanted.inputs[:, inputs].T @ wanted.delta[:, block.outputs]
    else:
        gradient = wanted.matrix[inputs, block.outputs]
    rise = np.float32(wanted.factor * tile.scale_s / (1 + tile.paired)) * gradient
    sides = [rise] if block.plus else []
    if block.minus:
        sides.append(-rise)
    return np.stack(sides, axis=1)


def _due(g: F32, sheet: DeviceSheet, due: float) -> NDArray[np.float64]:
    """So many of the larger expected step at conductances g, of the nominal one where the curve is flat."""
    up, down = sheet.curve.steps(g)
    return due * np.maximum(np.maximum(up, down), min(sheet.step_up_s, sheet.step_down_s))
