"""What holds for all tests: properties have no deadline, as speed is never asserted; and `--bench`."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Hardware is touched only when it is named."""
    group = parser.getgroup("hardware")
    group.addoption("--bench", type=Path, metavar="FILE", help="bench file of the hardware for tests/bench")
    group.addoption(
        "--wear", action="store_true", help="also pulse devices: a few hundred times, on 5 rows and 4 columns"
    )
