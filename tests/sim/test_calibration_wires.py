"""The routine `line-resistance`: wires that were put in come out of readings, with intervals that hold."""

import numpy as np
import pytest

from benchmarks.calibration_recovery import Altered, Tally, measure, wires_trial
from calibration.crossbar import Wires, network, readings
from calibration.line_resistance import LineResistance
from drivers.sim import driver
from drivers.sim.lines import transfer
from hil.calibrate.choose import targets
from hil.calibrate.contracts import Target, result_of
from hil.calibrate.file import read_record
from hil.calibrate.tape import Tape
from hil.errors import ConfigError, LimitError
from hil.figures.canvas import styled
from hil.limits import LimitedBench, Limits
from hil.plan import run

ROUTINE = LineResistance(repeats=4)
NAMES = ("row", "col", "row_lead", "col_lead")


def open_(size=(12, 10), seed=3, device="AlOx_HfO2", noise=0.001, faults=None, **settings):
    given = {"preset": device, "initial": "uniform", "d2d": {"range": 0.1}, "faults": faults or {}}
    return driver.open(driver.settings(device=given, read={"noise": noise}, **settings), {"main": size}, seed)


def with_leads(bench, ohms, turn=lambda g: g):
    """The bench behind wires and leads, solved by the simulator's own network; ``turn`` lays it otherwise."""

    row, col, source, sense = ohms
    known = {}

    def behind(op, amperes):
        held = bench.conductances("main").astype(float)
        key = held.tobytes()
        if key not in known:
            known[key] = turn(transfer(turn(held), row, col, r_source_ohm=source, r_sense_ohm=sense).T) / held
        return amperes * known[key]

    return Altered(bench, behind)


def holds(found, truths, slack=1.0):
    """Within the intervals, or ``slack`` times as far."""
    for name, truth in zip(NAMES, truths, strict=True):
        each = found.estimates[name]
        assert abs(each.value - truth) <= slack * (each.high - each.value), (name, each)


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (9, 5), (5, 9)])
@pytest.mark.parametrize("wires", [(0, 0, 0, 0), (2, 1, 0, 0), (20, 0, 50, 10), (0, 300, 0, 1000)])
def test_what_crosspoints_read_agrees_with_the_simulator_open_and_shorted_ones_too(shape, wires):
    rng = np.random.default_rng(2)
    g = np.exp(rng.uniform(np.log(1e-6), np.log(1e-4), shape)) * (rng.random(shape) > 0.2)
    g.flat[0] = 1e-2
    row, col, source, sense = wires
    expected = transfer(g, row, col, r_source_ohm=source, r_sense_ohm=sense).T
    np.testing.assert_allclose(readings(g, Wires(*wires)), expected, rtol=1e-6, atol=1e-9 * g.max())


def test_what_changes_readings_agrees_with_differences():
    rng = np.random.default_rng(3)
    g = np.exp(rng.uniform(np.log(1e-6), np.log(1e-4), (7, 5)))
    g[2, 3], g[4, 1] = 1e-2, 0.0
    at, net = np.array([3.0, 2.0, 5.0, 7.0]), network(g, Wires(3.0, 2.0, 5.0, 7.0))
    for place, own in enumerate(np.eye(4)):
        more, less = (readings(g, Wires(*(at + sign * 1e-3 * own))) for sign in (1, -1))
        np.testing.assert_allclose(net.by_wires[place], (more - less) / 2e-3, rtol=1e-5, atol=1e-13)
    by = 1e-4 * g * rng.normal(size=g.shape)
    change = 0.5 * (readings(g + by, Wires(*at)) - readings(g - by, Wires(*at)))
    np.testing.assert_allclose(net.changed(by[np.newaxis])[0], change, rtol=1e-5, atol=1e-16)
    weights = rng.normal(size=g.shape)
    assert (weights * change).sum() == pytest.approx(
        (net.weighed(weights[np.newaxis])[0] * by).sum(), rel=1e-5
    )


