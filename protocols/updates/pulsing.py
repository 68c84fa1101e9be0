"""What the rules have in common: from counts, block by block, to one transaction; keys; remarks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from hil.network.tile import F32, Block, Tile, Wanted
from hil.plan import Plan
from hil.schedule import Counts, Index, Op, Places, Pulses

_GOLDEN = 0x9E3779B9
"""Between the keys of two steps: 2^32 over the golden ratio."""

Counted: TypeAlias = tuple[Index, Places, Counts, int]
"""The counts of a block that are not 0 (hil.schedule.Pulses), and how many were held back."""


def pulse_blocks(tile: Tile, wanted: Wanted, of_block: Callable[[Block, Index], Counted]) -> Plan[int]:
    """Give the blocks that a change touches their pulses, all in one transaction; how many were held back.

    ``of_block`` counts them for a block and its active inputs, int64 [r].
    """
    ops: list[Op] = []
    held = 0
    for block, inputs, region in tile.active(wanted):
        starts, places, numbers, over = of_block(block, inputs)
        held += over
        ops.append(tile.pulse(region, Pulses(starts, places, numbers)))
    if ops:
        yield tuple(ops)
    return held


def what(wanted: Wanted) -> tuple[F32, F32, F32, np.float32]:
    """A wanted change as kernels take it."""
    return wanted.delta, wanted.inputs, wanted.matrix, np.float32(wanted.factor)


def where(block: Block) -> tuple[int, int, bool, bool]:
    """A block's outputs (first, how many) and which devices of its weights it holds, as kernels take them."""
    return block.first_out, block.n_out, block.plus, block.minus


def key_of_step(key: int, step: int) -> np.uint32:
    """The key of a step's chance."""
    return np.uint32((key + step * _GOLDEN) & 0xFFFF_FFFF)


def share_s(tile: Tile) -> float:
    """What one of a weight's devices takes of a unit of weight that they share, siemens."""
    return tile.scale_s / (1 + tile.paired)


def nominal_shares(tile: Tile, outputs: int) -> tuple[F32, F32]:
    """Pulses up and down per unit of weight of the devices of so many outputs by their nominal steps, float32
    [1, outputs], of pairs [1, 2 outputs].
    """
    devices = (1, (1 + tile.paired) * outputs)
    return (
        np.full(devices, share_s(tile) / tile.sheet.step_up_s, np.float32),
        np.full(devices, share_s(tile) / tile.sheet.step_down_s, np.float32),
    )


def held_remark(held: int, most: int, advice: str) -> tuple[str, ...]:
    """That steps asked for more pulses than a device may get, if they did."""
    if held == 0:
        return ()
    return (
        f"{held:,} times a step asked for more than max_pulses {most} for a device; it got that many. "
        f"{advice}",
    )
