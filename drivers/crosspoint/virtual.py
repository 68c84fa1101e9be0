"""The virtual instruments that a crosspoint bench's file describes, on one grid (``hil.virtual``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from inspect import signature
from typing import Any, final, get_type_hints

import numpy as np
from pydantic import ValidationError

from drivers.crosspoint.roles import ROLES, InstrumentSettings
from drivers.crosspoint.settings import CrosspointBenchSettings
from drivers.sim.bench import SimBench
from drivers.sim.settings import ReadSettings, SimSettings
from drivers.sim.virtual.crosspoint_settings import VirtualCrosspointSettings, VirtualInstrumentSettings
from drivers.sim.virtual.faults import Faults
from drivers.sim.virtual.grid import DeviceGrid, Lines, Terminal
from drivers.sim.virtual.server import Outlet, Talker, serve
from drivers.wiring import channel_list
from hil.config.validate import did_you_mean
from hil.errors import ConfigError
from hil.schedule import Pulse

_GROUP = "hil.virtual_instruments"
_MOST_CHANNELS = 8


@dataclass
class Unconnected:
    """What a channel that the bench does not use sees: no current, whatever it does."""

    volts: dict[str, float] = field(default_factory=dict[str, float])

    def drive(self, source: str, volts: float) -> None:
        """See `Load.drive`."""
        self.volts[source] = volts

    def current(self, volts: float, integration_s: float) -> float:
        """See `Load.current`."""
        return 0.0

    def pulse(self, source: str, pulse: Pulse, count: int) -> None:
        """See `PulseLoad.pulse`."""


@final
class VirtualCrosspoint:
    """Serves a crosspoint bench's instruments."""

    async def serve(
        self, settings: CrosspointBenchSettings, ready: Callable[[Mapping[str, str]], None]
    ) -> None:
        """Serve until cancelled; ``ready`` is told what to put into the bench file, by key."""
        outlets = virtual_outlets(settings, virtual_grid(settings))
        await serve(
            list(outlets.values()),
            lambda: ready({f"{role}.resource": outlet.resource for role, outlet in outlets.items()}),
        )


def virtual_grid(settings: CrosspointBenchSettings) -> DeviceGrid:
    """Simulated devices of all arrays, behind the relays of one matrix."""
    given = settings.virtual or VirtualCrosspointSettings()
    physics = SimSettings(
        device=settings.device if given.device is None else given.device,
        read=ReadSettings(
            voltage=settings.read.voltage,
            integration=settings.read.integration,
            noise=given.read.noise,
            offset=given.read.offset,
        ),
        drift=given.drift,
    )
    lines = {
        name: Lines(np.array(channel_list(wiring.rows)), np.array(channel_list(wiring.cols)))
        for name, wiring in settings.arrays.items()
    }
    sizes = {name: (each.rows.size, each.cols.size) for name, each in lines.items()}
    return DeviceGrid(SimBench(physics, sizes, given.seed), lines, settings.buses.ground)


def virtual_outlets(settings: CrosspointBenchSettings, grid: DeviceGrid) -> dict[str, Outlet]:
    """An outlet for each role, all on the grid.

    Raises
    ------
    ConfigError
        An instrument has no virtual one, or the virtual one does not take its settings.
    """
    given = settings.virtual or VirtualCrosspointSettings()
    outlets: dict[str, Outlet] = {}
    for role in ROLES:
        wanted, virtual = settings.instruments[role], getattr(given, role)
        loads: list[Any] = [grid]
        if role != "matrix":
            terminal = grid.terminal(settings.buses.smu if role == "smu" else settings.buses.pulser)
            loads = _loads(wanted.options.get("channel"), terminal)
        outlets[role] = Outlet(
            _talker(settings, role, wanted, virtual, loads),
            Faults(virtual.faults, given.seed),
            pty=virtual.link == "pty",
            host=given.host,
            port=virtual.port,
            latency_s=virtual.latency,
        )
    return outlets


def _talker(
    settings: CrosspointBenchSettings,
    role: str,
    wanted: InstrumentSettings,
    virtual: VirtualInstrumentSettings,
    loads: list[Any],
) -> Talker:
    points = {point.name: point for point in entry_points(group=_GROUP)}
    if wanted.driver not in points:
        raise ConfigError(
            f"{settings.where(role, 'driver')}: there is no virtual {wanted.driver!r}; "
            f"{did_you_mean(wanted.driver, points)}"
        )
    made: Any = points[wanted.driver].load()
    model = get_type_hints(made.__init__)["settings"]
    serial = {} if wanted.serial is None else {"serial": wanted.serial}
    several = any(each.kind is each.VAR_POSITIONAL for each in signature(made).parameters.values())
    try:
        return made(model.model_validate({**serial, **virtual.settings}), *(loads if several else loads[:1]))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        keys = ("virtual", role, "settings", *first["loc"])
        raise ConfigError(f"{settings.where(*keys)}: {first['msg']}") from error


def _loads(channel: object, terminal: Terminal) -> list[Any]:
    """What each channel of an instrument is connected to: the bus, or nothing."""
    index = 0
    if isinstance(channel, str) and len(channel) == 1 and channel.isalpha():
        index = "abcdefgh".index(channel.lower())
    elif channel is not None:
        index = int(str(channel)) - 1
    return [terminal if each == index else Unconnected() for each in range(max(_MOST_CHANNELS, index + 1))]


virtual = VirtualCrosspoint()
