"""How to talk over one line: time-outs, terminations, caps. Every value has a default that suits a socket."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from annotated_types import Ge, Le
from pydantic import Field

from hil.config.validate import Config
from hil.units import PositiveSeconds

Termination: TypeAlias = Literal["lf", "cr", "crlf"]
_BYTES: dict[Termination, bytes] = {"lf": b"\n", "cr": b"\r", "crlf": b"\r\n"}


class TransportSettings(Config):
    """Line settings of one instrument. Serial keys are ignored by lines that are not serial."""

    visa: str = Field(
        default="@py",
        description='VISA library: "@py" (pyvisa-py), "@ivi" (the vendor\'s; GPIB and USB need it) or a path',
    )
    timeout: PositiveSeconds = Field(default=2.0, description="longest wait for an answer")
    open_timeout: PositiveSeconds = Field(default=5.0, description="longest wait for a connection")
    quiet: PositiveSeconds = Field(
        default=0.05, description="silence that counts as drained; longer than the line's own latency"
    )
    read_termination: Termination = Field(default="lf", description="what ends an answer")
    write_termination: Termination = Field(default="lf", description="what ends a command")
    max_reply_bytes: Annotated[int, Ge(64), Le(1 << 26)] = Field(
        default=1 << 20, description="a longer answer is refused"
    )
    attempts: Annotated[int, Ge(1), Le(100)] = Field(
        default=3, description="tries to bring back a desynchronised line"
    )
    retry: PositiveSeconds = Field(default=1.0, description="wait before trying again where nobody answered")
    safe: PositiveSeconds = Field(
        default=1.5, description="longest time for making safe and reading that back; then it is not verified"
    )
    baud: Annotated[int, Ge(50), Le(20_000_000)] = Field(default=115_200, description="serial: bits a second")
    data_bits: Literal[7, 8] = Field(default=8, description="serial: bits in a character")
    parity: Literal["none", "even", "odd"] = Field(default="none", description="serial: parity bit")
    stop_bits: Literal[1, 2] = Field(default=1, description="serial: stop bits")
    flow: Literal["none", "rts-cts", "xon-xoff"] = Field(default="none", description="serial: flow control")

    @property
    def read_end(self) -> bytes:
        """Bytes that end an answer."""
        return _BYTES[self.read_termination]

    @property
    def write_end(self) -> bytes:
        """Bytes that end a command."""
        return _BYTES[self.write_termination]
