"""What a bench file says of a bench of single instruments: who measures, pulses, switches, and the wiring."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Literal, Self, TypeAlias

from annotated_types import Ge, Gt
from pydantic import BeforeValidator, Field, model_validator

from drivers.crosspoint.roles import ROLES, InstrumentSettings, Role
from drivers.ledger import spent
from drivers.sim.settings import ArrayName, Device
from drivers.sim.virtual.crosspoint_settings import VirtualCrosspointSettings
from drivers.transport.links import same_line
from drivers.typical import Typical
from drivers.wiring import Wiring, channel_list, check_apart
from hil.config.bench import BenchSettings, Life, ProgramSettings, Resource
from hil.config.validate import Config, MisfitError
from hil.units import PositiveAmperes, PositiveSeconds, PositiveVolts, Seconds

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _row(value: object) -> object:
    """Rows of matrices are lettered on most front panels."""
    if isinstance(value, str) and len(value) == 1 and value.upper() in _LETTERS:
        return _LETTERS.index(value.upper())
    return value


MatrixRow: TypeAlias = Annotated[
    int, BeforeValidator(_row, json_schema_input_type=int | str), Ge(0), Field(strict=True)
]


class BusSettings(Config):
    """Rows of the matrix that terminals are on: letters as on front panels (A is 0), or numbers from 0."""

    smu: MatrixRow = Field(description="row of the source-measure unit's high terminal")
    pulser: MatrixRow = Field(description="row of the pulse generator's output")
    ground: MatrixRow = Field(description="row of the common ground: both instruments' low terminals")

    @model_validator(mode="after")
    def _are_apart(self) -> Self:
        rows = {"smu": self.smu, "pulser": self.pulser, "ground": self.ground}
        for one, other in combinations(rows, 2):
            if rows[one] == rows[other]:
                raise MisfitError(f"on the same row as {one}; each needs a row of its own", other)
        return self


class CrosspointReadSettings(Config):
    """How currents are measured."""

    voltage: PositiveVolts = Field(default=0.1, description="nominal read voltage; that of the device sheet")
    integration: PositiveSeconds = Field(default=20e-3, description="nominal integration time")
    settle: Annotated[Seconds, Ge(0)] = Field(
        default=0.0, description="time between a step of the voltage and its measurement"
    )
    compliance: PositiveAmperes = Field(default=1e-3, description="bound of the current while reading")
    at_compliance: Literal["flag", "lower", "stop"] = Field(
        default="flag",
        description=(
            "what is done where a current reaches the compliance. flag: it counts as a bound and its "
            "conductance as not known; lower: read again at a half, a quarter, an eighth of the voltage, and "
            "scaled; stop: the run ends"
        ),
    )
    refresh: Literal["stale", "all"] = Field(
        default="stale",
        description=(
            "what is read again when sums of currents are asked for, which this bench computes from single "
            "readings. stale: devices that were pulsed since they were read, and all after a wait; all: all, "
            "every time"
        ),
    )


class CrosspointProgramSettings(ProgramSettings):
    """How pulses are counted."""

    dose: Annotated[int, Gt(0)] | None = Field(
        default=None, description="most pulses to one device in its life; needs ledger"
    )
    ledger: str | None = Field(
        default=None,
        description="folder, seen from the bench file, where each device's pulses are counted over all runs",
    )

    @property
    def unworn(self) -> CrosspointProgramSettings:
        """The same without a ledger, for what wears nothing."""
        return self.model_copy(update={"dose": None, "ledger": None})

    def life(self, bench: BenchSettings, arrays: Mapping[str, Wiring]) -> Life | None:
        """The dose over a device's life, and what the ledger of the bench has counted of it."""
        if self.dose is None or self.ledger is None:
            return None
        shapes = {
            name: (len(channel_list(each.rows)), len(channel_list(each.cols)))
            for name, each in arrays.items()
        }
        return Life("program.dose", self.dose, spent(bench.beside(self.ledger), shapes))

    @model_validator(mode="after")
    def _can_be_counted(self) -> Self:
        if self.dose is not None and self.ledger is None:
            raise MisfitError(
                "a dose over a device's life needs program.ledger, a folder to count it in", "dose"
            )
        return self


