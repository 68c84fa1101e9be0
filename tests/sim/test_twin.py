"""The twin of a virtual array that is known through its records alone: device by device it is that array."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.calibration_recovery import FAULTS, SPREAD, devices_truth
from benchmarks.twin import levels, readings, staircases_of
from calibration.devices import Devices
from calibration.disturb import Disturb
from calibration.drift import Drift
from calibration.read_noise import ReadNoise
from calibration.staircase import Noise
from calibration.twin.chosen import choose
from calibration.twin.goodness import Staircases, indistinguishable
from calibration.twin.jumps import abrupt, fit_jumps
from calibration.twin.records import fit
from calibration.twin.shrink import shrunk
from calibration.twin.table import fit_table
from calibration.twin.walk import Reader
from calibration.update_curve import UpdateCurve
from drivers.sim import driver
from hil import setup
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Estimate, Target
from hil.calibrate.record import Record
from hil.calibrate.twin import Asked
from hil.errors import StoreError
from hil.schedule import Region
from hil.store.blobs import pack

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CURVE = UpdateCurve(cycles=6)


def array(seed=5, size=(16, 16), **more):
    device = {"preset": "HZO_FeFET", "initial": "uniform", "d2d": SPREAD, "faults": FAULTS}
    return driver.open(driver.settings(device=device, read={"noise": 0.01}, **more), {"main": size}, seed)


def record(bench, name, routine, folder, created=NOW, target=None, about="chip") -> tuple[Path, Record]:
    target = Target.whole(bench.arrays["main"]) if target is None else target
    kept = calibrate(name, routine, bench, target, About(about), folder, now=lambda: created)
    return kept.path, kept.record


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    bench, folder = array(), tmp_path_factory.mktemp("records")
    records = [
        record(bench, "read-noise", ReadNoise(), folder),
        record(bench, "devices", Devices(), folder),
        record(bench, "update-curve", CURVE, folder),
    ]
    return bench, records


@pytest.fixture(scope="module")
def twin(measured, tmp_path_factory):
    fitted = fit(measured[1], Asked(), NOW)
    folder = tmp_path_factory.mktemp("twin")
    (folder / "twin.npz").write_bytes(pack(fitted.maps))
    described = {**fitted.bench, "device": {**fitted.bench["device"], "maps": "twin.npz"}}
    (folder / "twin.yaml").write_text(yaml.safe_dump(described))
    return fitted, setup.open_bench(setup.load_bench(folder / "twin.yaml")[0], seed=77)


def truth(bench):
    own = bench._arrays["main"].devices
    return own, own.lo == own.hi


def test_every_device_of_the_twin_is_that_of_the_array(measured, twin):
    (bench, _), (fitted, opened) = measured, twin
    array, faulty = truth(bench)
    own, stuck = truth(opened._bench)
    np.testing.assert_array_equal(stuck, faulty)
    wanted = devices_truth(bench.settings.device, array)
    works = ~faulty
    for name, within in (("g_min_s", 0.01), ("g_max_s", 0.01), ("step_up_s", 0.02), ("step_down_s", 0.02)):
        off = fitted.maps[f"main.{name}"][works] / wanted[name][works] - 1
        assert np.sqrt(np.mean(off**2)) < within, name
    for name in ("nl_up", "nl_down"):
        assert np.abs(fitted.maps[f"main.{name}"][works] - wanted[name][works]).max() < 0.2, name
    shorted = faulty & (array.g > 1e-4)
    assert shorted.any()
    np.testing.assert_allclose(own.g[faulty & ~shorted], array.g[faulty & ~shorted], rtol=0.02, atol=1e-10)
    np.testing.assert_allclose(own.g[shorted], array.g[shorted], rtol=0.02)
    np.testing.assert_allclose([own.c2c_up, own.c2c_down], 0.005, rtol=0.25)
    assert opened._bench.settings.read.noise == pytest.approx(0.01, rel=0.05)


def test_it_is_known_by_the_data_sheet_of_the_array_and_starts_where_that_was_left(measured, twin):
    (bench, _), (_, opened) = measured, twin
    assert repr(opened.arrays["main"].device) == repr(bench.arrays["main"].device)
    off = truth(opened._bench)[0].g - truth(bench)[0].g
    assert np.abs(off).max() < 0.05 * np.abs(truth(bench)[0].g).max()


def test_staircases_nobody_measured_are_foretold(measured, twin):
    (bench, _), (_, opened) = measured, twin
    read = [readings(each, UpdateCurve(cycles=4, crossing=1.0)) for each in (bench, opened)]
    works = ~truth(bench)[1].ravel()
    assert indistinguishable(*(each[:, works] for each in read)).mean() > 0.9


def test_the_fit_says_how_good_it_is(twin):
    fitted, _ = twin
    assert fitted.goodness["misfit"].high < 0.01
    assert fitted.goodness["alike"].low > 0.9
    assert fitted.estimates["g_max"].low < fitted.estimates["g_max"].value < fitted.estimates["g_max"].high


def test_an_offset_of_the_readings_is_not_taken_for_conductance(tmp_path):
    bench = driver.open(
        driver.settings(device="HZO_FeFET", read={"noise": 0.002, "offset": 5e-9}), {"main": (6, 6)}, 3
    )
    records = [
        record(bench, n, r, tmp_path) for n, r in (("read-noise", ReadNoise()), ("update-curve", CURVE))
    ]
    fitted = fit(records, Asked(), NOW)
    low = float(fitted.maps["main.g_min_s"].mean())
    assert low == pytest.approx(truth(bench)[0].lo.mean(), rel=0.03)  # an offset of 5 nA is 50 nS, g_min 40
    assert fitted.bench["read"]["offset"].endswith("nA")


def test_effects_of_time_and_of_neighbours_are_those_of_the_array(tmp_path):
    settings = driver.settings(
        device={"preset": "HZO_FeFET", "initial": "uniform"},
        read={"noise": 0.002, "exponent": 0.25},
        drift={"nu": 0.02, "nu_spread": 0.004},
        disturb={"half_select": 0.001},
        timing={"settle": 2e-6},
    )
    bench = driver.open(settings, {"main": (8, 8)}, 3)
    routines = {
        "read-noise": ReadNoise(),
        "update-curve": CURVE,
        "drift": Drift(),
        "disturb": Disturb(shots=2000),
    }
    fitted = fit([record(bench, n, r, tmp_path) for n, r in routines.items()], Asked(), NOW).bench
    assert fitted["drift"]["nu"] == pytest.approx(0.02, rel=0.15)
    assert fitted["disturb"]["half_select"] == pytest.approx(0.001, rel=0.35)
    assert fitted["read"]["exponent"] == pytest.approx(0.25, abs=0.05)
    assert fitted["timing"]["settle"].startswith("2 us")
    quiet = fit([record(array(), n, routines[n], tmp_path) for n in ("update-curve", "drift")], Asked(), NOW)
    assert "drift" not in quiet.bench
    assert "no drift beyond its uncertainty: left out" in quiet.findings


def test_what_was_not_measured_is_said(measured):
    curve = [each for each in measured[1] if each[1].routine == "update-curve"]
    findings = "\n".join(fit(curve, Asked(), NOW).findings)
    assert "no record of read-noise" in findings
    assert "no record of devices" in findings


def test_ends_that_devices_had_not_reached_are_said_of_the_twin(tmp_path):
    short = UpdateCurve(cycles=4, crossing=1.0)
    findings = fit([record(array(), "update-curve", short, tmp_path)], Asked(), NOW).findings
    (late,) = (each for each in findings if "were still moving at the low end" in each)
    assert late.startswith("update-curve: about ")


def test_disturb_that_goes_against_the_pulses_or_was_not_determined_is_left_out_and_said(measured, tmp_path):
    path, disturb = record(array(), "disturb", Disturb(shots=100), tmp_path)
    names = disturb.result.estimates

    def told(one):
        nothing = Estimate(0.0, -0.1, 0.1, "", "")
        estimates = {**dict.fromkeys(names, nothing), "column_down": one}
        result = replace(disturb.result, estimates=estimates)
        fitted = fit([*measured[1], (path, replace(disturb, result=result))], Asked(), NOW)
        assert "disturb" not in fitted.bench
        return "; ".join(each for each in fitted.findings if "disturb" in each)

    assert "no half-select disturb beyond its uncertainty" in told(Estimate(0.0, -0.1, 0.1, "", ""))
    assert told(Estimate(-0.2, -0.3, -0.1, "", "")).startswith("disturb: column_down against the pulses")
    assert told(Estimate(np.nan, -np.inf, np.inf, "", "", "why")).endswith("was not determined: left out")


def test_some_lines_make_a_twin_of_those(tmp_path):
    bench = array(size=(6, 8))
    some = Target(bench.arrays["main"], Region("main", np.array([0, 2, 4]), np.arange(1, 5)))
    fitted = fit([record(bench, "update-curve", CURVE, tmp_path, target=some)], Asked(), NOW)
    assert fitted.bench["arrays"]["main"] == {"rows": 3, "cols": 4}
    assert "numbered from 0" in "\n".join(fitted.findings)


def test_the_newest_valid_record_is_taken(measured):
    ((path, curve),) = [each for each in measured[1] if each[1].routine == "update-curve"]
    older = replace(curve, created=NOW - timedelta(days=1))
    partial = replace(curve, created=NOW + timedelta(days=1), partial="stopped")
    records = [(Path("older.npz"), older), (path, curve), (Path("partial.npz"), partial)]
    chosen = choose(records, Asked(), NOW)
    assert chosen.curve is curve
    assert chosen.passed_over == ["partial.npz: partial (stopped)"]
    with pytest.raises(StoreError, match=r"partial\.npz: partial \(stopped\); measure one: hil calibrate"):
        choose(records[2:], Asked(), NOW)
    late = NOW + timedelta(days=40)
    with pytest.raises(StoreError, match="expired 2026-03-31"):
        choose([(path, curve)], Asked(), late)
    assert choose([(path, curve)], Asked(expired=True), late).curve is curve


def test_records_that_do_not_go_together_are_refused_with_all_reasons(measured, tmp_path):
    (curve,) = [each for each in measured[1] if each[1].routine == "update-curve"]
    other = array(seed=6)
    foreign = record(other, "devices", Devices(), tmp_path)
    stranger = record(other, "read-noise", ReadNoise(), tmp_path, about="chip-8")
    with pytest.raises(StoreError) as refused:
        choose([curve, foreign, stranger], Asked(), NOW)
    for said in ("is of bench chip-8", "seed 6", "seed 5", "do not go together", "give those of one array"):
        assert said in str(refused.value)


def test_records_of_several_arrays_need_a_name(measured):
    ((path, curve),) = [each for each in measured[1] if each[1].routine == "update-curve"]
    info = replace(curve.target.info, name="left")
    left = replace(curve, target=Target(info, curve.target.region))
    with pytest.raises(StoreError, match="arrays left, main; name one: --array left"):
        choose([(path, curve), (path, left)], Asked(), NOW)
    assert choose([(path, curve), (path, left)], Asked(array="left"), NOW).curve is left


def test_steps_that_are_not_exponential_are_followed_by_tables(tmp_path):
    """Devices of a measured table, of which records alone are known."""
    bench = driver.open(driver.settings(device="ENODe_measured", read={"noise": 0.005}), {"main": (5, 5)}, 3)
    curve = [record(bench, "update-curve", UpdateCurve(points=48), tmp_path)]
    exponential, fitted = (fit(curve, Asked(model), NOW) for model in ("exponential", "auto"))
    assert exponential.goodness["misfit"].value > 0.02
    assert fitted.goodness["misfit"].value < 0.01
    assert "exponential devices leave" in "\n".join(fitted.findings)
    assert "c2c" not in fitted.bench["device"]
    array = truth(bench)[0]
    steps, levels = fitted.maps["main.table_up_s"].mean(axis=1), np.linspace(0.2, 0.8, 7)
    for device in range(25):
        np.testing.assert_allclose(
            np.interp(levels, np.linspace(0, 1, 17), steps[device]),
            np.interp(levels, np.linspace(0, 1, array.up.shape[2]), array.up[0].mean(axis=0)),
            rtol=0.2,
        )


def test_a_device_that_jumps_is_fitted_from_its_first_pulse_on():
    """Half of the range with the first pulse up, a twentieth with each down, known exactly."""
    low, high, cycles = 1e-6, 2e-6, 6
    up = np.concatenate([[low], np.full(5, high)])
    up[1] = low + 0.7 * (high - low)
    down = np.maximum(high - 0.05 * (high - low) * np.arange(25), low)
    walks = (np.tile(way[:, np.newaxis], (cycles, 1, 2)) for way in (up, down))
    table = fit_table(Staircases(*walks, (1, 1)), Reader(Noise(1e-4, 0)))
    rng = np.random.default_rng(1)
    np.testing.assert_allclose(table.pulsed(np.full(2, low), 1, rng), up[1], rtol=0.02)
    np.testing.assert_allclose(table.pulsed(np.full(2, high), -4, rng), down[4], rtol=0.02)


def test_abrupt_devices_are_each_known_by_their_own_distribution():
    """One jumps to 0.3 or to 0.9 of its range, the other anywhere between; both come back at once."""
    rng = np.random.default_rng(4)
    cycles, low, span = 200, 1e-6, 1e-6
    reached = np.stack([rng.choice([0.3, 0.9], cycles), rng.uniform(0.3, 0.9, cycles)], axis=1)
    start = np.zeros((cycles, 2))
    up = low + span * np.stack([start, reached, np.ones_like(start)], axis=1)
    down = low + span * np.stack([np.ones_like(start), start, start], axis=1)
    reader = Reader(Noise(1e-3, 0))
    measured = Staircases(*(way * (1 + 1e-3 * rng.standard_normal(way.shape)) for way in (up, down)), (1, 1))
    assert abrupt(measured, reader)
    landed = (fit_jumps(measured, reader).pulsed(np.full((2000, 2), low), 1, rng) - low) / span
    in_between = np.mean((landed > 0.4) & (landed < 0.8), axis=0)
    np.testing.assert_allclose(in_between, [0, 0.66], atol=0.1)
    assert not abrupt(measured._replace(strides=(2, 2)), reader)


def test_the_twin_of_abrupt_devices_goes_by_their_own_tables_and_says_how_many_cycles_tell_them(tmp_path):
    bench = driver.open(driver.settings(device="TaOx_41", read={"noise": 0.01}), {"main": (8, 8)}, 3)
    curve = record(bench, "update-curve", UpdateCurve(cycles=20), tmp_path)
    fitted = fit([curve], Asked(), NOW)
    assert "abrupt devices, each known from its own 20 cycles alone" in "\n".join(fitted.findings)
    (tmp_path / "twin.npz").write_bytes(pack(fitted.maps))
    described = {**fitted.bench, "device": {**fitted.bench["device"], "maps": "twin.npz"}}
    (tmp_path / "twin.yaml").write_text(yaml.safe_dump(described))
    opened = setup.open_bench(setup.load_bench(tmp_path / "twin.yaml")[0], seed=7)
    walked = UpdateCurve(cycles=48, crossing=1.0)
    read = [levels(*staircases_of(each, walked)) for each in (bench, opened)]
    assert indistinguishable(*read).mean() > 0.7


def test_shrinking_takes_off_the_scatter_of_the_measurement():
    rng = np.random.default_rng(1)
    true = rng.normal(10, 1, 2000)
    seen = true + rng.normal(0, 2, 2000)
    guess = shrunk(seen, np.full(2000, 2.0))
    assert np.std(guess - true) < 0.95 < np.std(seen - true)
    unknown = shrunk(np.append(seen, [np.nan, 50.0]), np.append(np.full(2000, 2.0), [1.0, np.inf]))
    np.testing.assert_allclose(unknown[-2:], 10, atol=0.2)
    np.testing.assert_allclose(shrunk(seen, np.full(2000, 1e-9)), seen)
    np.testing.assert_allclose(shrunk(rng.normal(3, 1, 2000), np.full(2000, 1.5)), 3, atol=0.2)


def test_the_kolmogorov_smirnov_test_keeps_its_level_and_sees_a_shift():
    rng = np.random.default_rng(2)
    one, other = rng.standard_normal((2, 400, 500))
    assert 0.92 < indistinguishable(one, other).mean() < 0.98
    assert indistinguishable(one, other + 0.5).mean() < 0.05
