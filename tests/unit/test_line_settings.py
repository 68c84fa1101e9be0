"""Bench files of a line bench: the pages' and the example load, and what is wrong is told with its line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from drivers.line import driver
from drivers.line.settings import LineBenchSettings
from drivers.line.virtual import virtual_grid
from drivers.wiring import channel_list
from hil.config.validate import validate
from hil.config.yaml import load_yaml
from hil.errors import ConfigError

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "line-bench.md"
EXAMPLE = ROOT / "examples" / "benches" / "line-virtual.yaml"
BLOCKS = re.findall(r"^```yaml\n((?:.*\n)*?)```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def load(path: Path) -> LineBenchSettings:
    return validate(driver.settings, load_yaml(path))


def written(folder: Path, text: str) -> Path:
    path = folder / "bench.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("block", BLOCKS)
def test_a_file_of_the_page_loads(block: str, tmp_path: Path) -> None:
    settings = load(written(tmp_path, block))
    assert settings.driver == "line"
    assert settings.read.integration == 10e-6


def test_the_example_is_named_after_its_file_and_its_virtual_board_has_the_channels_it_is_wired_to() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    settings = load(EXAMPLE)
    assert text.startswith("# ")
    assert settings.name == EXAMPLE.stem
    assert settings.virtual is not None
    assert settings.controller.resource == f"TCPIP::127.0.0.1::{settings.virtual.port}::SOCKET"
    assert (virtual_grid(settings).hardware.rows, virtual_grid(settings).hardware.cols) == (256, 64)


@pytest.mark.parametrize(
    ("text", "channels"), [("0-3", (0, 1, 2, 3)), ("7, 0-1,5", (7, 0, 1, 5)), ("12", (12,)), ("4-4", (4,))]
)
def test_channels_come_in_the_order_in_which_they_are_written(text: str, channels: tuple[int, ...]) -> None:
    assert channel_list(text) == channels


GOOD = """\
driver: line
controller: {resource: "TCPIP::h::1::SOCKET"}
arrays:
  main: {rows: 0-3, cols: 0-3}
device: ideal
"""


@pytest.mark.parametrize(
    ("change", "to", "told"),
    [
        ("0-3, cols", "3-0, cols", r"bench.yaml:4: arrays.main.rows: .*'3-0'; write channels as"),
        ("0-3, cols", '"0-3,2", cols', r"bench.yaml:4: arrays.main.rows: .*a channel is named twice"),
        ("0-3, cols", "a, cols", r"bench.yaml:4: arrays.main.rows: .*write channels as"),
        (
            "device: ideal",
            "  b: {rows: 3-5, cols: 1}\ndevice: ideal",
            r"bench.yaml:5: arrays.b: .*crosspoints of main",
        ),
        (
            "device: ideal",
            "device: ideal\nread: {voltage: 0.1}",
            r"bench.yaml:6: read.voltage: 0.1 has no unit",
        ),
        (
            "device: ideal",
            "device: ideal\nprogram: {dose: 0}",
            r"bench.yaml:6: program.dose: .*greater than 0",
        ),
        ("device: ideal", "device: idea", r"bench.yaml:5: device: .*ideal"),
        (
            "driver: line",
            "driver: line\nvirtual: {faults: [{kind: late, share: 2}]}",
            r"bench.yaml:2: virtual.faults",
        ),
        ('controller: {resource: "TCPIP::h::1::SOCKET"}\n', "", r"controller: missing"),
    ],
)
def test_what_is_wrong_is_told_with_line_and_key(change: str, to: str, told: str, tmp_path: Path) -> None:
    load(written(tmp_path, GOOD))
    assert change in GOOD
    with pytest.raises(ConfigError, match=told):
        load(written(tmp_path, GOOD.replace(change, to)))


def test_the_schema_tells_every_key_and_nothing_is_imported_for_a_listing() -> None:
    schema = driver.settings.model_json_schema()
    assert {"controller", "arrays", "device", "read", "program", "virtual"} <= schema["properties"].keys()
    check = (
        "import sys, drivers.line as line; line.driver.description, line.driver.presets(); "
        "sys.exit(bool({'numba', 'pydantic', 'pyvisa', 'serial'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False, cwd=ROOT).returncode == 0
