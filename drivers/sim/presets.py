"""Devices of the literature under names: what ``device: HZO_FeFET`` in a bench file stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from hil.errors import ConfigError

DEFAULT_PRESET = "ideal"


@dataclass(frozen=True, slots=True)
class Preset:
    """One named device.

    ``device`` is what a bench file could say instead (keys of `drivers.sim.settings.ExponentialDevice` or
    ``TableDevice``); ``illustrative`` names what the source gives no figure for and we assumed.
    """

    name: str
    summary: str
    source: str
    illustrative: tuple[str, ...]
    device: Mapping[str, Any]


def preset_names() -> tuple[str, ...]:
    """The names, in the order of presets.yaml."""
    return tuple(_presets())


def preset(name: str) -> Preset:
    """Look one up; a ConfigError names the nearest if there is none."""
    found = _presets().get(name)
    if found is None:
        from hil.config.validate import did_you_mean

        raise ConfigError(f"no device preset {name!r}; {did_you_mean(name, _presets())}")
    return found


def complete(device: object) -> object:
    """Put a preset's values under what a bench file says of its device, part by part; what is given wins.

    Text is a preset's name alone. Without ``preset`` and ``model`` the preset is ``ideal``; without
    ``preset`` but with a model of its own, nothing is added.
    """
    if isinstance(device, str):
        return {"preset": device, **preset(device).device}
    if not isinstance(device, Mapping):
        return device
    given = dict(cast("Mapping[Any, Any]", device))
    name = given.get("preset")
    if name is None and "model" not in given:
        name = given["preset"] = DEFAULT_PRESET
    if not isinstance(name, str):
        return given
    return _over(preset(name).device, given)


def _over(base: Mapping[str, Any], given: Mapping[Any, Any]) -> dict[Any, Any]:
    merged: dict[Any, Any] = dict(base)
    for key, value in given.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            value = _over(cast("Mapping[str, Any]", below), cast("Mapping[Any, Any]", value))
        merged[key] = value
    return merged


@cache
def _presets() -> dict[str, Preset]:
    from hil.config.yaml import load_yaml

    data = load_yaml(Path(__file__).with_name("presets.yaml")).data
    return {
        name: Preset(name, entry["summary"], entry["source"], tuple(entry["illustrative"]), entry["device"])
        for name, entry in data.items()
    }
