"""What a bench file says of the virtual controller that stands in for its board: devices, link, faults."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Le
from pydantic import Field

from drivers.sim.settings import (
    AdcSettings,
    DacSettings,
    Device,
    DisturbSettings,
    DriftSettings,
    LineSettings,
    ReadSettings,
    TimingSettings,
)
from hil.config.validate import Config
from hil.units import Amperes, PositiveVolts, Seconds

NotNegative: TypeAlias = Annotated[Seconds, Ge(0)]
FaultKind: TypeAlias = Literal[
    "late", "silent", "garbage", "truncated", "extra-line", "disconnect-before", "disconnect-after",
    "disconnect-within", "power-cut", "abort",
]  # fmt: skip


class ControllerFault(Config):
    """Something that goes wrong with the answer to some RUN lines."""

    kind: FaultKind = Field(
        description="late, silent: the answer comes after delay, or never; garbage, truncated, extra-line: "
        "it is spoilt; disconnect-before, -after: the link is closed before or after the program runs; "
        "disconnect-within: in the middle of the answer; power-cut: after the program the board forgets; "
        "abort: the program ends half-way"
    )
    runs: list[Annotated[int, Ge(1)]] = Field(
        default=[], description="which RUN lines, counted from 1, repeats included"
    )
    share: Annotated[float, Ge(0), Le(1)] = Field(
        default=0.0, description="share of other RUN lines, by chance"
    )
    delay: NotNegative = Field(default=1.0, description="late: real seconds")
    op: Annotated[int, Ge(0)] = Field(default=0, description="abort: in this operation")
    shots: Annotated[int, Ge(0)] = Field(default=0, description="abort: after so many shots of it")


class VirtualReading(Config):
    """What the currents of the virtual board carry beside the signal."""

    noise: Annotated[float, Ge(0), Le(10)] = Field(
        default=0.0, description="relative standard deviation at the bench's read.integration"
    )
    offset: Amperes = Field(default=0.0, description="current added to every reading")

    def of(self, voltage: float, integration: float) -> ReadSettings:
        """As the simulated devices take it, at a bench's nominal voltage and integration time."""
        return ReadSettings(voltage=voltage, integration=integration, noise=self.noise, offset=self.offset)


class VirtualControllerSettings(Config):
    """A virtual board in place of the real one; used by `hil virtual` alone."""

    link: Literal["tcp", "pty"] = Field(default="tcp", description="a TCP port, or a pseudo-terminal")
    host: str = Field(default="127.0.0.1", description="tcp: address to listen at")
    port: Annotated[int, Ge(0), Le(65535)] = Field(default=0, description="tcp: port; 0 takes a free one")
    seed: int = Field(default=0, ge=0, description="deals the devices and their noise")
    device: Device | None = Field(default=None, description="true devices; none: as the bench expects them")
    read: VirtualReading = Field(default=VirtualReading(), description="noise and offset of readings")
    dac: DacSettings = Field(default=DacSettings(), description="voltages that can be driven")
    adc: AdcSettings = Field(default=AdcSettings(), description="currents that can be told apart")
    drift: DriftSettings = Field(default=DriftSettings(), description="conductance loss with time")
    half_select: Annotated[float, Ge(0), Le(1)] = Field(
        default=DisturbSettings().half_select, description="step of a half-selected device in full steps"
    )
    lines: LineSettings = Field(default=LineSettings(), description="resistance of the wires")
    timing: TimingSettings = Field(default=TimingSettings(), description="the board's own time")
    vpulse: PositiveVolts = Field(default=10.0, description="largest pulse that the board can put out")
    latency: NotNegative = Field(default=0.0, description="real seconds before each answer")
    faults: list[ControllerFault] = Field(default=[], description="what goes wrong on the way")