def test_wires_are_told_beside_a_dozen_shorted_devices():
    seed = 4
    row, col = np.random.default_rng(seed).uniform(3, 5, 2)
    faults = {"stuck": 0.02, "open": 0.01, "shorted": 0.013}
    bench = open_((32, 32), seed, "EpiRAM_AgSiGe", noise=0.01, faults=faults, lines={"row": row, "col": col})
    assert (bench.conductances("main") > 5e-3).sum() >= 10
    result = measure(bench, LineResistance())
    holds(result, (row, col, 0.0, 0.0), 1.0)
    for name in ("row", "col"):
        assert result.estimates[name].high - result.estimates[name].low < 1.5, name


def test_resistances_of_no_passive_network_are_refused():
    with pytest.raises(FloatingPointError, match="passive"):
        readings(np.full((4, 4), 1e-3), Wires(-500.0, 0.0))


def test_wires_of_many_arrays_are_recovered_with_intervals_that_hold():
    tally = Tally()
    for seed in range(8):
        wires_trial("AlOx_HfO2", 12, seed, tally)
    assert sum(tally.stated[name] for name in NAMES) >= 24
    rest = [name for name in tally.stated if not name.startswith("device")]
    assert sum(tally.covered[n] for n in rest) >= 0.85 * sum(tally.stated[n] for n in rest), dict(
        tally.covered
    )


def test_leads_are_told_from_wires():
    ohms = (3.0, 1.5, 40.0, 80.0)
    result = measure(with_leads(open_(), ohms), ROUTINE)
    holds(result, ohms, 1.5)
    for name, truth in zip(NAMES, ohms, strict=True):
        assert result.estimates[name].low > 0, name
        assert result.estimates[name].value == pytest.approx(truth, rel=0.25), name
    assert sum("leads, switches or drivers" in each for each in result.findings) == 2


def test_lines_may_be_driven_and_sensed_at_the_other_ends():
    ohms = (6.0, 3.0, 0.0, 0.0)
    bench = with_leads(open_(), ohms, lambda g: g[::-1, ::-1])
    result = measure(bench, LineResistance(repeats=4, driven_at="last", sensed_at="first"))
    holds(result, ohms, 1.5)
    loss = result.maps["loss"]
    assert loss[:, 0].mean() > 1.3 * loss[:, -1].mean()  # rows are driven at the last column


def test_what_readings_lose_and_what_devices_are_is_mapped():
    bench = open_((16, 16), lines={"row": 8.0, "col": 4.0})
    held = bench.conductances("main").astype(float)
    seen = transfer(held, 8.0, 4.0).T
    result = measure(bench, ROUTINE)
    lost = 1 - seen / held
    assert lost.max() > 0.05
    np.testing.assert_allclose(result.maps["loss"], lost, atol=0.006)
    np.testing.assert_allclose(result.maps["siemens"], held, rtol=0.01)
    worst = 1 - transfer(np.full((16, 16), 59.172e-6), 8.0, 4.0)[-1, 0] / 59.172e-6
    found = result.estimates["loss_worst"]
    assert found.low < worst < found.high


def test_perfect_wires_are_said_to_be_too_good_to_be_measured():
    result = measure(open_(noise=0.01), ROUTINE)
    assert sum("too good to be measured" in each for each in result.findings) == 2
    assert result.estimates["loss"].low < 0
    assert (
        sum("no reading of the array as found is seen to lose to wires" in each for each in result.findings)
        == 1
    )
    holds(result, (0, 0, 0, 0), 1.5)


def test_an_offset_as_large_as_the_current_of_the_least_devices_is_not_taken_for_wires():
    bench = open_((16, 16), device="EpiRAM_AgSiGe", lines={"row": 6.0, "col": 4.0})
    least = bench.arrays["main"].device.g_min_s
    result = measure(Altered(bench, lambda op, a: a + 0.1 * least), ROUTINE)  # read at 0.1 V
    holds(result, (6.0, 4.0, 0.0, 0.0))
    assert result.estimates["offset"].value == pytest.approx(0.1 * least, rel=0.01)
    assert result.estimates["row"].low > 0


def test_drift_that_all_devices_share_is_not_taken_for_wires():
    bench = open_(
        lines={"row": 6.0, "col": 6.0}, drift={"nu": 0.05, "t0": "1 ms"}, timing={"transaction": "10 ms"}
    )
    result = measure(bench, ROUTINE)
    for name in ("row", "col"):
        assert result.estimates[name].value == pytest.approx(6, rel=0.35), name


