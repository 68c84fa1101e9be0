"""A crosspoint bench rehearsed: the drivers that its file names, on virtual instruments in this process.

Entry point ``hil.rehearsals``. Relays, set-ups of the generator, readings that are taken again: what a run
asks of the instruments is found by asking virtual ones for it.
"""

from __future__ import annotations

from typing import Any, final

from drivers.crosspoint.bench import CrosspointBench
from drivers.crosspoint.opening import open_crosspoint_bench
from drivers.crosspoint.roles import ROLES
from drivers.crosspoint.settings import CrosspointBenchSettings
from drivers.crosspoint.virtual import physics, virtual_grid, virtual_outlets
from drivers.rehearsal import RehearsedClock, RehearsedLink, check_shapes, physics_of
from drivers.sim.virtual.crosspoint_settings import VirtualCrosspointSettings, VirtualInstrumentSettings
from drivers.transport.link import Link
from drivers.transport.settings import TransportSettings
from hil.config.bench import BenchSettings
from hil.errors import BenchError, ConfigError

_FULL: dict[str, dict[str, Any]] = {
    "keithley-700": {"cards": dict.fromkeys(range(1, 7), "7174A")},
    "keithley-3700": {"cards": dict.fromkeys(range(1, 7), "3730")},
    "keysight-b2200": {"cards": dict.fromkeys(range(1, 5), "B2210A")},
    "keysight-33500": {"model": "33522B"},
    "keysight-81150": {"model": "81150A"},
    "tektronix-afg": {"model": "AFG31022"},
}
"""Models and cards of virtual instruments where the bench file names none: the largest of the usual ones."""


@final
class CrosspointRehearsal:
    """Rehearses a crosspoint bench."""

    def open(
        self, settings: CrosspointBenchSettings, twin: BenchSettings | None, exchange_s: float, seed: int
    ) -> CrosspointBench:
        """See `hil.price.contracts.Rehearsal`."""
        blocking = settings.virtual is None
        measured = physics_of(twin)
        devices = measured or physics(settings.model_copy(update={"virtual": None}))
        settings = _rehearsed(settings)
        grid = virtual_grid(settings, devices, seed)
        found = {name: info.shape for name, info in grid.bench.arrays.items()}
        wanted = {name: (each.rows.size, each.cols.size) for name, each in grid.lines.items()}
        check_shapes(measured, found, wanted)
        clock = RehearsedClock(exchange_s, blocking)
        outlets = virtual_outlets(settings, grid)
        talkers = {settings.instruments[role].resource: outlet.talker for role, outlet in outlets.items()}

        def connect(resource: str, transport: TransportSettings) -> Link:
            return RehearsedLink(talkers[resource].receive, lambda: grid.pulsed_s, clock)

        try:
            bench = open_crosspoint_bench(settings, connect, clock.now, clock.pause)
        except (ConfigError, BenchError) as error:
            refused = ConfigError(str(error))
            refused.add_note(
                "this was found on virtual instruments; virtual.matrix.settings, virtual.pulser.settings … "
                "of the bench file say which models and cards they shall have"
            )
            raise refused from error
        clock.measured_s = lambda: bench.probe.tally()[0].least_s - grid.pulsed_s
        return bench


def _rehearsed(settings: CrosspointBenchSettings) -> CrosspointBenchSettings:
    """With virtual instruments for all roles, and without the ledger: nothing is worn."""
    given = settings.virtual or VirtualCrosspointSettings()
    virtual: dict[str, VirtualInstrumentSettings] = {}
    for role in ROLES:
        own: VirtualInstrumentSettings = getattr(given, role)
        usual = _FULL.get(settings.instruments[role].driver, {})
        virtual[role] = own.model_copy(update={"settings": {**usual, **own.settings}})
    return settings.model_copy(
        update={"virtual": given.model_copy(update=virtual), "program": settings.program.unworn}
    )


rehearsal = CrosspointRehearsal()
