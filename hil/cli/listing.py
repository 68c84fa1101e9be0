"""`hil list` and `hil schema`: what is installed, and what the files may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from hil import plugins

_HEADINGS = {
    "gradients": "what weight change is wanted; gradient: in an experiment file",
    "updates": "how it becomes pulses; update: in an experiment file",
    "drivers": "what a bench can be; driver: in a bench file",
    "instruments": "drivers of instruments as ROLE:NAME; driver: of that role in a crosspoint bench's file",
    "calibrations": "what can be measured of a bench",
    "presets": "ready-made devices as DRIVER:NAME; device: NAME in a bench file of that driver",
    "data": "data sets; data: in an experiment file",
}
_ROLES: dict[str, plugins.Kind] = {"smu": "smus", "pulser": "pulsers", "matrix": "matrices"}


def entries(kind: str) -> dict[str, str]:
    """Name to description of everything of a kind."""
    if kind == "data":
        from hil.data.spec import DATASETS

        return {str(name): text for name, text in DATASETS.items()}
    if kind == "presets":
        return {
            f"{driver}:{name}": text
            for driver in plugins.names("drivers")
            for name, text in _driver(driver).presets().items()
        }
    if kind == "drivers":
        return {name: _driver(name).description for name in plugins.names("drivers")}
    if kind == "instruments":
        return {
            f"{role}:{name}": plugins.describe(group, name)
            for role, group in _ROLES.items()
            for name in plugins.names(group)
        }
    if kind == "gradients" or kind == "updates" or kind == "calibrations":
        return {name: plugins.describe(kind, name) for name in plugins.names(kind)}
    raise ValueError(f"no kind {kind!r}")


def print_entries(listed: Mapping[str, Mapping[str, str]]) -> None:
    """A section for each kind, a line for each entry."""
    for number, (kind, found) in enumerate(listed.items()):
        typer.echo(("\n" if number else "") + typer.style(kind, bold=True) + f"  {_HEADINGS[kind]}")
        width = max(map(len, found), default=0)
        for name, text in found.items():
            typer.echo(f"  {name:<{width}}  {text}")
        if not found:
            typer.echo("  none installed")


def bench_schema(driver: str) -> dict[str, Any]:
    """JSON Schema of a bench file of a driver."""
    return _driver(driver).settings.model_json_schema()


def experiment_schema() -> dict[str, Any]:
    """JSON Schema of an experiment file, with the methods that are installed."""
    from hil.config.experiment import experiment_model

    return experiment_model(plugins.load_all("gradients"), plugins.load_all("updates")).model_json_schema()


def _driver(name: str) -> plugins.Driver:
    return plugins.load("drivers", name)
