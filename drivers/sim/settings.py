"""What a bench file may say of a simulated bench; every value has a default: ``driver: sim`` is a bench."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, TypeAlias, cast

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, StrictInt, model_validator

from drivers.sim.forming import FormingSettings
from drivers.sim.presets import DEFAULT_PRESET, complete, preset
from hil.bench import Compliance, DeviceSheet
from hil.config.bench import BenchSettings, ProgramSettings
from hil.config.validate import Config, MisfitError
from hil.errors import ConfigError
from hil.units import (
    Amperes,
    Ohms,
    PositiveAmperes,
    PositiveOhms,
    PositiveSeconds,
    PositiveSiemens,
    PositiveVolts,
    Seconds,
    Volts,
    format_quantity,
)

Spread: TypeAlias = Annotated[float, Ge(0), Lt(1)]
Label: TypeAlias = Annotated[float, Ge(-9), Le(9)]
Bits: TypeAlias = Annotated[int, Ge(1), Le(24)]
Share: TypeAlias = Annotated[float, Ge(0), Le(1)]
Crosspoint: TypeAlias = Annotated[tuple[StrictInt, StrictInt], Field(strict=False)]
Places: TypeAlias = Share | list[Crosspoint]
NotNegative: TypeAlias = Annotated[Seconds, Ge(0)]
Wire: TypeAlias = Annotated[Ohms, Ge(0)]
ArrayName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class UpDown(Config):
    """One value for potentiation and one for depression."""

    up: Annotated[float, Ge(0)] = Field(description="for potentiating pulses")
    down: Annotated[float, Ge(0)] = Field(description="for depressing pulses")


def _pair(value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"up": value, "down": value} if is_number else value


def _at_most(most: float, inclusive: bool) -> AfterValidator:
    def check(pair: UpDown) -> UpDown:
        for way, value in (("up", pair.up), ("down", pair.down)):
            if not (value <= most if inclusive else value < most):
                raise MisfitError(
                    f"asked for {value:g}; {'at most' if inclusive else 'less than'} {most:g} is needed", way
                )
        return pair

    return AfterValidator(check)


Pair: TypeAlias = Annotated[UpDown, BeforeValidator(_pair, json_schema_input_type=float | UpDown)]

Thresholds: TypeAlias = Annotated[Pair, _at_most(1, inclusive=False)]
Exponents: TypeAlias = Annotated[Pair, _at_most(10, inclusive=True)]


class PulseSettings(Config):
    """One rectangular programming pulse."""

    amplitude: Volts = Field(description="voltage with its sign; not 0")
    width: PositiveSeconds = Field(description="duration")
    gap: NotNegative = Field(default=0.0, description="pause after it")

    @model_validator(mode="after")
    def _is_a_pulse(self) -> PulseSettings:
        if self.amplitude == 0:
            raise MisfitError("a pulse of 0 V does nothing; give its amplitude", "amplitude")
        return self


class ResponseSettings(Config):
    """What a pulse of another amplitude or width than the nominal one does: it is worth
    ((|V| - Vt) / (|V0| - Vt))^p (w / w0)^q nominal pulses, and none up to the threshold.
    """

    threshold: Thresholds = Field(
        default=UpDown(up=0.5, down=0.5),
        description="Vt as a fraction of the nominal amplitude; 0.5: half-selected ones do not move",
    )
    amplitude_exponent: Exponents = Field(default=UpDown(up=1.0, down=1.0), description="p")
    width_exponent: Exponents = Field(default=UpDown(up=1.0, down=1.0), description="q")


class SpreadSettings(Config):
    """How devices differ from each other (d2d). Fixed when the bench is opened, drawn from the seed."""

    range: Spread = Field(
        default=0.0,
        description="relative standard deviation of g_min and of g_max (log-normal, each on its own)",
    )
    step: Spread = Field(
        default=0.0,
        description="relative standard deviation of a device's step size, the same both ways (log-normal)",
    )
    asymmetry: Spread = Field(
        default=0.0,
        description="relative standard deviation of a device's step size each way on its own (log-normal)",
    )
    nonlinearity: Pair = Field(
        default=UpDown(up=0.0, down=0.0), description="standard deviation of the nonlinearity labels (normal)"
    )


class FaultSettings(Config):
    """Devices that do not work: a fraction, or [row, col] of each (the same in every array)."""

    stuck: Places = Field(default=0.0, description="never moves, at a random conductance of its range")
    stuck_low: Places = Field(default=0.0, description="never moves, at its g_min")
    stuck_high: Places = Field(default=0.0, description="never moves, at its g_max")
    open: Places = Field(default=0.0, description="conducts nothing")
    shorted: Places = Field(default=0.0, description="conducts as much as short_resistance")
    short_resistance: PositiveOhms = Field(default=100.0, description="resistance of a shorted device")

    @model_validator(mode="after")
    def _fit_together(self) -> FaultSettings:
        total = math.fsum(places for _, places in self.by_kind() if isinstance(places, float))
        if total > 1:
            raise ValueError(f"the fractions of faulty devices add up to {total:g}; 1 is all of them")
        return self

    def by_kind(self) -> tuple[tuple[str, Places], ...]:
        """(kind, fraction or crosspoints) in the order in which they are dealt."""
        return (
            ("stuck", self.stuck),
            ("stuck_low", self.stuck_low),
            ("stuck_high", self.stuck_high),
            ("open", self.open),
            ("shorted", self.shorted),
        )


class _Pulsed(Config):
    potentiate: PulseSettings = Field(description="the pulse that raises conductance")
    depress: PulseSettings = Field(description="the pulse that lowers it")
    response: ResponseSettings = Field(
        default=ResponseSettings(), description="what pulses of another amplitude or width do"
    )


class _Device(_Pulsed):
    preset: str | None = Field(
        default=None, description="name of the preset whose values stand where none is given here"
    )
    initial: Literal["g_min", "mid", "g_max", "uniform"] = Field(
        default="mid", description="state of each device at the start, in its own range"
    )
    faults: FaultSettings = Field(default=FaultSettings(), description="devices that do not work")
    forming: FormingSettings | None = Field(
        default=None, description="devices that come unformed; none: they are formed"
    )


class ExponentialDevice(_Device):
    """A device whose step is affine in its conductance: NeuroSim's exponential curves, one each way."""

    model: Literal["exponential"] = "exponential"
    levels_up: Annotated[int, Gt(1), Le(1_000_000)] = Field(
        description="potentiating pulses from g_min to g_max"
    )
    levels_down: Annotated[int, Gt(1), Le(1_000_000)] = Field(
        description="depressing pulses from g_max to g_min"
    )
    g_min: PositiveSiemens = Field(description="lowest conductance of the typical device")
    g_max: PositiveSiemens = Field(description="highest conductance of the typical device")
    nl_up: Label = Field(
        default=0.0,
        description="nonlinearity label of potentiation; positive: the first pulses are the largest",
    )
    nl_down: Label = Field(
        default=0.0,
        description="nonlinearity label of depression; negative: the first pulses are the largest",
    )
    c2c: Pair = Field(
        default=UpDown(up=0.0, down=0.0),
        description="standard deviation of one pulse's step (cycle to cycle), in units of the range",
    )
    d2d: SpreadSettings = Field(default=SpreadSettings(), description="how devices differ from each other")

    @model_validator(mode="after")
    def _has_a_range(self) -> ExponentialDevice:
        if not self.g_min < self.g_max:
            low, high = (format_quantity(siemens, "S") for siemens in (self.g_min, self.g_max))
            raise MisfitError(f"{low} must be below g_max, {high}", "g_min")
        return self


