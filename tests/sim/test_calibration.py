"""Routines on arrays whose truth is known: what was put in comes out, with intervals that hold."""

import numpy as np
import pytest
from scipy.special import ndtr

from benchmarks.calibration_recovery import FAMILIES, Tally, measure, open_array, trial
from calibration import curve_summary
from calibration.barrier import Held, held_off
from calibration.devices import KINDS, Devices
from calibration.disturb import Disturb
from calibration.drift import Drift
from calibration.figures.parts import outlying
from calibration.intervals import of_share, of_sigma, ratio_within, spread_between
from calibration.labels import label_of_shape, label_of_tanh
from calibration.noise_fit import fit_noise, fit_shifted
from calibration.offset import Offset
from calibration.pulse_search import PulseSearch
from calibration.read_noise import ReadNoise
from calibration.staircase import Interval
from calibration.update_curve import UpdateCurve
from drivers.sim import driver
from drivers.sim.curve import shape_of_label
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Estimate, Target
from hil.calibrate.file import read_record
from hil.errors import ConfigError, LimitError
from hil.figures.canvas import styled
from hil.limits import LimitedBench, Limits


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_put_into_an_array_is_recovered(family):
    tally = Tally()
    curve = UpdateCurve(points=32) if family == "ENODe" else None  # it has hundreds of levels
    for seed in range(4):
        trial(family, 16, seed, tally, curve)
    assert tally.faulty > 10
    assert tally.missed == 0
    assert tally.false_alarms <= 0.01 * tally.working
    for name in tally.stated:
        if name.startswith("device "):  # about 490 intervals each, correlated within an array
            assert 0.88 <= tally.coverage(name) <= 0.99, (name, tally.coverage(name))
    stated = {name for name in tally.stated if not name.startswith("device ")}
    covered = sum(tally.covered[name] for name in stated)
    assert covered >= 0.8 * sum(tally.stated[name] for name in stated), dict(tally.covered)
    for name in ("nl_up", "nl_down", "levels_up", "levels_down", "g_max"):
        if family != "EpiRAM_AgSiGe" or "nl" not in name:  # its pulses scatter by more than a step
            assert abs(np.mean(tally.relative_error[name])) < 0.04, name


def test_whatever_a_single_device_does_not_tell_says_why(tmp_path):
    bench = open_({"preset": "HZO_FeFET", "initial": "uniform"}, (1, 1), read={"noise": 0.01})
    routines = [Devices(), Drift(until=20.0), Offset(), ReadNoise(), UpdateCurve(cycles=3)]
    for routine in routines:
        result = measure(bench, routine)
        unknown = {name: each.why for name, each in result.estimates.items() if np.isnan(each.value)}
        assert unknown
        assert all(unknown.values()), (routine.name, unknown)
    assert unknown["g_min"] == "takes 2 devices or more, 1 told"
    kept = calibrate(
        "devices", routines[0], bench, Target.whole(bench.arrays["main"]), About("one"), tmp_path
    )
    assert read_record(kept.path).result.estimates["conductance"].why == "takes 2 devices or more, 1 told"


def test_the_label_is_that_of_the_simulator():
    labels = np.linspace(-9, 9, 19)
    b = shape_of_label(labels)
    np.testing.assert_allclose(label_of_shape(b), labels, atol=1e-6)
    np.testing.assert_allclose(label_of_tanh(np.tanh(b[5:14] / 2)), labels[5:14], atol=1e-6)
    assert np.isnan(label_of_tanh(np.nan))


def open_(device, size=(8, 8), seed=3, **settings):
    return driver.open(driver.settings(device=device, **settings), {"main": size}, seed)


def test_each_fault_is_called_by_its_name_even_behind_an_offset():
    faults = {"stuck": [(0, 1)], "stuck_low": [(1, 1)], "open": [(2, 2)], "shorted": [(3, 3)]}
    bench = open_(
        {"preset": "HZO_FeFET", "initial": "g_max", "faults": faults}, read={"noise": 0.02, "offset": 2e-9}
    )
    result = measure(bench, Devices())
    named = {
        (int(r), int(c)): KINDS[result.maps["fault"][r, c]] for r, c in np.argwhere(result.maps["fault"])
    }
    assert named == {(0, 1): "stuck", (1, 1): "stuck", (2, 2): "open", (3, 3): "shorted"}
    assert result.estimates["yield"].value == 60 / 64


