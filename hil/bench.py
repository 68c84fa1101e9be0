"""The seam of the house: what a bench is, what it says of itself, and what it answers.

A bench has one working verb. Limits, dose, record and fault injection are wrappers around it; simulation is
another object behind the same contract, never a flag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hil.errors import ConfigError
from hil.faults import Faults
from hil.schedule import MAX_COUNT, Answer, NudgeKind, Pulse, Schedule
from hil.units import Unit, counted, format_quantity


@dataclass(frozen=True, slots=True, eq=False)
class StepCurve:
    """Expected conductance change of one pulse against the conductance it meets.

    Parameters
    ----------
    siemens
        Conductances [k], rising, at least two.
    up_s, down_s
        Change of one potentiating pulse (0 or more) and of one depressing pulse (0 or less), siemens [k];
        linear between. An exponential device is affine in g, so two points give it exactly.
    """

    siemens: NDArray[np.float64]
    up_s: NDArray[np.float64]
    down_s: NDArray[np.float64]

    def __post_init__(self) -> None:
        same = self.siemens.shape == self.up_s.shape == self.down_s.shape
        if (
            not same
            or self.siemens.ndim != 1
            or self.siemens.size < 2
            or not np.all(np.diff(self.siemens) > 0)
        ):
            raise ConfigError(
                "step curve: siemens, up_s and down_s must be of one length, two or more, siemens rising"
            )
        if not (np.all(self.up_s >= 0) and np.all(self.down_s <= 0)):
            raise ConfigError(
                "step curve: potentiating steps must be 0 or more and depressing steps 0 or less"
            )

    def steps(self, siemens: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Expected steps up and down at conductances of any shape, both positive, siemens; NaN stays NaN."""
        return np.interp(siemens, self.siemens, self.up_s), -np.interp(siemens, self.siemens, self.down_s)


@dataclass(frozen=True, slots=True)
class DeviceSheet:
    """What is known of an array's devices before they are measured: the data sheet of its typical device.

    ``step_up_s`` and ``step_down_s`` are the nominal changes of one pulse (siemens, both positive), the range
    divided by the number of levels; ``curve`` tells how the step depends on the state.
    """

    g_min_s: float
    g_max_s: float
    step_up_s: float
    step_down_s: float
    curve: StepCurve
    potentiate: Pulse
    depress: Pulse
    read_voltage_v: float
    integration_s: float

    def staircase(self) -> NDArray[np.float64]:
        """Conductances expected after 0, 1, 2, ... potentiating pulses from g_min, siemens [k], rising; up to
        g_max, or where it stops rising.
        """
        g = [self.g_min_s]
        smallest = 1e-3 * self.step_up_s
        while g[-1] < self.g_max_s and len(g) < MAX_COUNT:
            step = float(np.interp(g[-1], self.curve.siemens, self.curve.up_s))
            if step < smallest:
                break
            g.append(g[-1] + step)
        return np.asarray(g)

    def __repr__(self) -> str:
        siemens = (self.g_min_s, self.g_max_s, self.step_up_s, self.step_down_s)
        low, high, up, down = (_short(value, "S") for value in siemens)
        read = f"{_short(self.read_voltage_v, 'V')} for {_short(self.integration_s, 's')}"
        return f"<DeviceSheet: {low} to {high}, steps +{up} and -{down}, read at {read}>"


@dataclass(frozen=True, slots=True)
class Compliance:
    """The most current through a device while it is pulsed, amperes, and what bounds it, in words."""

    amperes: float
    by: str


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """One array of a bench: its size, its typical device, and what the bench can do with it natively.

    ``emulated`` names the operations ("multiply", "transpose", "nudge", …) that are put together from simpler
    ones. ``faults``: devices that are known not to work, by a calibration record; a driver knows none.
    ``compliance``: what bounds the current in a pulse; None: nothing that the bench knows of.
    """

    name: str
    rows: int
    cols: int
    device: DeviceSheet
    parallel_read: bool = True
    parallel_write: bool = True
    transpose: bool = True
    nudges: frozenset[NudgeKind] = frozenset()
    emulated: frozenset[str] = frozenset()
    faults: Faults | None = None
    compliance: Compliance | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.rows, self.cols

    def __repr__(self) -> str:
        low, high = _short(self.device.g_min_s, "S"), _short(self.device.g_max_s, "S")
        return f"<ArrayInfo: {self.name} {self.rows} x {self.cols}, {low} to {high}>"


