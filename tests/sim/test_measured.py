"""Devices by maps: each is what its maps say, and what maps cannot say is refused by file and map."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from drivers.sim import driver
from drivers.sim.settings import MeasuredDevice
from hil import setup
from hil.errors import ConfigError
from hil.schedule import Program, Read, Region, Wait

SHAPE = (3, 4)
BENCH = """\
driver: sim
arrays: {main: {rows: 3, cols: 4}}
device:
  model: measured
  maps: maps.npz
  potentiate: {amplitude: 1 V, width: 1 us}
  depress: {amplitude: -1 V, width: 1 us}
"""


def exponential(**changes):
    """Maps of an array whose every device is another."""
    low = 1e-6 * (1 + 0.1 * np.arange(12).reshape(SHAPE))
    maps = {
        "g_min_s": low,
        "g_max_s": 10 * low,
        "step_up_s": 0.1 * low,
        "step_down_s": 0.2 * low,
        "nl_up": np.linspace(-2, 2, 12).reshape(SHAPE),
        "nl_down": np.full(SHAPE, -3.0),
        "start_s": 5.5 * low,
        "stuck_s": np.full(SHAPE, np.nan),
        "sheet_s": np.array([1e-6, 1e-5, 1e-7, 2e-7]),
        "sheet_curve_s": np.array([[1e-6, 1e-5], [1e-7, 1e-7], [-2e-7, -2e-7]]),
    }
    return {f"main.{name}": values for name, values in (maps | changes).items() if values is not None}


def tables(**changes):
    """Maps of an array of two kinds: steps up of 1 and 2, down of 3 and 4 hundredths of the range."""
    span = np.array([1e-5, 2e-5])
    up = np.array([0.01, 0.02])[:, None, None] * np.broadcast_to(span[:, None, None], (2, 1, 5))
    maps = {
        "kind": np.arange(12).reshape(SHAPE) % 2,
        "table_min_s": np.array([1e-6, 1e-6]),
        "table_max_s": 1e-6 + span,
        "table_up_s": up,
        "table_down_s": -np.array([3, 2])[:, None, None] * up,
    }
    gone = dict.fromkeys(("g_min_s", "g_max_s", "step_up_s", "step_down_s", "nl_up", "nl_down"))
    return exponential(start_s=np.full(SHAPE, 6e-6), **gone, **(maps | changes))


@pytest.fixture
def opened(tmp_path):
    def open_(maps, text=BENCH):
        np.savez(tmp_path / "maps.npz", **maps)
        (tmp_path / "bench.yaml").write_text(text)
        return setup.open_bench(setup.load_bench(tmp_path / "bench.yaml")[0])

    return open_


def conductances(bench, *counts):
    """After each of some pulse counts to all devices."""
    info = bench.arrays["main"]
    region = Region.block("main", range(info.rows), range(info.cols))
    found = []
    for count in counts:
        pulses = np.full(info.shape, count, np.int16)
        program = Program(region, pulses, info.device.potentiate, info.device.depress)
        answer = bench.execute((program, Read(region, info.device.read_voltage_v, 1e-6))).answers[1]
        found.append(answer.siemens.astype(float))
    return found


def test_every_device_has_its_own_range_and_steps(opened):
    maps = exponential()
    start, up, down, high, low = conductances(opened(maps), 0, 1, -1, 5000, -5000)
    np.testing.assert_allclose(start, maps["main.start_s"], rtol=1e-6)
    np.testing.assert_allclose(up - start, maps["main.step_up_s"], rtol=1e-5)  # it starts in the middle
    span = 9 * maps["main.g_min_s"]
    assert np.all((up - down < 1.3 * maps["main.step_down_s"]) & (up - down > maps["main.step_down_s"]))
    np.testing.assert_allclose(high - low, span, rtol=1e-6)


def test_the_label_of_a_map_is_the_one_of_the_exponential_device(opened):
    levels, label, low, high = 40, 2.5, 1e-6, 1e-5
    usual = {
        "model": "exponential", "levels_up": levels, "levels_down": levels, "g_min": low, "g_max": high,
        "nl_up": label, "nl_down": -label, "initial": "g_min",
        "potentiate": {"amplitude": 1.0, "width": 1e-6}, "depress": {"amplitude": -1.0, "width": 1e-6},
    }  # fmt: skip
    dealt = driver.open(driver.settings(device=usual), {"main": SHAPE}, 0)
    curve = dealt.arrays["main"].device.curve
    step = float(curve.up_s.mean())  # affine: in the middle of the range
    every = {"g_min_s": low, "g_max_s": high, "start_s": low, "step_up_s": step, "step_down_s": step}
    labels = {"nl_up": label, "nl_down": -label}
    maps = exponential(**{name: np.full(SHAPE, value) for name, value in (every | labels).items()})
    counts = (3, 11, -2, 50, -7, -9)
    for one, other in zip(conductances(opened(maps), *counts), conductances(dealt, *counts), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4)


def test_what_is_stuck_stays_and_conducts_what_it_did(opened):
    stuck = np.full(SHAPE, np.nan)
    stuck[0, 0], stuck[1, 2], stuck[2, 3] = 0.0, 3e-6, 1e-2
    for found in conductances(opened(exponential(stuck_s=stuck)), 7, -100):
        np.testing.assert_allclose(found[[0, 1, 2], [0, 2, 3]], [0, 3e-6, 1e-2], rtol=1e-6)


def test_tables_are_followed_by_the_devices_of_their_kind(opened):
    start, up, down = conductances(opened(tables()), 0, 1, -1)
    np.testing.assert_allclose((up - start)[0], [1e-7, 4e-7, 1e-7, 4e-7], rtol=1e-4)
    np.testing.assert_allclose((up - down)[0], [3e-7, 8e-7, 3e-7, 8e-7], rtol=1e-4)


def test_the_sheet_is_that_of_the_file(opened):
    sheet = opened(exponential()).arrays["main"].device
    assert (sheet.g_min_s, sheet.g_max_s, sheet.step_up_s, sheet.step_down_s) == (1e-6, 1e-5, 1e-7, 2e-7)
    assert sheet.potentiate.amplitude_v == 1.0


def test_without_arrays_in_the_file_they_are_those_of_the_maps(opened):
    text = BENCH.replace("arrays: {main: {rows: 3, cols: 4}}\n", "")
    assert opened(exponential(), text).arrays["main"].shape == SHAPE


def test_a_part_of_what_was_measured_is_its_first_lines(opened):
    part = opened(exponential(), BENCH.replace("rows: 3, cols: 4", "rows: 2, cols: 2"))
    np.testing.assert_allclose(conductances(part, 0)[0], exponential()["main.start_s"][:2, :2], rtol=1e-6)


def test_measured_exponents_of_drift_are_those_of_the_devices(opened):
    nu = np.linspace(0, 0.1, 12).reshape(SHAPE)
    bench = opened(exponential(nu=nu))
    (begun,) = conductances(bench, 0)
    bench.execute((Wait(1000.0),))
    (later,) = conductances(bench, 0)
    np.testing.assert_allclose(later / begun, 1000.0**-nu, rtol=1e-3)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"nl_up": np.zeros((4, 3))}, "main.nl_up: shape (4, 3) given; (3, 4) is needed"),
        ({"nl_up": None}, "main: nl_up missing"),
        ({"nl_up": np.full(SHAPE, np.nan)}, "main.nl_up: NaN or infinite"),
        ({"nl_up": np.full(SHAPE, 9.9)}, "main.nl_up: labels from 9.9 to 9.9 given; -9.5 to 9.5"),
        ({"nl_up": np.full(SHAPE, "a")}, "main.nl_up: <U1 given; numbers are needed"),
        ({"g_max_s": np.full(SHAPE, 1e-7)}, "main.g_min_s: 1e-06 S of device [0, 0] is not below"),
        ({"stuck_s": np.full(SHAPE, -1.0)}, "below 0 S"),
        ({"step_down_s": np.full(SHAPE, -1e-9)}, "a step below 0"),
        ({"sheet_s": np.zeros(3)}, "main.sheet_s: shape (3,) given; (4,) is needed"),
        ({"sheet_curve_s": np.zeros((3, 2))}, "main.sheet_curve_s: step curve"),
    ],
)
def test_maps_that_no_device_can_have_are_refused_with_key_file_and_map(opened, changes, told):
    with pytest.raises(ConfigError) as refused:
        opened(exponential(**changes))
    message = str(refused.value)
    assert "bench.yaml:5: device.maps: " in message
    assert "maps.npz" in message
    assert told in message


def test_a_kind_without_a_table_is_refused(opened):
    with pytest.raises(ConfigError, match=r"main.kind: 0 to 7 given; there are 2 tables"):
        opened(tables(kind=np.where(np.arange(12).reshape(SHAPE) > 10, 7, 0)))


def test_more_tables_than_can_be_numbered_are_refused(opened):
    many = np.full(40_000, 1e-6)
    steps = np.zeros((40_000, 1, 2), np.float32)
    every = {"table_min_s": many, "table_max_s": 2 * many, "table_up_s": steps, "table_down_s": steps}
    with pytest.raises(
        ConfigError, match=r"main\.table_min_s: 40,000 tables given; up to 32,767 are allowed"
    ):
        opened(tables(**every))


def test_noise_of_pulses_beside_tables_that_have_it_is_refused(opened):
    with pytest.raises(ConfigError, match=r"device\.c2c: these maps hold tables"):
        opened(tables(), BENCH + "  c2c: 0.01\n")


def test_devices_outside_the_maps_and_arrays_nobody_measured_are_refused(opened):
    with pytest.raises(ConfigError, match="main: 4 x 4 asked for; 3 x 4 devices were measured"):
        opened(exponential(), BENCH.replace("rows: 3", "rows: 4"))
    with pytest.raises(ConfigError, match=r"arrays\.other: not measured; device\.maps has main"):
        opened(exponential(), BENCH.replace("main:", "other:"))


def test_another_file_than_that_of_the_checksum_is_refused(tmp_path):
    path = tmp_path / "maps.npz"
    np.savez(path, **exponential())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    text = BENCH + f"  sha256: {digest}\n"
    (tmp_path / "bench.yaml").write_text(text)
    settings = setup.load_bench(tmp_path / "bench.yaml")[0]
    assert setup.open_bench(settings).arrays["main"].shape == SHAPE
    np.savez(path, **exponential(nl_up=np.zeros(SHAPE)))
    with pytest.raises(ConfigError, match=r"bench.yaml:8: device\.sha256: .*maps.npz: its checksum is"):
        setup.open_bench(settings)


@pytest.mark.parametrize("damage", [b"", b"no zip at all", None, "cut", "pickle"])
def test_a_missing_or_damaged_file_is_one_error_with_key_and_file(tmp_path, damage):
    path: Path = tmp_path / "maps.npz"
    if damage == "pickle":
        np.savez(path, **{"main.start_s": np.array([{}], dtype=object)})
    elif damage == "cut":
        np.savez(path, **exponential())
        path.write_bytes(path.read_bytes()[:-500])
    elif damage is not None:
        path.write_bytes(damage)
    (tmp_path / "bench.yaml").write_text(BENCH)
    settings = setup.load_bench(tmp_path / "bench.yaml")[0]
    assert isinstance(settings.device, MeasuredDevice)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ConfigError, match=r"bench.yaml:5: device\.maps: .*maps.npz: (cannot be|not a file)"):
        setup.open_bench(settings)
