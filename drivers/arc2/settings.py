"""What a bench file says of a bench with an ArC TWO: the board, the wiring, the typical device."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from annotated_types import Ge
from pydantic import Field, model_validator

from drivers.arc2.api import CHANNELS
from drivers.arc2.instrument import ROLE
from drivers.arc2.ranges import CLUSTER, clusters
from drivers.crosspoint.settings import CrosspointProgramSettings
from drivers.sim.settings import ArrayName, Device
from drivers.sim.virtual.arc2_settings import VirtualArc2Settings
from drivers.typical import Typical
from drivers.wiring import Wiring, channel_list, check_apart
from hil.config.bench import BenchSettings, Life, Resource
from hil.config.validate import Config, MisfitError
from hil.units import PositiveAmperes, PositiveSeconds, PositiveVolts, Seconds


class Arc2Settings(Config):
    """The board and how its library is asked."""

    port: Annotated[int, Ge(0)] = Field(
        default=0, description="number of the board among those connected, as pyarc2 lists them"
    )
    firmware: str | None = Field(
        default=None, description="firmware file that came with the board, counted from the bench file"
    )
    control: Literal["internal", "header"] = Field(
        default="internal",
        description="where the daughterboard routes the channels: its socket, or its headers",
    )
    timeout: PositiveSeconds = Field(
        default=2.0, description="how long the board may take beside what it was told to wait and pulse"
    )


class Arc2ReadSettings(Config):
    """How currents are measured."""

    voltage: PositiveVolts = Field(default=0.1, description="nominal read voltage; that of the device sheet")
    integration: PositiveSeconds = Field(
        default=10e-6, description="nominal integration time; as many readings as fill it are averaged"
    )
    sample: PositiveSeconds = Field(default=10e-6, description="what one reading of the board counts for")
    settle: Annotated[Seconds, Ge(0)] = Field(default=0.0, description="pause between driving and reading")
    ceiling: PositiveAmperes = Field(
        default=6e-3, description="currents from here on count as bounds of what they are, not as readings"
    )
    sign: Literal[1, -1] = Field(
        default=1, description="1: a current that leaves a channel reads positive; -1: one that enters it"
    )


class Arc2BenchSettings(Typical, BenchSettings):
    """A bench with an ArC TWO."""

    driver: Literal["arc2"] = Field(default="arc2", description="this driver")  # pyright: ignore[reportIncompatibleVariableOverride]
    instrument: Arc2Settings = Field(default=Arc2Settings(), description="the board")
    arrays: dict[ArrayName, Wiring] = Field(
        min_length=1, description="arrays by name; the channels of their lines, 0 to 63"
    )
    device: Device = Field(description="the typical device: name of a preset, or its values")
    read: Arc2ReadSettings = Field(default=Arc2ReadSettings(), description="how currents are measured")
    program: CrosspointProgramSettings = Field(
        default=CrosspointProgramSettings(), description="how pulses are counted"
    )
    virtual: VirtualArc2Settings | None = Field(
        default=None, description="a virtual board in this process in place of the real one"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        check_apart(self.arrays)
        for name, wiring in self.arrays.items():
            rows, cols = channel_list(wiring.rows), channel_list(wiring.cols)
            for what, channels in (("rows", rows), ("cols", cols)):
                if max(channels) >= CHANNELS:
                    raise MisfitError(
                        f"asked for channel {max(channels)}; there are 0 to {CHANNELS - 1}",
                        "arrays",
                        name,
                        what,
                    )
            shared = clusters(rows) & clusters(cols)
            if shared:
                first = CLUSTER * min(shared)
                raise MisfitError(
                    f"channels {first} to {first + CLUSTER - 1} are wired to rows and to columns; one pulse "
                    "driver serves all eight with one polarity, so they have to be on one side",
                    "arrays",
                    name,
                )
        if self.virtual is None and self.instrument.firmware is None:
            raise MisfitError("is needed: the file that came with the board", "instrument", "firmware")
        return self

    @property
    def unworn(self) -> Arc2BenchSettings:
        """Without the ledger, which a virtual board fills too."""
        return self.model_copy(update={"program": self.program.unworn})

    @property
    def life(self) -> Life | None:
        """The dose of the ledger."""
        return self.program.life(self, self.arrays)

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The board; none where it is virtual, which is in this process."""
        if self.virtual is not None:
            return ()
        name = f"ArC TWO {self.instrument.port}"
        return (Resource(ROLE, "instrument.port", name, f"arc2:{self.instrument.port}"),)
