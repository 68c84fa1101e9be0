"""A driver's own code on virtual instruments inside its process, on a clock that nobody waits for: what a run
will take is what the driver does in it. For `hil price`; nothing here reaches a real line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from drivers.sim.settings import SimSettings
from drivers.transport.link import Chunk
from hil.config.bench import BenchSettings
from hil.errors import ConfigError


def _nothing_yet() -> float:
    """Before there is a bench."""
    return 0.0


@dataclass
class RehearsedClock:
    """Seconds that a bench would have taken.

    Parameters
    ----------
    exchange_s
        What one exchange with an instrument takes beside what the instrument does in it.
    blocking
        Whether instruments answer when a pulse or an integration is over, as real ones; virtual ones do not.
    measured_s
        Seconds of all integrations so far; set once there is a bench that can tell.
    """

    exchange_s: float
    blocking: bool
    seconds: float = field(default=0.0, init=False)
    measured_s: Callable[[], float] = field(default_factory=lambda: _nothing_yet, init=False)
    _blocked_s: float = field(default=0.0, init=False)

    def now(self) -> float:
        """Seconds so far."""
        return self.seconds + (self.measured_s() if self.blocking else 0.0)

    def exchanged(self, pulsed_s: float) -> None:
        """One exchange, in which the instrument put out pulses for so long."""
        self._blocked_s = pulsed_s if self.blocking else 0.0
        self.seconds += self.exchange_s + self._blocked_s

    def pause(self, seconds: float) -> None:
        """The driver waits; for a burst that it triggered just before, it is the same time."""
        self.seconds += max(0.0, seconds - self._blocked_s)
        self._blocked_s = 0.0


class RehearsedLink:
    """A line to a virtual instrument in this process; see `drivers.transport.link.Link`.

    Parameters
    ----------
    answer
        What the instrument says to a line without its termination.
    pulsed_s
        Seconds that devices have been pulsed so far.
    clock
        Told of every exchange.
    """

    def __init__(
        self, answer: Callable[[bytes], bytes], pulsed_s: Callable[[], float], clock: RehearsedClock
    ) -> None:
        self._answer = answer
        self._pulsed_s = pulsed_s
        self._clock = clock
        self._held = self._said = b""

    def send(self, data: bytes, timeout_s: float) -> None:
        """The instrument takes it at once."""
        before = self._pulsed_s()
        *lines, self._held = (self._held + data).split(b"\n")
        self._said += b"".join(self._answer(line) for line in lines)
        self._clock.exchanged(self._pulsed_s() - before)

    def receive(self, timeout_s: float) -> Chunk:
        """All that it said; TimeoutError if it has nothing to say, at once."""
        if not self._said:
            raise TimeoutError
        said, self._said = self._said, b""
        return Chunk(said, False)

    def waiting(self) -> bool:
        """Whether it said something."""
        return bool(self._said)

    def clear(self) -> None:
        """Nothing to clear."""

    def close(self) -> None:
        """Nothing to let go of."""


def physics_of(twin: BenchSettings | None) -> SimSettings | None:
    """What the devices of a twin are like; None without one. Raises ConfigError for another kind of bench."""
    if twin is None or isinstance(twin, SimSettings):
        return twin
    raise ConfigError(f"{twin.where('driver')}: asked for {twin.driver}; a twin is a simulated bench (sim)")


def check_shapes(
    twin: SimSettings | None, found: dict[str, tuple[int, int]], wanted: dict[str, tuple[int, int]]
) -> None:
    """Refuse a twin of other arrays than those of the bench, with ConfigError."""
    if twin is None or found == wanted:
        return
    theirs, ours = (
        ", ".join(f"{name} {rows} x {cols}" for name, (rows, cols) in sizes.items())
        for sizes in (found, wanted)
    )
    raise ConfigError(f"{twin.where('arrays')}: the twin has {theirs}; the bench has {ours}")
