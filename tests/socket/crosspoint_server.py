"""Virtual instruments of a crosspoint bench for tests, in a thread of this process, on sockets and ptys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from drivers.crosspoint import driver
from drivers.crosspoint.bench import CrosspointBench
from drivers.crosspoint.roles import ROLES
from drivers.crosspoint.settings import CrosspointBenchSettings
from drivers.crosspoint.virtual import virtual_grid, virtual_outlets
from drivers.sim.virtual.grid import DeviceGrid
from drivers.sim.virtual.server import Outlet, serving

QUICK = {"timeout": 2.0, "quiet": 0.005}
PULSES = {
    "potentiate": {"amplitude": 1.0, "width": 1e-6, "gap": 1e-6},
    "depress": {"amplitude": -1.0, "width": 1e-6, "gap": 1e-6},
}
IDEAL = {"preset": "ideal", **PULSES}
MODELS = {
    name: {"model": model}
    for name, model in (
        ("keysight-33500", "33522B"),
        ("keysight-81150", "81150A"),
        ("tektronix-afg", "AFG31022"),
    )
}
TRANSPORT = {"keysight-b1500": {"read_termination": "crlf"}, "keysight-spgu": {"read_termination": "crlf"}}


def crosspoint_settings(
    resources: dict[str, str] | None = None,
    instruments: tuple[str, str, str] = ("keithley-2600", "keysight-33500", "keithley-700"),
    **keys: Any,
) -> CrosspointBenchSettings:
    """A 9 x 7 array of ideal devices on those instruments, or what ``keys`` of a bench file say."""
    given: dict[str, Any] = {
        "buses": {"smu": "A", "pulser": "B", "ground": "C"},
        "arrays": {"main": {"rows": "0-8", "cols": "9-15"}},
        "device": IDEAL,
        "virtual": {},
        **keys,
    }
    for role, name in zip(ROLES, instruments, strict=True):
        transport = {**QUICK, **TRANSPORT.get(name, {})}
        here = {"driver": name, "resource": role, "transport": transport}
        given[role] = {**here, **given.get(role, {})}
        given[role]["resource"] = (resources or {}).get(role, given[role]["resource"])
    virtual = dict(given["virtual"])
    model = {"pulser": MODELS.get(instruments[1], {}), "matrix": CARDS.get(instruments[2], {})}
    for role, settings in model.items():
        own = dict(virtual.get(role, {}))
        virtual[role] = {**own, "settings": {**settings, **own.get("settings", {})}}
    return driver.settings.model_validate({**given, "virtual": virtual})


CARDS: dict[str, dict[str, Any]] = {"keithley-700": {"cards": dict.fromkeys(range(1, 7), "7174A")}}


@dataclass
class Lab:
    """A bench, and what stands behind it."""

    bench: CrosspointBench
    grid: DeviceGrid
    outlets: dict[str, Outlet]
    settings: CrosspointBenchSettings

    @property
    def cold(self) -> bool:
        """No relay was ever switched with a voltage on it, nor closed before the others were open."""
        return self.grid.hot_switches == 0 and self.grid.broke_before_make

    @property
    def off(self) -> bool:
        """Every source is at 0 V."""
        return not any(self.grid.volts.values())


@contextmanager
def crosspoint_bench(**keys: Any) -> Iterator[Lab]:
    """A bench on virtual instruments of its own."""
    settings = crosspoint_settings(**keys)
    grid = virtual_grid(settings)
    outlets = virtual_outlets(settings, grid)
    with serving(list(outlets.values())):
        there = crosspoint_settings({role: outlet.resource for role, outlet in outlets.items()}, **keys)
        bench = driver.open(there, {}, 0)
        try:
            yield Lab(bench, grid, outlets, there)
        finally:
            bench.close()
