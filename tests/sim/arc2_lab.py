"""A bench with a virtual ArC TWO for tests, in this process."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from drivers.arc2 import driver
from drivers.arc2.bench import Arc2Bench
from drivers.arc2.opening import bench_on, virtual_board, virtual_library
from drivers.arc2.settings import Arc2BenchSettings
from drivers.sim.virtual.arc2 import VirtualArc2
from hil.bench import Bench
from hil.region import Region
from hil.schedule import Program, Pulse

EXAMPLES = Path(__file__).parents[2] / "examples"
IDEAL = {"preset": "ideal", "levels_up": 200, "levels_down": 200, "initial": "uniform"}
DIGITS = (
    "data={name: mnist-5k, train: 60, test: 30, pixels: 5}",
    "network.layers=[{outputs: 5, activation: tanh}, {outputs: 10, activation: softmax}]",
    "training={epochs: 1, batch: 10, rate: 0.05, update_noise_every: 0}",
    "update=bidirectional",
)
FULL = {"main": {"rows": "0-15,32-47", "cols": "16-31,48-63"}}


def arc2_settings(**keys: Any) -> Arc2BenchSettings:
    given: dict[str, Any] = {
        "instrument": {"timeout": 0.05},
        "arrays": {"main": {"rows": "3,0-2,32-36", "cols": "16-19,48-50"}},
        "device": IDEAL,
        "virtual": {},
    }
    return driver.settings.model_validate({**given, **keys})


@contextmanager
def arc2_bench(**keys: Any) -> Generator[tuple[Arc2Bench, VirtualArc2]]:
    """A bench on a virtual board of its own."""
    settings = arc2_settings(**keys)
    assert settings.virtual is not None
    board = virtual_board(settings, settings.virtual, 5)
    bench = bench_on(settings, virtual_library(board), clock=board.clock, pause=board.leave_alone)
    try:
        yield bench, board
    finally:
        bench.close()


def everything(bench: Bench, name: str = "main") -> Region:
    info = bench.arrays[name]
    return Region(name, np.arange(info.rows), np.arange(info.cols))


def one_pulse(bench: Bench, **changed: float) -> Program:
    sheet, region = bench.arrays["main"].device, everything(bench)
    pulse = sheet.potentiate
    given = {"amplitude_v": pulse.amplitude_v, "width_s": pulse.width_s, "gap_s": pulse.gap_s, **changed}
    return Program(region, np.ones(region.shape, np.int16), Pulse(**given), sheet.depress)
