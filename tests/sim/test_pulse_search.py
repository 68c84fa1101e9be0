"""The routine pulse-search on arrays whose law is known: it finds the pulse, from below and no further."""

import re

import numpy as np
import pytest

from benchmarks.calibration_recovery import Tally, measure
from benchmarks.pulse_recovery import pulse_trial
from calibration.pulse_found import Found, Wanted
from calibration.pulse_ladder import Climb, ladder, narrowed
from calibration.pulse_law import Law, Steps, fit_law
from calibration.pulse_search import PulseSearch
from drivers.sim import driver
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.contracts import Target
from hil.calibrate.file import read_record
from hil.calibrate.tape import Tape
from hil.config.validate import validate
from hil.config.yaml import load_yaml
from hil.errors import ConfigError, LimitError
from hil.figures.canvas import styled
from hil.limits import LimitedBench, Limits
from hil.plan import run
from hil.schedule import Program, Pulse

RESPONSE = {
    "threshold": {"up": 0.4, "down": 0.6},
    "amplitude_exponent": {"up": 1.5, "down": 1.0},
    "width_exponent": {"up": 0.8, "down": 1.0},
}
QUICK = {"lines": 2, "passes": 2, "repeats": 4}


def open_(size=(6, 6), seed=2, limits=None, noise=0.003, **device):
    device = {"preset": "HZO_FeFET", "response": RESPONSE, "d2d": {"step": 0.1}, **device}
    settings = driver.settings(device=device, read={"noise": noise})
    return LimitedBench(driver.open(settings, {"main": size}, seed), limits or Limits())


def taped(bench, routine):
    target, tape = Target.whole(bench.arrays["main"]), Tape()
    run(routine.plan(target), bench, tape)
    return tape.steps, routine.analyse(tape.steps, target)


@pytest.mark.parametrize("family", ["HZO_FeFET", "ENODe"])
def test_what_was_put_into_arrays_is_recovered(family):
    tally = Tally()
    for seed in range(3):
        pulse_trial(family, 16, seed, tally)
    assert tally.missed == 0
    assert tally.false_alarms <= 0.1 * tally.working
    covered = sum(tally.covered.values())
    assert covered >= 0.8 * sum(tally.stated.values()), dict(tally.covered)
    found = "width" if family == "ENODe" else "amplitude"  # ENODe's step needs more than the nominal pulse
    for way in ("up", "down"):
        assert abs(np.nanmean(tally.relative_error[f"{found}_{way}"])) < 0.15, way


def test_the_pulse_that_is_recommended_makes_the_step_when_it_is_pasted_into_a_bench_file():
    first = open_()
    _, result = taped(first, PulseSearch(most_amplitude=7.0))
    keys = [line for line in result.findings if re.match(r"(potentiate|depress): \{", line)]
    assert len(keys) == 2
    text = "driver: sim\ndevice:\n  preset: HZO_FeFET\n  " + "\n  ".join(keys) + "\n"
    pasted = validate(driver.settings, load_yaml(text, "bench.yaml")).device
    bench, sheet = open_(d2d={"step": 0.0}, initial="mid"), first.arrays["main"].device
    span, region = sheet.g_max_s - sheet.g_min_s, Target.whole(first.arrays["main"]).region
    from drivers.sim.models import pulse

    for sign, up, down in (
        (1, pulse(pasted.potentiate), sheet.depress),
        (-1, sheet.potentiate, pulse(pasted.depress)),
    ):
        before = bench._bench.conductances("main").astype(float)
        bench.execute((Program(region, np.full(region.shape, sign, np.int16), up, down),))
        change = sign * (bench._bench.conductances("main") - before) / span
        assert change.mean() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("labels", [{"nl_up": 0.0, "nl_down": 0.0}, {"nl_up": 2.0, "nl_down": -2.0}])
