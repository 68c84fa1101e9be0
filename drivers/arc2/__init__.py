"""The ArC TWO as a driver: 64 channels that drive, pulse and sense, by way of the vendor's library pyarc2.

Importing this loads neither pydantic nor pyarc2; opening a bench does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, final

if TYPE_CHECKING:
    from drivers.arc2.bench import Arc2Bench
    from drivers.arc2.settings import Arc2BenchSettings

__all__ = ["Arc2Driver", "driver"]


@final
class Arc2Driver:
    """What the entry point ``hil.drivers`` finds under ``arc2``."""

    description: ClassVar[str] = "ArC TWO of ArC Instruments on USB, by its library pyarc2, or a virtual one"

    @cached_property
    def settings(self) -> type[Arc2BenchSettings]:
        """Model of the bench file."""
        from drivers.arc2.settings import Arc2BenchSettings

        return Arc2BenchSettings

    def presets(self) -> Mapping[str, str]:
        """None of its own: ``device`` takes those of the simulated bench for what is expected."""
        return {}

    def open(self, settings: Arc2BenchSettings, sizes: Mapping[str, tuple[int, int]], seed: int) -> Arc2Bench:
        """Open the board, which loads its firmware and puts all channels to 0 V, and connect them to ground.

        ``sizes`` is for benches that are free to choose; ``seed`` deals the devices of a virtual board whose
        file gives none.

        Raises
        ------
        ConfigError
            pyarc2 is not installed or too old, the firmware file is not there, the ledger cannot be kept.
        BenchError
            The board is not there, or could not be verified to be at 0 V.
        """
        from drivers.arc2.opening import open_arc2_bench

        return open_arc2_bench(settings, seed)


driver = Arc2Driver()
