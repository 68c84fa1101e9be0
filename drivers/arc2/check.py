"""What `hil check` finds out of an ArC TWO: whether it is listed, and its files (entry point ``hil.checks``).

It is not opened: that would load its firmware, which switches all its outputs. `hil safe` does open it.
"""

from __future__ import annotations

from typing import final

from drivers.arc2.api import Library, installed
from drivers.arc2.opening import board_of, check_device
from drivers.arc2.ranges import LONGEST_NS, SHORTEST_NS, VOLTS
from drivers.arc2.settings import Arc2BenchSettings
from drivers.examine import refusals, round_trip_s
from hil.check import Calm, Seen


@final
class Arc2Check:
    """Examines a bench's ArC TWO as far as can be done without opening it."""

    def examine(self, settings: Arc2BenchSettings, role: str) -> Seen:
        """See `hil.check.Examiner`."""
        return examined(settings, installed())

    def make_safe(self, settings: Arc2BenchSettings, role: str) -> Calm:
        """See `hil.check.Calmer`; it is opened, as a run does, and let go of with all channels grounded."""
        return calmed(settings, installed())


def examined(settings: Arc2BenchSettings, library: Library) -> Seen:
    """As `Arc2Check.examine`, by a library."""
    board = board_of(settings, library)
    board.read_firmware()
    identity, count = board.identify(), len(board.listed())
    several = f"instrument.port: {count} are connected, and none tells its serial number; connect it alone"
    return Seen(
        identity,
        f"up to {VOLTS:g} V, pulses of {SHORTEST_NS} ns to {(LONGEST_NS + 1) / 1e6:g} ms",
        "listed; not opened, which would load its firmware",
        (),
        round_trip_s(board),
        (*refusals(lambda: check_device(settings)), *([several] if count > 1 else [])),
    )


def calmed(settings: Arc2BenchSettings, library: Library) -> Calm:
    """As `Arc2Check.make_safe`, by a library. Raises IdentityError where several boards are connected."""
    board = board_of(settings, library)
    board.require_alone()
    board.attach()
    try:
        return Calm(board.make_safe())
    finally:
        board.close()


check = Arc2Check()
