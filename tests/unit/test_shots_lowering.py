"""Half-select shots add up to the counts asked for, whatever they are, in as few as rank allows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from drivers.line.lowering import Group, Reading, Ticks, Wires, groups, multiply, nudge, shoot
from drivers.sim.shots import count_shots, half_selects
from hil.errors import LimitError
from hil.region import Region
from hil.schedule import Multiply, Nudge, Program, Pulse, Variants

UP, DOWN = Pulse(2.0, 1e-7, 3e-7), Pulse(-2.5, 2e-7)
SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 12))
COUNTS = SHAPES.flatmap(lambda shape: arrays.arrays(np.int16, shape, elements=st.integers(-9, 9)))


def one_by_one(group: Group, shape: tuple[int, int]) -> list[np.ndarray]:
    """Each shot as the devices that it selects, bool [rows, cols]."""
    shots = []
    for number in range(1, group.shots + 1):
        selected = np.zeros(shape, bool)
        selected[np.ix_(group.rows, group.cols[group.counts >= number])] = True
        shots.append(selected)
    return shots


@given(COUNTS)
def test_the_shots_add_up_to_the_map(counts: np.ndarray) -> None:
    total = np.zeros(counts.shape, int)
    for group in groups(counts):
        for selected in one_by_one(group, counts.shape):
            total += selected * (1 if group.rising else -1)
    np.testing.assert_array_equal(total, counts)


@given(
    arrays.arrays(np.int16, st.integers(1, 40), elements=st.integers(-1, 1)),
    arrays.arrays(np.int16, st.integers(1, 40), elements=st.integers(-1, 1)),
)
def test_a_sign_update_of_rank_one_takes_at_most_four_shots(rows: np.ndarray, cols: np.ndarray) -> None:
    assert sum(group.shots for group in groups(np.outer(rows, cols))) <= 4


@given(COUNTS, st.sampled_from(["V/2", "V/3"]))
def test_half_selects_are_those_that_each_shot_makes(counts: np.ndarray, bias: str) -> None:
    rows, cols = counts.shape
    seen = pulses = 0
    for group in groups(counts):
        for selected in one_by_one(group, counts.shape):
            lines = selected.any(axis=1)[:, np.newaxis] | selected.any(axis=0)
            others = np.ones_like(selected) if bias == "V/3" else lines
            seen += int((others & ~selected).sum())
        pulses += group.pulses
    assert seen == sum(group.half_selects(rows, cols, bias) for group in groups(counts))
    assert pulses == np.abs(counts.astype(int)).sum()
    whole = Region.block("main", range(rows), range(cols))
    simulated = count_shots(Program(whole, counts, UP, DOWN).pulses, cols)
    assert half_selects(simulated, rows, cols, bias) == seen


def wires(region: Region) -> Wires:
    return Wires(region.rows + 100, region.cols + 200, 50)


def test_shots_go_to_the_channels_of_their_lines_with_the_pulse_of_their_polarity() -> None:
    region = Region("main", np.array([3, 1]), np.array([0, 4, 2]))
    counts = np.array([[2, 0, -1], [0, 3, 0]], np.int16)
    found = [order for order, _ in shoot(Program(region, counts, UP, DOWN), wires(region), "V/2", Ticks(1))]
    told = {(*order.rows, *order.cols, *order.counts, order.volts, order.width, order.gap) for order in found}
    assert told == {
        (103, 200, 2, 2.0, 100, 300),
        (103, 202, 1, -2.5, 200, 0),
        (101, 204, 3, 2.0, 100, 300),
    }


@given(
    n=st.integers(1, 7),
    lines=st.integers(1, 9),
    k=st.integers(0, 9),
    room=st.integers(40, 4000),
    back=st.booleans(),
)
def test_a_product_in_parts_drives_every_vector_with_every_variant_once(
    n: int, lines: int, k: int, room: int, back: bool
) -> None:
    region = Region.block("main", *((range(2), range(lines)) if back else (range(lines), range(2))))
    volts = np.arange(n * lines, dtype=float).reshape(n, lines)
    variants = (
        Variants(np.arange(min(k, lines)), 1000.0 + np.arange(min(k, lines) * n).reshape(-1, n))
        if k
        else None
    )
    parts = multiply(Multiply(region, volts, 1e-6, back, variants), wires(region), 1000, room)
    driven = np.zeros((max(1, min(k, lines)), n), int)
    for order, varied, some in parts:
        np.testing.assert_array_equal(order.volts, volts[some])
        if variants is None:
            driven[:, some] += 1
            continue
        assert order.varied is not None
        np.testing.assert_array_equal(order.varied, variants.lines[varied])
        np.testing.assert_array_equal(order.varied_volts, variants.volts[varied, some])
        driven[varied, some] += 1
    assert (driven == 1).all()


def test_a_nudge_reads_pulses_reads_drives_and_pulses_back() -> None:
    region = Region("main", np.array([5, 2]), np.array([1, 0]))
    op = Nudge(region, np.array([[1, 0]]), "pulse", -3.0, np.array([[0.1, 0.2]]), 1e-6, UP, DOWN)
    before, there, after, driven, back = nudge(
        op, UP, DOWN, wires(region), Reading(0.1, 1000), "V/2", Ticks(1)
    )
    for order in (before, there, after, back):
        assert (order.rows.tolist(), order.cols.tolist()) == ([102], [201])
    assert (there.volts, there.counts.tolist()) == (-2.5, [3])
    assert (back.volts, back.counts.tolist()) == (2.0, [3])
    assert (driven.rows.tolist(), driven.cols.tolist()) == ([105, 102], [201])


@pytest.mark.parametrize(
    ("seconds", "ns"), [(1e-7, 100), (0.0, 0), (3e-7, 300), (1.23e-6, 1230), (0.5, 500_000_000)]
)
def test_times_are_the_decimal_ones_that_were_asked_for(seconds: float, ns: int) -> None:
    assert Ticks(10).of("pulse width", seconds) == ns


@pytest.mark.parametrize("seconds", [1.5e-9, 1e-12, 1e-9 * (1 + 1e-6), 1.05e-7])
def test_times_between_two_ticks_are_refused_and_waits_are_not_cut_short(seconds: float) -> None:
    with pytest.raises(LimitError, match="steps of 10 ns"):
        Ticks(10).of("pulse width", seconds)
    assert seconds * 1e9 <= Ticks(10).at_least(seconds) < seconds * 1e9 + 10
