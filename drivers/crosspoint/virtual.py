"""The virtual instruments that a crosspoint bench's file describes, on one grid (``hil.virtual``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from inspect import signature
from typing import Any, final, get_type_hints

import numpy as np
from pydantic import ValidationError

from drivers.crosspoint.roles import Role
from drivers.crosspoint.settings import CrosspointBenchSettings
from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from drivers.sim.virtual.crosspoint_settings import VirtualCrosspointSettings, VirtualInstrumentSettings
from drivers.sim.virtual.faults import Faults
from drivers.sim.virtual.grid import DeviceGrid, Lines, Unconnected, warm
from drivers.sim.virtual.server import Outlet, Talker, serve
from drivers.sim.virtual.tsp_node import TspNode
from drivers.wiring import channel_list
from hil.config.validate import did_you_mean
from hil.errors import ConfigError

_GROUP = "hil.virtual_instruments"
_MOST_CHANNELS = 8


@final
class VirtualCrosspoint:
    """Serves a crosspoint bench's instruments."""

    async def serve(
        self, settings: CrosspointBenchSettings, ready: Callable[[Mapping[str, str]], None]
    ) -> None:
        """Serve until cancelled; ``ready`` is told what to put into the bench file, by key."""
        grid = virtual_grid(settings)
        outlets = virtual_outlets(settings, grid)
        warm(physics(settings), {name: info.shape for name, info in grid.bench.arrays.items()})
        await serve(
            list(dict.fromkeys(outlets.values())),
            lambda: ready({f"{role}.resource": outlet.resource for role, outlet in outlets.items()}),
        )


def physics(settings: CrosspointBenchSettings) -> SimSettings:
    """What the devices are like: as ``virtual`` says, else as the bench expects them."""
    given = settings.virtual or VirtualCrosspointSettings()
    return SimSettings(
        device=settings.device if given.device is None else given.device,
        read=given.read.of(settings.read.voltage, settings.read.integration),
        drift=given.drift,
    )


def virtual_grid(
    settings: CrosspointBenchSettings, devices: SimSettings | None = None, seed: int | None = None
) -> DeviceGrid:
    """Simulated devices of all arrays, behind the relays of one matrix; ``devices`` and ``seed`` in place of
    what the file says of virtual ones.
    """
    given = settings.virtual or VirtualCrosspointSettings()
    lines = {
        name: Lines(np.array(channel_list(wiring.rows)), np.array(channel_list(wiring.cols)))
        for name, wiring in settings.arrays.items()
    }
    sizes = {name: (each.rows.size, each.cols.size) for name, each in lines.items()}
    bench = SimBench(devices or physics(settings), sizes, given.seed if seed is None else seed)
    return DeviceGrid(bench, lines, settings.buses.ground)


def virtual_outlets(settings: CrosspointBenchSettings, grid: DeviceGrid) -> dict[Role, Outlet]:
    """An outlet for each role, all on the grid; roles with one resource are channels of one instrument.

    Raises
    ------
    ConfigError
        An instrument has no virtual one, or the virtual one does not take its settings.
    """
    given = settings.virtual or VirtualCrosspointSettings()
    sharing: dict[str, list[Role]] = {}
    for role, wanted in settings.instruments.items():
        sharing.setdefault(wanted.resource, []).append(role)
    outlets: dict[Role, Outlet] = {}
    for roles in sharing.values():
        virtual: VirtualInstrumentSettings = getattr(given, roles[0])
        outlet = Outlet(
            _instrument(settings, given, roles, grid),
            Faults(virtual.faults, given.seed),
            link=virtual.link,
            host=given.host,
            port=virtual.port,
            portmapper=virtual.portmapper,
            latency_s=virtual.latency,
        )
        outlets.update(dict.fromkeys(roles, outlet))
    return outlets


def _instrument(
    settings: CrosspointBenchSettings,
    given: VirtualCrosspointSettings,
    roles: Sequence[Role],
    grid: DeviceGrid,
) -> Talker:
    """What stands at the end of a line, with a matrix on its TSP-Link if that has one."""
    own: list[Role] = [role for role in roles if role != "matrix" or settings.matrix.node is None]
    talker = _talker(settings, own[0], getattr(given, own[0]), _loads(settings, own, grid))
    if settings.matrix.node is not None and isinstance(talker, TspNode):
        node = _talker(settings, "matrix", given.matrix, [grid])
        if isinstance(node, TspNode):
            talker.link(settings.matrix.node, node)
    return talker


def _loads(settings: CrosspointBenchSettings, roles: Sequence[Role], grid: DeviceGrid) -> list[Any]:
    """What each channel of an instrument is connected to: its bus, or nothing."""
    if "matrix" in roles:
        return [grid]
    loads: list[Any] = [Unconnected() for _ in range(_MOST_CHANNELS)]
    for role in roles:
        channel = settings.instruments[role].validated(role).get("channel", 1)
        index = "abcdefgh".index(channel) if isinstance(channel, str) else int(channel) - 1
        loads.extend(Unconnected() for _ in range(index + 1 - len(loads)))
        loads[index] = grid.terminal(settings.buses.smu if role == "smu" else settings.buses.pulser)
    return loads


def _talker(
    settings: CrosspointBenchSettings, role: Role, virtual: VirtualInstrumentSettings, loads: list[Any]
) -> Talker:
    wanted = settings.instruments[role]
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
        given = model.model_validate_json(json.dumps({**serial, **virtual.settings}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = settings.where("virtual", role, "settings", *first["loc"])
        raise ConfigError(f"{place}: {first['msg']}") from error
    return made(given, *(loads if several else loads[:1]))


virtual = VirtualCrosspoint()
