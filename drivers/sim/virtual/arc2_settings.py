"""What a bench file says of the virtual ArC TWO in place of its board: devices, time, faults."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Le
from pydantic import Field

from drivers.sim.settings import Device, DisturbSettings, DriftSettings, LineSettings
from drivers.sim.virtual.controller_settings import NotNegative, VirtualReading
from hil.config.validate import Config
from hil.units import Volts

FaultKind: TypeAlias = Literal["lost-before", "lost-after", "busy", "panic", "no-result"]


class Arc2Fault(Config):
    """Something that goes wrong with some executions."""

    kind: FaultKind = Field(
        description="lost-before, lost-after: the cable comes out before or after it is done; busy: it never "
        "ends; panic: the library breaks down when a result is fetched; no-result: there is none to fetch"
    )
    executions: list[Annotated[int, Ge(1)]] = Field(
        description="which, counted from 1 since the process began"
    )
    away: Annotated[int, Ge(0)] = Field(
        default=0, description="lost: the board is listed again after so many times of asking"
    )


class StuckOutput(Config):
    """An output that does not do as it is told."""

    channel: Annotated[int, Ge(0), Le(63)] = Field(description="which")
    voltage: Volts = Field(description="where it stays")


class VirtualArc2Settings(Config):
    """A virtual board in place of the real one, in the process that opens the bench."""

    seed: int | None = Field(
        default=None, ge=0, description="deals the devices and their noise; none: the run's"
    )
    device: Device | None = Field(default=None, description="true devices; none: as the bench expects them")
    read: VirtualReading = Field(default=VirtualReading(), description="noise and offset of currents")
    drift: DriftSettings = Field(default=DriftSettings(), description="conductance loss with time")
    half_select: Annotated[float, Ge(0), Le(1)] = Field(
        default=DisturbSettings().half_select, description="step of a half-selected device in full steps"
    )
    lines: LineSettings = Field(default=LineSettings(), description="resistance of the wires")
    exchange: NotNegative = Field(
        default=2.5e-3,
        description="virtual time of an execution beside its orders; the library sleeps so long",
    )
    stuck: list[StuckOutput] = Field(
        default=[], description="outputs that stay at a voltage whatever they are told"
    )
    faults: list[Arc2Fault] = Field(default=[], description="what goes wrong")
