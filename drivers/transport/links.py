"""From a resource string to a connected line."""

from __future__ import annotations

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
