"""Which lines of an array to use when some of its devices do not work: those that cross the fewest of them.

Choosing lines so that the fewest faulty devices remain is NP-hard (a biclique problem), so lines are dropped
one by one, worst first, and the choice is then improved until neither side can be bettered alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.bench import ArrayInfo
from hil.network.block import Block
from hil.region import Index, Region

Harm: TypeAlias = NDArray[np.int64]
Blocks: TypeAlias = tuple[Block, ...]


def avoid(placed: Sequence[Blocks], arrays: Mapping[str, ArrayInfo]) -> tuple[Blocks, ...]:
    """The same blocks on better lines: an array's spare rows and columns take the place of those on which
    devices are known not to work. Arrays without known faults stay as they are.
    """
    chosen: dict[str, tuple[Harm, Index, Index]] = {}
    for name, info in arrays.items():
        regions = [block.region for blocks in placed for block in blocks if block.region.array == name]
        if info.faults is not None and regions:
            harm = info.faults.harm
            rows = 1 + max(int(region.rows.max()) for region in regions)
            cols = 1 + max(int(region.cols.max()) for region in regions)
            chosen[name] = harm, *best_lines(harm, rows, cols)
    return tuple(tuple(_moved(block, chosen) for block in blocks) for blocks in placed)


def _moved(block: Block, chosen: Mapping[str, tuple[Harm, Index, Index]]) -> Block:
    region = block.region
    if region.array not in chosen:
        return block
    harm, rows, cols = chosen[region.array]
    rows, cols = rows[region.rows], cols[region.cols]
    if block.side == "reference":  # all weights of a row are measured against it: the best of the columns
        best = int(_least(harm[np.ix_(rows, cols)].sum(axis=0), 1)[0])
        cols = np.append(np.delete(cols, best), cols[best])
    return replace(block, region=Region(region.array, rows, cols))


def best_lines(harm: Harm, rows: int, cols: int) -> tuple[Index, Index]:
    """So many rows and columns of an array whose crosspoints together do little harm, int64 [rows] and
    [cols], rising: never more than the first lines of the array do, and these where nothing is gained.

    ``harm`` int64 [rows of the array, columns of the array], 0 or more.
    """
    first = np.arange(rows), np.arange(cols)
    found = (_improved(harm, *start) for start in (first, _dropped(harm, rows, cols)))
    return min(found, key=lambda lines: _total(harm, *lines))


def _dropped(harm: Harm, rows: int, cols: int) -> tuple[Index, Index]:
    """Drop the worst line, row or column, as long as there are lines to spare and something is gained."""
    kept = [np.ones(size, np.bool_) for size in harm.shape]
    sums = [harm.sum(axis=1), harm.sum(axis=0)]
    spare = [harm.shape[0] - rows, harm.shape[1] - cols]
    while True:
        worst = [int(np.argmax(np.where(kept[side], sums[side], -1))) for side in (0, 1)]
        side = max((0, 1), key=lambda s: (spare[s] > 0, sums[s][worst[s]], spare[s]))
        line = worst[side]
        if spare[side] == 0 or sums[side][line] == 0:
            break
        kept[side][line] = False
        spare[side] -= 1
        sums[1 - side] -= harm[line] if side == 0 else harm[:, line]
    return np.flatnonzero(kept[0])[:rows], np.flatnonzero(kept[1])[:cols]


def _improved(harm: Harm, rows: Index, cols: Index) -> tuple[Index, Index]:
    """The best rows for the columns, then the best columns for the rows, until that gains nothing."""
    while True:
        other_rows = _least(harm[:, cols].sum(axis=1), rows.size)
        other_cols = _least(harm[other_rows].sum(axis=0), cols.size)
        if _total(harm, other_rows, other_cols) >= _total(harm, rows, cols):
            return rows, cols
        rows, cols = other_rows, other_cols


def _least(sums: Harm, number: int) -> Index:
    """The lines with the smallest sums, the first of equals, rising."""
    return np.sort(np.argsort(sums, kind="stable")[:number])


def _total(harm: Harm, rows: Index, cols: Index) -> int:
    return int(harm[np.ix_(rows, cols)].sum())
