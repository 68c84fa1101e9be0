"""From a resource string to a connected line."""

from __future__ import annotations

import re
from pathlib import Path

from drivers.transport.link import Link
from drivers.transport.settings import TransportSettings


def open_link(resource: str, settings: TransportSettings) -> Link:
    """Connect to a VISA resource string, or to ``serial:PATH`` by pyserial.

    Raises ConfigError if the resource cannot be understood or its library is missing, ConnectionError or
    TimeoutError if nobody answers there.
    """
    if resource.startswith("serial:"):
        from drivers.transport.serialport import SerialLink

        return SerialLink(resource.removeprefix("serial:"), settings)
    from drivers.transport.visa import open_visa

    return open_visa(resource, settings)


def same_line(resource: str) -> str:
    """One text for all ways of naming a line; what cannot be understood stays as it is, for `open_link`."""
    if resource.startswith("serial:"):
        return _port(resource.removeprefix("serial:"))
    from pyvisa import rname

    try:
        parsed = rname.ResourceName.from_string(resource)
    except rname.InvalidResourceName:
        return resource
    if parsed.interface_type == "ASRL":
        port = str(parsed).removeprefix("ASRL").removesuffix("::INSTR")
        return _port(port) if port.startswith("/") else str(parsed)
    return re.sub(r"::localhost(?=::|,)", "::127.0.0.1", str(parsed).lower())


def _port(path: str) -> str:
    """The port itself: /dev/serial/by-id/… are links."""
    return f"serial:{Path(path).resolve()}"
