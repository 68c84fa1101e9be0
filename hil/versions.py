"""What a run or a calibration was made with, as its record keeps it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, of this project and of packages, by name."""
    found = {"python": platform.python_version()}
    for package in ("synapse-hil", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
