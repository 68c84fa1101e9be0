"""Calibrations say what readings tell: no rounding as a figure, and no figure that may be anything."""

from datetime import UTC, datetime

import numpy as np
import pytest

from calibration.intervals import spread_between, within
from calibration.twin.records import fit
from calibration.update_curve import UpdateCurve
from drivers.sim import driver
from hil.calibrate.choose import routines
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Estimate, Target, result_of
from hil.calibrate.tape import Tape
from hil.calibrate.twin import Asked
from hil.calibrate.use import known_by_records
from hil.plan import run
from hil.setup import load_bench

STRAIGHT = {"preset": "ENODe", "initial": "uniform", "nl_up": 0, "nl_down": 0, "c2c": {"up": 0, "down": 0}}
NAMES = ("drift", "disturb", "offset", "read-noise", "update-curve")


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """Records by routine of an array without any noise, with an open device."""
    settings = driver.settings(device=STRAIGHT | {"faults": {"open": [[0, 1]]}})
    bench = driver.open(settings, {"main": (4, 4)}, 1)
    target, folder = Target.whole(bench.arrays["main"]), tmp_path_factory.mktemp("records")
    chosen = routines(NAMES, ["update-curve.points=24", "update-curve.cycles=3"])
    return {name: calibrate(name, chosen[name], bench, target, About("clean"), folder) for name in NAMES}


def test_rounding_is_told_as_0_within_what_readings_resolve(clean):
    told = {name: kept.record.result.estimates for name, kept in clean.items()}
    dust = {
        "drift": ("nu", "nu_spread"),
        "disturb": ("row_up", "column_down"),
        "offset": ("offset", "offset_columns", "rectification"),
        "read-noise": ("noise", "floor", "offset", "nonlinearity"),
        "update-curve": (
            "nl_up",
            "nl_down",
            "c2c_up",
            "c2c_down",
            "d2d_g_min",
            "d2d_step_up",
            "d2d_step_down",
        ),
    }
    for routine, names in dust.items():
        for name in names:
            each = told[routine][name]
            assert each.value == 0, (routine, name, each)
            assert each.low <= 0 < each.high < 1e-3, (routine, name, each)
    assert told["update-curve"]["levels_up"].value == pytest.approx(199, rel=1e-4)
    findings = [line for kept in clean.values() for line in kept.record.result.findings]
    assert any(line.startswith("no change is seen between") for line in findings)
    assert not any("depends on the read voltage" in line for line in findings), "an open device is not bent"


def test_rounding_does_not_enter_the_twin(clean):
    twin = fit([(kept.path, kept.record) for kept in clean.values()], Asked(), datetime.now(UTC))
    assert not {"drift", "disturb"} & twin.bench.keys()
    assert "c2c" not in twin.bench["device"]
    assert twin.bench["read"]["noise"] == 0
    assert "offset" not in twin.bench["read"]


def test_rounding_is_not_told_as_an_offset_that_is_taken_off(clean, tmp_path):
    path = tmp_path / "clean.yaml"
    path.write_text(
        f"{{driver: sim, name: clean, arrays: {{main: {{rows: 4, cols: 4}}}}, device: {STRAIGHT}, "
        f"calibrations: {{folder: {clean['offset'].path.parent}, use: [offset]}}}}"
    )
    settings, _ = load_bench(path)
    bench = driver.open(driver.settings(device=STRAIGHT), {"main": (4, 4)}, 1)
    (used,) = known_by_records(settings, bench, datetime.now(UTC)).used
    assert used.told == "0 A taken off readings"


def test_of_what_has_bounds_nothing_is_told_by_an_interval_that_holds_them():
    def bounded(value, low, high):
        found = within(Estimate(value, low, high, "", ""), -1, 1)
        return found.value, found.low, found.high

    assert bounded(0.5, -0.9, 1.4) == (0.5, -0.9, 1.4), "one end alone is beyond"
    assert np.array_equal(bounded(0.5, -1, 1.4), (np.nan, -np.inf, np.inf), equal_nan=True)
    assert np.array_equal(bounded(1.2, 0.4, 2.0), (np.nan, 0.4, np.inf), equal_nan=True)


def test_devices_that_scatter_by_less_than_their_measurement_are_not_said_to_be_alike():
    rng = np.random.default_rng(3)
    value = rng.normal(1, 0.01, 64)
    found = spread_between("", value, value - 0.1, value + 0.1, 8)
    assert found.value == found.low == 0
    assert found.high > 0.001


def test_devices_that_arrive_at_once_have_no_label():
    bench = driver.open(driver.settings(device={"preset": "TaOx_41"}), {"main": (8, 8)}, 1)
    target = Target.whole(bench.arrays["main"])
    tape, routine = Tape(), UpdateCurve()
    run(routine.plan(target), bench, tape)
    for each in result_of(routine, tape.steps, target).estimates.values():
        assert np.isnan(each.value) or np.isfinite([each.low, each.high]).all()
        assert not abs(each.value) > 8.8 or each.unit or "label" not in each.about


