"""Finds drivers, gradients, updates and calibrations by entry point, so that another lab adds one by
installing a package.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, Protocol, TypeAlias

from hil.bench import Bench
from hil.config.bench import BenchSettings
from hil.config.validate import Config, did_you_mean
from hil.errors import ConfigError

Kind: TypeAlias = Literal["drivers", "gradients", "updates", "calibrations"]


class Driver(Protocol):
    """What an entry point of ``hil.drivers`` names: how a kind of bench is described and opened."""

    settings: type[BenchSettings]
    description: str

    def open(self, settings: Any, sizes: Mapping[str, tuple[int, int]], seed: int) -> Bench:
        """Open the bench that ``settings`` describe, changing no output.

        ``sizes``: arrays (rows, cols) by name that a bench free to choose (a simulated one) should offer;
        ``seed`` is for simulated chance where the bench file gives none.
        """
        ...


def names(kind: Kind) -> list[str]:
    """Names of all installed plugins of a kind, sorted; nothing is imported."""
    return sorted(_points(kind))


def load(kind: Kind, name: str) -> Any:
    """Import one plugin.

    Raises
    ------
    ConfigError
        When there is none of that name, or it cannot be imported; says which are installed.
    """
    points = _points(kind)
    if name not in points:
        raise ConfigError(f"no {kind[:-1]} named {name!r} is installed{did_you_mean(name, points)}")
    try:
        return points[name].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{kind[:-1]} {name!r} ({points[name].value}) cannot be imported: {error}"
        ) from error


def load_all(kind: Literal["gradients", "updates"]) -> dict[str, type[Config]]:
    """Every installed gradient or update class by name."""
    return {name: load(kind, name) for name in names(kind)}


def _points(kind: Kind) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"hil.{kind}")}
