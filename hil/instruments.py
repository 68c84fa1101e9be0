"""What a bench needs of its instruments, for those who write drivers: one working verb for each kind.

SI units; arrays are [k]. A driver is a class around one transport session. Connecting and identifying output
nothing; what an instrument does after an error of any verb is: hold 0 V until told otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hil.errors import IdentityError, ScheduleError
from hil.region import Floats
from hil.schedule import Pulse


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answered: as an instrument says of itself, and the command language it is set to."""

    maker: str
    model: str
    serial: str
    firmware: str
    language: str

    def __str__(self) -> str:
        return f"{self.maker} {self.model}, serial {self.serial}, firmware {self.firmware} ({self.language})"


def check_same(role: str, before: str, now: Identity) -> None:
    """Raise IdentityError unless the instrument that answers now is the one that answered before."""
    if str(now) != before:
        raise IdentityError(f"{role}: {now} answers; it was {before}; nothing was output")


@runtime_checkable
class Instrument(Protocol):
    """What every instrument has in common."""

    @property
    def transactions(self) -> int:
        """Exchanges over its line so far."""
        ...

    def attach(self) -> None:
        """Bring the line up and find out who is there; no output changes.

        Raises
        ------
        IdentityError
            As `identify`.
        BenchError
            Nobody answers as this instrument does.
        """
        ...

    def identify(self) -> Identity:
        """Ask who is there; changes nothing.

        Raises
        ------
        IdentityError
            Not the model, serial number or language that the bench names.
        """
        ...

    def make_safe(self) -> tuple[str, ...]:
        """Outputs at 0 V and off, switches open, read back. What could not be verified, () if all was.

        Never raises; may be called twice, and in any state of the line.
        """
        ...


class Standing(NamedTuple):
    """How an instrument stands, in words; ``live`` if an output is on or a crosspoint is closed."""

    live: bool
    words: str


@runtime_checkable
class Stands(Protocol):
    """An instrument that can tell how it stands, for `hil check`; others are told not to have been asked."""

    def standing(self) -> Standing:
        """Ask; only questions are sent, and the error queue is left as it is.

        Raises
        ------
        BenchError
            It does not answer as such an instrument does.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sourcing:
    """How voltages are sourced and currents measured.

    ``compliance_a`` bounds the current, ``integration_s`` is the measuring time of each point,
    ``settle_s`` the time between a step of the voltage and its measurement.
    """

    compliance_a: float
    integration_s: float
    settle_s: float = 0.0

    def __post_init__(self) -> None:
        for name, value, unit in (
            ("compliance", self.compliance_a, "A"),
            ("integration", self.integration_s, "s"),
        ):
            if not (math.isfinite(value) and value > 0):
                raise ScheduleError(f"{name}: asked for {value!r} {unit}; a finite value above 0 is needed")
        if not (math.isfinite(self.settle_s) and self.settle_s >= 0):
            raise ScheduleError(
                f"settle: asked for {self.settle_s!r} s; a finite time of 0 or more is needed"
            )


class Readings(NamedTuple):
    """Points in the order asked for.

    ``volts`` and ``amperes`` [k] as measured; ``clipped`` bool [k] where a current is only a bound: the
    source was in compliance, or the meter overflowed (``amperes`` is NaN then, and cannot enter a mean).
    """

    volts: Floats
    amperes: Floats
    clipped: NDArray[np.bool_]


@runtime_checkable
class Smu(Instrument, Protocol):
    """A source-measure unit, one channel."""

    def check(self, volts: Floats, sourcing: Sourcing) -> None:
        """Refuse what `measure` would, with LimitError; nothing is sent."""
        ...

    def measure(self, volts: Floats, sourcing: Sourcing) -> Readings:
        """Source each voltage [k], measure its current, and go back to 0 V; the output stays on at 0 V.

        Raises
        ------
        LimitError
            A voltage or the compliance is beyond the instrument; nothing was output.
        SettingError
            A setting read back otherwise than asked; nothing was output.
        InstrumentError, InterlockError
            The instrument reported an error; the output is at 0 V and off.
        BenchError
            The line failed; the output was switched off if it could be.
        """
        ...


@runtime_checkable
class Pulser(Instrument, Protocol):
    """A pulse generator, one channel."""

    def check(self, pulse: Pulse, count: int) -> None:
        """Refuse what `burst` would, with LimitError; nothing is sent."""
        ...

    def burst(self, pulse: Pulse, count: int) -> None:
        """Put out exactly ``count`` pulses (1 or more), 0 V between and after; back when they are over.

        Never repeated by the driver. Raises as `Smu.measure`; after TimeoutError_, DesyncError or
        DisconnectedError it is in doubt how many came.
        """
        ...


class Crosspoint(NamedTuple):
    """One relay of a matrix: row and column as the instrument numbers them from 0."""

    row: int
    col: int


@runtime_checkable
class SwitchMatrix(Instrument, Protocol):
    """A relay matrix. It cannot see voltages: the bench sees to it that nothing is switched hot."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        ...

    def connect(self, closed: Collection[Crosspoint]) -> None:
        """Afterwards exactly these are closed, settled and read back; what is not among them opens first.

        Raises
        ------
        LimitError
            A crosspoint is not there, or forbidden; nothing was switched.
        BenchError
            The instrument or its line failed; all was opened if it could be.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """Pulses to all crossings of chosen lines at once, the others at the controller's bias (V/2, V/3)."""

    rows: Sequence[int]
    cols: Sequence[int]
    pulse: Pulse
    count: int = 1


@runtime_checkable
class LineController(Instrument, Protocol):
    """A board that drives and senses many lines of one array at once."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        ...

    def read_lines(self, volts: Floats, integration_s: float, *, transpose: bool = False) -> Readings:
        """Drive all rows with each vector of ``volts`` [n, rows] and sense the columns; ``transpose``: the
        other way. The readings' amperes are [n, columns], their volts as driven.
        """
        ...

    def shoot(self, shots: Sequence[Shot]) -> None:
        """Each shot exactly once, in order, in as few transactions as the board's buffer allows."""
        ...
