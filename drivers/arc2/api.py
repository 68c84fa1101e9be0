"""What this driver uses of pyarc2, and nothing else: calls that queue, calls that do, and its one error.

Signatures and units are those of the stubs and docstrings of pyarc2 0.6.0. Channels are 0 to 63, voltages in
volts, times in nanoseconds, currents in amperes. Calls that wait inside the library are not among them: with
the cable out they would wait for ever, and nothing could interrupt them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module, metadata
from inspect import signature
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.errors import ConfigError

CHANNELS = 64
Channels: TypeAlias = NDArray[np.uint64]
"""As the library takes channel numbers."""


class Board(Protocol):
    """A ``pyarc2.Instrument``. All but the last three calls queue; `execute` has the queue done in order."""

    def connect_to_gnd(self, chans: Channels) -> object:
        """Exactly these channels are connected to hard ground."""
        ...

    def set_control_mode(self, mode: Any) -> object:
        """Route the channels to the daughterboard's socket or to its headers."""
        ...

    def ground_all(self) -> object:
        """All channels at 0 V, back from pulse drivers to adjustable voltages."""
        ...

    def config_channels(
        self,
        input: Iterable[tuple[int, float]],  # noqa: A002 - its name in the library
        base: float | None = None,
    ) -> object:
        """Put channels to volts, and all others to ``base``."""
        ...

    def read_slice_open_deferred(self, highs: Channels, ground_after: bool) -> object:
        """Measure the currents of these channels; one result of 64 amperes to be fetched."""
        ...

    def vread_channels_deferred(self, chans: Channels, averaging: bool) -> object:
        """Measure the voltages of these channels; one result of 64 volts to be fetched."""
        ...

    def pulse_slice_masked(self, chan: int, voltage: float, nanos: int, mask: Channels) -> object:
        """One pulse: ``chan`` at -voltage/2, the channels of ``mask`` at +voltage/2, all others open."""
        ...

    def delay(self, nanos: int) -> object:
        """Leave everything as it is for so long."""
        ...

    def execute(self) -> object:
        """Send the queue."""
        ...

    def busy(self) -> bool:
        """Whether something of it is still to be done; True where the board does not answer."""
        ...

    def pick_one(self, mode: Any, rtype: Any) -> NDArray[np.float32] | None:
        """Fetch the oldest result, 64 values, NaN for channels that were not measured; None without one."""
        ...


CALLS = tuple(name for name in vars(Board) if not name.startswith("_"))


@dataclass(frozen=True, slots=True)
class Library:
    """pyarc2, or what stands in for it.

    ``find_ids`` lists the boards that are there; ``instrument(id, firmware)`` opens one; ``error`` is what
    its calls raise; then the values of DataMode.All, ReadType.Current and .Voltage, ControlMode.Internal and
    .Header.
    """

    version: str
    find_ids: Callable[[], list[int]]
    instrument: Callable[[int, str], Board]
    error: type[Exception]
    all_channels: object
    currents: object
    voltages: object
    internal: object
    header: object


def installed() -> Library:
    """pyarc2 as it is installed.

    Raises
    ------
    ConfigError
        It is not, or a call that this driver needs is not in it.
    """
    try:
        found: Any = import_module("pyarc2")
    except ImportError as error:
        raise ConfigError(
            f"driver: arc2 needs pyarc2, which cannot be imported ({error}); pip install "
            "'synapse-hil[arc2]', on Linux or Windows, x86-64"
        ) from error
    version = metadata.version("pyarc2")
    wrong = [name for name in CALLS if _arguments(found.Instrument, name) != _arguments(Board, name)]
    if wrong:
        raise ConfigError(
            f"driver: arc2 needs pyarc2 0.6 or another with its calls; {version} has no such "
            f"{', '.join(wrong)}"
        )
    return Library(
        f"pyarc2 {version}, libarc2 {found.LIBARC2_VERSION}",
        found.find_ids,
        found.Instrument,
        found.ArC2Error,
        found.DataMode.All,
        found.ReadType.Current,
        found.ReadType.Voltage,
        found.ControlMode.Internal,
        found.ControlMode.Header,
    )


def _arguments(owner: Any, name: str) -> tuple[str, ...]:
    """Names of a call's arguments; of the compiled ones too, which say theirs in a text signature."""
    try:
        return tuple(signature(getattr(owner, name)).parameters)
    except (AttributeError, TypeError, ValueError):
        return ()
