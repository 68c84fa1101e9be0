"""What a bench file says of the virtual instruments in place of a crosspoint bench's: devices, faults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Le
from pydantic import Field

from drivers.sim.settings import Device, DriftSettings
from drivers.sim.virtual.controller_settings import NotNegative, VirtualReading
from drivers.sim.virtual.faults import Fault
from hil.config.validate import Config


class VirtualInstrumentSettings(Config):
    """One virtual instrument and its line."""

    link: Literal["tcp", "pty", "vxi11"] = Field(
        default="tcp", description="a bare TCP port, a pseudo-terminal, or VXI-11"
    )
    port: Annotated[int, Ge(0), Le(65535)] = Field(
        default=0, description="tcp, vxi11: port; 0 takes a free one"
    )
    portmapper: Annotated[int, Ge(0), Le(65535)] | None = Field(
        default=None,
        description="vxi11: port at which hosts may also ask for the instrument's; they ask at 111, where "
        "only those may listen who have the right to",
    )
    latency: NotNegative = Field(default=0.0, description="real seconds before each answer")
    settings: dict[str, Any] = Field(
        default={}, description="what the virtual instrument takes: model, coerced, errors, …; see its page"
    )
    faults: list[Fault] = Field(default=[], description="what goes wrong with its answers")


class VirtualCrosspointSettings(Config):
    """Virtual instruments, and the devices behind them; used by `hil virtual` alone."""

    host: str = Field(default="127.0.0.1", description="address to listen at")
    seed: int = Field(default=0, ge=0, description="deals the devices and their noise")
    device: Device | None = Field(default=None, description="true devices; none: as the bench expects them")
    read: VirtualReading = Field(default=VirtualReading(), description="noise and offset of currents")
    drift: DriftSettings = Field(default=DriftSettings(), description="conductance loss with time")
    smu: VirtualInstrumentSettings = Field(
        default=VirtualInstrumentSettings(), description="the source-measure unit"
    )
    pulser: VirtualInstrumentSettings = Field(
        default=VirtualInstrumentSettings(), description="the pulse generator"
    )
    matrix: VirtualInstrumentSettings = Field(
        default=VirtualInstrumentSettings(), description="the switch matrix"
    )