class CrosspointBenchSettings(Typical, BenchSettings):
    """A bench with a source-measure unit, a pulse generator and a switch matrix."""

    driver: Literal["crosspoint"] = Field(default="crosspoint", description="this driver")  # pyright: ignore[reportIncompatibleVariableOverride]
    smu: InstrumentSettings = Field(description="the source-measure unit")
    pulser: InstrumentSettings = Field(description="the pulse generator")
    matrix: InstrumentSettings = Field(description="the switch matrix")
    buses: BusSettings = Field(description="what the rows of the matrix are wired to")
    arrays: dict[ArrayName, Wiring] = Field(
        min_length=1,
        description="arrays by name; the columns of the matrix that their lines are wired to, from 0",
    )
    device: Device = Field(description="the typical device: name of a preset, or its values")
    read: CrosspointReadSettings = Field(
        default=CrosspointReadSettings(), description="how currents are measured"
    )
    program: CrosspointProgramSettings = Field(
        default=CrosspointProgramSettings(), description="how pulses are counted"
    )
    virtual: VirtualCrosspointSettings | None = Field(
        default=None, description="virtual instruments in place of the real ones; for `hil virtual` alone"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        check_apart(self.arrays)
        for name, wiring in self.arrays.items():
            both = set(channel_list(wiring.rows)) & set(channel_list(wiring.cols))
            if both:
                raise MisfitError(
                    f"column {min(both)} of the matrix is wired to a row and to a column of {name}",
                    "arrays",
                    name,
                )
        for role in ROLES:
            instrument: InstrumentSettings = getattr(self, role)
            instrument.check(role)
        self._check_link()
        self._check_lines()
        return self

    def _check_link(self) -> None:
        """A matrix on a TSP-Link is reached by the source-measure unit that leads it."""
        if self.matrix.node is None:
            return
        if not self.smu.leads("smu"):
            raise MisfitError(
                f"a node of a TSP-Link that {self.smu.driver} does not lead; a keithley-2600 does",
                "matrix", "options", "node",
            )  # fmt: skip
        if self.matrix.resource != self.smu.resource:
            raise MisfitError(
                f"asked for {self.matrix.resource}; a matrix with options.node is reached by the line of the "
                f"source-measure unit, {self.smu.resource}",
                "matrix", "resource",
            )  # fmt: skip

    def _check_lines(self) -> None:
        lines = {resource.role: resource.line for resource in self.resources}
        for one, other in combinations(ROLES, 2):
            both = one, other
            shared = all(self.instruments[role].modular(role) for role in both)
            shared = shared or (both == ("smu", "matrix") and self.matrix.node is not None)
            if lines[one] == lines[other] and not shared:
                raise MisfitError(
                    f"the same line as {one}; each needs its own, but for modules of one mainframe and for a "
                    "matrix on the TSP-Link of the source-measure unit (matrix.options.node)",
                    other,
                    "resource",
                )

    @property
    def doubts(self) -> tuple[str, ...]:
        """What every pulse generator refuses once it is asked."""
        device = self.typical
        ways = (("potentiate", device.potentiate), ("depress", device.depress))
        needs = "the pulse generator needs time between pulses; write e.g. as much as the width"
        missing = (f"device.{way}.gap: 0 s; {needs}" for way, pulse in ways if pulse.gap_s == 0)
        return (*super().doubts, *missing)

    @property
    def life(self) -> Life | None:
        """The dose of the ledger."""
        return self.program.life(self, self.arrays)

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The line to each instrument; two roles of one mainframe share one."""
        named = {role: instrument.resource for role, instrument in self.instruments.items()}
        return tuple(
            Resource(role, f"{role}.resource", name, same_line(name)) for role, name in named.items()
        )

    @property
    def instruments(self) -> dict[Role, InstrumentSettings]:
        """By role."""
        return {role: getattr(self, role) for role in ROLES}