@dataclass(slots=True)
class Cost:
    """What something took. ``seconds`` are on the bench's own clock: real on hardware, virtual in simulation.

    ``pulses`` counts device-pulses asked for, ``half_selects`` the pulses that half-selected devices saw,
    ``reads`` single current readings, ``transactions`` exchanges with instruments.
    """

    pulses: int = 0
    half_selects: int = 0
    reads: int = 0
    transactions: int = 0
    seconds: float = 0.0
    joules: float = 0.0

    def __repr__(self) -> str:
        counts = {
            "pulse": self.pulses,
            "half-select": self.half_selects,
            "read": self.reads,
            "transaction": self.transactions,
        }
        parts = [counted(n, what) for what, n in counts.items() if n]
        if self.seconds:
            parts.append(_short(self.seconds, "s"))
        if self.joules:
            parts.append(_short(self.joules, "J"))
        return f"<Cost: {', '.join(parts) or 'nothing'}>"

    def __add__(self, other: Cost) -> Cost:
        total = Cost()
        total += self
        total += other
        return total

    def __iadd__(self, other: Cost) -> Self:
        self.pulses += other.pulses
        self.half_selects += other.half_selects
        self.reads += other.reads
        self.transactions += other.transactions
        self.seconds += other.seconds
        self.joules += other.joules
        return self


@dataclass(slots=True, eq=False)
class Execution:
    """What came of a schedule: one answer and one cost for each operation, in order.

    A bench that runs a schedule in one transaction counts it on the first operation.
    """

    answers: tuple[Answer, ...]
    costs: tuple[Cost, ...]

    @property
    def cost(self) -> Cost:
        """The whole schedule's cost."""
        return sum(self.costs, Cost())


@runtime_checkable
class Bench(Protocol):
    """Arrays that can be asked to do things, on hardware or simulated.

    Use :func:`hil.plan.run` to drive one; :class:`hil.limits.LimitedBench` to bound what may be asked.
    """

    @property
    def arrays(self) -> Mapping[str, ArrayInfo]:
        """The arrays by name."""
        ...

    @property
    def durable(self) -> bool:
        """Whether device state outlives this process (hardware, virtual instruments: True)."""
        ...

    @property
    def identity(self) -> Mapping[str, str]:
        """Role to identity of everything that takes part (model, serial, firmware; a simulator's version and
        seed).
        """
        ...

    def execute(self, schedule: Schedule) -> Execution:
        """Run the operations in order; on failure raise BenchError with every line at 0 V.

        Raises
        ------
        ScheduleError
            An operation does not fit the array it names; nothing was output.
        LimitError
            An operation asks for more than the bench allows; nothing was output.
        BenchError
            The bench failed; it was made safe first.
        """
        ...

    def make_safe(self) -> None:
        """All outputs at 0 V and off. Never raises; may be called twice."""
        ...

    def close(self) -> None:
        """Make safe and let go of the instruments; the bench is of no use afterwards. May be called twice."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """How far a schedule came that broke off, where a bench knows that for certain.

    ``done`` is of its first operations, ``begun`` what was spent on the next one. ``left`` carries out the
    rest: of that next one what was not done, and all behind it. No pulse of it was given.
    """

    done: Execution
    begun: Cost
    left: Schedule


@runtime_checkable
class Returning(Protocol):
    """A bench whose instruments can be lost and come back while it is open."""

    def come_back(self) -> None:
        """Reach every instrument again and make it safe; what the arrays hold is unknown afterwards.

        Raises
        ------
        IdentityError
            Another instrument answers than before.
        BenchError
            One does not answer, or could not be verified to be safe.
        """
        ...


@dataclass(slots=True)
class CostMeter:
    """Adds up costs by kind of operation ("Read", "Multiply", "Multiply transposed", "Program", "Nudge",
    "Wait").
    """

    by_op: dict[str, Cost] = field(default_factory=dict[str, Cost])

    def add(self, kind: str, cost: Cost) -> None:
        """Add one operation's cost."""
        total = self.by_op.get(kind)
        if total is None:
            total = self.by_op[kind] = Cost()
        total += cost

    @property
    def total(self) -> Cost:
        """The sum over all operations."""
        return sum(self.by_op.values(), Cost())


def _short(value: float, unit: Unit) -> str:
    return format_quantity(value, unit, digits=3)
