"""The routine forming on arrays whose forming voltages are known: each device once, no higher than needed."""

import numpy as np
import pytest

from benchmarks.calibration_recovery import measure
from calibration.brackets import fit_brackets
from calibration.forming import Forming
from drivers.sim import driver
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Target
from hil.calibrate.file import read_record
from hil.errors import ConfigError, LimitError
from hil.figures.canvas import styled
from hil.limits import LimitedBench, Limits

FORM = Forming(compliance=1e-4, most_amplitude=4.5, first=2.0)


def open_(size=(12, 12), seed=1, forming=None, limits=None, **device):
    device = {"preset": "ENODe", "forming": forming or {"amplitude": 3.0, "spread": 0.1}, **device}
    settings = driver.settings(device=device, read={"noise": 0.01})
    return LimitedBench(driver.open(settings, {"main": size}, seed), limits or Limits())


def volts(bench):
    return bench._bench._arrays["main"].devices.unformed.volts


def test_each_device_is_formed_at_its_own_voltage_and_gets_no_further_pulse():
    bench = open_(faults={"open": [(0, 3)]})
    result = measure(bench, FORM)
    maps, truth = result.maps, volts(bench)
    now = maps["forming"] == 0
    assert np.argwhere(~now).tolist() == [[0, 3]]
    assert ((maps["amplitude_v_low"] < truth) & (truth <= maps["amplitude_v_high"]))[now].all()
    pulses = np.maximum(np.ceil((truth - 2.0) / 0.1 - 1e-9), 0) + 1
    np.testing.assert_array_equal(bench.doses["main"][now], pulses[now])
    assert bench.doses["main"][0, 3] == 26  # every amplitude from 2 to 4.5 V
    assert "not formed by 4.5 V: [0, 3]" in result.findings[1]
    assert "stated compliance: 100 uA" in result.findings[0]
    for name, known in (("amplitude", 3.0), ("spread", 0.1), ("formed", 143 / 144), ("shorted", 0.0)):
        each = result.estimates[name]
        assert each.low <= known <= each.high, name


def test_what_conducts_already_is_not_pulsed_and_nothing_is_done_twice():
    bench = open_()
    measure(bench, FORM)
    before = bench.doses["main"].copy()
    result = measure(bench, FORM)
    np.testing.assert_array_equal(bench.doses["main"], before)
    assert (result.maps["forming"] == 1).all()
    assert "not pulsed: 144 that conducted" in result.findings[1]


@pytest.mark.parametrize("partial", [False, True])
def test_what_a_record_says_was_formed_is_spared_however_little_it_conducts(tmp_path, partial):
    bench = open_(size=(4, 4))
    target = Target.whole(bench.arrays["main"])
    rounds = []
    stop = (lambda: len(rounds) > 11) if partial else (lambda: False)
    kept = calibrate("forming", FORM, bench, target, About("b"), tmp_path, rounds.append, stop)
    record = read_record(kept.path)
    assert (record.partial is not None) == partial
    formed = volts(bench) <= (2.0 + 0.1 * 10 + 1e-9 if partial else np.inf)
    assert formed.any()
    fresh = open_(size=(4, 4))  # the same devices as they were before, as if they had been reset
    result = measure(fresh, FORM.after([record]))
    np.testing.assert_array_equal(fresh.doses["main"] == 0, formed)
    np.testing.assert_array_equal(result.maps["forming"] == 2, formed)
    assert f"{int(formed.sum())} formed before by record" in result.findings[-1]


def test_small_steps_harm_nobody_and_large_ones_short_devices():
    forming = {"amplitude": 3.0, "spread": 0.1, "broken_above": 1.15}
    gentle = measure(open_(forming=forming), FORM)
    rough = measure(open_(forming=forming), FORM.model_copy(update={"first": 4.0}))
    assert gentle.estimates["shorted"].value == 0
    assert rough.estimates["shorted"].value > 0.5
    assert "shorted" in rough.findings[-1]


@pytest.mark.parametrize(
    ("settings", "limits", "said"),
    [
        ({"most_amplitude": 4.0}, Limits(), "compliance: not given"),
        ({"compliance": 1e-4}, Limits(), "most_amplitude: not given"),
        ({"compliance": 1e-4, "most_amplitude": 0.5}, Limits(), "asked for 500 mV; first is 1 V"),
        ({"compliance": 1e-4, "most_amplitude": 4.0}, Limits(program_v=3.0), "limits.program .* allows 3 V"),
    ],
)
def test_what_is_not_said_or_not_allowed_is_refused_before_the_first_reading(settings, limits, said):
    bench = open_(size=(2, 2))
    info = bench.arrays["main"]
    plan = Forming(**settings).plan(Target(info, Target.whole(info).region, limits))
    with pytest.raises(ConfigError, match=said):
        next(plan)


def test_limits_that_the_plan_was_not_told_of_hold_all_the_same():
    bench = open_(limits=Limits(program_v=2.5))
    with pytest.raises(LimitError, match=r"2\.6 V; 2\.5 V is allowed"):
        measure(bench, FORM)
    assert bench.doses["main"].max() == 6


def test_a_record_is_drawn_and_analysed_again_from_what_was_read_back(tmp_path):
    bench = open_(faults={"open": 0.1, "shorted": 0.1})
    target = Target.whole(bench.arrays["main"])
    kept = calibrate("forming", FORM, bench, target, About("b"), tmp_path)
    record = read_record(kept.path)
    with styled():
        FORM.draw(record).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    again = FORM.analyse(record.steps, record.target)
    for name, each in kept.record.result.estimates.items():
        np.testing.assert_equal(again.estimates[name].value, each.value, name)
    assert (record.result.maps["forming"] == 1).any()  # the shorted ones, never pulsed
    assert (record.pulses_spent[record.result.maps["forming"] == 1] == 0).all()


@pytest.mark.parametrize(("width", "most"), [(0.05, np.inf), (0.2, np.inf), (1.0, np.inf), (0.1, 3.2)])
def test_intervals_of_bracketed_values_cover_at_their_level(width, most):
    rng = np.random.default_rng(3)
    sigma = np.sqrt(np.log1p(0.1**2))
    covered = np.zeros(2)
    trials = 60
    for _ in range(trials):
        value = 3.0 * rng.lognormal(-0.5 * sigma**2, sigma, 60)
        value = value[value <= most]
        high = width * np.ceil(value / width)
        high = np.minimum(high, most)
        found = fit_brackets(high - width, high, most)
        for place, (part, truth) in enumerate(zip(found, (3.0, 0.1), strict=True)):
            covered[place] += part[1] <= truth <= part[2]
    assert (covered / trials >= 0.88).all(), covered / trials


def test_few_devices_or_one_bracket_say_so():
    unknown = fit_brackets(np.array([2.0, 2.1]), np.array([2.1, 2.2]), 4.0)
    assert np.isnan(unknown.mean[0])
    same = fit_brackets(np.full(9, 2.0), np.full(9, 2.5), 4.0)
    assert same.mean.tolist() == [2.25, 2.0, 2.5]
    assert np.isnan(same.spread[0])