def curve_of(device, **settings):
    """An update curve of 12 x 12 devices that differ, and the true ends of their ranges [rows, cols]."""
    settings = {"points": 24, "cycles": 4} | settings
    device = {"preset": device, "initial": "uniform", "d2d": {"range": 0.1, "step": 0.1}}
    bench = driver.open(driver.settings(device=device, read={"noise": 0.01}), {"main": (12, 12)}, 1)
    target, tape, routine = Target.whole(bench.arrays["main"]), Tape(), UpdateCurve(**settings)
    run(routine.plan(target), bench, tape)
    devices = bench._arrays["main"].devices
    truth = {"g_min": devices.lo.reshape(12, 12), "g_max": devices.hi.reshape(12, 12)}
    return result_of(routine, tape.steps, target), truth


@pytest.mark.parametrize("device", ["ENODe", "HZO_FeFET", "TaOx_HfOx"])
@pytest.mark.parametrize("crossing", [1.0, 1.2])
def test_ends_that_were_not_reached_are_told_and_lie_within_their_intervals(device, crossing):
    result, truth = curve_of(device, crossing=crossing)
    told = " ".join(result.findings)
    assert "of the devices were still moving at the low end: g_min is at most" in told
    assert "--set update-curve.crossing=2 lets them arrive" in told
    for name, true in truth.items():
        each, moves = result.estimates[name], result.maps["moves"]
        assert each.low < true[moves].mean() < each.high, name
        low, high = (result.maps[f"{name}_s_{end}"][moves] for end in ("low", "high"))
        assert ((low <= true[moves]) & (true[moves] <= high)).mean() > 0.85, name


def test_training_is_warned_of_ends_that_were_not_reached(tmp_path):
    path = tmp_path / "chip.yaml"
    path.write_text(
        "{driver: sim, name: chip, arrays: {main: {rows: 6, cols: 6}}, device: HZO_FeFET, "
        "calibrations: records}"
    )
    settings, _ = load_bench(path)
    bench = driver.open(driver.settings(device="HZO_FeFET"), {"main": (6, 6)}, 1)
    target, routine = Target.whole(bench.arrays["main"]), UpdateCurve(crossing=1.0, cycles=3)
    calibrate("update-curve", routine, bench, target, About("chip"), tmp_path / "records")
    warned = " ".join(known_by_records(settings, bench, datetime.now(UTC)).warnings)
    assert "its g_max is uncertain, 1." in warned
    assert "hil calibration show tells why" in warned


def test_a_spread_of_ends_that_devices_reached_too_late_says_so():
    result, _ = curve_of("TaOx_HfOx", crossing=1.0)
    why = {result.estimates[f"d2d_{end}"].why for end in ("g_min", "g_max")} - {""}
    assert why
    assert all("that moved surely was at that end early enough" in each for each in why)


@pytest.mark.parametrize("device", ["ENODe", "HZO_FeFET", "EpiRAM_AgSiGe"])
def test_devices_that_arrived_are_not_said_to_be_late(device):
    result, truth = curve_of(device)
    assert not any("still moving" in line for line in result.findings)
    for name, true in truth.items():
        each = result.estimates[name]
        assert each.high - each.low < 0.05 * (true.mean() + 0.1 * truth["g_max"].mean()), name


def test_one_device_that_did_not_arrive_is_told_too():
    device = {"preset": "HZO_FeFET", "levels_up": 64, "levels_down": 64}
    settings = driver.settings(device=device, read={"noise": 0.01})
    bench = driver.open(settings, {"main": (1, 1)}, 1)
    nominal = driver.open(driver.settings(device="HZO_FeFET"), {"main": (1, 1)}, 1).arrays["main"]
    target, tape, routine = Target.whole(nominal), Tape(), UpdateCurve(crossing=1.0, cycles=3)
    run(routine.plan(target), bench, tape)
    result = result_of(routine, tape.steps, target)
    assert any("about 100 % of the devices were still moving at the high end" in it for it in result.findings)
    assert result.maps["g_max_s_high"][0, 0] > bench.arrays["main"].device.g_max_s


def test_a_device_whose_label_may_be_anything_has_none_on_the_map():
    result, _ = curve_of("EpiRAM_AgSiGe", cycles=3)
    label, low, high = (result.maps[f"nl_down{end}"] for end in ("", "_low", "_high"))
    known = np.isfinite(label)
    assert 0 < known.sum() < known.size
    assert (np.abs(label[known]) < 8.85).all()
    assert not ((low[known] < -8.85) & (high[known] > 8.85)).any()