def test_the_levels_of_the_recommended_pulse_are_those_that_make_its_step_nominal(labels):
    bench = open_(size=(8, 8), noise=0.001, c2c=0.0, d2d={"step": 0.02}, **labels)
    _, result = taped(bench, PulseSearch(most_amplitude=7.0))
    for way, side in (("up", 0), ("down", 1)):
        found = result.estimates[f"levels_{way}"]
        number = round(found.value)
        again = open_(levels_up=number, levels_down=number, **labels)
        sheet = again.arrays["main"].device
        middle = np.array([0.5 * (sheet.g_min_s + sheet.g_max_s)])
        step = sheet.curve.steps(middle)[side][0] / (sheet.g_max_s - sheet.g_min_s)
        assert step == pytest.approx(0.02, rel=0.03)
        assert found.low < found.value < found.high
        assert found.value == pytest.approx(50, rel=0.03) or labels["nl_up"]


def test_what_a_single_device_does_not_tell_says_why():
    _, result = taped(open_(size=(1, 1)), PulseSearch(most_amplitude=7.0, **QUICK))
    told = result.estimates["levels_up"]
    assert np.isnan(told.value)
    assert told.why == "its interval takes 2 devices or more, 1 told"
    assert all(each.why for each in result.estimates.values() if np.isnan(each.value))


def test_it_goes_up_from_below_and_each_device_gets_no_more_than_its_step_takes():
    bench = open_(noise=0.0, c2c=0.0)
    steps, _ = taped(bench, PulseSearch(most_amplitude=7.0, **QUICK))
    routine = PulseSearch(most_amplitude=7.0, **QUICK)
    sheet = bench.arrays["main"].device
    nominal = sheet.potentiate
    given = {}
    for step in steps:
        if isinstance(step.op, Program) and step.op.potentiate != nominal:
            amplitude = step.op.potentiate.amplitude_v
            assert (np.abs(step.op.counts) <= 1).all()  # single pulses
            for place in zip(*np.nonzero(step.op.counts), strict=True):
                given.setdefault(place, []).append(amplitude)
    assert len(given) == 4
    devices = bench._bench._arrays["main"].devices
    some = routine.chosen(Target.whole(bench.arrays["main"]))
    for (i, j), amplitudes in given.items():
        row, col = some.region.rows[i], some.region.cols[j]
        one = (devices.up_a - devices.up_k * 0.5 * (sheet.g_min_s + sheet.g_max_s))[row, col]
        worth = 0.02 * (sheet.g_max_s - sheet.g_min_s) / one
        needed = nominal.amplitude_v * (0.4 + 0.6 * worth ** (1 / 1.5))
        assert amplitudes[0] == pytest.approx(0.3 * nominal.amplitude_v, rel=0.005)
        assert max(amplitudes) < needed + 1.5 * 0.05 * nominal.amplitude_v


def test_devices_end_where_the_middle_of_the_range_is_and_others_are_not_touched():
    bench = open_(size=(8, 8), initial="uniform")
    routine = PulseSearch(most_amplitude=7.0, **QUICK)
    measure(bench, routine)
    doses, sheet = bench.doses["main"], bench.arrays["main"].device
    some = routine.chosen(Target.whole(bench.arrays["main"]))
    here = np.ix_(some.region.rows, some.region.cols)
    assert (doses[here] > 0).all()
    assert doses.sum() == doses[here].sum()
    place = (bench._bench.conductances("main")[here] - sheet.g_min_s) / (sheet.g_max_s - sheet.g_min_s)
    assert np.abs(place - 0.5).max() < 0.1


def test_dead_devices_are_told_and_open_and_shorted_ones_get_no_pulse():
    bench = open_(size=(2, 2), faults={"open": [(0, 0)], "shorted": [(0, 1)], "stuck": [(1, 0)]})
    result = measure(bench, PulseSearch(most_amplitude=4.5, most_width=75e-9, **QUICK))
    assert bench.doses["main"][0].tolist() == [0, 0]
    np.testing.assert_array_equal(result.maps["answers_up"], [[np.nan, np.nan], [0, 1]])
    assert result.findings[0].startswith("up: 1 of 2 devices answer")


