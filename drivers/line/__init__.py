"""The line bench as a driver: an array controller that drives and senses many lines at once.

Importing this loads neither pydantic nor pyvisa; opening a bench does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, final

if TYPE_CHECKING:
    from drivers.line.bench import LineBench
    from drivers.line.settings import LineBenchSettings

__all__ = ["LineDriver", "driver"]


@final
class LineDriver:
    """What the entry point ``hil.drivers`` finds under ``line``."""

    description: ClassVar[str] = "array controller on a TCP or serial line, many lines at once"

    @cached_property
    def settings(self) -> type[LineBenchSettings]:
        """Model of the bench file."""
        from drivers.line.settings import LineBenchSettings

        return LineBenchSettings

    def presets(self) -> Mapping[str, str]:
        """None of its own: ``device`` takes those of the simulated bench for what is expected."""
        return {}

    def open(self, settings: LineBenchSettings, sizes: Mapping[str, tuple[int, int]], seed: int) -> LineBench:
        """Connect to the controller, check who it is, load its limits; no output changes.

        ``sizes`` and ``seed`` are for benches that are simulated here.

        Raises
        ------
        ConfigError
            The arrays are wired to channels that the controller has not.
        BenchError
            It is not there, or not the one that the settings name.
        """
        from drivers.line.bench import open_line_bench

        return open_line_bench(settings)


driver = LineDriver()
