"""Pulses of another amplitude or width: worth so many nominal ones, by threshold and power laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drivers.sim.response import Response
from drivers.sim.settings import ResponseSettings, SimSettings
from hil.errors import ConfigError, ScheduleError
from hil.schedule import Counts, Nudge, Program, Pulse, Wait

UP, DOWN = Pulse(2.0, 1e-6), Pulse(-1.0, 2e-6)


def worth(up: Pulse = UP, down: Pulse = DOWN, **settings: float) -> tuple[float, float]:
    return Response(ResponseSettings.model_validate(settings), UP, DOWN).factors(up, down)


def test_the_step_follows_the_voltage_above_its_threshold_and_the_width() -> None:
    assert worth() == (1.0, 1.0)
    assert worth(replace(UP), replace(DOWN), threshold=0.3, amplitude_exponent=2.5) == (1.0, 1.0)
    assert worth(Pulse(3.0, 1e-6))[0] == pytest.approx((3 - 1) / (2 - 1))
    assert worth(Pulse(3.0, 1e-6), threshold=0.0)[0] == pytest.approx(1.5)
    assert worth(Pulse(3.0, 1e-6), threshold=0.25, amplitude_exponent=2)[0] == pytest.approx((2.5 / 1.5) ** 2)
    assert worth(UP, Pulse(-1.0, 1e-6), width_exponent=0.5)[1] == pytest.approx(0.5**0.5)
    assert worth(UP, Pulse(-1.25, 4e-6))[1] == pytest.approx(1.5 * 2)
    assert worth(Pulse(1.0, 1.0), Pulse(-0.1, 1.0)) == (0.0, 0.0)


def test_pulses_without_an_answer_are_refused_before_anything_runs(open_bench, whole) -> None:
    bench = open_bench((2, 2), device="ideal")
    region, sheet = whole(bench), bench.arrays["main"].device
    ones = np.ones((2, 2), np.int16)
    good = Program(region, ones, sheet.potentiate, sheet.depress)
    before = bench.conductances("main")
    for up, says in (
        (Pulse(-1.0, 1e-7), "potentiating pulse: asked for -1 V; the nominal one is 1 V"),
        (Pulse(1.0, 1.0), "1 V for 1 s is worth 1e\\+07 nominal pulses"),
    ):
        with pytest.raises(ScheduleError, match=says):
            bench.execute((good, Program(region, ones, up, sheet.depress)))
        nudge = Nudge(
            region, np.zeros((1, 2), np.int64), "pulse", 1, np.ones((1, 2)), 1e-6, up, sheet.depress
        )
        with pytest.raises(ScheduleError, match=says):
            bench.execute((good, nudge))
    np.testing.assert_array_equal(bench.conductances("main"), before)


@pytest.mark.parametrize("threshold", [1.0, -0.1, {"up": 0.2, "down": 1.0}])
def test_a_threshold_that_the_nominal_pulse_does_not_reach_is_refused(threshold: object) -> None:
    with pytest.raises((ConfigError, ValueError), match="threshold"):
        SimSettings.model_validate({"device": {"preset": "ideal", "response": {"threshold": threshold}}})


@pytest.mark.parametrize("preset", ["ideal", "AgaSi", "TaOx_41"])
@pytest.mark.parametrize("sparse", [True, False])
def test_a_pulse_worth_three_does_what_three_do(preset: str, sparse: bool, open_bench, whole) -> None:
    counts = np.random.default_rng(1).integers(-3, 4, (20, 80)).astype(np.int16)
    if sparse:
        counts[np.random.default_rng(2).random((20, 80)) < 0.95] = 0
    quiet = {} if preset == "TaOx_41" else {"c2c": 0.0}

    def after(given: Counts, amplitude: float) -> np.ndarray:
        bench = open_bench((20, 80), device={"preset": preset, "initial": "uniform", **quiet})
        sheet = bench.arrays["main"].device
        up = replace(sheet.potentiate, amplitude_v=amplitude * sheet.potentiate.amplitude_v)
        down = replace(sheet.depress, amplitude_v=amplitude * sheet.depress.amplitude_v)
        bench.execute((Program(whole(bench), given, up, down),))
        return bench.conductances("main")

    np.testing.assert_allclose(after(counts, 2.0), after((3 * counts).astype(np.int16), 1.0), rtol=2e-5)
    untouched = after(np.zeros_like(counts), 1.0)
    np.testing.assert_array_equal(after(counts, 0.5), untouched)
    assert (after(counts, 0.6) != untouched).sum() > 0.8 * np.count_nonzero(counts)


def test_the_noise_of_a_pulse_grows_with_the_root_of_its_worth(open_bench, whole) -> None:
    bench = open_bench((120, 120), device={"preset": "ideal", "c2c": 0.01})
    sheet, before = bench.arrays["main"].device, bench.conductances("main").astype(float)
    up = replace(sheet.potentiate, width_s=4 * sheet.potentiate.width_s)
    bench.execute((Program(whole(bench), np.ones((120, 120), np.int16), up, sheet.depress),))
    change = (bench.conductances("main") - before) / 100e-6
    assert change.mean() == pytest.approx(4 / 1024, abs=4 * 0.02 / 120)
    assert change.std() == pytest.approx(0.02, rel=0.03)


def test_a_pulse_below_threshold_leaves_a_drifting_device_to_its_drift(open_bench, whole) -> None:
    def left(amplitude: float) -> np.ndarray:
        bench = open_bench((4, 4), device="ideal", drift={"nu": 0.1, "t0": "1 s"})
        sheet = bench.arrays["main"].device
        up = replace(sheet.potentiate, amplitude_v=amplitude)
        op = Program(whole(bench), np.ones((4, 4), np.int16), up, sheet.depress)
        bench.execute((Wait(100.0), op, Wait(100.0)))
        return bench.conductances("main")

    np.testing.assert_allclose(left(0.4), 51e-6 * 200**-0.1, rtol=1e-5)
    np.testing.assert_allclose(left(1.0), (51e-6 * 100**-0.1 + 100e-6 / 1024) * 100**-0.1, rtol=1e-4)
