"""Bench files of simulated benches: presets under what is given, complete records, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from drivers.sim import driver
from drivers.sim.presets import preset_names
from drivers.sim.settings import ExponentialDevice, SimSettings
from hil.config.validate import validate
from hil.config.yaml import load_yaml
from hil.errors import ConfigError


def load(text: str) -> SimSettings:
    return validate(SimSettings, load_yaml(text, "bench.yaml"))


def test_the_drivers_name_alone_is_a_bench():
    settings = load("driver: sim\n")
    assert settings == SimSettings()
    assert driver.open(settings, {}, 0).arrays
    sized = driver.open(settings, {"layer1": (3, 4)}, 0)
    assert {name: info.shape for name, info in sized.arrays.items()} == {"layer1": (3, 4)}
    given = driver.open(load("driver: sim\narrays: {a: {rows: 5, cols: 2}}\n"), {"layer1": (3, 4)}, 0)
    assert {name: info.shape for name, info in given.arrays.items()} == {"a": (5, 2)}


@pytest.mark.parametrize("name", preset_names())
def test_a_recorded_bench_is_complete_and_reads_back_the_same(name):
    settings = load(f"driver: sim\ndevice: {name}\n")
    recorded = json.dumps(settings.model_dump(mode="json"))
    assert load(recorded) == settings == SimSettings(device=name)


def test_what_is_given_wins_over_the_preset_part_by_part():
    device = load("driver: sim\ndevice: {preset: YFlash, d2d: {nonlinearity: {up: 0.5}}, c2c: 0.02}\n").device
    assert isinstance(device, ExponentialDevice)
    assert (device.d2d.nonlinearity.up, device.d2d.nonlinearity.down) == (0.5, 0.14)
    assert device.d2d.asymmetry == 0.24
    assert (device.c2c.up, device.c2c.down) == (0.02, 0.02)
    assert device.levels_down == 37


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("device: HZO_FeFTE", r"bench.yaml:2: device.*did you mean 'HZO_FeFET'"),
        ("device: {preset: TaOx_41, levels_up: 4}", "unknown key 'levels_up'"),
        (
            "device: {preset: ideal, g_min: 1 mS}",
            "bench.yaml:2: device.g_min: 1 mS must be below g_max, 101 uS",
        ),
        ("device: {preset: ideal, nl_up: 9.5}", "nl_up.*9.5"),
        ("device: {preset: ideal, potentiate: {amplitude: 0 V}}", "0 V does nothing"),
        ("device: {preset: ideal, faults: {open: 0.7, stuck: 0.5}}", "add up to 1.2"),
        ("device: {preset: ideal, faults: {open: [[1, 0.5]]}}", "whole number"),
        ("device: {g_max: 100}", "100 has no unit"),
        ("read: {noise: .nan}", "nan"),
        ("lines: {row: -1 ohm}", "row"),
    ],
)
def test_wrong_bench_files_are_refused_with_key_and_reason(text, told):
    with pytest.raises(ConfigError, match=told):
        load(f"driver: sim\n{text}\n")


def test_every_key_is_described_in_the_schema():
    def nameless(schema: Any, path: str = "") -> list[str]:
        if not isinstance(schema, dict):
            return []
        here = [
            f"{path}.{key}"
            for key, value in schema.get("properties", {}).items()
            if "description" not in value
        ]
        return here + [
            found for key, value in schema.get("$defs", {}).items() for found in nameless(value, key)
        ]

    allowed = re.compile(r"\.model$")  # tells the kinds of device apart
    assert [name for name in nameless(SimSettings.model_json_schema()) if not allowed.search(name)] == []


def test_the_page_about_the_simulator_runs():
    text = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")
    bench_file = re.search(r"```yaml[^\n]*\n(.*?)```", text, re.DOTALL)
    assert bench_file is not None
    settings = load(bench_file[1])
    assert driver.open(settings, {"main": (4, 4)}, 1).arrays["main"].device.g_max_s == pytest.approx(
        1 / 559.28e3, rel=1e-4
    )


def test_the_bits_of_a_dac_are_spread_over_the_read_voltage_unless_a_range_is_given() -> None:
    """8 bits over 10 V would be steps of 79 mV: a read voltage of 100 mV would be on or off."""
    assert SimSettings.model_validate({"dac": {"bits": 8}, "read": {"voltage": 0.2}}).dac_range_v == 0.2
    assert SimSettings.model_validate({"dac": {"bits": 8, "range": 1.0}}).dac_range_v == 1.0
    assert SimSettings.model_validate({}).dac_range_v == 10.0
