"""What a bench file says of a bench with an array controller: the board, the wiring, the typical device."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self, TypeAlias

from annotated_types import Ge, Gt
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from drivers.line.orders import Bias
from drivers.sim.settings import ArrayName, Device
from drivers.sim.virtual.controller_settings import VirtualControllerSettings
from drivers.transport.settings import TransportSettings
from hil.config.bench import BenchSettings
from hil.config.validate import Config, MisfitError
from hil.units import PositiveSeconds, PositiveVolts, Seconds

_MOST = 16384


def channel_list(text: str) -> tuple[int, ...]:
    """Channels of "0-3,7": numbers and rising ranges, in their order."""
    found: list[int] = []
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch("([0-9]{1,5})(?:-([0-9]{1,5}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last >= _MOST:
            raise ValueError(
                f'asked for {text!r}; write channels as "0-31" or "0-3,8-11,20", up to {_MOST - 1}'
            )
        found.extend(range(first, last + 1))
    if len(set(found)) != len(found):
        raise ValueError(f"asked for {text!r}; a channel is named twice")
    return tuple(found)


def _checked(text: str) -> str:
    channel_list(text)
    return text


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Channels: TypeAlias = Annotated[
    str, BeforeValidator(_as_text, json_schema_input_type=str | int), AfterValidator(_checked)
]


class Wiring(Config):
    """Which channels of the controller the lines of an array are on, first line first."""

    rows: Channels = Field(description='channels of the rows, e.g. "0-63" or "0-31,40-71"')
    cols: Channels = Field(description="channels of the columns")


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


class LineProgramSettings(Config):
    """How pulses are put out."""

    scheme: Bias = Field(default="V/2", description="how unselected lines are held")
    dose: Annotated[int, Gt(0)] | None = Field(
        default=None, description="most pulses to one device in its life, by the board's own counters"
    )


class LineBenchSettings(BenchSettings):
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
        taken: list[tuple[str, set[int], set[int]]] = []
        for name, wiring in self.arrays.items():
            rows, cols = set(channel_list(wiring.rows)), set(channel_list(wiring.cols))
            for other, its_rows, its_cols in taken:
                if rows & its_rows and cols & its_cols:
                    raise MisfitError(f"{name} is wired to crosspoints of {other}", "arrays", name)
            taken.append((name, rows, cols))
        return self
