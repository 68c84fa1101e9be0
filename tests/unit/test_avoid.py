"""Tiles keep out of the way of devices that do not work, as far as the array has lines to spare."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.bench import ArrayInfo
from hil.errors import ConfigError
from hil.faults import KINDS, Faults
from hil.network import MatrixSize, Weights, place
from hil.network.avoid import best_lines
from hil.region import Region
from tests.unit.sheets import linear_sheet

SHEET = linear_sheet()


def faults(shape: tuple[int, int], **places: list[tuple[int, int]]) -> Faults:
    kind = np.zeros(shape, np.uint8)
    for name, found in places.items():
        for row, col in found:
            kind[row, col] = KINDS.index(name)
    return Faults(kind, np.full(shape, 5e-6, np.float32))


def bench(known: Faults) -> dict[str, ArrayInfo]:
    rows, cols = known.kind.shape
    return {"main": ArrayInfo("main", rows, cols, SHEET, faults=known)}


def harm_left(known: Faults, blocks) -> int:
    return sum(int(known.harm[np.ix_(b.region.rows, b.region.cols)].sum()) for b in blocks)


harms = st.integers(0, 2**32 - 1).map(
    lambda seed: (np.random.default_rng(seed).random((7, 8)) < 0.15).astype(np.int64)
)


@given(harms, st.integers(1, 7), st.integers(1, 8))
def test_lines_are_as_many_as_asked_for_rising_and_never_worse_than_the_first(
    harm: np.ndarray, rows: int, cols: int
) -> None:
    found = best_lines(harm, rows, cols)
    for lines, number, size in zip(found, (rows, cols), harm.shape, strict=True):
        assert lines.size == number
        assert np.all(np.diff(lines) > 0)
        assert 0 <= lines[0] <= lines[-1] < size
    assert harm[np.ix_(*found)].sum() <= harm[:rows, :cols].sum()


def test_the_choice_is_mostly_the_best_there_is() -> None:
    rng = np.random.default_rng(3)
    best_found = 0
    for _ in range(40):
        harm = (rng.random((7, 8)) < 0.15).astype(np.int64)
        least = min(
            int(harm[np.ix_(rows, cols)].sum())
            for rows in combinations(range(7), 5)
            for cols in combinations(range(8), 6)
        )
        found = int(harm[np.ix_(*best_lines(harm, 5, 6))].sum())
        assert found <= least + 1
        best_found += found == least
    assert best_found >= 36


def test_lines_without_a_fault_are_taken_where_there_are_enough() -> None:
    known = faults((6, 8), stuck=[(0, 3), (4, 6)], open=[(0, 5)])
    ((block,),) = place([MatrixSize("layer1", 5, 3)], bench(known))
    assert block.region.rows.tolist() == [1, 2, 3, 4, 5]
    assert harm_left(known, [block]) == 0
    assert place([MatrixSize("layer1", 5, 3)], bench(faults((6, 8))))[0][0].region.rows.tolist() == [
        *range(5)
    ]


def test_a_shorted_device_is_avoided_before_any_number_of_stuck_ones() -> None:
    known = faults((4, 5), stuck=[(row, 0) for row in range(4)], shorted=[(2, 3)])
    ((block,),) = place([MatrixSize("layer1", 4, 2)], bench(known))
    assert 3 not in block.region.cols
    assert 0 in block.region.cols


@pytest.mark.parametrize("weights", ["pair", "reference"])
def test_several_tiles_on_an_array_move_together_and_share_no_device(weights: Weights) -> None:
    rng = np.random.default_rng(5)
    known = Faults((rng.random((40, 40)) < 0.02).astype(np.uint8), np.full((40, 40), 5e-6, np.float32))
    sizes = [MatrixSize("layer1", 20, 9), MatrixSize("layer2", 10, 5)]
    placed = place(sizes, bench(known), weights)
    used = np.zeros((40, 40), int)
    for (block,) in placed:
        used[np.ix_(block.region.rows, block.region.cols)] += 1
    assert used.max() == 1
    blind = place(sizes, bench(faults((40, 40))), weights)
    left, left_blind = (harm_left(known, [b for bs in blocks for b in bs]) for blocks in (placed, blind))
    assert left < left_blind / 2


def test_a_reference_takes_the_best_column_of_its_block() -> None:
    known = faults((4, 4), stuck=[(0, 3), (1, 3), (2, 1)])
    ((block,),) = place([MatrixSize("layer1", 4, 3)], bench(known), "reference")
    assert known.counts(Region("main", block.region.rows, block.region.cols[-1:])) == {}
    assert sorted(block.region.cols.tolist()) == [0, 1, 2, 3]


def test_a_map_of_another_shape_or_unknown_codes_is_refused() -> None:
    with pytest.raises(ConfigError, match="do not fit"):
        Faults(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.float32))
    with pytest.raises(ConfigError, match="code 4"):
        Faults(np.full((2, 2), 4, np.uint8), np.zeros((2, 2), np.float32))


def test_a_large_array_is_placed_in_a_moment() -> None:
    harm = (np.random.default_rng(1).random((1024, 1024)) < 0.01).astype(np.int64)
    rows, cols = best_lines(harm, 900, 960)
    assert harm[np.ix_(rows, cols)].sum() < harm[:900, :960].sum()
