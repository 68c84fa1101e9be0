"""Where weights lie: every weight has a plus and a minus device, the latter its own or shared, and no
device serves two places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from hil.bench import ArrayInfo
from hil.errors import ConfigError
from hil.network import MatrixSize, Weights, place, wanted_arrays
from tests.unit.sheets import linear_sheet

SHEET = linear_sheet()


def arrays(**shapes: tuple[int, int]) -> dict[str, ArrayInfo]:
    return {name: ArrayInfo(name, rows, cols, SHEET) for name, (rows, cols) in shapes.items()}


def devices_of(matrices: list[MatrixSize], bench: dict[str, ArrayInfo], weights: Weights) -> None:
    """Mark every device that is used, and fail where one is used twice or a weight lacks one."""
    used = {name: np.zeros(info.shape, int) for name, info in bench.items()}
    for matrix, blocks in zip(matrices, place(matrices, bench, weights), strict=True):
        plus, minus = np.zeros((matrix.n_in, matrix.n_out), int), np.zeros((matrix.n_in, matrix.n_out), int)
        for block in blocks:
            used[block.region.array][np.ix_(block.region.rows, block.region.cols)] += 1
            if block.side != "minus":
                plus[block.inputs, block.outputs] += 1
            if block.side != "plus":
                minus[block.inputs, block.outputs] += 1
            own = 2 if block.side == "pair" else 1
            assert block.trained.shape == (block.n_in, own * block.n_out)
            assert block.region.cols.size - block.trained.cols.size == (block.side == "reference")
        assert (plus == 1).all()
        assert (minus == 1).all()
    assert max(grid.max() for grid in used.values()) == 1


sizes = st.tuples(st.integers(1, 40), st.integers(1, 20))


@given(st.lists(sizes, min_size=1, max_size=4), st.sampled_from(["pair", "split-pair", "reference"]))
def test_arrays_made_to_measure_take_each_matrix_whole(
    shapes: list[tuple[int, int]], weights: Weights
) -> None:
    matrices = [MatrixSize(f"layer{k}", rows, cols) for k, (rows, cols) in enumerate(shapes)]
    bench = arrays(**wanted_arrays(matrices, weights))
    devices_of(matrices, bench, weights)
    per_matrix = 2 if weights == "split-pair" else 1
    assert all(len(blocks) == per_matrix for blocks in place(matrices, bench, weights))


@given(
    st.lists(sizes, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(2, 24), st.integers(2, 24)), min_size=2, max_size=12),
    st.sampled_from(["pair", "split-pair", "reference"]),
)
def test_whatever_the_arrays_every_weight_has_its_two_devices_or_it_is_refused(
    shapes: list[tuple[int, int]], given_arrays: list[tuple[int, int]], weights: Weights
) -> None:
    matrices = [MatrixSize(f"layer{k}", rows, cols) for k, (rows, cols) in enumerate(shapes)]
    bench = arrays(**{f"a{k}": shape for k, shape in enumerate(given_arrays)})
    try:
        devices_of(matrices, bench, weights)
    except ConfigError as refused:
        needs = str(refused)
        event(needs.split(" ", maxsplit=1)[0] + " refused")


def test_a_matrix_that_fits_is_never_refused_for_having_to_be_cut() -> None:
    bench = arrays(**{f"a{k}": (128, 128) for k in range(14)})
    (blocks,) = place([MatrixSize("layer1", 785, 128)], bench)
    assert len(blocks) == 14
    assert {block.region.shape for block in blocks} == {(128, 128), (17, 128)}


@pytest.mark.parametrize(
    ("matrices", "bench", "weights", "said"),
    [
        pytest.param(
            [MatrixSize("layer1", 40, 8)],
            {"a": (16, 16), "b": (8, 16)},
            "pair",
            "layer1 needs 640 devices, 40 rows x 16 columns (40 inputs with bias, 8 outputs, two devices a "
            "weight); the bench has 384; free before layer1, in rectangles: 384 (a 16 x 16, free 16 x 16; b "
            "8 x 16, free 8 x 16); make the arrays larger",
            id="what the attempt itself filled is free",
        ),
        pytest.param(
            [MatrixSize("layer1", 5, 4), MatrixSize("layer2", 9, 4)],
            {"a": (10, 10)},
            "pair",
            "the bench has 100, layer1 took 40; free before layer2, in rectangles: 60 (a 10 x 10, free 5 x "
            "10 and 5 x 2);",
            id="earlier layers took theirs",
        ),
        pytest.param(
            [MatrixSize("layer1", 10, 2), MatrixSize("layer2", 8, 3)],
            {"a": (8, 8), "b": (8, 4), "c": (2, 8)},
            "pair",
            "the bench has 112, layer1 took 40; free before layer2, in rectangles: 48, enough but not in "
            "pieces that take it (a 8 x 8, free nothing; b 8 x 4, free 8 x 4; c 2 x 8, free 2 x 8);",
            id="enough devices but not in one piece",
        ),
        pytest.param(
            [MatrixSize("layer1", 9, 4)],
            {"a": (8, 4), "b": (8, 4)},
            "split-pair",
            "layer1 needs 72 devices, 9 rows x 4 columns in each of two arrays",
            id="weights of arrays",
        ),
        pytest.param(
            [MatrixSize("layer1", 90, 40)],
            {f"a{k}": (4, 4) for k in range(9)},
            "pair",
            "a5 4 x 4, free 4 x 4; and 3 arrays more)",
            id="many arrays are not all named",
        ),
    ],
)
def test_no_room_says_what_is_needed_what_was_free_before_it_and_what_earlier_layers_took(
    matrices: list[MatrixSize], bench: dict[str, tuple[int, int]], weights: Weights, said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        place(matrices, arrays(**bench), weights)
    assert said in str(refused.value)


def test_pairs_on_two_arrays_need_two_arrays() -> None:
    with pytest.raises(ConfigError, match=r"network\.weights"):
        place([MatrixSize("layer1", 5, 2)], arrays(a=(10, 10)), "split-pair")