def test_without_a_device_to_pulse_nothing_is_pulsed_and_nothing_is_claimed():
    bench = open_(size=(3, 3), forming={"amplitude": 9.0})
    result = measure(bench, PulseSearch(**QUICK))
    assert bench.doses["main"].sum() == 0
    assert all(np.isnan(each.value) for each in result.estimates.values())
    assert result.findings[0].startswith("up: 0 of 0 devices answer")


def test_where_nothing_is_enough_it_says_so_and_never_goes_beyond_what_is_allowed():
    limits = Limits(program_v=3.65, width_max_s=100e-9)
    bench = open_(limits=limits, levels_up=150, levels_down=150, c2c=0.001)
    info = bench.arrays["main"]
    routine, tape = PulseSearch(**QUICK), Tape()
    target = Target(info, Target.whole(info).region, limits)
    run(routine.plan(target), bench, tape)  # refused if it asked for more
    widths = {step.op.potentiate.width_s for step in tape.steps if isinstance(step.op, Program)}
    assert max(widths) <= 100e-9
    result = routine.analyse(tape.steps, target)
    for name in ("amplitude_up", "width_up", "amplitude_down", "width_down"):
        assert np.isnan(result.estimates[name].value), name
    assert "none moves by 0.02 of the range up to 3.65 V and 100 ns" in result.findings[0]
    for over, key in (({"most_amplitude": 5.0}, "most_amplitude"), ({"most_width": 1e-6}, "most_width")):
        with pytest.raises(ConfigError, match=f"{key}: asked for .* of the bench allows"):
            next(PulseSearch(**over).plan(target))
    with pytest.raises(ConfigError, match="points: asked for 100 amplitudes; there are 15"):
        next(PulseSearch(points=100).plan(target))


@pytest.mark.parametrize(
    ("device", "routine"),
    [
        ({"faults": {"stuck": 1.0}}, PulseSearch(**QUICK)),
        ({}, PulseSearch(first=0.1, rise=0.02, most_amplitude=1.2, most_width=75e-9)),
    ],
)
def test_where_no_device_moves_at_all_it_says_to_go_higher_and_not_to_wear_them(device, routine):
    _, result = taped(open_(noise=0.01, **device), routine)
    assert len(result.findings) == 2
    for told in result.findings:
        assert re.search(
            r": 0 of \d+ devices answer up to .* V and .*s: more passes would only wear them", told
        )
        assert "go higher (most_amplitude, most_width)" in told
    assert {each.why for each in result.estimates.values()} >= {"no device answers"}


def test_a_law_whose_power_meets_the_bounds_of_the_fit_gives_no_line_to_paste():
    rng = np.random.default_rng(0)
    volts, widths = np.tile(np.linspace(0.9, 1.0, 9)[:, np.newaxis], (2, 12)), np.ones((18, 12))
    widths[9:] = 0.5
    steps = 0.02 * volts**2 * widths + 0.003 * rng.normal(size=volts.shape)
    fitted = fit_law(Steps(volts, widths, steps, np.full(volts.shape, 0.003)))
    assert fitted.whole is not None
    assert not fitted.determined
    wanted = Wanted(0.02, 2.0, 0.02, 0.04, 2.0, 1.0, True, 1.0)
    found = Found("up", Pulse(1.0, 1e-6), wanted, fitted)
    assert found.pulse() is not None
    power = found.estimates()["exponent_up"]
    assert np.isnan(power.value)
    assert power.why == "its interval meets the fit's own bounds"
    (told,) = found.findings()
    assert "the power of their law is not determined" in told


