"""Weights one of whose devices does not work: the other one makes up for what its partner holds."""

from __future__ import annotations

import numpy as np

from hil.network.tile import F32, Tile, TileReading


def around_faults(tile: Tile, weights: F32, targets: TileReading) -> TileReading:
    """Targets of weights [in, out] with NaN for devices that do not work; their partners are to stand off
    what these hold by the weight, as far as the range allows.
    """
    held = tile.assembled(
        (block, block.inputs, tile.faults[block.region.array].held(block.region))
        for block in tile.blocks
        if block.region.array in tile.faults
    )
    low, high = np.float32(tile.sheet.g_min_s), np.float32(tile.sheet.g_max_s)
    scaled, unknown = np.float32(tile.scale_s) * weights, np.float32(np.nan)
    plus_works, minus_works = np.isnan(held.plus), np.isnan(held.minus)
    plus = np.where(minus_works, targets.plus, np.clip(held.minus + scaled, low, high))
    minus = targets.minus
    if tile.paired:  # a reference serves other weights too
        minus = np.where(plus_works, minus, np.clip(held.plus - scaled, low, high))
    return TileReading(np.where(plus_works, plus, unknown), np.where(minus_works, minus, unknown))
