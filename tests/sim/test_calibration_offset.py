"""The routine `offset`: what is put beside the devices comes out, and nothing is pulsed."""

import numpy as np
import pytest

from benchmarks.calibration_recovery import Altered, Tally, measure, offset_trial
from calibration.offset import Offset
from drivers.sim import driver
from hil.calibrate.contracts import Target
from hil.calibrate.file import read_record
from hil.errors import ConfigError, LimitError
from hil.figures.canvas import styled
from hil.limits import LimitedBench, Limits


def open_(device="HZO_FeFET", size=(8, 8), seed=3, **settings):
    given = {"preset": device, "initial": "uniform"} if isinstance(device, str) else device
    return driver.open(driver.settings(device=given, **settings), {"main": size}, seed)


def test_offsets_of_columns_and_of_the_voltage_are_recovered_with_intervals_that_hold():
    tally = Tally()
    for seed in range(12):
        offset_trial("HZO_FeFET", 16, seed, tally)
    for name in ("offset_a", "column_a", "apart offset_a"):
        assert 0.90 <= tally.coverage(name) <= 0.99, (name, tally.coverage(name))
    rest = [name for name in tally.stated if not name.endswith("_a")]
    covered = sum(tally.covered[name] for name in rest)
    assert covered >= 0.9 * sum(tally.stated[name] for name in rest), dict(tally.covered)
    assert abs(np.mean(tally.relative_error["apart amplifier"])) < 0.05


def test_no_device_is_pulsed_and_the_read_limit_is_obeyed():
    bench = LimitedBench(open_(), Limits(read_v=0.1, dose=0))
    measure(bench, Offset())
    assert not bench.doses["main"].any()
    with pytest.raises(LimitError):
        measure(bench, Offset(voltages=(0.5, 1.1)))


def test_with_all_lines_at_0_v_a_bench_that_sums_currents_shows_the_offset_itself():
    found = measure(open_(read={"offset": 3e-9, "noise": 0.02}), Offset()).estimates
    for way in ("zero_forward", "zero_back"):
        assert found[way].value == pytest.approx(3e-9, rel=1e-6)


def test_devices_that_are_alike_do_not_tell_an_offset_of_the_voltage_from_one_of_the_current():
    result = measure(open_({"preset": "HZO_FeFET", "initial": "mid"}, read={"offset": 3e-9}), Offset())
    assert result.estimates["offset"].value == pytest.approx(3e-9, rel=1e-3)
    assert np.isnan(result.estimates["voltage_offset"].value)
    assert any("too alike" in each for each in result.findings)


def test_one_sign_of_the_voltage_tells_the_offset_of_straight_lines():
    bench = open_(read={"offset": 3e-9, "noise": 0.005}, size=(16, 16))
    routine = Offset(both_signs=False)
    found = measure(bench, routine).estimates["offset"]
    assert found.low < 3e-9 < found.high
    assert found.value == pytest.approx(3e-9, rel=0.1)
    assert all(part > 0 for part in routine.parts())


def test_what_rectifies_is_not_taken_for_an_offset():
    bent = Altered(open_(size=(16, 16)), lambda op, a: a * (1 + 0.4 * op.voltage_v) + 1e-9)
    found = measure(bent, Offset()).estimates
    assert found["offset"].value == pytest.approx(1e-9, rel=0.01)
    assert found["rectification"].value == pytest.approx(0.04, rel=0.01)


def test_leakage_is_what_open_crosspoints_conduct_and_series_resistance_has_a_bound():
    faults = {"open": [(1, 1), (2, 5), (6, 3)], "shorted": [(0, 0)]}
    bench = open_({"preset": "ENODe", "initial": "uniform", "faults": faults}, read={"noise": 0.01})
    leaking = Altered(bench, lambda op, a: a + 1e-7 * op.voltage_v)
    found = measure(leaking, Offset()).estimates
    assert found["leakage"].value == pytest.approx(1e-7, rel=0.01)
    series = found["series"]
    assert np.isnan(series.value)
    assert series.low == 0
    assert series.high == pytest.approx(100, rel=0.02)  # the shorted device's own
    none = measure(open_(), Offset())
    assert np.isnan(none.estimates["leakage"].value)
    assert any("two open crosspoints" in each for each in none.findings)


def test_devices_beyond_the_instrument_are_left_out():
    faults = {"shorted": [(0, 0)]}
    device = {"preset": "HZO_FeFET", "initial": "uniform", "faults": faults}
    bench = open_(device, read={"offset": 3e-9}, adc={"bits": 16, "range": "1 uA"})
    result = measure(bench, Offset())
    assert np.isnan(result.maps["offset_a"][0, 0])
    assert np.isfinite(result.maps["offset_a"]).sum() == 63
    assert result.estimates["offset"].value == pytest.approx(3e-9, rel=0.02)
    all_over = open_(
        {"preset": "HZO_FeFET", "initial": "uniform", "faults": {"shorted": 1.0}}, adc={"range": "1 nA"}
    )
    assert np.isnan(measure(all_over, Offset()).estimates["offset"].value)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"voltages": (0.0, 1.0)}, "above 0"), ({"voltages": (1.0,), "both_signs": False}, "two or more")],
)
def test_voltages_that_tell_no_offset_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        measure(open_(), Offset(**settings))


def test_an_offset_record_is_drawn_from_what_was_read_back(tmp_path):
    from hil.calibrate.conduct import About, calibrate

    bench = open_(read={"offset": 3e-9, "noise": 0.01})
    routine = Offset(repeats=4)
    kept = calibrate("offset", routine, bench, Target.whole(bench.arrays["main"]), About("b"), tmp_path)
    with styled():
        routine.draw(read_record(kept.path)).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    again = routine.analyse(read_record(kept.path).steps, kept.record.target)
    for name, each in kept.record.result.estimates.items():
        np.testing.assert_equal(again.estimates[name].value, each.value, name)