def test_open_and_shorted_devices_are_not_pulsed_and_moved_ones_no_further():
    faults = {"open": [(2, 2)], "shorted": [(3, 3)], "stuck": [(4, 4)]}
    bench = LimitedBench(open_({"preset": "HZO_FeFET", "faults": faults}, read={"noise": 0.005}), Limits())
    measure(bench, Devices())
    doses = bench.doses["main"]
    assert doses[2, 2] == doses[3, 3] == 0
    assert doses[4, 4] == 64  # its range up, and down
    doses_of_working = np.delete(doses.ravel(), [2 * 8 + 2, 3 * 8 + 3, 4 * 8 + 4])
    assert 0 < doses_of_working.max() <= 4


def test_a_dose_limit_is_obeyed():
    bench = LimitedBench(open_("HZO_FeFET"), Limits(dose=100))
    with pytest.raises(LimitError):
        measure(bench, UpdateCurve())
    assert bench.doses["main"].max() <= 100


def test_read_noise_finds_noise_floor_offset_and_the_time_for_a_precision():
    bench = open_({"preset": "ENODe", "initial": "uniform"}, (16, 16), read={"noise": 0.04, "offset": 3e-7})
    found = measure(bench, ReadNoise(precision=0.01)).estimates
    for name, truth in (("noise", 0.04), ("offset", 3e-7), ("exponent", 0.5), ("integration", 16e-6)):
        assert found[name].low < truth < found[name].high, name
        assert abs(found[name].value / truth - 1) < 0.1, name


@pytest.mark.parametrize("offset", [-8e-9, 5e-9, 20e-9])
@pytest.mark.parametrize("initial", ["g_min", "uniform"])
def test_noise_and_its_time_are_those_of_the_devices_behind_an_offset(initial, offset):
    device = {"preset": "HZO_FeFET", "initial": initial, "d2d": {"range": 0.1}}
    found = measure(open_(device, read={"noise": 0.01, "offset": offset}), ReadNoise()).estimates
    for name, truth in (("noise", 0.01), ("integration", 1e-6), ("offset", offset)):
        assert found[name].low < truth < found[name].high, name
        assert found[name].value == pytest.approx(truth, rel=0.06), name


@pytest.mark.parametrize("offset", [-8e-9, 0.0, 5e-9, 20e-9])
def test_an_offset_changes_no_scatter_of_pulses_and_is_said_to_be_in_the_range(offset):
    device = {"preset": "HZO_FeFET", "initial": "g_min", "d2d": {"range": 0.1}, "faults": {"open": 0.02}}
    bench = open_(device, (16, 16), read={"noise": 0.01, "offset": offset})
    result = measure(bench, UpdateCurve(cycles=4))
    for way in ("up", "down"):
        c2c = result.estimates[f"c2c_{way}"]
        assert c2c.low < 0.005 < c2c.high, way
        assert c2c.value == pytest.approx(0.005, rel=0.1), way
    assert any("as behind an offset" in each for each in result.findings) == (offset != 0)


def test_a_bench_without_noise_is_said_to_have_none():
    found = measure(open_("ENODe"), ReadNoise()).estimates
    assert found["noise"].value < 1e-6
    assert abs(found["offset"].value) < 1e-12


def test_devices_that_do_not_move_have_no_curve():
    faults = {"stuck": 1.0}
    result = measure(open_({"preset": "ENODe", "faults": faults}), UpdateCurve(cycles=3, points=8))
    assert not result.maps["moves"].any()
    assert np.isnan(result.estimates["nl_up"].value)
    assert np.isnan(result.maps["g_max_s"]).all()


def test_of_a_single_device_its_own_range_is_told():
    result = measure(open_("HZO_FeFET", (1, 1)), UpdateCurve(cycles=3, points=8))
    assert any(line.startswith("its range ") for line in result.findings)
    assert not any("nan" in line for line in result.findings)


