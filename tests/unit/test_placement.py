"""Where weights lie: every weight has one plus and one minus device, and no device serves twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from hil.bench import ArrayInfo, DeviceSheet, StepCurve
from hil.errors import ConfigError
from hil.network import MatrixSize, Pairs, place, wanted_arrays
from hil.schedule import Pulse

SHEET = DeviceSheet(
    1e-6,
    11e-6,
    1e-7,
    1e-7,
    StepCurve(np.array([1e-6, 11e-6]), np.array([1e-7, 1e-7]), np.array([-1e-7, -1e-7])),
    Pulse(1.0, 1e-6),
    Pulse(-1.0, 1e-6),
    0.1,
    1e-6,
)


def arrays(**shapes: tuple[int, int]) -> dict[str, ArrayInfo]:
    return {name: ArrayInfo(name, rows, cols, SHEET) for name, (rows, cols) in shapes.items()}


def devices_of(matrices: list[MatrixSize], bench: dict[str, ArrayInfo], pairs: Pairs) -> None:
    """Mark every device that is used, and fail where one is used twice or a weight lacks one."""
    used = {name: np.zeros(info.shape, int) for name, info in bench.items()}
    for matrix, blocks in zip(matrices, place(matrices, bench, pairs), strict=True):
        plus, minus = np.zeros((matrix.n_in, matrix.n_out), int), np.zeros((matrix.n_in, matrix.n_out), int)
        for block in blocks:
            used[block.region.array][np.ix_(block.region.rows, block.region.cols)] += 1
            if block.side != "minus":
                plus[block.inputs, block.outputs] += 1
            if block.side != "plus":
                minus[block.inputs, block.outputs] += 1
        assert (plus == 1).all()
        assert (minus == 1).all()
    assert max(grid.max() for grid in used.values()) == 1


sizes = st.tuples(st.integers(1, 40), st.integers(1, 20))


@given(st.lists(sizes, min_size=1, max_size=4), st.sampled_from(["columns", "arrays"]))
def test_arrays_made_to_measure_take_each_matrix_whole(shapes: list[tuple[int, int]], pairs: Pairs) -> None:
    matrices = [MatrixSize(f"layer{k}", rows, cols) for k, (rows, cols) in enumerate(shapes)]
    bench = arrays(**wanted_arrays(matrices, pairs))
    devices_of(matrices, bench, pairs)
    per_matrix = 1 if pairs == "columns" else 2
    assert all(len(blocks) == per_matrix for blocks in place(matrices, bench, pairs))


@given(
    st.lists(sizes, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(2, 24), st.integers(2, 24)), min_size=2, max_size=12),
    st.sampled_from(["columns", "arrays"]),
)
def test_whatever_the_arrays_every_weight_has_its_two_devices_or_it_is_refused(
    shapes: list[tuple[int, int]], given_arrays: list[tuple[int, int]], pairs: Pairs
) -> None:
    matrices = [MatrixSize(f"layer{k}", rows, cols) for k, (rows, cols) in enumerate(shapes)]
    bench = arrays(**{f"a{k}": shape for k, shape in enumerate(given_arrays)})
    try:
        devices_of(matrices, bench, pairs)
    except ConfigError as refused:
        needs = str(refused)
        event(needs.split(" ", maxsplit=1)[0] + " refused")


def test_a_matrix_that_fits_is_never_refused_for_having_to_be_cut() -> None:
    bench = arrays(**{f"a{k}": (128, 128) for k in range(14)})
    (blocks,) = place([MatrixSize("layer1", 785, 128)], bench)
    assert len(blocks) == 14
    assert {block.region.shape for block in blocks} == {(128, 128), (17, 128)}


def test_no_room_names_the_matrix_and_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"layer2 needs 9 rows x 8 columns .* the bench has a 10 x 10"):
        place([MatrixSize("layer1", 5, 5), MatrixSize("layer2", 9, 4)], arrays(a=(10, 10)))


def test_pairs_on_two_arrays_need_two_arrays() -> None:
    with pytest.raises(ConfigError, match=r"network\.pairs"):
        place([MatrixSize("layer1", 5, 2)], arrays(a=(10, 10)), "arrays")
