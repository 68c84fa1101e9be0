"""What a bench file says of a bench with an array controller: the board, the wiring, the typical device."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from annotated_types import Ge, Gt
from pydantic import Field, model_validator

from drivers.line.orders import Bias
from drivers.sim.settings import ArrayName, Device
from drivers.sim.virtual.controller_settings import VirtualControllerSettings
from drivers.transport.links import same_line
from drivers.transport.settings import TransportSettings
from drivers.typical import Typical
from drivers.wiring import Wiring, check_apart
from hil.config.bench import BenchSettings, Life, ProgramSettings, Resource
from hil.config.validate import Config
from hil.units import PositiveSeconds, PositiveVolts, Seconds


class BoardSettings(Config):
    """The controller and the line to it."""

    resource: str = Field(
        description="TCPIP::HOST::PORT::SOCKET, ASRL/dev/ttyACM0::INSTR or serial:/dev/ttyACM0"
    )
    serial: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = Field(
        default=None, description="its serial number; another board is refused"
    )
    watchdog: PositiveSeconds = Field(
        default=2.0, description="after so long without a host the board switches off by itself"
    )
    transport: TransportSettings = Field(default=TransportSettings(), description="time-outs, serial line")


class LineReadSettings(Config):
    """How currents are measured."""

    voltage: PositiveVolts = Field(default=0.1, description="nominal read voltage; that of the device sheet")
    integration: PositiveSeconds = Field(default=10e-6, description="nominal integration time")
    settle: Annotated[Seconds, Ge(0)] = Field(
        default=0.0, description="pause between driving and integrating"
    )


class LineProgramSettings(ProgramSettings):
    """How pulses are put out."""

    scheme: Bias = Field(default="V/2", description="how unselected lines are held")
    dose: Annotated[int, Gt(0)] | None = Field(
        default=None, description="most pulses to one device in its life, by the board's own counters"
    )


class LineBenchSettings(Typical, BenchSettings):
    """A bench with an array controller."""

    driver: Literal["line"] = Field(default="line", description="this driver")  # pyright: ignore[reportIncompatibleVariableOverride]
    controller: BoardSettings = Field(description="the board and the line to it")
    arrays: dict[ArrayName, Wiring] = Field(min_length=1, description="arrays by name, and their wiring")
    device: Device = Field(description="the typical device: name of a preset, or its values")
    read: LineReadSettings = Field(default=LineReadSettings(), description="how currents are measured")
    program: LineProgramSettings = Field(default=LineProgramSettings(), description="how pulses are put out")
    virtual: VirtualControllerSettings | None = Field(
        default=None, description="a virtual board in place of the real one; for `hil virtual` alone"
    )

    @model_validator(mode="after")
    def _arrays_are_apart(self) -> Self:
        """Two arrays may share rows or columns, but no crosspoint."""
        check_apart(self.arrays)
        return self

    @property
    def life(self) -> Life | None:
        """The dose of the board's own counters, which only the board tells."""
        return None if self.program.dose is None else Life("program.dose", self.program.dose, None)

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The line to the controller."""
        name = self.controller.resource
        return (Resource("controller", "controller.resource", name, same_line(name)),)