def test_abrupt_devices_have_a_range_and_are_not_given_steps_that_nobody_saw():
    bench = open_({"preset": "TaOx_41"}, size=(32, 32), seed=0)
    sheet = bench.arrays["main"].device
    result = measure(bench, UpdateCurve())
    low, high = result.estimates["g_min"].value, result.estimates["g_max"].value
    assert sheet.g_min_s / 2 < low < high < 2 * sheet.g_max_s
    moves = result.maps["moves"]
    assert moves.mean() > 0.9
    assert (result.maps["g_max_s"][moves] < 2 * sheet.g_max_s).all()
    noise = result.estimates["c2c_up"]
    assert np.isnan(noise.value) or noise.low < noise.high, "0 to 0 would be devices without noise"
    step = result.estimates["step_up"]
    assert step.high - step.low > 0.2 * sheet.g_max_s, "hardly a step begins within the range"


def test_some_lines_alone_are_pulsed():
    bench = LimitedBench(open_("HZO_FeFET"), Limits())
    info = bench.arrays["main"]
    from hil.calibrate.choose import targets
    from hil.calibrate.tape import Tape
    from hil.plan import run

    (target,) = targets({"main": info}, ["2-5/3,1"])
    routine = UpdateCurve(cycles=3, points=8)
    run(routine.plan(target), bench, Tape())
    pulsed = np.argwhere(bench.doses["main"])
    np.testing.assert_array_equal(pulsed, [[2, 1], [5, 1]])


@pytest.mark.parametrize(
    "routine",
    [Devices(), Disturb(shots=100), Drift(), ReadNoise(repeats=8), UpdateCurve(cycles=3, points=8)],
    ids=lambda routine: routine.name,
)
def test_a_record_is_drawn_from_what_was_read_back(tmp_path, routine):
    from hil.calibrate.conduct import About, calibrate

    bench, _ = open_array("HZO_FeFET", 8, 1)
    kept = calibrate(routine.name, routine, bench, Target.whole(bench.arrays["main"]), About("b"), tmp_path)
    with styled():
        figure = routine.draw(read_record(kept.path))
        figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    again = routine.analyse(read_record(kept.path).steps, kept.record.target)
    for name, each in kept.record.result.estimates.items():
        np.testing.assert_equal(again.estimates[name].value, each.value, name)


@pytest.mark.parametrize("routine", [Devices(), PulseSearch()], ids=lambda routine: routine.name)
def test_a_chip_of_open_devices_is_drawn_without_a_legend_of_nothing(tmp_path, routine):
    from hil.calibrate.conduct import About, calibrate

    bench = open_({"preset": "HZO_FeFET", "faults": {"open": 1.0}}, (4, 4))
    whole = Target.whole(bench.arrays["main"])
    record = calibrate(routine.name, routine, bench, whole, About("b"), tmp_path).record
    with styled():
        assert routine.draw(record).axes[-1].get_legend() is None


def test_a_map_leaves_out_what_is_far_from_the_others_and_nothing_else():
    values = np.random.default_rng(1).normal(0, 1e-9, (32, 32))
    values[3, 4], values[5, 6] = 1e-4, np.nan
    np.testing.assert_array_equal(np.argwhere(outlying(values)), [[3, 4]])
    assert not outlying(np.zeros((4, 4))).any()
    assert not outlying(np.full((4, 4), np.nan)).any()


def test_drift_is_recovered_with_its_spread_and_stuck_devices_do_not_enter():
    device = {"preset": "ENODe", "d2d": {"range": 0.1}, "faults": {"stuck": 0.05}}
    bench = open_(device, (24, 24), drift={"nu": 0.03, "nu_spread": 0.006}, read={"noise": 0.005})
    result = measure(bench, Drift())
    for name, truth in (("nu", 0.03), ("nu_spread", 0.006)):
        found = result.estimates[name]
        assert found.low < truth < found.high, name
        assert found.value == pytest.approx(truth, rel=0.15), name
    assert result.estimates["retention"].value == pytest.approx(1000**-0.03, abs=0.01)
    assert np.isnan(result.maps["nu"]).mean() == pytest.approx(0.05, abs=0.03)


def test_devices_that_do_not_drift_are_said_to_keep_what_they_have():
    result = measure(open_("ENODe", read={"noise": 0.005}), Drift())
    found = result.estimates
    assert found["nu"].low < 0 < found["nu"].high
    assert found["retention"].value == pytest.approx(1, abs=0.002)
    assert any(line.startswith("no change beyond 0.") for line in result.findings)


