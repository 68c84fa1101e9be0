"""What every bench file says, whatever its driver: the driver's name, the bench's own name, and its limits.

A driver's settings extend :class:`BenchSettings`; see ``hil.plugins.Driver``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeAlias

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator

from hil.bench import Compliance, DeviceSheet
from hil.config.validate import Config, MisfitError
from hil.limits import Limits
from hil.units import PositiveAmperes, PositiveSeconds, PositiveVolts, Seconds, counted, format_quantity


class LimitSettings(Config):
    """The most that may be asked of this bench. What asks for more is refused before the first volt, never
    clipped.
    """

    read: PositiveVolts | None = Field(default=None, description="Largest magnitude of a read voltage.")
    program: PositiveVolts | None = Field(
        default=None, description="Largest magnitude of a programming pulse."
    )
    shortest: PositiveSeconds | None = Field(default=None, description="Shortest programming pulse.")
    longest: PositiveSeconds | None = Field(default=None, description="Longest programming pulse.")
    pulses_per_op: int | None = Field(
        default=None, gt=0, description="Most pulses to one device in one operation."
    )
    dose: int | None = Field(default=None, gt=0, description="Most pulses to one device in a run.")

    @model_validator(mode="after")
    def _leave_a_pulse(self) -> Self:
        if self.shortest is not None and self.longest is not None and self.shortest > self.longest:
            shortest, longest = format_quantity(self.shortest, "s"), format_quantity(self.longest, "s")
            raise MisfitError(f"asked for {shortest}; must not be above longest, {longest}", "shortest")
        return self

    def limits(self) -> Limits:
        """As :class:`hil.limits.LimitedBench` takes them."""
        return Limits(
            read_v=self.read,
            program_v=self.program,
            width_min_s=self.shortest,
            width_max_s=self.longest,
            pulses_per_op=self.pulses_per_op,
            dose=self.dose,
        )


Measured: TypeAlias = Literal["devices", "update-curve", "offset"]
Kinds: TypeAlias = Annotated[tuple[Measured, ...], Field(strict=False, min_length=1)]


def _moment(value: object) -> object:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise MisfitError(f"asked for {value}; write a date with time and zone: 2026-03-01T14:05:09+00:00")
    return found


class OriginalSettings(Config):
    """The array that a twin was fitted to, by whose records it is placed on and corrected."""

    bench: str = Field(min_length=1, description="Name of its bench.")
    identity: dict[str, str] = Field(description="Who takes part in it: role to identity, as in its records.")
    until: Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=str)] = Field(
        description="When the twin's last record was made: later ones speak of devices that it does not have."
    )


class CalibrationSettings(Config):
    """Records of `hil calibrate` that training uses: the newest of this bench, of each kind and array."""

    folder: str = Field(
        min_length=1, description="Where the records are; a relative path counts from the bench file."
    )
    use: Kinds | None = Field(
        default=None,
        description=(
            "devices: keep away from those that do not work; update-curve: the measured range and steps "
            "instead of the nominal ones; offset (of read-noise too): take it off every reading. What is "
            "named must be there for every array; none: whatever is there."
        ),
    )
    expired: Literal["refuse", "mark"] = Field(
        default="refuse", description="What becomes of an expired record; mark: used, with a warning."
    )
    of: OriginalSettings | None = Field(
        default=None, description="Of a twin alone, whose records they are; hil twin writes it."
    )


def _folder(value: object) -> object:
    return {"folder": value} if isinstance(value, str) else value


Calibrated: TypeAlias = Annotated[
    CalibrationSettings, BeforeValidator(_folder, json_schema_input_type=str | CalibrationSettings)
]


class Resource(NamedTuple):
    """A line to an instrument, which one process at a time may use.

    ``role`` is who is at its end, ``key`` where the bench file names it ("controller.resource"), ``name`` as
    it is named there, ``line`` one text for all names of the same line: "serial:/dev/ttyACM0" and
    "ASRL/dev/ttyACM0::INSTR" are one.
    """

    role: str
    key: str
    name: str
    line: str


class ComplianceSettings(Config):
    """A bound of the current in a pulse that is part of the set-up; no instrument here sets it or reads it
    back.
    """

    current: PositiveAmperes = Field(description="most current through a device while it is pulsed")
    by: Annotated[str, Field(min_length=3, max_length=200)] = Field(
        description="what bounds it: a series resistor and its value, the gate of a transistor"
    )


def _with_its_cause(value: object) -> object:
    if isinstance(value, str | int | float):
        raise MisfitError(
            f"asked for {value} alone; nothing of this bench bounds the current in a pulse by a setting. "
            "Where the set-up does, say what: {current: 100 uA, by: series resistor of 10 kohm}"
        )
    return value


class ProgramSettings(Config):
    """How pulses are bounded."""

    compliance: Annotated[
        ComplianceSettings | None,
        BeforeValidator(_with_its_cause, json_schema_input_type=ComplianceSettings | None),
    ] = Field(default=None, description="what of the set-up bounds the current in a pulse, and to what")

    @property
    def bound(self) -> Compliance | None:
        """As arrays carry it."""
        found = self.compliance
        return None if found is None else Compliance(found.current, found.by)


class Life(NamedTuple):
    """A budget of pulses over each device's life: the key that gives it, the most pulses, and those that
    devices have had [rows, cols] by array (none yet: not there); None where only the open bench counts them.
    """

    key: str
    dose: int
    spent: Mapping[str, NDArray[np.integer[Any]]] | None

    def warnings(self, given: Mapping[str, NDArray[np.integer[Any]]]) -> list[str]:
        """What there is to say of pulses that are to be given [rows, cols], by array."""
        if self.spent is None:
            return [
                f"{self.key} allows {counted(self.dose, 'pulse')} to a device in its life; how many are "
                "spent is known to the opened bench alone, which refuses what is over"
            ]
        most = before = 0
        for name, pulses in given.items():
            spent = np.where(pulses > 0, self.spent.get(name, 0), 0)
            total = np.where(pulses > 0, spent + pulses, 0)
            if int(total.max(initial=0)) > most:
                most, before = int(total.max()), int(spent.flat[int(total.argmax())])
        if most <= self.dose:
            return []
        return [
            f"a device would have had {counted(most, 'pulse')} in its life, {before:,} of them so far; "
            f"{self.key} allows {self.dose:,}: it would be refused on its way"
        ]


_KEYS_OF_LIMITS = {
    "read_v": "read",
    "program_v": "program",
    "width_min_s": "shortest",
    "width_max_s": "longest",
    "pulses_per_op": "pulses_per_op",
    "dose": "dose",
}


class BenchSettings(Config):
    """Keys that every bench file has."""

    driver: str = Field(description="Name of an installed driver; see `hil list drivers`.")
    name: str = Field(
        default="bench", pattern=r"^[a-z0-9_-]{1,64}$", description="Of the bench: a-z, 0-9, - and _."
    )
    limits: LimitSettings = Field(
        default=LimitSettings(), description="The most that may be asked of this bench."
    )
    reconnect: Annotated[Seconds, Ge(0)] = Field(
        default=300.0,
        description=(
            "How long a training run pauses, outputs off, for instruments whose line was lost; 0: it ends."
        ),
    )
    calibrations: Calibrated | None = Field(
        default=None, description="Folder of calibration records that training uses, or more about them."
    )

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The lines that opening the bench connects to, role by role; none where all is simulated here."""
        return ()

    @property
    def of_one_chip(self) -> bool:
        """Whether its calibration records are of one simulated chip, which is a seed."""
        records = self.calibrations
        return records is not None and records.of is None and not self.resources

    @property
    def unworn(self) -> BenchSettings:
        """The same without counters of wear on disk: to try on, in this process, what wears nothing."""
        return self

    @property
    def compliance(self) -> Compliance | None:
        """What bounds the current in a pulse; None: nothing that the file tells of."""
        return None

    @property
    def life(self) -> Life | None:
        """The budget of a device's life and what is spent of it, without opening the bench; None: no budget.

        Raises ConfigError, with the key, where the counters cannot be read.
        """
        return None

    @property
    def typical(self) -> DeviceSheet | None:
        """What the file says of the typical device; None where only the open bench can tell."""
        return None

    @property
    def doubts(self) -> tuple[str, ...]:
        """What of the file is allowed and hard to believe; each begins with its key."""
        return ()

    @property
    def file(self) -> str:
        """The file that this was read from, as it was named; "" if built in Python."""
        document = self._source.document
        return "" if document is None else document.name

    def where_limit(self, name: str) -> str:
        """Place of a field of :class:`hil.limits.Limits`: "bench.yaml:3: limits.dose"."""
        return self.where("limits", _KEYS_OF_LIMITS[name])
