"""What a calibration routine is: settings with a plan over the bench contract, and a pure analysis of what
the plan brought.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hil.bench import ArrayInfo
from hil.calibrate.tape import Step
from hil.calibrate.words import about, said
from hil.limits import Limits
from hil.plan import Plan
from hil.schedule import Region

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hil.calibrate.record import Record

Maps: TypeAlias = Mapping[str, NDArray[Any]]

RESOLVED = float(np.finfo(np.float32).eps)
"""What single precision tells apart, relative: answers of a bench have no more digits."""
DUST = 1e-12
"""Part of the largest current or voltage that sums in double precision may leave of 0."""


@dataclass(frozen=True, slots=True, repr=False)
class Estimate:
    """A number with its 95 % interval, in SI units ("" for a plain number), and what it is in a few words.

    ``value``, ``low`` and ``high`` are plain floats. A value NaN is "not determined by these data", and
    ``why`` says for what reason. An end of its interval may still be known; infinite is one that is not. As
    text it is written with prefixes: 52.3 uS.
    """

    value: float
    low: float
    high: float
    unit: str
    about: str
    why: str = ""

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):  # numpy's numbers print as np.float64(0.5)
            object.__setattr__(self, name, float(getattr(self, name)))

    def __str__(self) -> str:
        value, interval = said(self)
        told = f"{value} ({interval})" if interval else value
        return f"{told}, {about(self)}"

    def __repr__(self) -> str:
        return f"<Estimate: {self}>"

    @classmethod
    def of(cls, ends: Sequence[Any] | NDArray[np.float64], unit: str, about: str, why: str = "") -> Estimate:
        """Of (value, low, high); ``why`` where the value is NaN."""
        value, low, high = ends
        return cls(value, low, high, unit, about, why if np.isnan(value) else "")


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a calibration comes to.

    ``estimates`` by name; ``maps``: arrays by name, those of devices [rows, cols] of the region, whose 95 %
    intervals stand beside them as ``NAME_low`` and ``NAME_high``; ``findings``: sentences for the person who
    asked.
    """

    estimates: Mapping[str, Estimate] = field(default_factory=dict[str, Estimate])
    maps: Maps = field(default_factory=dict[str, NDArray[Any]])
    findings: Sequence[str] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What is calibrated: some lines of one array, what is known of it before, and the most that may be asked
    of its bench, so that a plan which goes up knows where to end.
    """

    info: ArrayInfo
    region: Region
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def whole(cls, info: ArrayInfo) -> Target:
        """All of an array."""
        return cls(info, Region.block(info.name, range(info.rows), range(info.cols)))

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) of the region."""
        return self.region.shape

    def zeros(self) -> NDArray[np.int16]:
        """Counts [rows, cols] of the region, all 0."""
        return np.zeros(self.region.shape, np.int16)


class Irreversible(ABC):
    """What a routine derives from, beside its settings, when it changes devices for good.

    `hil calibrate --all` leaves it out. Named, it waits for a yes, and on a bench whose devices outlive the
    process it is told what its earlier records of that bench say.
    """

    warning: ClassVar[str]
    """What it does to devices, as it follows the routine's name: "pulses devices until they ..."."""

    @abstractmethod
    def after(self, earlier: Sequence[Record]) -> Self:
        """The same routine, knowing its own records of this bench, partial ones among them."""
        ...


@runtime_checkable
class Cautious(Protocol):
    """A routine that knows what a person should hear before it begins, and whoever reads its record."""

    def cautions(self, target: Target) -> Sequence[str]:
        """Sentences about these settings on this array; they are told first, and are among the findings."""
        ...


@runtime_checkable
class Drawing(Protocol):
    """A routine whose records can be drawn."""

    def draw(self, record: Record) -> Figure:
        """The figure of a complete record, as the field draws it; imports matplotlib here and no sooner."""
        ...


class Routine(Protocol):
    """What an entry point of ``hil.calibrations`` names: a class whose fields are the routine's settings.

    Make it a :class:`hil.config.validate.Config`, so that ``--set`` and messages work. Its first docstring
    line is what `hil list calibrations` shows.
    """

    @property
    def valid_s(self) -> float | None:
        """How long a record of it holds, seconds; None: without end."""
        ...

    def rounds(self, target: Target) -> int:
        """About how many schedules the plan will yield, for progress alone."""
        ...

    def plan(self, target: Target) -> Plan[None]:
        """Ask the bench. What it answers is on the tape; decisions on the way may use it, results do not.

        Raises
        ------
        ConfigError
            The settings do not fit the array. Begin it with the key, "pulses: ...".
        """
        ...

    def analyse(self, steps: Sequence[Step], target: Target) -> Result:
        """Derive the result from everything that was measured; the same steps give the same result."""
        ...


def cautions_of(routine: Routine, target: Target) -> tuple[str, ...]:
    """What a routine warns of; nothing if it has nothing to warn of."""
    return tuple(routine.cautions(target)) if isinstance(routine, Cautious) else ()


def result_of(routine: Routine, steps: Sequence[Step], target: Target) -> Result:
    """What a tape comes to, with what the routine warns of."""
    found = routine.analyse(steps, target)
    findings = (*found.findings, *cautions_of(routine, target))
    return replace(found, estimates=certain(found.estimates, target.info), findings=findings)


def certain(estimates: Mapping[str, Estimate], info: ArrayInfo) -> dict[str, Estimate]:
    """What of estimates the readings of an array tell.

    A value whose interval has no end is none (NaN); the end that is known stays. Where value and interval are
    below what rounding leaves, it is 0 within that: below `RESOLVED` of a plain number, below `DUST` of the
    largest current, voltage and resistance that go with the data sheet.
    """
    sheet = info.device
    least = {
        "": RESOLVED,
        "A": dust_a(info),
        "V": DUST * sheet.read_voltage_v,
        "ohm": DUST / sheet.g_min_s if sheet.g_min_s > 0 else 0.0,
    }
    return {name: resolved(_ended(each), least.get(each.unit, 0.0)) for name, each in estimates.items()}


def resolved(one: Estimate, least: float) -> Estimate:
    """An estimate; 0 within ``least`` where value and interval are smaller than that."""
    if not float(np.max(np.abs([one.value, one.low, one.high]))) < least:
        return replace(one, value=one.value + 0.0, low=one.low + 0.0, high=one.high + 0.0)  # no -0
    return replace(one, value=0.0, low=0.0 if one.low >= 0 else -least, high=least)


def dust_a(info: ArrayInfo) -> float:
    """Amperes below which a current is what rounding leaves of those of an array."""
    return DUST * info.device.g_max_s * info.device.read_voltage_v


def _ended(one: Estimate) -> Estimate:
    if np.isnan(one.value) or not (np.isinf(one.low) or np.isinf(one.high)):
        return one
    return replace(one, value=np.nan, why="its interval has no end")
