"""The line model against an independent nodal analysis, against badcrossbar and against physics."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.sim.lines import node_voltages, transfer, transfer_transposed
from hil.errors import ConfigError, ScheduleError

SHAPES = [(1, 1), (1, 6), (6, 1), (8, 6), (6, 8), (7, 7)]
# row, column, source, sense ohms: the usual, each of them absent, none, and so much that little arrives
OHMS = [
    (2.0, 0.5, 0.0, 0.0),
    (2.0, 0.5, 50.0, 10.0),
    (0.0, 3.0, 0.0, 0.0),
    (3.0, 0.0, 0.0, 0.0),
    (0.0, 3.0, 20.0, 0.0),
    (3.0, 0.0, 0.0, 20.0),
    (0.0, 0.0, 20.0, 30.0),
    (0.0, 0.0, 0.0, 0.0),
    (1e5, 3e5, 1e4, 0.0),
]


def conductances(shape, seed=1):
    """From 1 uS to 1 mS, one in five open."""
    rng = np.random.default_rng(seed)
    return np.exp(rng.uniform(np.log(1e-6), np.log(1e-3), shape)) * (rng.random(shape) > 0.2)


def solve_circuit(g, r_row, r_col, r_source, r_sense, v_rows, v_cols):
    """The drawing in drivers/sim/lines.py, component by component (modified nodal analysis, dense).

    Every wire's current is an unknown with its equation v_a - v_b = r i, so zero ohms are no special case.
    Returns the volts across the devices, the current into the rows and the current out of the columns.
    """
    rows, cols = g.shape
    row = np.arange(rows * cols).reshape(rows, cols)
    col = row + rows * cols
    nodes = 2 * rows * cols
    wires = [(None, v_rows[i], row[i, 0], r_source + r_row) for i in range(rows)]
    wires += [(None, v_cols[j], col[-1, j], r_sense + r_col) for j in range(cols)]
    wires += [(row[i, j], 0.0, row[i, j + 1], r_row) for i in range(rows) for j in range(cols - 1)]
    wires += [(col[i, j], 0.0, col[i + 1, j], r_col) for i in range(rows - 1) for j in range(cols)]
    system = np.zeros((nodes + len(wires), nodes + len(wires)))
    right = np.zeros(nodes + len(wires))
    for a, b, siemens in zip(row.flat, col.flat, g.flat, strict=True):
        system[a, a] += siemens
        system[b, b] += siemens
        system[a, b] -= siemens
        system[b, a] -= siemens
    for k, (a, volts, b, ohm) in enumerate(wires, start=nodes):
        system[b, k] -= 1.0
        system[k, b] -= 1.0
        system[k, k] -= ohm
        right[k] -= volts
        if a is not None:
            system[a, k] += 1.0
            system[k, a] += 1.0
    answer = np.linalg.solve(system, right)
    return (
        answer[row] - answer[col],
        answer[nodes : nodes + rows],
        -answer[nodes + rows : nodes + rows + cols],
    )


def named(ohms):
    return {"r_row_ohm": ohms[0], "r_col_ohm": ohms[1], "r_source_ohm": ohms[2], "r_sense_ohm": ohms[3]}


@pytest.mark.parametrize("ohms", OHMS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_column_current_is_that_of_the_circuit_solved_component_by_component(shape, ohms):
    g = conductances(shape)
    expected = [solve_circuit(g, *ohms, v, np.zeros(shape[1]))[2] for v in np.eye(shape[0])]
    np.testing.assert_allclose(
        transfer(g, **named(ohms)), np.transpose(expected), rtol=1e-10, atol=1e-12 * g.max()
    )


@pytest.mark.parametrize("ohms", OHMS)
@pytest.mark.parametrize("shape", SHAPES)
def test_driving_the_columns_and_sensing_the_rows_at_the_same_ends_is_the_transposed_map(shape, ohms):
    g = conductances(shape)
    expected = [-solve_circuit(g, *ohms, np.zeros(shape[0]), v)[1] for v in np.eye(shape[1])]
    found = transfer_transposed(g, **named(ohms))
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-10, atol=1e-12 * g.max())
    np.testing.assert_array_equal(found, transfer(g, **named(ohms)).T)


@pytest.mark.parametrize("ohms", OHMS)
@pytest.mark.parametrize("shape", SHAPES)
def test_device_voltages_are_those_of_the_circuit_with_rows_and_columns_driven(shape, ohms):
    g = conductances(shape)
    rng = np.random.default_rng(2)
    v_rows, v_cols = rng.uniform(-1, 1, shape[0]), rng.uniform(-1, 1, shape[1])
    found = node_voltages(g, v_rows=v_rows, v_cols=v_cols, **named(ohms))
    np.testing.assert_allclose(found, solve_circuit(g, *ohms, v_rows, v_cols)[0], rtol=1e-10, atol=1e-11)


def test_a_large_array_gives_the_same_currents_by_blocks_and_by_nodes():
    g = conductances((96, 130))
    v = np.random.default_rng(3).uniform(-0.2, 0.2, 96)
    across = node_voltages(g, 2.0, 3.0, v, np.zeros(130), r_source_ohm=40.0)
    found = transfer(g, 2.0, 3.0, r_source_ohm=40.0) @ v
    np.testing.assert_allclose(found, (g * across).sum(axis=0), rtol=1e-9, atol=1e-11 * np.abs(found).max())


# Written by badcrossbar 1.1.0, one row at 1 V after the other:
#   row, col = np.indices((5, 4)); g = 1e-5 * (1 + (7 * row + 3 * col) % 10)
#   badcrossbar.compute(np.eye(5), 1 / g, r_i_word_line=20.0, r_i_bit_line=50.0).currents.output
BADCROSSBAR = [
    [9.6481824309941645e-06, 3.8512525048137658e-05, 6.6681361874431714e-05, 9.3935250344601902e-05],
    [7.7207617741459691e-05, 9.6730389388193781e-06, 3.8366568510951489e-05, 6.6342191012579204e-05],
    [4.8491275373285183e-05, 7.7536495367941353e-05, 9.6627544741205589e-06, 3.8306358100643724e-05],
    [1.9540526926713694e-05, 4.8785069053501173e-05, 7.7652516917020006e-05, 9.6818807683052649e-06],
    [8.8480653895785263e-05, 1.9654940361344401e-05, 4.8889339936915509e-05, 7.7916426133141459e-05],
]


def test_currents_written_by_badcrossbar_are_reproduced():
    row, col = np.indices((5, 4))
    g = 1e-5 * (1 + (7 * row + 3 * col) % 10)
    np.testing.assert_allclose(transfer(g, 20.0, 50.0).T, BADCROSSBAR, rtol=1e-12)


@pytest.mark.parametrize(("r_row", "r_col"), [(0.5, 2.0), (2.0, 0.0), (0.0, 2.0)])
def test_badcrossbar_itself_agrees_where_it_is_installed(r_row, r_col):
    badcrossbar = pytest.importorskip("badcrossbar")
    logging.getLogger("badcrossbar").setLevel(logging.WARNING)
    g = np.random.default_rng(4).uniform(1e-6, 1e-3, (8, 6))
    theirs = badcrossbar.compute(np.eye(8), 1 / g, r_i_word_line=r_row, r_i_bit_line=r_col)
    np.testing.assert_allclose(transfer(g, r_row, r_col).T, theirs.currents.output, rtol=1e-10)


@pytest.mark.parametrize(("row", "col"), [(4, 0), (0, 3), (2, 1)])
def test_a_single_device_is_in_series_with_the_wire_on_its_way(row, col):
    g = np.zeros((5, 4))
    g[row, col] = 1e-3
    found = transfer(g, 7.0, 11.0, r_source_ohm=50.0, r_sense_ohm=3.0)
    expected = np.zeros((4, 5))
    expected[col, row] = 1 / (50 + (col + 1) * 7 + 1 / 1e-3 + (5 - row) * 11 + 3)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_without_any_resistance_the_map_is_the_conductance_matrix_to_the_last_bit():
    g = conductances((9, 5))
    np.testing.assert_array_equal(transfer(g, 0.0, 0.0), g.T)
    np.testing.assert_array_equal(transfer(g.T, 0.0, 0.0), g)


def test_the_error_vanishes_in_proportion_to_the_resistance():
    g = conductances((8, 6))
    drops = [np.abs(transfer(g, r, r) - g.T).max() for r in (1e-3, 1e-4, 1e-5)]
    assert drops[0] / drops[1] == pytest.approx(10, rel=1e-3)
    assert drops[1] / drops[2] == pytest.approx(10, rel=1e-3)


def test_open_devices_carry_nothing_but_see_sneak_currents_when_read():
    np.testing.assert_array_equal(transfer(np.zeros((3, 4)), 1.0, 1.0), np.zeros((4, 3)))
    g = np.full((2, 2), 1e-3)
    g[0, 1] = 0.0
    assert transfer(g, 10.0, 10.0)[1, 0] > 0.0


ohms_ = st.floats(0.0, 1e4)


@settings(max_examples=60)
@given(rows=st.integers(1, 12), cols=st.integers(1, 12), seed=st.integers(0, 1000), r_row=ohms_, r_col=ohms_)
def test_wires_only_ever_take_current_away(rows, cols, seed, r_row, r_col):
    g = conductances((rows, cols), seed)
    found = transfer(g, r_row, r_col)
    rounding = 1 + 1e-12
    assert (found >= 0).all()
    # All rows at one voltage: no column gives more than its devices would at that voltage.
    assert (found.sum(axis=1) <= g.sum(axis=0) * rounding).all()
    # One row driven: no more arrives, at all columns together, than its devices would draw.
    assert (found.sum(axis=0) <= g.sum(axis=1) * rounding).all()


def test_device_voltages_superpose_and_a_common_voltage_drives_nothing():
    g = conductances((6, 9))
    rng = np.random.default_rng(5)
    rows, cols = rng.uniform(-1, 1, 6), rng.uniform(-1, 1, 9)
    both = node_voltages(g, 5.0, 8.0, rows, cols)
    apart = node_voltages(g, 5.0, 8.0, rows, 0 * cols) + node_voltages(g, 5.0, 8.0, 0 * rows, cols)
    np.testing.assert_allclose(both, apart, rtol=0, atol=1e-13)
    common = node_voltages(g, 5.0, 8.0, np.full(6, 0.7), np.full(9, 0.7))
    np.testing.assert_allclose(common, 0.0, rtol=0, atol=1e-13)


def test_a_half_selected_shot_loses_most_at_the_far_corner():
    g = np.full((16, 16), 1e-4)

    def reaches(row, col):
        v_rows, v_cols = np.zeros(16), np.zeros(16)
        v_rows[row], v_cols[col] = 0.5, -0.5
        return node_voltages(g, 5.0, 5.0, v_rows, v_cols)[row, col]

    assert reaches(0, 15) < reaches(8, 8) < reaches(15, 0) < 1.0


@pytest.mark.parametrize(
    ("g", "ohms", "where"),
    [
        (np.array([[1e-6, np.nan]]), (1.0, 1.0), r"conductance \[0, 1\] is nan"),
        (np.array([[1e-6], [-1e-9]]), (1.0, 1.0), r"conductance \[1, 0\] is -1e-09"),
        (np.full(3, 1e-6), (1.0, 1.0), r"shape \(3,\)"),
        (np.zeros((0, 3)), (1.0, 1.0), r"shape \(0, 3\)"),
        (np.ones((2, 2)), (-1.0, 1.0), "r_row_ohm is -1"),
        (np.ones((2, 2)), (1.0, np.nan), "r_col_ohm is nan"),
        (np.ones((2, 2)), (np.inf, 1.0), "r_row_ohm is inf"),
    ],
)
def test_impossible_networks_are_refused_by_name(g, ohms, where):
    with pytest.raises(ConfigError, match=where):
        transfer(g, *ohms)


def test_lines_so_resistive_that_double_precision_fails_are_refused():
    with pytest.raises(ConfigError, match="beyond double precision"):
        transfer(conductances((6, 5)) * 1e9, 1e-9, 1e15, r_source_ohm=1e15)


@pytest.mark.parametrize(
    ("v_rows", "v_cols", "where"),
    [([1.0], [0.0, 0.0], r"v_rows has shape \(1,\)"), ([1.0, 1.0], [0.0, np.nan], "v_cols holds")],
)
def test_voltages_that_do_not_fit_the_lines_are_refused(v_rows, v_cols, where):
    with pytest.raises(ScheduleError, match=where):
        node_voltages(np.ones((2, 2)), 1.0, 1.0, v_rows, v_cols)
