"""Unformed devices: nothing moves them until a pulse reaches their own forming voltage, and then for good."""

import numpy as np
import pytest

from hil.schedule import Program, Pulse

SHAPE = (40, 40)


def give(bench, region, amplitude, count=1, width=1e-3):
    counts = np.full(region.shape, count, np.int16)
    depress = bench.arrays["main"].device.depress
    bench.execute((Program(region, counts, Pulse(amplitude, width), depress),))
    return bench.conductances("main")


@pytest.mark.parametrize("preset", ["ENODe", "ENODe_measured"])
def test_a_device_waits_for_its_own_voltage_and_then_behaves_as_the_others(preset, open_bench, whole):
    bench = open_bench(SHAPE, device={"preset": preset, "forming": {"amplitude": 3.0, "spread": 0.1}})
    plain = open_bench(SHAPE, device={"preset": preset})
    region, formed_g = whole(bench), plain.conductances("main")
    before = bench.conductances("main")
    assert before.max() < 0.02 * formed_g.min()
    np.testing.assert_array_equal(give(bench, region, 1.5, 20), before)
    np.testing.assert_array_equal(give(bench, region, 5.0, -20), before)  # depressing pulses form nothing
    after = give(bench, region, 3.0)
    formed = after > 0.1 * formed_g.min()
    volts = bench._arrays["main"].devices.unformed.volts
    np.testing.assert_array_equal(formed, volts <= 3.0)
    assert np.mean(volts) == pytest.approx(3.0, abs=5 * 0.3 / 40)
    assert np.std(volts) == pytest.approx(0.3, rel=0.1)
    np.testing.assert_array_equal(after[~formed], before[~formed])
    sheet = bench.arrays["main"].device
    middle = 0.5 * (sheet.g_min_s + sheet.g_max_s)
    assert after[formed].min() > middle
    assert after[formed].std() > 0.05 * middle  # a random state each
    again = give(bench, region, 1.0, -10)
    moved = again < after
    assert moved[formed].all()
    assert not moved[~formed].any()


def test_far_too_high_a_pulse_shorts_a_device_and_faulty_ones_are_never_formed(open_bench, whole):
    device = {
        "preset": "ENODe",
        "faults": {"open": [(0, 0)], "stuck_low": [(1, 1)]},
        "forming": {"amplitude": 2.0, "spread": 0.2, "broken_above": 1.2},
    }
    bench = open_bench(SHAPE, device=device)
    region, volts = whole(bench), bench._arrays["main"].devices.unformed.volts
    after = give(bench, region, 2.2)
    shorted = after == np.float32(1 / 100)
    expected = 1.2 * volts <= 2.2
    expected[0, 0] = expected[1, 1] = False
    np.testing.assert_array_equal(shorted, expected)
    assert 0.1 < shorted.mean() < 0.9
    assert after[0, 0] == 0
    later = give(bench, region, 10.0)
    assert later[0, 0] == 0
    assert later[1, 1] == after[1, 1]
    np.testing.assert_array_equal(later[shorted], after[shorted])


def test_without_unformed_devices_the_same_seed_deals_the_same_array(open_bench):
    keys = {"preset": "ENODe", "initial": "uniform", "faults": {"stuck": 0.1}}
    one = open_bench(SHAPE, device=keys)._arrays["main"].devices
    two = open_bench(SHAPE, device={**keys, "forming": {"amplitude": 3.0}})._arrays["main"].devices
    stuck = one.lo == one.hi
    np.testing.assert_array_equal(two.g[stuck], one.g[stuck])
    np.testing.assert_array_equal(two.up_a, one.up_a)
