"""A bench with an array controller rehearsed: this driver, on a virtual board in this process.

Entry point ``hil.rehearsals``. The board's time is its own, as it tells it; to that comes what the host waits
for exchanges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

from drivers.line.bench import LineBench, line_bench_on
from drivers.line.settings import LineBenchSettings, LineProgramSettings
from drivers.line.virtual import SERIAL, virtual_grid
from drivers.rehearsal import RehearsedClock, RehearsedLink, check_shapes, physics_of
from drivers.sim.settings import SimSettings
from drivers.sim.virtual.controller_board import Board
from drivers.transport.link import Link
from drivers.transport.session import open_session
from drivers.transport.settings import TransportSettings
from drivers.wiring import Wiring, channel_list
from hil.bench import ArrayInfo, Execution
from hil.config.bench import BenchSettings
from hil.errors import ConfigError
from hil.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Waiting:
    """A line bench whose costs have in their seconds what the host waits for the board's answers."""

    bench: LineBench
    exchange_s: float
    durable: bool = True

    @property
    def arrays(self) -> Mapping[str, ArrayInfo]:
        """The arrays by name."""
        return self.bench.arrays

    @property
    def identity(self) -> Mapping[str, str]:
        """The virtual board."""
        return self.bench.identity

    def execute(self, schedule: Schedule) -> Execution:
        """As the bench, with the exchanges' time."""
        done = self.bench.execute(schedule)
        costs = [
            replace(cost, seconds=cost.seconds + cost.transactions * self.exchange_s) for cost in done.costs
        ]
        return Execution(done.answers, tuple(costs))

    def make_safe(self) -> None:
        """See `hil.bench.Bench`."""
        self.bench.make_safe()

    def close(self) -> None:
        """See `hil.bench.Bench`."""
        self.bench.close()


@final
class LineRehearsal:
    """Rehearses a bench with an array controller."""

    def open(
        self, settings: LineBenchSettings, twin: BenchSettings | None, exchange_s: float, seed: int
    ) -> Waiting:
        """See `hil.price.contracts.Rehearsal`."""
        devices = physics_of(twin)
        settings = settings.model_copy(update={"virtual": None, "program": _unworn(settings)})
        if devices is not None:
            settings, devices = _of_twin(settings, devices)
        grid = virtual_grid(settings, devices, seed)
        name = next(iter(settings.arrays))
        found = {each: info.shape for each, info in grid.bench.arrays.items()}
        check_shapes(devices, found, {name: (grid.hardware.rows, grid.hardware.cols)})
        board = Board(grid, settings.controller.serial or SERIAL, 1)
        clock = RehearsedClock(exchange_s, blocking=False)

        def connect(resource: str, transport: TransportSettings) -> Link:
            return RehearsedLink(lambda line: b"".join(board.receive(line)), lambda: 0.0, clock)

        line = settings.controller
        session = open_session(line.resource, line.transport, role="controller", connect=connect)
        return Waiting(line_bench_on(session, settings), exchange_s)


def _unworn(settings: LineBenchSettings) -> LineProgramSettings:
    return settings.program.model_copy(update={"dose": None})


def _of_twin(settings: LineBenchSettings, twin: SimSettings) -> tuple[LineBenchSettings, SimSettings]:
    """The array on the board's first channels, where its twin is; what the host lets the amplifiers settle is
    in the twin's time already.
    """
    if len(settings.arrays) > 1:
        raise ConfigError(
            f"{settings.where('arrays')}: {len(settings.arrays)} arrays on one board; a twin of one array "
            "alone can be rehearsed"
        )
    ((name, wiring),) = settings.arrays.items()
    rows, cols = (f"0-{len(channel_list(lines)) - 1}" for lines in (wiring.rows, wiring.cols))
    timing = twin.timing.model_copy(update={"settle": max(0.0, twin.timing.settle - settings.read.settle)})
    return (
        settings.model_copy(update={"arrays": {name: Wiring(rows=rows, cols=cols)}}),
        twin.model_copy(update={"timing": timing}),
    )


rehearsal = LineRehearsal()
