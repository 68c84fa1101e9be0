"""Virtual array controllers for tests, in a thread of this process, on real sockets and pseudo-terminals."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from drivers.line import driver
from drivers.line.bench import LineBench
from drivers.line.settings import LineBenchSettings
from drivers.line.virtual import virtual_grid
from drivers.sim.virtual.controller import VirtualController
from drivers.sim.virtual.controller_grid import Grid
from drivers.sim.virtual.controller_settings import VirtualControllerSettings

QUICK = {"timeout": 1.0, "quiet": 0.005}


def line_settings(
    resource: str = "", *, transport: dict[str, float] = QUICK, expects: str | None = None, **keys: Any
) -> LineBenchSettings:
    """A 9 x 7 array of ideal devices, or what ``keys`` of a bench file say; ``expects`` a serial number."""
    given: dict[str, Any] = {
        "controller": {
            "resource": resource,
            "serial": expects,
            "transport": transport,
            "watchdog": 60.0,  # longer than a busy machine holds up a test
        },
        "arrays": {"main": {"rows": "0-8", "cols": "0-6"}},
        "device": "ideal",
        "virtual": {},
    }
    return driver.settings.model_validate({**given, **keys})


@dataclass
class Served:
    """A controller that is being served, and the truth behind it."""

    resource: str
    controller: VirtualController
    grid: Grid


@contextmanager
def served(settings: LineBenchSettings, serial: str = "V0001") -> Iterator[Served]:
    """Serve the virtual controller of a bench file."""
    given = settings.virtual or VirtualControllerSettings()
    grid = virtual_grid(settings)
    controller = VirtualController(grid, given, serial)
    resources: list[str] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()

    def told(resource: str) -> None:
        resources.append(resource)
        ready.set()

    task = loop.create_task(controller.serve(told))

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(asyncio.wait([task]))
        others = asyncio.all_tasks(loop)
        for other in others:
            other.cancel()
        loop.run_until_complete(asyncio.gather(*others, return_exceptions=True))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("no virtual controller within 10 s")
    try:
        yield Served(resources[0], controller, grid)
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)


@contextmanager
def line_bench(**keys: Any) -> Iterator[tuple[LineBench, Served]]:
    """A bench on a virtual controller of its own."""
    with served(line_settings(**keys)) as there:
        bench = opened(there, keys)
        try:
            yield bench, there
        finally:
            bench.close()


def opened(there: Served, keys: Mapping[str, Any]) -> LineBench:
    """Another bench on the same controller."""
    return driver.open(line_settings(there.resource, **keys), {}, 0)