@pytest.mark.parametrize("share", [0.0, 0.004])
def test_disturb_is_recovered_on_rows_and_columns_both_ways(share):
    bench = open_("ENODe", (16, 16), disturb={"half_select": share}, read={"noise": 0.002})
    result = measure(bench, Disturb(shots=1000, repeats=16))
    for name, found in result.estimates.items():
        assert found.value == pytest.approx(share, abs=0.0008), name
        assert (found.low > 0) == (share > 0), name
    assert ("no disturb" in result.findings[0]) == (share == 0)


def test_where_nothing_moves_disturb_is_not_determined():
    result = measure(
        open_({"preset": "ENODe", "faults": {"stuck": 1.0}}, (16, 16), read={"noise": 0.01}), Disturb()
    )
    assert all(np.isnan(each.value) and "did not move" in each.why for each in result.estimates.values())
    assert result.findings == [
        "not determined: the device that was pulsed did not move: a full step could not be measured"
    ]


@pytest.mark.parametrize(("low", "high"), [(-0.3, 0.1), (0.1, 0.3), (-0.3, -0.1)])
def test_disturb_says_whether_it_is_beyond_noise_and_which_way_it_goes(low, high):
    nothing = Estimate(0.0, -0.1, 0.1, "", "")
    found = Disturb()._findings(
        {"row_up": nothing, "column_down": Estimate((low + high) / 2, low, high, "", "")}
    )
    assert ("no disturb beyond noise" in found) == (low < 0 < high)
    assert any("by a full step" in each for each in found) == (low > 0)
    assert any(each.startswith("column_down: beyond noise, but against") for each in found) == (high < 0)


def test_disturb_asks_for_neighbours_and_a_control():
    with pytest.raises(ConfigError, match="devices: 2 x 8"):
        measure(open_("ENODe", (2, 8)), Disturb())


@pytest.mark.parametrize(("drift", "fall"), [(0.3, 0.0), (0.3, 0.05), (1.0, 0.3), (2.0, 0.0)])
def test_a_walk_at_a_barrier_keeps_the_distance_that_is_computed(drift, fall):
    rng = np.random.default_rng(1)
    at, total = np.zeros(4000), []
    for step in range(600):
        at = np.maximum(0.0, (1 - fall) * at - drift + rng.standard_normal(4000))
        if step >= 200:
            total.append(at.mean())
    assert held_off(drift, fall) == pytest.approx(np.mean(total), rel=0.02)


@pytest.mark.parametrize("drift", [0.2, 0.64, 2.0])
def test_without_a_fall_the_distance_from_a_barrier_is_spitzers(drift):
    n = np.arange(1, 4000)
    mean, sigma = -drift * n, np.sqrt(n)
    positive = sigma * np.exp(-0.5 * (mean / sigma) ** 2) / np.sqrt(2 * np.pi) + mean * ndtr(mean / sigma)
    assert held_off(drift, 0.0) == pytest.approx((positive / n).sum(), rel=1e-4)


def test_what_noise_holds_off_the_ends_is_neither_bias_nor_spread_nor_doubt_of_the_range():
    found = []
    for seed in range(3):  # a pulse of EpiRAM scatters by more than it moves, and by g_min
        bench, _ = open_array("EpiRAM_AgSiGe", 32, 40 + seed)
        found.append(measure(bench, UpdateCurve()).estimates)
    g_min, spread = ([each[name] for each in found] for name in ("g_min", "d2d_g_min"))
    assert np.mean([each.value for each in g_min]) == pytest.approx(245.93e-9, rel=0.012)
    assert all(each.high - each.low < 0.05 * each.value for each in g_min)
    assert np.mean([each.value for each in spread]) == pytest.approx(0.1, rel=0.2)
    assert all(0 < each.low < 0.1 < each.high < 0.15 for each in spread)


def test_noise_and_floor_are_told_apart():
    rng = np.random.default_rng(2)
    current = np.geomspace(1e-9, 1e-6, 400)
    variance = (0.02 * current) ** 2 + 1e-9**2
    seen = variance * rng.chisquare(15, 400) / 15
    relative, floor = fit_noise(current, seen, 15)
    for (value, low, high), truth in ((relative, 0.02), (floor, 1e-9)):
        assert low < truth < high
        assert value == pytest.approx(truth, rel=0.1)


