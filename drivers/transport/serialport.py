"""A serial line by pyserial: ports, USB adapters, microcontroller boards, pseudo-terminals."""

from __future__ import annotations

from typing import Any

import serial

from drivers.transport.link import Chunk
from drivers.transport.settings import TransportSettings


class SerialLink:
    """A serial port, USB or pseudo-terminal, by pyserial; opened exclusively."""

    def __init__(self, path: str, settings: TransportSettings) -> None:
        try:
            self._port: Any = serial.Serial(
                path,
                baudrate=settings.baud,
                bytesize=settings.data_bits,
                parity=settings.parity[0].upper(),
                stopbits=settings.stop_bits,
                rtscts=settings.flow == "rts-cts",
                xonxoff=settings.flow == "xon-xoff",
                timeout=settings.timeout,
                write_timeout=settings.timeout,
                exclusive=True,
            )
        except serial.SerialException as error:
            raise ConnectionError(str(error)) from error

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send all of it."""
        try:
            self._port.write_timeout = timeout_s
            self._port.write(data)
        except serial.SerialTimeoutException as error:
            raise TimeoutError from error
        except serial.SerialException as error:
            raise ConnectionError(str(error)) from error

    def receive(self, timeout_s: float) -> Chunk:
        """At least one byte."""
        try:
            self._port.timeout = timeout_s
            first: bytes = self._port.read(1)
            if not first:
                raise TimeoutError
            return Chunk(first + self._port.read(self._port.in_waiting), False)
        except serial.SerialException as error:
            raise ConnectionError(str(error)) from error

    def waiting(self) -> bool:
        """Whether there are bytes."""
        try:
            return self._port.in_waiting > 0
        except (serial.SerialException, OSError) as error:
            raise ConnectionError(str(error)) from error

    def clear(self) -> None:
        """A serial line has no device clear."""

    def close(self) -> None:
        """Let go."""
        self._port.close()