def test_each_device_crosses_its_range_once_each_way_and_open_and_shorted_ones_stay():
    bench = open_(faults={"open": [(2, 2)], "shorted": [(3, 3)]}, lines={"row": 1.0})
    limited = LimitedBench(bench, Limits(dose=80))
    measure(limited, ROUTINE)
    doses = limited.doses["main"]
    assert doses[2, 2] == doses[3, 3] == 0
    assert set(np.unique(np.delete(doses.ravel(), [22, 33]))) == {80}
    with pytest.raises(LimitError):
        measure(LimitedBench(open_(), Limits(dose=50)), ROUTINE)


def test_some_lines_alone_are_pulsed_but_all_of_the_array_loads_them():
    bench = LimitedBench(open_((14, 14), lines={"row": 8.0, "col": 8.0}), Limits())
    (target,) = targets(bench.arrays, ["2-9,4-13"])
    routine, tape = ROUTINE, Tape()
    run(routine.plan(target), bench, tape)
    pulsed = np.argwhere(bench.doses["main"])
    assert pulsed.min(axis=0).tolist() == [2, 4]
    assert pulsed.max(axis=0).tolist() == [9, 13]
    result = routine.analyse(tape.steps, target)
    assert result.maps["loss"].shape == (14, 14)
    for name in ("row", "col"):
        assert result.estimates[name].value == pytest.approx(8, rel=0.3), name


def test_devices_that_do_not_move_tell_nothing_and_two_rows_are_refused():
    result = measure(open_((6, 6), faults={"stuck": 1.0}, lines={"row": 5.0}), ROUTINE)
    assert np.isnan(result.estimates["row"].value)
    assert "hardly moved" in result.findings[0]
    with pytest.raises(ConfigError, match="2 x 8 lines"):
        measure(open_((2, 8)), ROUTINE)


@pytest.mark.parametrize(("device", "shorted", "told"), [("AlOx_HfO2", 0.0, 200), ("GST_PCM", 0.05, 40)])
def test_one_device_at_a_time_its_resistance_is_held_against_its_distance(device, shorted, told):
    # A shorted device behind 7 kohm conducts less than a sound one without: it is not known by that alone.
    bench, (rows, cols) = open_((16, 16), device=device, faults={"shorted": shorted}), (16, 16)
    i, j = np.indices((rows, cols))
    ohms = 300.0 * (j + 1) + 150.0 * (rows - i)
    one = Altered(bench, lambda op, a: a / (1 + ohms * a / op.voltage_v), parallel_read=False)
    result = measure(one, ROUTINE)
    for name, truth in (("row", 300), ("col", 150)):
        each = result.estimates[name]
        assert abs(each.value - truth) < 1.5 * (each.high - each.value), each
        assert each.high - each.low < told
    assert np.isnan(result.estimates["row_lead"].value)
    assert "one device at a time" in result.findings[-1]


@pytest.mark.parametrize("parallel", [True, False])
def test_a_line_resistance_record_is_drawn_from_what_was_read_back(tmp_path, parallel):
    from hil.calibrate.conduct import About, calibrate

    bench = Altered(open_(lines={"row": 3.0, "col": 1.0}), lambda op, a: a, parallel_read=parallel)
    routine = ROUTINE
    kept = calibrate("wires", routine, bench, Target.whole(bench.arrays["main"]), About("b"), tmp_path)
    with styled():
        routine.draw(read_record(kept.path)).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    again = routine.analyse(read_record(kept.path).steps, read_record(kept.path).target) if parallel else None
    if again is not None:
        for name, each in kept.record.result.estimates.items():
            np.testing.assert_equal(again.estimates[name].value, each.value, name)


def test_without_noise_and_wires_the_fit_settles_at_none():
    settings = driver.settings(device={"preset": "ENODe", "initial": "uniform"})
    bench = driver.open(settings, {"main": (8, 8)}, 1)
    target, tape, routine = Target.whole(bench.arrays["main"]), Tape(), LineResistance(repeats=2)
    run(routine.plan(target), bench, tape)
    result = result_of(routine, tape.steps, target)
    for name in ("row", "col", "loss", "loss_worst"):
        assert result.estimates[name].value == 0
        assert result.estimates[name].low <= 0 < result.estimates[name].high < 1e-5