@pytest.mark.parametrize(("floor", "offset"), [(1e-9, 0.0), (0.0, 5e-9), (0.0, -6e-9), (0.0, 0.0)])
def test_noise_at_two_ends_of_a_range_tells_a_floor_or_an_offset(floor, offset):
    rng = np.random.default_rng(3)
    ends = np.concatenate([end * (1 + 0.1 * rng.standard_normal(4000)) for end in (4e-9, 1.8e-7)])
    noise = np.hypot(0.01 * ends, 0.1 * floor)
    found = fit_shifted(ends + offset, noise**2 * rng.chisquare(3, ends.size) / 3, 3)
    middle = np.linspace(4e-9, 1.8e-7, 9)
    told = np.hypot(found.relative[0] * (middle + offset - found.shift[0]), found.floor[0])
    assert told == pytest.approx(np.hypot(0.01 * middle, 0.1 * floor), rel=0.03)
    if offset:
        assert found.shift[1] < offset < found.shift[2]


def test_shorted_devices_do_not_widen_the_interval_of_the_noise():
    rng = np.random.default_rng(5)
    current = np.concatenate([rng.uniform(4e-8, 2e-6, 300), np.full(4, 1e-2)])
    errors = []
    for _ in range(200):
        seen = (0.01 * current) ** 2 * rng.chisquare(31, 304) / 31
        value, low, high = fit_noise(current, seen, 31).relative
        errors.append((value - 0.01) / ((high - low) / 3.92))
    assert np.std(errors) == pytest.approx(1.0, abs=0.15)


def test_a_spread_below_the_scatter_of_its_measurement_has_an_interval_that_holds():
    rng = np.random.default_rng(6)
    covered, told = 0, 0
    for _ in range(200):
        seen = rng.normal(1, 0.1, 500) + rng.normal(0, 0.5, (8, 500))  # 0.18 for the mean of 8
        half = 2.365 * seen.std(axis=0, ddof=1) / np.sqrt(8)
        e = spread_between("", seen.mean(axis=0), seen.mean(axis=0) - half, seen.mean(axis=0) + half, 8)
        covered += e.low <= 0.1 <= e.high
        told += e.low > 0
    assert covered / 200 == pytest.approx(0.95, abs=0.05)
    assert told > 150


def test_intervals_cover_at_their_level():
    rng = np.random.default_rng(4)
    share = np.mean(
        [(e := of_share("", int(k), 50)).low <= 0.1 <= e.high for k in rng.binomial(50, 0.1, 2000)]
    )
    sigma = [of_sigma("", "", float(v), 9) for v in rng.chisquare(9, 2000) / 9]
    assert share >= 0.95
    assert np.mean([e.low <= 1 <= e.high for e in sigma]) == pytest.approx(0.95, abs=0.015)
    a, b = rng.normal(0.3, 0.2, (8, 4000)), rng.normal(1.0, 0.6, (8, 4000))
    leave = [(x.sum(axis=0) - x) / 7 for x in (a, b)]
    _, low, high = ratio_within(a.mean(axis=0), leave[0], b.mean(axis=0), leave[1])
    assert np.mean((low <= 0.3) & (high >= 0.3)) == pytest.approx(0.95, abs=0.02)
    covered = 0
    for _ in range(300):
        true = rng.normal(1, 0.1, 200)
        seen = true + rng.normal(0, 0.05, (8, 200))
        half = 2.365 * seen.std(axis=0, ddof=1) / np.sqrt(8)
        e = spread_between("", seen.mean(axis=0), seen.mean(axis=0) - half, seen.mean(axis=0) + half, 8)
        covered += e.low <= 0.1 <= e.high
    assert covered / 300 == pytest.approx(0.95, abs=0.04)


@pytest.mark.parametrize(("scatter", "held"), [(0.1, False), (1.0, True)])
def test_pulses_whose_scatter_holds_no_device_off_its_end_correct_no_spread(scatter, held):
    found = {
        f"{way}.{part}": shape((4, 1))
        for way in ("up", "down")
        for part, shape in (("step", np.ones), ("bend", np.zeros))
    }
    found |= {f"{way}.variance": np.full((4, 1), scatter**2) for way in ("up", "down")}
    found |= {"low": np.zeros((4, 1)), "high": np.full((4, 1), 30.0)}
    ends = Held(np.full(4, 0.01), np.zeros(4), 0.0, 1.0)  # of another device's pulses, which scatter more
    pulled = curve_summary._pulled({name: Interval(x, x, x) for name, x in found.items()}, ends, "up")
    assert (pulled > 0) is held
