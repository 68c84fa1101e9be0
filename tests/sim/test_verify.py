"""The closed loop of pulses and readings: it arrives, and leaves stuck devices alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.sim import driver
from drivers.sim.bench import SimBench
from hil.bench import Execution
from hil.config.verify import Verify
from hil.plan import run
from hil.schedule import Program, Region, Schedule
from hil.training.verify import Aim, Verified, bring

SHAPE = (40, 60)
REGION = Region.block("main", range(SHAPE[0]), range(SHAPE[1]))


class Heard:
    """Every Program that ran."""

    def __init__(self) -> None:
        self.programs: list[Program] = []

    def before(self, schedule: Schedule, *, durable: bool) -> None:
        """Nothing is known yet."""

    def after(self, schedule: Schedule, execution: Execution) -> None:
        self.programs += [op for op in schedule if isinstance(op, Program)]


def opened(device: dict[str, Any] | None = None, **settings: Any) -> SimBench:
    given = {"preset": "ideal", "levels_up": 256, "levels_down": 256, "initial": "uniform", **(device or {})}
    return driver.open(driver.settings(device=given, **settings), {"main": SHAPE}, 1)


def targets() -> NDArray[np.float32]:
    return np.random.default_rng(3).uniform(11e-6, 91e-6, SHAPE).astype(np.float32)


def brought(
    bench: SimBench,
    aim: Aim,
    tolerance_s: float = 0.5e-6,
    stop: Callable[[], bool] = lambda: False,
    **settings: Any,
) -> tuple[Verified, Heard]:
    heard, sheet = Heard(), bench.arrays["main"].device
    return run(bring([aim], sheet, tolerance_s, Verify(**settings), stop), bench, heard), heard


@pytest.mark.parametrize("ispp", [0.0, 0.1])
@pytest.mark.parametrize(
    "curve", [{}, {"nl_up": 2.4, "nl_down": -2.4}, {"d2d": {"step": 0.4, "asymmetry": 0.2}}]
)
def test_devices_arrive_within_the_tolerance_or_their_step(curve: dict[str, Any], ispp: float) -> None:
    bench, wanted = opened(curve), targets()
    done, _ = brought(bench, Aim(REGION, wanted), rounds=12, amplitude_step=ispp)
    off = np.abs(bench.conductances("main") - wanted)
    coarsest = 4 if curve.get("nl_up") else 1
    assert np.mean(off <= max(0.5e-6, 0.75 * coarsest * 100e-6 / 256)) > 0.99
    assert done.unreached <= 0.01 * wanted.size
    assert done.aimed == wanted.size
    np.testing.assert_allclose(done.arrived[0].readings, bench.conductances("main").ravel(), rtol=1e-5)


def test_devices_without_an_aim_keep_their_bits_and_relative_aims_count_from_the_first_reading() -> None:
    bench = opened()
    before = bench.conductances("main")
    change = np.full(SHAPE, np.nan, np.float32)
    change[::3, 1::2] = 4e-6
    done, _ = brought(bench, Aim(REGION, change, relative=True), 0.0)
    rise = (bench.conductances("main") - before)[::3, 1::2]
    room = before[::3, 1::2] < 95e-6
    assert (np.abs(rise - 4e-6)[room] <= 0.76 * 100e-6 / 256).all()
    np.testing.assert_array_equal(bench.conductances("main")[np.isnan(change)], before[np.isnan(change)])
    assert done.aimed == np.count_nonzero(~np.isnan(change))
    np.testing.assert_allclose(done.arrived[0].left, (4e-6 - rise).ravel(), atol=2e-11)
    assert (done.arrived[0].places == np.flatnonzero(~np.isnan(change))).all()


def test_a_device_that_does_not_move_is_given_up_and_counted() -> None:
    stuck = [[3, 4], [10, 20], [30, 50]]
    bench, wanted = opened({"faults": {"stuck_low": stuck}}), targets()
    done, heard = brought(bench, Aim(REGION, wanted), rounds=10)
    rounds = [sum(op.counts[row, col] != 0 for op in heard.programs) for row, col in stuck]
    assert rounds == [2, 2, 2]
    assert (done.unreached, done.given_up) == (3, 3)
    assert done.rounds < 10
    patient, heard = brought(bench, Aim(REGION, wanted), rounds=10, give_up=5)
    assert [sum(op.counts[row, col] != 0 for op in heard.programs) for row, col in stuck] == [5, 5, 5]
    assert patient.given_up == 3


def test_a_shorted_device_is_given_up_for_few_pulses() -> None:
    bench, wanted = opened({"faults": {"shorted": [[3, 4]], "short_resistance": "100 ohm"}}), targets()
    done, heard = brought(bench, Aim(REGION, wanted), rounds=10)
    given = sum(int(abs(op.counts[3, 4])) for op in heard.programs)
    assert 0 < given <= 4 * 256, (
        "a few times those that cross the range, not by how far 10 mS are from its aim"
    )
    assert done.given_up == 1


def test_ispp_raises_the_amplitude_of_those_that_are_short_up_to_the_most_and_starts_over_after_a_turn() -> (
    None
):
    bench, wanted = opened({"d2d": {"step": 0.8}}), targets()
    _, heard = brought(bench, Aim(REGION, wanted), rounds=20, amplitude_step=0.125, amplitude_most=1.45)
    sheet = bench.arrays["main"].device
    used = {round(op.potentiate.amplitude_v / sheet.potentiate.amplitude_v, 6) for op in heard.programs}
    assert used == {1.0, 1.125, 1.25, 1.375}
    assert all(op.potentiate.width_s == sheet.potentiate.width_s for op in heard.programs)
    before = np.zeros(SHAPE)
    last = np.zeros(SHAPE)
    for op in heard.programs:
        raised = op.potentiate.amplitude_v > sheet.potentiate.amplitude_v
        if raised:
            touched = op.counts != 0
            assert (np.sign(op.counts)[touched] == before[touched]).all(), "raised only onward"
        last = np.where(op.counts != 0, np.sign(op.counts), last)
        before = last


def test_ispp_takes_fewer_pulses_than_a_fixed_amplitude_where_devices_differ_strongly() -> None:
    pulses: dict[float, int] = {}
    for step in (0.0, 0.1):
        bench = opened({"d2d": {"step": 0.9}, "response": {"amplitude_exponent": 3}})
        done, _ = brought(bench, Aim(REGION, targets()), rounds=20, amplitude_step=step)
        assert done.unreached < 0.05 * done.aimed
        pulses[step] = done.pulses
    assert pulses[0.1] < 0.9 * pulses[0.0]


def test_verified_again_after_a_while_it_mends_what_relaxed() -> None:
    errors: list[float] = []
    for again_after in (0.0, 1000.0):
        bench = opened(drift={"nu": 0.02, "nu_spread": 0.01, "t0": "1 s"})
        wanted = targets()
        brought(bench, Aim(REGION, wanted), again_after=again_after)
        if again_after == 0:
            bench.seconds += 1000.0
        errors.append(float(np.abs(bench.conductances("main") - wanted).mean()))
    assert errors[1] < 0.1 * errors[0]


def test_it_ends_when_asked_to_stop_and_when_nothing_is_left_to_do() -> None:
    bench, wanted = opened(), targets()
    stopped, _ = brought(bench, Aim(REGION, wanted), stop=lambda: True)
    assert stopped.rounds == 1
    brought(bench, Aim(REGION, wanted))
    done, heard = brought(bench, Aim(REGION, wanted))
    assert (done.rounds, done.pulses, done.untouched) == (0, 0, wanted.size)
    assert heard.programs == []


def test_a_device_whose_reading_is_only_a_bound_gets_no_pulse() -> None:
    bench = opened({"faults": {"shorted": [[2, 2]]}}, adc={"range": "20 uA"})
    done, heard = brought(bench, Aim(REGION, targets()))
    assert all(op.counts[2, 2] == 0 for op in heard.programs)
    assert done.unreached == 1
