"""A bench with an ArC TWO rehearsed: this driver, on a virtual board in this process; entry point
``hil.rehearsals``.

The board's time is virtual, with what the library sleeps in every execution; to that come the exchanges.
"""

from __future__ import annotations

from typing import final

from drivers.arc2.bench import Arc2Bench
from drivers.arc2.opening import bench_on, virtual_board, virtual_library
from drivers.arc2.settings import Arc2BenchSettings
from drivers.rehearsal import check_shapes, physics_of
from drivers.sim.virtual.arc2_settings import VirtualArc2Settings
from hil.config.bench import BenchSettings


@final
class Arc2Rehearsal:
    """Rehearses a bench with an ArC TWO."""

    def open(
        self, settings: Arc2BenchSettings, twin: BenchSettings | None, exchange_s: float, seed: int
    ) -> Arc2Bench:
        """See `hil.price.contracts.Rehearsal`."""
        devices = physics_of(twin)
        given = VirtualArc2Settings()
        settings = settings.model_copy(update={"virtual": given, "program": settings.program.unworn})
        board = virtual_board(settings, given, seed, devices)
        wanted = {name: (lines.rows.size, lines.cols.size) for name, lines in board.lines.items()}
        check_shapes(devices, {name: info.shape for name, info in board.bench.arrays.items()}, wanted)
        return bench_on(
            settings,
            virtual_library(board),
            clock=board.clock,
            pause=board.leave_alone,
            exchange_s=exchange_s,
        )


rehearsal = Arc2Rehearsal()
