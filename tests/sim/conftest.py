"""A simulated bench of one array, and the few things all its tests ask of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drivers.sim import driver
from drivers.sim.bench import SimBench
from drivers.sim.settings import SimSettings
from hil.bench import Execution
from hil.schedule import Program, Read, Region

OpenBench = Callable[..., SimBench]


@pytest.fixture
def open_bench() -> OpenBench:
    """Open one array "main" of (rows, cols) with the keys of a bench file."""

    def opened(shape: tuple[int, int], seed: int = 1, **settings: Any) -> SimBench:
        return driver.open(SimSettings(**settings), {"main": shape}, seed)

    return opened


@pytest.fixture
def whole() -> Callable[[SimBench], Region]:
    """The region of all lines."""

    def region(bench: SimBench) -> Region:
        rows, cols = bench.arrays["main"].shape
        return Region.block("main", range(rows), range(cols))

    return region


@pytest.fixture
def pulse(whole: Callable[[SimBench], Region]) -> Callable[[SimBench, Any], Execution]:
    """Program the whole array: one count for all, or one for each device."""

    def program(bench: SimBench, counts: Any) -> Execution:
        info = bench.arrays["main"]
        full = np.full(info.shape, counts, np.int16)
        return bench.execute((Program(whole(bench), full, info.device.potentiate, info.device.depress),))

    return program


@pytest.fixture
def measure(whole: Callable[[SimBench], Region]) -> Callable[..., NDArray[np.float64]]:
    """Conductances of the whole array as one Read gives them, siemens."""

    def read(bench: SimBench, integration_s: float = 1e-6) -> NDArray[np.float64]:
        answer = bench.execute((Read(whole(bench), 0.1, integration_s),)).answers[0]
        assert answer is not None
        return np.asarray(answer.amperes, dtype=np.float64) / 0.1

    return read