class TableDevice(_Device):
    """A device whose step, and the spread of its step, were measured against conductance."""

    model: Literal["table"]
    table: Literal["TaOx_41", "ENODe"] = Field(
        description="which measured table; TaOx_41 deals 41 devices at random"
    )


class MeasuredDevice(_Pulsed):
    """Every device as it was measured, by maps in a file of its own (drivers.sim.measured; `hil twin`)."""

    model: Literal["measured"]
    maps: str = Field(min_length=1, description="file of the maps (.npz), counted from the bench file")
    sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="checksum of that file, so that no other is taken for it; none: not held against it",
    )
    c2c: Pair = Field(
        default=UpDown(up=0.0, down=0.0),
        description="standard deviation of one pulse's step, in units of each device's range; 0 where the "
        "maps hold tables, which have the spread of steps in them",
    )


def _completed(value: object) -> object:
    """Put the preset's values below, and refuse a model that is not the preset's: they share no keys."""
    try:
        completed = complete(value)
    except ConfigError as error:
        raise MisfitError(str(error), *([] if isinstance(value, str) else ["preset"])) from None
    given = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    name = given.get("preset")
    if name is not None and not isinstance(name, str):
        raise MisfitError(f"asked for {name!r}; must be the name of a preset", "preset")
    theirs = preset(name).device["model"] if isinstance(name, str) else None
    if theirs is not None and given.get("model", theirs) != theirs:
        problem = f"asked for {given['model']!r}; preset {name} is {theirs!r}, drop one of the two"
        raise MisfitError(problem, "model")
    return completed


Device: TypeAlias = Annotated[
    Annotated[ExponentialDevice | TableDevice, Discriminator("model")],
    BeforeValidator(_completed, json_schema_input_type=str | ExponentialDevice | TableDevice),
]

AnyDevice: TypeAlias = Annotated[
    Annotated[ExponentialDevice | TableDevice | MeasuredDevice, Discriminator("model")],
    BeforeValidator(
        _completed, json_schema_input_type=str | ExponentialDevice | TableDevice | MeasuredDevice
    ),
]


MOST_LINES = 16384
"""Of one side of an array that a file describes."""


class ArraySize(Config):
    """Lines of one array."""

    rows: Annotated[int, Ge(1), Le(MOST_LINES)] = Field(description="number of rows")
    cols: Annotated[int, Ge(1), Le(MOST_LINES)] = Field(description="number of columns")


