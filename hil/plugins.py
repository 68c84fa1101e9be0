"""Finds drivers, gradients, updates and calibrations by entry point, so that another lab adds one by
installing a package.
"""

from __future__ import annotations

import ast
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from hil.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil.bench import Bench
    from hil.config.bench import BenchSettings
    from hil.config.validate import Config

Kind: TypeAlias = Literal[
    "drivers", "gradients", "updates", "calibrations", "twins", "smus", "pulsers", "matrices"
]


class Driver(Protocol):
    """What an entry point of ``hil.drivers`` names: how a kind of bench is described and opened."""

    @property
    def settings(self) -> type[BenchSettings]:
        """Model of its bench file."""
        ...

    @property
    def description(self) -> str:
        """One line for `hil list`."""
        ...

    def presets(self) -> Mapping[str, str]:
        """Ready-made devices that a bench file may name, a line each; empty where there are none."""
        ...

    def open(self, settings: Any, sizes: Mapping[str, tuple[int, int]], seed: int) -> Bench:
        """Open the bench that ``settings`` describe, changing no output.

        ``sizes``: arrays (rows, cols) by name that a bench free to choose (a simulated one) should offer;
        ``seed`` is for simulated chance where the bench file gives none.

        Raises
        ------
        ConfigError
            Settings that only show as wrong once it is opened. Begin it with the key ("levels: asked for
            ..."; "device.levels: ..."): file and line are put before it.
        BenchError
            The bench is not there, or not what the settings say. Begin it with the role of the instrument as
            the settings' ``resources`` name it ("smu: ..."): file, line and key are put before it.
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
    point = _point(kind, name)
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{kind[:-1]} {name!r} ({point.value}) cannot be imported: {error}") from error


def load_all(kind: Literal["gradients", "updates"]) -> dict[str, type[Config]]:
    """Every installed gradient or update class by name."""
    return {name: load(kind, name) for name in names(kind)}


def describe(kind: Kind, name: str) -> str:
    """First line of a plugin's docstring, read from its source: importing a method compiles kernels.

    Raises
    ------
    ConfigError
        When there is no plugin of that name, or its module is not there.
    """
    point = _point(kind, name)
    try:
        spec = find_spec(point.module)
    except ImportError as error:
        raise ConfigError(f"{kind[:-1]} {name!r} ({point.value}) cannot be imported: {error}") from error
    if spec is None or spec.origin is None:
        raise ConfigError(f"{kind[:-1]} {name!r} ({point.value}) cannot be imported: there is no such module")
    if not spec.origin.endswith(".py"):
        return _first_line(getattr(load(kind, name), "__doc__", None))
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == point.attr:
            return _first_line(ast.get_docstring(node))
    return _first_line(getattr(load(kind, name), "__doc__", None))


def _first_line(docstring: str | None) -> str:
    return cleandoc(docstring).partition("\n\n")[0].replace("\n", " ") if docstring else ""


def _point(kind: Kind, name: str) -> EntryPoint:
    points = _points(kind)
    if name not in points:
        from hil.config.validate import did_you_mean

        raise ConfigError(f"no {kind[:-1]} named {name!r} is installed; {did_you_mean(name, points)}")
    return points[name]


def _points(kind: Kind) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"hil.{kind}")}
