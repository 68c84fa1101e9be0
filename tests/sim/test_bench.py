"""The simulated bench through its contract: noise, drift, disturb, converters, wires, nudges, costs."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from drivers.sim.lines import transfer
from hil.errors import LimitError, ScheduleError
from hil.schedule import Multiply, Nudge, Program, Pulse, Read, Region, Variants, Wait

UP, DOWN = Pulse(2.0, 1e-7, 3e-7), Pulse(-3.0, 2e-7)


def test_listing_drivers_costs_neither_numba_nor_pydantic():
    check = (
        "import sys, drivers.sim as s; s.driver.description; "
        "sys.exit('numba' in sys.modules or 'pydantic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize("count", [1, 9, -25])
def test_programming_noise_grows_with_the_root_of_the_pulses(count, open_bench, pulse):
    bench = open_bench((120, 120), device={"preset": "ideal", "c2c": 0.01})
    before = bench.conductances("main").astype(float)
    pulse(bench, count)
    change = ((bench.conductances("main") - before) / 100e-6 - count / 1024).ravel()
    assert stats.kstest(change, "norm", args=(0, 0.01 * np.sqrt(abs(count)))).pvalue > 0.01


@pytest.mark.parametrize(("integration_s", "sigma"), [(1e-6, 0.05), (25e-6, 0.01)])
def test_read_noise_is_relative_and_falls_with_the_root_of_the_time(
    integration_s, sigma, open_bench, measure
):
    bench = open_bench((100, 100), read={"noise": 0.05})
    relative = measure(bench, integration_s) / bench.conductances("main").astype(float) - 1
    assert stats.kstest(relative.ravel(), "norm", args=(0, sigma)).pvalue > 0.01
    again = measure(bench, integration_s) / bench.conductances("main").astype(float) - 1
    assert abs(np.corrcoef(relative.ravel(), again.ravel())[0, 1]) < 0.05


def test_a_product_carries_the_noise_of_its_readings(open_bench, whole):
    bench = open_bench((30, 4), read={"noise": 0.1}, device={"preset": "ideal", "initial": "uniform"})
    volts = np.linspace(-0.1, 0.1, 30, dtype=np.float32)
    answer = bench.execute((Multiply(whole(bench), np.tile(volts, (20_000, 1)), 1e-6),)).answers[0]
    each = volts[:, np.newaxis] * bench.conductances("main").astype(float)
    expected = 0.1 * np.sqrt((each**2).sum(axis=0))
    np.testing.assert_allclose(
        answer.amperes.mean(axis=0), each.sum(axis=0), atol=5 * expected.max() / np.sqrt(2e4)
    )
    np.testing.assert_allclose(answer.amperes.std(axis=0), expected, rtol=0.03)


def test_conductance_drifts_by_the_power_law_and_anew_after_a_pulse(open_bench, pulse, measure):
    bench = open_bench((2, 2), drift={"nu": 0.05, "t0": 2.0})
    start = measure(bench)
    bench.execute((Wait(2.0 - bench.seconds),))
    np.testing.assert_allclose(measure(bench), start, rtol=1e-6)
    bench.execute((Wait(2e4 - bench.seconds),))
    now = measure(bench)
    np.testing.assert_allclose(now, start * 1e4**-0.05, rtol=1e-5)
    pulse(bench, [[1, 0], [0, 0]])
    np.testing.assert_allclose(measure(bench), now + np.array([[100e-6 / 1024, 0], [0, 0]]), rtol=1e-5)
    bench.execute((Wait(2e4),))
    fresh, old = measure(bench)[0]
    assert fresh == pytest.approx((now[0, 0] + 100e-6 / 1024) * 1e4**-0.05, rel=1e-4)
    assert old == pytest.approx(start[0, 1] * 2e4**-0.05, rel=1e-4)


def test_drift_exponents_spread_from_device_to_device(open_bench, measure):
    bench = open_bench((70, 70), drift={"nu": 0.05, "nu_spread": 0.01})
    start = measure(bench)
    bench.execute((Wait(1e4),))
    nu = -np.log(measure(bench) / start) / np.log(1e4)
    assert stats.kstest(nu.ravel(), "norm", args=(0.05, 0.01)).pvalue > 0.01


def test_half_selected_devices_move_in_proportion_to_the_shots_they_see(open_bench, pulse):
    bench = open_bench((4, 5), disturb={"half_select": 0.1})
    step = 100e-6 / 1024
    before = bench.conductances("main").astype(float)
    counts = np.zeros((4, 5), np.int16)
    counts[1, 2] = 6
    cost = pulse(bench, counts).cost
    expected = np.zeros((4, 5))
    expected[1, :] = expected[:, 2] = 0.6
    expected[1, 2] = 6
    np.testing.assert_allclose((bench.conductances("main") - before) / step, expected, atol=2e-3)
    assert cost.half_selects == 6 * (3 + 4)


def test_with_a_third_of_the_volts_the_rest_of_the_array_sees_the_opposite_sign(open_bench, pulse):
    bench = open_bench((3, 3), disturb={"half_select": 0.1, "scheme": "V/3"})
    before = bench.conductances("main").astype(float)
    counts = np.zeros((3, 3), np.int16)
    counts[0, 0] = 10
    cost = pulse(bench, counts).cost
    moved = (bench.conductances("main") - before) / (100e-6 / 1024)
    np.testing.assert_allclose(moved, [[10, 1, 1], [1, -1, -1], [1, -1, -1]], atol=5e-3)
    assert cost.half_selects == 10 * 8


def test_equal_rows_are_driven_together(open_bench, whole):
    bench = open_bench((6, 4), timing={"shot": "1 us"})
    counts = np.zeros((6, 4), np.int16)
    counts[[0, 2, 5]] = [2, 0, -1, 0]
    counts[3] = [0, 0, 0, 3]
    cost = bench.execute((Program(whole(bench), counts, UP, DOWN),)).cost
    assert cost.pulses == 12
    assert cost.seconds == pytest.approx(5 * (4e-7 + 1e-6) + 1 * (2e-7 + 1e-6))
    per_shot = [(3, 1)] * 3 + [(1, 1)] * 3  # (rows, columns) driven in each of the six shots
    assert cost.half_selects == sum(r * 4 + c * 6 - 2 * r * c for r, c in per_shot)


def test_the_dac_rounds_to_its_steps_and_refuses_what_is_beyond_its_range(open_bench, whole):
    bench = open_bench((1, 1), dac={"bits": 4, "range": 0.7})
    g = bench.conductances("main")[0, 0]
    asked = np.linspace(-0.7, 0.7, 201)[:, np.newaxis]
    driven = bench.execute((Multiply(whole(bench), asked, 1e-6),)).answers[0].amperes / g
    assert np.unique(np.round(driven / 0.1, 4)).size == 15
    assert np.abs(driven - asked).max() <= 0.05 * (1 + 1e-5)
    with pytest.raises(LimitError, match=r"0\.71 V.*0\.7 V"):
        bench.execute((Multiply(whole(bench), np.full((1, 1), 0.71), 1e-6),))
    with pytest.raises(LimitError):
        bench.execute((Read(whole(bench), -0.8, 1e-6),))


def test_the_adc_has_its_steps_and_flags_what_is_beyond_its_range(open_bench, whole):
    bench = open_bench(
        (1, 8), device={"preset": "ideal", "initial": "uniform"}, adc={"bits": 5, "range": 6e-6}
    )
    amperes = 0.1 * bench.conductances("main").astype(float)[0]
    answer = bench.execute((Multiply(whole(bench), np.full((1, 1), 0.1), 1e-6),)).answers[0]
    np.testing.assert_array_equal(answer.clipped[0], amperes > 6e-6)
    inside = ~answer.clipped[0]
    assert np.abs(answer.amperes[0] - amperes)[inside].max() <= 0.5 * 6e-6 / 15 * (1 + 1e-4)
    np.testing.assert_allclose(answer.amperes[0][~inside], 6e-6, rtol=1e-6)
    reading = bench.execute((Read(whole(bench), 0.1, 1e-6),)).answers[0]
    assert np.isnan(reading.siemens[0][~inside]).all()


def test_what_known_devices_cost_in_joules_and_seconds(open_bench, whole):
    timing = {"settle": 1e-6, "transaction": 5e-6}
    bench = open_bench((2, 3), timing=timing)
    g = 51e-6
    volts = np.array([[0.1, 0.2], [0.3, 0.0]])
    counts = np.array([[1, 0, 0], [0, 0, 0]], np.int16)
    done = bench.execute(
        (
            Multiply(whole(bench), volts, 2e-6),
            Read(whole(bench), 0.5, 3e-6),
            Program(whole(bench), counts, UP, DOWN),
            Wait(7.0),
        )
    )
    product, reading, program, wait = done.costs
    assert product.joules == pytest.approx((0.01 + 0.04 + 0.09) * 3 * g * 2e-6, rel=1e-5)
    assert product.seconds == pytest.approx(2 * 3e-6 + 5e-6)
    assert (product.reads, product.transactions) == (6, 1)
    assert reading.joules == pytest.approx(0.25 * 6 * g * 3e-6, rel=1e-5)
    assert (reading.seconds, reading.reads, reading.transactions) == (pytest.approx(2 * 4e-6), 6, 0)
    assert program.joules == pytest.approx(4.0 * (g + 0.5 * 100e-6 / 1024) * 1e-7, rel=1e-5)
    assert wait.seconds == 7.0
    assert bench.seconds == pytest.approx(done.cost.seconds)


@pytest.mark.parametrize("effects", [{}, {"lines": {"row": 20.0, "col": 30.0}}, {"drift": {"nu": 0.1}}])
def test_gate_and_current_nudges_are_felt_and_undone_exactly(effects, open_bench, whole):
    bench = open_bench((5, 4), device={"preset": "ideal", "initial": "uniform"}, **effects)
    bench.execute((Wait(100.0),))
    before = bench.conductances("main")
    volts = np.linspace(-0.1, 0.1, 15, dtype=np.float32).reshape(3, 5)
    points = np.array([[0, 0], [4, 3], [2, 3]])
    plain, gate, current = bench.execute(
        (
            Multiply(whole(bench), volts, 1e-6),
            Nudge(whole(bench), points, "gate", 0.05, volts, 1e-6),
            Nudge(whole(bench), points, "current", 1e-6, volts, 1e-6),
        )
    ).answers
    base = plain.amperes[:, points[:, 1]].T
    np.testing.assert_allclose(gate.siemens, 0.05 * before[points[:, 0], points[:, 1]], rtol=1e-5)
    np.testing.assert_allclose(current.siemens, 1e-6, rtol=1e-6)
    np.testing.assert_allclose(current.amperes - base, 1e-6 * volts[:, points[:, 0]].T, atol=1e-10)
    np.testing.assert_allclose(
        gate.amperes - base, (gate.siemens * volts[:, points[:, 0]]).T, rtol=0.1, atol=1e-9
    )
    np.testing.assert_allclose(bench.conductances("main"), before, rtol=1e-6 if effects else 0)


@pytest.mark.parametrize("points", [[[0, 1], [2, 1], [1, 0], [1, 1]], [[0, 1], [2, 1], [0, 1]]])
def test_pulse_nudges_do_what_single_pulses_between_products_do(points, open_bench, whole):
    device = {
        "preset": "ideal",
        "levels_up": 30,
        "levels_down": 30,
        "nl_up": 3.0,
        "nl_down": -3.0,
        "initial": "uniform",
    }
    nudged, by_hand = open_bench((3, 2), device=device), open_bench((3, 2), device=device)
    volts = np.array([[0.1, -0.05, 0.2]], np.float32)
    answer = nudged.execute(
        (Nudge(whole(nudged), np.array(points), "pulse", 2, volts, 1e-6, UP, DOWN),)
    ).answers[0]
    for number, (row, col) in enumerate(points):
        counts = np.zeros((3, 2), np.int16)
        counts[row, col] = 2
        before = by_hand.conductances("main")
        by_hand.execute((Program(whole(by_hand), counts, UP, DOWN),))
        change = by_hand.conductances("main") - before
        product = by_hand.execute((Multiply(whole(by_hand), volts, 1e-6),)).answers[0]
        by_hand.execute((Program(whole(by_hand), -counts, UP, DOWN),))
        assert answer.siemens[number] == pytest.approx(change[row, col], rel=1e-4)
        assert answer.amperes[number, 0] == pytest.approx(product.amperes[0, col], rel=1e-4)
    left = nudged.conductances("main")
    np.testing.assert_allclose(left, by_hand.conductances("main"), rtol=1e-5)
    assert left[0, 1] != open_bench((3, 2), device=device).conductances("main")[0, 1]


def test_resistive_lines_are_those_of_the_exact_network(open_bench, whole, measure, pulse):
    bench = open_bench(
        (6, 4), device={"preset": "ideal", "initial": "uniform"}, lines={"row": 50.0, "col": 80.0}
    )
    volts = np.linspace(0.02, 0.1, 6)[np.newaxis]
    for _ in range(2):
        exact = transfer(bench.conductances("main"), 50.0, 80.0)
        answer = bench.execute((Multiply(whole(bench), volts, 1e-6),)).answers[0]
        np.testing.assert_allclose(answer.amperes[0], exact @ volts[0], rtol=1e-5)
        np.testing.assert_allclose(measure(bench), exact.T, rtol=1e-5)
        pulse(bench, 200)


def test_transposed_products_and_variants_read_the_same_devices(open_bench, whole):
    bench = open_bench((5, 3), device={"preset": "ideal", "initial": "uniform"})
    g = bench.conductances("main").astype(float)
    columns, rows = np.array([[0.1, -0.2, 0.05]]), np.array([[0.1, 0.0, 0.2, -0.1, 0.05]])
    variants = Variants(np.array([1, 4]), np.array([[0.3], [-0.3]]))
    back, many = bench.execute(
        (
            Multiply(whole(bench), columns, 1e-6, transpose=True),
            Multiply(whole(bench), rows, 1e-6, variants=variants),
        )
    ).answers
    np.testing.assert_allclose(back.amperes, columns @ g.T, rtol=1e-5, atol=1e-12)
    for k, (line, volt) in enumerate(((1, 0.3), (4, -0.3))):
        changed = rows.copy()
        changed[0, line] = volt
        np.testing.assert_allclose(many.amperes[k], changed @ g, rtol=1e-5, atol=1e-12)


def test_one_seed_gives_the_same_bits_and_another_does_not(open_bench, pulse, measure):
    def run(seed):
        bench = open_bench((20, 20), seed, device="aihwkit_ReRamES", read={"noise": 0.02})
        first = measure(bench)
        pulse(bench, 5)
        return np.stack([first, measure(bench)])

    np.testing.assert_array_equal(run(3), run(3))
    assert (run(3) != run(4)).all()


def test_nothing_runs_when_one_operation_is_refused(open_bench, whole):
    bench = open_bench((2, 2))
    good = Program(whole(bench), np.ones((2, 2), np.int16), UP, DOWN)
    before = bench.conductances("main")
    nan = np.array([[0.1, np.nan]])
    for bad, error, told in (
        (Read(Region.block("other", range(1), range(1)), 0.1, 1e-6), ScheduleError, "no array 'other'.*main"),
        (Read(Region.block("main", range(3), range(1)), 0.1, 1e-6), ScheduleError, "row 2.*rows 0 to 1"),
        (Read(Region.block("main", range(1), range(1, 4)), 0.1, 1e-6), ScheduleError, "column 3"),
        (Multiply(whole(bench), nan, 1e-6), ScheduleError, "NaN"),
        (Multiply(whole(bench), np.full((1, 2), np.inf), 1e-6), LimitError, "inf V"),
        (
            Nudge(whole(bench), np.array([[0, 0]]), "gate", -1.5, np.zeros((1, 2)), 1e-6),
            ScheduleError,
            "relative",
        ),
    ):
        with pytest.raises(error, match=told):
            bench.execute((good, bad))
    np.testing.assert_array_equal(bench.conductances("main"), before)
    assert bench.seconds == 0