def test_the_rungs_are_round_rise_and_end_exactly_at_what_is_allowed():
    nominal = Pulse(-2.95, 75e-9)
    climb = Climb(0.3, 0.05, 1.5, None, None)
    found = ladder(climb, nominal, Limits(program_v=2.95, width_max_s=333e-9), 8)
    assert found.volts[0] == 0.885
    assert found.volts[-1] == 2.95
    assert (np.diff(found.volts) > 0).all()
    assert found.seconds.tolist() == [1.1e-7, 1.7e-7, 2.5e-7, 3.33e-7]
    assert ladder(climb._replace(most_s=75e-9), nominal, Limits(), 8).seconds.size == 0
    assert ladder(climb, nominal, Limits(), 8).seconds[-1] == pytest.approx(750e-9)
    assert narrowed(76e-9, 0.5, Limits()) == 38e-9
    assert narrowed(75e-9, 0.5, Limits(width_min_s=50e-9)) == 75e-9
    assert narrowed(75e-9, 1.0, Limits()) == 75e-9


def test_a_dose_budget_is_obeyed():
    bench = open_(limits=Limits(dose=40))
    with pytest.raises(LimitError):
        measure(bench, PulseSearch(most_amplitude=7.0))
    assert bench.doses["main"].max() <= 40


def test_a_record_is_drawn_and_analysed_again_from_what_was_read_back(tmp_path):
    bench = open_()
    routine, target = PulseSearch(most_amplitude=7.0), Target.whole(bench.arrays["main"])
    record = read_record(calibrate(routine.name, routine, bench, target, About("b"), tmp_path).path)
    with styled():
        routine.draw(record).savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    again = routine.analyse(record.steps, record.target)
    for name, each in record.result.estimates.items():
        np.testing.assert_equal(again.estimates[name].value, each.value, name)


def test_a_law_is_found_from_its_own_steps_and_no_law_in_noise():
    rng = np.random.default_rng(1)
    volts, widths = np.tile(np.linspace(0.3, 1.2, 9)[:, np.newaxis], (2, 12)), np.ones((18, 12))
    widths[9:] = 0.5
    law = Law(0.45, 1.7, 0.6, 0.01)
    sizes = 0.01 * rng.lognormal(-0.005, 0.1, 12)
    clean = sizes * (np.maximum(volts - 0.45, 0) / 0.55) ** 1.7 * widths**0.6
    found = fit_law(
        Steps(volts, widths, clean + 1e-5 * rng.normal(size=clean.shape), np.full(clean.shape, 1e-5))
    )
    assert found.answers.all()
    for name in ("threshold", "p", "q"):
        assert getattr(found.whole, name) == pytest.approx(getattr(law, name), rel=0.01), name
        value, low, high = found.interval(lambda each, name=name: getattr(each, name))
        assert low < value < high
    assert found.whole.typical == pytest.approx(sizes.mean(), rel=0.01)
    assert found.whole.amplitude(law.typical) == pytest.approx(1.0, abs=0.03)
    assert found.whole.width(found.whole.typical, 1.0) == pytest.approx(1.0)
    noise = fit_law(Steps(volts, widths, 1e-3 * rng.normal(size=clean.shape), np.full(clean.shape, 1e-3)))
    assert noise.whole is None
    assert not (noise.answers | noise.undecided).any()


def test_devices_that_scatter_as_much_as_they_move_are_not_called_dead():
    tally = Tally()
    for seed in range(3):
        pulse_trial("PCMO", 16, seed, tally)
    assert tally.missed == 0
    assert tally.false_alarms <= 0.01 * tally.working
    assert tally.undecided <= 0.1 * tally.working


def test_what_jumps_without_following_its_pulses_is_undecided():
    rng = np.random.default_rng(2)
    volts, widths = np.tile(np.linspace(0.3, 1.2, 9)[:, np.newaxis], (4, 12)), np.ones((36, 12))
    sizes, own = 0.02 * np.ones(12), 0.01 * rng.normal(size=(36, 12))
    sizes[:4], own[:, :2] = 0.0, 0.0  # two of four dead
    steps = sizes * np.maximum(volts - 0.3, 0) / 0.7 + own + 1e-4 * rng.normal(size=own.shape)
    found = fit_law(Steps(volts, widths, steps, np.full(own.shape, 1e-4)))
    np.testing.assert_array_equal(found.answers, sizes > 0)
    np.testing.assert_array_equal(found.undecided, [False] * 2 + [True] * 2 + [False] * 8)
