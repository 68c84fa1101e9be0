"""What bench files may say of virtual instruments: the page that lists it is true, and all is checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.crosspoint.virtual import virtual_grid, virtual_outlets
from hil import setup
from hil.errors import ConfigError
from tools.virtual_settings import page

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "examples" / "benches" / "crosspoint-virtual.yaml"


def test_the_page_of_settings_is_that_of_the_code() -> None:
    assert (ROOT / "docs" / "instruments" / "virtual.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize(
    ("role", "driver", "model"),
    [
        ("pulser", "keysight-33500", "33522X"),
        ("pulser", "keysight-81150", "33522B"),
        ("pulser", "tektronix-afg", "33522B"),
        ("smu", "keithley-2600", "33522B"),
        ("matrix", "keithley-700", "33522B"),
    ],
)
def test_a_model_that_an_instrument_family_has_not_is_refused_with_its_line(
    role: str, driver: str, model: str
) -> None:
    asked = [f"{role}.driver={driver}", f"{role}.options={{}}", f"virtual.{role}.settings={{model: {model}}}"]
    settings, _ = setup.load_bench(BENCH, asked)
    with pytest.raises(ConfigError, match=rf"virtual\.{role}\.settings\.model: String should match"):
        virtual_outlets(settings, virtual_grid(settings))  # pyright: ignore[reportArgumentType]