class ReadSettings(Config):
    """How currents are measured."""

    voltage: PositiveVolts = Field(default=0.1, description="nominal read voltage; that of the device sheet")
    integration: PositiveSeconds = Field(
        default=1e-6, description="nominal integration time; the one that noise is given for"
    )
    noise: Annotated[float, Ge(0), Lt(10)] = Field(
        default=0.0,
        description="relative standard deviation of one device's current at the nominal integration time; "
        "falls with the time to the power of -exponent",
    )
    exponent: Annotated[float, Ge(0), Le(2)] = Field(
        default=0.5, description="of the fall of noise with integration time; 0.5: white noise"
    )
    offset: Amperes = Field(default=0.0, description="current added to every reading")


class DacSettings(Config):
    """Voltages that can be driven."""

    bits: Bits | None = Field(
        default=None, description="resolution over the range of both signs; none: exact"
    )
    range: PositiveVolts | Literal["auto"] = Field(
        default="auto",
        description="largest voltage of either sign, more is refused; auto: read.voltage when bits are "
        "given, for they are spread over the whole range, else 10 V",
    )


class AdcSettings(Config):
    """Currents that can be told apart."""

    bits: Bits | None = Field(
        default=None, description="resolution over the range of both signs; none: exact"
    )
    range: PositiveAmperes | Literal["auto"] = Field(
        default="auto",
        description="largest current of either sign, more is clipped and flagged; auto: always enough",
    )


class DriftSettings(Config):
    """Conductance loss with time since a device was last programmed: G (t/t0)^-nu."""

    nu: Annotated[float, Ge(0), Lt(1)] = Field(
        default=0.0, description="drift exponent of the typical device"
    )
    nu_spread: Spread = Field(
        default=0.0, description="standard deviation of the exponent from device to device (normal)"
    )
    t0: PositiveSeconds = Field(default=1.0, description="time from which a device drifts")


class DisturbSettings(Config):
    """What a pulse does to devices that share a line with its target."""

    half_select: Share = Field(
        default=0.0, description="step of a half-selected device, in units of its full step"
    )
    scheme: Literal["V/2", "V/3"] = Field(default="V/2", description="how unselected lines are biased")


class LineSettings(Config):
    """Resistance of the wires, one segment between two crosspoints (drivers.sim.lines)."""

    row: Wire = Field(default=0.0, description="one segment of a row")
    col: Wire = Field(default=0.0, description="one segment of a column")


class TimingSettings(Config):
    """Where virtual time goes beside integration and pulses."""

    settle: NotNegative = Field(default=0.0, description="before each driven vector")
    transaction: NotNegative = Field(default=0.0, description="once for every schedule")
    shot: NotNegative = Field(default=0.0, description="before each programming shot")
    one_by_one: bool = Field(default=False, description="device after device; sums are made of readings")


class SimSettings(BenchSettings):
    """A simulated bench."""

    driver: Literal["sim"] = Field(default="sim", description="this driver")  # pyright: ignore[reportIncompatibleVariableOverride]
    arrays: dict[ArrayName, ArraySize] | None = Field(
        default=None,
        min_length=1,
        description="arrays by name; none: as measured, or sized to what the network asks for",
    )
    device: AnyDevice = Field(
        default_factory=lambda: ExponentialDevice.model_validate(complete(DEFAULT_PRESET)),
        description="name of a preset, or its values with or without a preset below them",
    )
    read: ReadSettings = Field(default=ReadSettings(), description="how currents are measured")
    program: ProgramSettings = Field(default=ProgramSettings(), description="how pulses are bounded")
    dac: DacSettings = Field(default=DacSettings(), description="voltages that can be driven")
    adc: AdcSettings = Field(default=AdcSettings(), description="currents that can be told apart")
    drift: DriftSettings = Field(default=DriftSettings(), description="conductance loss with time")
    disturb: DisturbSettings = Field(
        default=DisturbSettings(), description="what pulses do to half-selected devices"
    )
    lines: LineSettings = Field(default=LineSettings(), description="resistance of the wires")
    timing: TimingSettings = Field(default=TimingSettings(), description="where virtual time goes")

    @property
    def compliance(self) -> Compliance | None:
        """What the set-up bounds."""
        return self.program.bound

    @property
    def typical(self) -> DeviceSheet | None:
        """Data sheet of the typical device; None where maps of devices hold it."""
        from drivers.sim.models import sheet  # which is built on these settings

        return None if isinstance(self.device, MeasuredDevice) else sheet(self.device, self.read)

    @property
    def dac_range_v(self) -> float:
        """Largest voltage that can be driven, volts of either sign."""
        if self.dac.range != "auto":
            return self.dac.range
        return self.read.voltage if self.dac.bits else 10.0

    @model_validator(mode="after")
    def _drives_what_it_reads_with(self) -> SimSettings:
        if self.dac_range_v < self.read.voltage:
            most, needed = (format_quantity(volts, "V") for volts in (self.dac_range_v, self.read.voltage))
            if self.dac.range == "auto":
                asked = f"asked for {needed}; must not be above {most} (dac.range: auto)"
                raise MisfitError(f"{asked}; give a dac.range if meant", "read", "voltage")
            raise MisfitError(f"asked for {most}; must not be below read.voltage, {needed}", "dac", "range")
        return self
