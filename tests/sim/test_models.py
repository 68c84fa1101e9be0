"""Devices against their own equations: curves of every preset, spread, faults, measured tables."""

import numpy as np
import pytest
from scipy import stats

from drivers.sim.curve import curve, label_of_shape, shape_of_label
from drivers.sim.presets import preset, preset_names
from drivers.sim.settings import ExponentialDevice, SimSettings, TableDevice
from drivers.sim.tables import step_table
from hil.errors import ConfigError

EXPONENTIAL = [name for name in preset_names() if preset(name).device["model"] == "exponential"]
QUIET = {"c2c": 0.0, "d2d": {"range": 0.0, "step": 0.0, "asymmetry": 0.0, "nonlinearity": 0.0}}


def typical(name, **more):
    return {"device": {"preset": name, **QUIET, **more}}


@pytest.mark.parametrize(("label", "b"), [(1, 0.80), (2.4, 2.00), (4.88, 4.99), (6, 7.37), (7, 11.1)])
def test_shapes_of_known_labels(label, b):
    assert shape_of_label(label) == pytest.approx(b, rel=2e-3)
    assert shape_of_label(-label) == -shape_of_label(label)


def test_a_label_is_the_largest_distance_of_its_curve_from_the_straight_line():
    x = np.linspace(0, 1, 100_001)
    for label in (0.04, 1.3, 4.88, 8.9, -2.0):
        y = curve(x, float(shape_of_label(label)))
        assert np.sign(label) * 10.1015253 * np.abs(y - x).max() == pytest.approx(label, rel=1e-6)


def test_labels_beyond_the_scale_are_refused():
    for label in (9.6, -20.0, float("nan")):
        with pytest.raises(ConfigError, match="nonlinearity"):
            shape_of_label(label)
    assert label_of_shape(0.0) == 0


