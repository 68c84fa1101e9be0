"""The crosspoint bench as a driver: single instruments behind a switch matrix, one device at a time.

Importing this loads neither pydantic nor pyvisa; opening a bench does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, final

if TYPE_CHECKING:
    from drivers.crosspoint.bench import CrosspointBench
    from drivers.crosspoint.settings import CrosspointBenchSettings

__all__ = ["CrosspointDriver", "driver"]


@final
class CrosspointDriver:
    """What the entry point ``hil.drivers`` finds under ``crosspoint``."""

    description: ClassVar[str] = "source-measure unit, pulse generator, switch matrix: one device at a time"

    @cached_property
    def settings(self) -> type[CrosspointBenchSettings]:
        """Model of the bench file."""
        from drivers.crosspoint.settings import CrosspointBenchSettings

        return CrosspointBenchSettings

    def presets(self) -> Mapping[str, str]:
        """None of its own: ``device`` takes those of the simulated bench for what is expected."""
        return {}

    def open(
        self, settings: CrosspointBenchSettings, sizes: Mapping[str, tuple[int, int]], seed: int
    ) -> CrosspointBench:
        """Connect to the instruments and check who they are; no output changes.

        ``sizes`` and ``seed`` are for benches that are simulated here.

        Raises
        ------
        ConfigError
            The arrays or buses are wired to lines that the matrix has not.
        BenchError
            An instrument is not there, or not the one that the settings name.
        """
        from drivers.crosspoint.opening import open_crosspoint_bench

        return open_crosspoint_bench(settings)


driver = CrosspointDriver()
