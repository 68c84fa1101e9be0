"""The simulated bench as a driver: arrays of modelled or measured devices behind the bench contract.

Importing this loads neither numba nor pydantic; opening a bench does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, final

if TYPE_CHECKING:
    from drivers.sim.bench import SimBench
    from drivers.sim.settings import SimSettings

__all__ = ["SimDriver", "driver"]


@final
class SimDriver:
    """What the entry point ``hil.drivers`` finds under ``sim``."""

    description: ClassVar[str] = (
        "simulated arrays: exponential or measured devices, noise, drift, faults, wires"
    )

    @cached_property
    def settings(self) -> type[SimSettings]:
        """Model of the bench file."""
        from drivers.sim.settings import SimSettings

        return SimSettings

    def presets(self) -> Mapping[str, str]:
        """Device presets and what each is, in one line."""
        from drivers.sim.presets import preset, preset_names

        return {name: preset(name).summary for name in preset_names()}

    def open(self, settings: SimSettings, sizes: Mapping[str, tuple[int, int]], seed: int) -> SimBench:
        """Make the bench.

        Parameters
        ----------
        settings
            The bench file.
        sizes
            (rows, cols) that the network would like, by array; used where the file names no arrays.
        seed
            Of devices and noise.

        Raises
        ------
        ConfigError
            A fault is placed outside an array, or a spread is too wide.
        """
        from drivers.sim.bench import SimBench

        return SimBench(settings, sizes, seed)


driver = SimDriver()