@pytest.mark.parametrize("name", EXPONENTIAL)
def test_presets_climb_and_descend_the_closed_formula(name, open_bench, pulse, measure):
    bench = open_bench((1, 1), **typical(name, initial="g_min"))
    device = bench.settings.device
    assert isinstance(device, ExponentialDevice)
    span = device.g_max - device.g_min
    for levels, sign, label in (
        (device.levels_up, 1, device.nl_up),
        (device.levels_down, -1, device.nl_down),
    ):
        b = float(shape_of_label(label))
        stride = max(1, levels // 24)
        for p in range(0, levels + 1, stride):
            x = p / levels if sign > 0 else 1 - p / levels
            expected = device.g_min + span * curve(x, b)
            assert measure(bench)[0, 0] == pytest.approx(expected, abs=2e-3 * span)
            pulse(bench, sign * stride)
        pulse(bench, sign * 4 * levels)
        assert measure(bench)[0, 0] == pytest.approx(device.g_max if sign > 0 else device.g_min, rel=1e-5)


def test_a_negative_label_of_depression_means_that_the_first_pulses_are_the_largest(
    open_bench, pulse, measure
):
    def first_and_last_drop(label):
        bench = open_bench((1, 1), **typical("ideal", levels_down=20, nl_down=label, initial="g_max"))
        g = []
        for _ in range(21):
            g.append(measure(bench)[0, 0])
            pulse(bench, -1)
        return g[0] - g[1], g[-2] - g[-1]

    first, last = first_and_last_drop(-4.88)
    assert first > 10 * last
    first, last = first_and_last_drop(4.88)
    assert last > 10 * first


@pytest.mark.parametrize("name", preset_names())
def test_the_sheet_tells_the_step_that_pulses_take(name, open_bench, pulse):
    more = QUIET if name in EXPONENTIAL else {}
    bench = open_bench((60, 60), device={"preset": name, "initial": "mid", **more})
    sheet = bench.arrays["main"].device
    before = bench.conductances("main").astype(float)
    pulse(bench, 1)
    step = (bench.conductances("main") - before).mean()
    expected = np.interp(before.mean(), sheet.curve.siemens, sheet.curve.up_s)
    assert step == pytest.approx(expected, rel=1e-2 if name in EXPONENTIAL else 0.2)


def test_every_preset_says_where_it_comes_from():
    for name in preset_names():
        found = preset(name)
        assert found.summary
        assert found.source
        assert SimSettings(device=name).device.preset == name


def test_range_spread_is_log_normal_about_the_typical_device(open_bench):
    device = {"preset": "ideal", "g_min": 1e-6, "g_max": 100e-6, "d2d": {"range": 0.2}}
    for state, typical_s in (("g_min", 1e-6), ("g_max", 100e-6)):
        g = open_bench((100, 100), device={**device, "initial": state}).conductances("main").astype(float)
        assert g.mean() == pytest.approx(typical_s, rel=0.01)
        assert g.std() / g.mean() == pytest.approx(0.2, rel=0.05)
        width = np.sqrt(np.log(1.04))
        assert (
            stats.kstest(np.log(g.ravel()), "norm", args=(np.log(typical_s) - width**2 / 2, width)).pvalue
            > 0.01
        )


def test_step_spread_is_common_to_both_ways_and_asymmetry_is_not(open_bench, pulse):
    def steps(**d2d):
        bench = open_bench((80, 80), device={"preset": "ideal", "initial": "mid", "d2d": d2d})
        g0 = bench.conductances("main").astype(float)
        pulse(bench, 100)
        g1 = bench.conductances("main").astype(float)
        pulse(bench, -100)
        return (g1 - g0).ravel(), (g1 - bench.conductances("main")).ravel()

    up, down = steps(step=0.3)
    assert up.std() / up.mean() == pytest.approx(0.3, rel=0.06)
    assert np.corrcoef(up, down)[0, 1] > 0.999
    up, down = steps(asymmetry=0.3)
    assert up.std() / up.mean() == pytest.approx(0.3, rel=0.06)
    assert abs(np.corrcoef(up, down)[0, 1]) < 0.05


def test_nonlinearity_spread_is_normal_in_the_label(open_bench, pulse):
    bench = open_bench(
        (60, 60),
        **typical(
            "ideal", levels_up=100, nl_up=3.0, initial="g_min", d2d={**QUIET["d2d"], "nonlinearity": 0.5}
        ),
    )
    pulse(bench, 1)
    step = (bench.conductances("main").astype(float) - 1e-6) / 100e-6
    labels = np.linspace(0, 7, 2000)
    steps = [float(curve(0.01, float(b))) for b in shape_of_label(labels)]
    drawn = np.interp(step.ravel(), steps, labels)
    assert stats.kstest(drawn, "norm", args=(3.0, 0.5)).pvalue > 0.01


@pytest.mark.parametrize("initial", ["g_min", "mid", "g_max", "uniform"])
def test_initial_states(initial, open_bench):
    y = (
        open_bench((50, 50), device={"preset": "ideal", "initial": initial}).conductances("main") - 1e-6
    ) / 100e-6
    if initial == "uniform":
        assert stats.kstest(y.ravel(), "uniform").pvalue > 0.01
    else:
        np.testing.assert_allclose(y, {"g_min": 0.0, "mid": 0.5, "g_max": 1.0}[initial], atol=1e-6)


def test_faulty_devices_are_as_many_as_asked_and_never_move(open_bench, pulse):
    share = {"stuck": 0.05, "stuck_low": 0.04, "stuck_high": 0.03, "open": 0.02, "shorted": 0.01}
    bench = open_bench((100, 100), device={"preset": "ideal", "c2c": 0.01, "faults": share})
    before = bench.conductances("main")
    for count in (40, -7, 3):
        pulse(bench, count)
    still = bench.conductances("main") == before
    assert still.mean() == pytest.approx(0.15, abs=4 * np.sqrt(0.15 * 0.85 / 1e4))
    for value, expected in ((0.0, 0.02), (1 / 100, 0.01), (1e-6, 0.04), (101e-6, 0.03)):
        found = (still & np.isclose(before, value, rtol=1e-6, atol=0)).mean()
        assert found == pytest.approx(expected, abs=4 * np.sqrt(expected / 1e4))


def test_faults_may_be_named(open_bench, pulse):
    faults = {"open": [(0, 1)], "stuck_high": [(2, 0), (2, 1)]}
    bench = open_bench((3, 2), device={"preset": "ideal", "faults": faults})
    pulse(bench, -3)
    g = bench.conductances("main")
    assert g[0, 1] == 0
    np.testing.assert_allclose(g[2], 101e-6, rtol=1e-6)
    with pytest.raises(ConfigError, match=r"stuck_high: asked for crosspoint \[2, 1\].*columns 0 to 0"):
        open_bench((3, 1), device={"preset": "ideal", "faults": faults})


@pytest.mark.parametrize("name", ["ENODe_measured", "TaOx_41"])
def test_table_devices_step_as_the_table_says(name, open_bench, pulse):
    bench = open_bench((200, 200), device={"preset": name, "initial": "mid"})
    assert isinstance(bench.settings.device, TableDevice)
    table = step_table(bench.settings.device.table)
    before = bench.conductances("main").astype(float)
    pulse(bench, -1)
    step = bench.conductances("main") - before
    middle = table.down[:, :, (table.down.shape[2] - 1) // 2 : table.down.shape[2] // 2 + 1].mean(axis=2)
    assert step.mean() == pytest.approx(middle.mean(), rel=0.05)
    assert step.std() == pytest.approx(middle.std(), rel=0.1)


def test_measured_devices_stay_within_their_grids_even_where_the_table_steps_over(open_bench, pulse):
    bench = open_bench((40, 40), device="TaOx_41")
    table = step_table("TaOx_41")
    assert (table.up[:, :, -1].max(axis=1) > 0).any()
    for count in (30, 30):
        pulse(bench, count)
        assert bench.conductances("main").max() <= table.grid_hi.max()
    pulse(bench, -300)
    assert bench.conductances("main").min() >= table.grid_lo.min()


@pytest.mark.parametrize("way", ["up", "down"])
def test_steps_may_grow_until_one_pulse_doubles_them(way, open_bench):
    label = -7.0 if way == "up" else 7.0
    fewest = int(np.ceil(abs(float(shape_of_label(label))) / np.log(2)))
    growing = {"preset": "ideal", f"nl_{way}": label}
    open_bench((2, 2), device={**growing, f"levels_{way}": fewest})
    with pytest.raises(ConfigError, match=f"device.nl_{way}: 4 of 4 devices are too steep"):
        open_bench((2, 2), device={**growing, f"levels_{way}": fewest - 1})
