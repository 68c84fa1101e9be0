"""The virtual controller that a line bench's file describes; entry point ``hil.virtual``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

from drivers.line.settings import LineBenchSettings
from drivers.sim.settings import DisturbSettings, SimSettings
from drivers.sim.virtual.controller import VirtualController
from drivers.sim.virtual.controller_grid import Grid, Hardware
from drivers.sim.virtual.controller_settings import VirtualControllerSettings
from drivers.sim.virtual.grid import warm
from drivers.wiring import channel_list

SERIAL = "V0001"


@final
class VirtualLine:
    """Serves a line bench's controller."""

    async def serve(self, settings: LineBenchSettings, ready: Callable[[Mapping[str, str]], None]) -> None:
        """Serve until cancelled; ``ready`` is told what to put into the bench file, by key."""
        given = settings.virtual or VirtualControllerSettings()
        grid = virtual_grid(settings)
        warm(_physics(settings), {name: info.shape for name, info in grid.bench.arrays.items()})
        controller = VirtualController(grid, given, settings.controller.serial or SERIAL)
        await controller.serve(lambda resource: ready({"controller.resource": resource}))


def _physics(settings: LineBenchSettings) -> SimSettings:
    given = settings.virtual or VirtualControllerSettings()
    return SimSettings(
        device=settings.device if given.device is None else given.device,
        read=given.read.of(settings.read.voltage, settings.read.integration),
        dac=given.dac,
        adc=given.adc,
        drift=given.drift,
        disturb=DisturbSettings(half_select=given.half_select, scheme=settings.program.scheme),
        lines=given.lines,
        timing=given.timing,
    )


def virtual_grid(
    settings: LineBenchSettings, devices: SimSettings | None = None, seed: int | None = None
) -> Grid:
    """Simulated devices at all crossings of the channels that are wired; those of the first array's name.

    ``devices`` and ``seed`` in place of what the file says of the virtual board.
    """
    given = settings.virtual or VirtualControllerSettings()
    physics = devices or _physics(settings)
    wiring = settings.arrays.values()
    rows = 1 + max(max(channel_list(each.rows)) for each in wiring)
    cols = 1 + max(max(channel_list(each.cols)) for each in wiring)
    hardware = Hardware(
        rows,
        cols,
        physics.dac_range_v,
        given.vpulse,
        bias=settings.program.scheme,
        watchdog=round(settings.controller.watchdog * 1e3),
    )
    return Grid(physics, next(iter(settings.arrays)), hardware, given.seed if seed is None else seed)


virtual = VirtualLine()
