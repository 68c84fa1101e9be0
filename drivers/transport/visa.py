"""Bytes out, bytes in: the one place that knows pyvisa, and what each of its back ends does badly."""

from __future__ import annotations

import select
import socket
import time
from contextlib import ExitStack, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from drivers.transport.link import Chunk, Link
from drivers.transport.settings import TransportSettings
from hil.errors import ConfigError

if TYPE_CHECKING:
    import pyvisa
    from pyvisa import rname
    from pyvisa.resources import MessageBasedResource

_CHUNK = 65_536
_PIECE = 4096


class SocketLink:
    """A TCP socket opened by pyvisa-py, whose traps are kept out here.

    pyvisa-py 0.8 takes a refused connection for an open one, reports a closed one as a time-out after
    spinning for all of it, may wait for ever in write, leaves Nagle's delay on, and keeps bytes after a
    termination for the next question. So it opens the socket, and bytes go through that alone.
    """

    def __init__(self, resource: MessageBasedResource, line: socket.socket) -> None:
        self._resource = resource
        self._line = line
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send all of it."""
        with visa_errors():
            for start in range(0, len(data), _PIECE):
                _, ready, _ = select.select([], [self._line], [], timeout_s)
                if not ready:
                    raise TimeoutError
                self._line.sendall(data[start : start + _PIECE])  # a line that is ready takes so much

    def receive(self, timeout_s: float) -> Chunk:
        """At least one byte."""
        with visa_errors():
            ready, _, _ = select.select([self._line], [], [], timeout_s)
            if not ready:
                raise TimeoutError
            data = self._line.recv(_CHUNK)
            if not data:
                raise ConnectionResetError("the other side closed the connection")
            return Chunk(data, False)

    def waiting(self) -> bool:
        """Whether there are bytes."""
        with visa_errors():
            return bool(select.select([self._line], [], [], 0)[0])

    def clear(self) -> None:
        """A bare socket has no device clear."""

    def close(self) -> None:
        """Let go; a thread that waits for an answer is woken."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._resource.close()


class VisaLink:
    """Any other VISA resource. A ``stream`` (serial) has no waiting for more than is there; only lines
    with ``ends`` (GPIB, USB, VXI-11, HiSLIP) say themselves where a message ends. ``piece``: bytes read at
    once, at most.
    """

    def __init__(
        self, resource: MessageBasedResource, *, stream: bool, ends: bool, piece: int = _CHUNK
    ) -> None:
        self._resource = resource
        self._stream = stream
        self._ends = ends
        self._piece = piece
        self._timeout_ms = -1
        self._calm = _expect_full_reads(resource)

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send all of it."""
        with visa_errors():
            self._allow(timeout_s)
            self._resource.visalib.write(self._resource.session, data)

    def receive(self, timeout_s: float) -> Chunk:
        """At least one byte."""
        with visa_errors():
            self._allow(timeout_s)
            if not self._stream:
                data, status = self._resource.visalib.read(self._resource.session, self._piece)
                if not data:  # pyvisa-py's HiSLIP, when the message was read before
                    raise TimeoutError
                return Chunk(bytes(data), self._ends and status.name != "success_max_count_read")
            first, _ = self._resource.visalib.read(self._resource.session, 1)
            more = self._available()
            rest = self._resource.visalib.read(self._resource.session, more)[0] if more else b""
            return Chunk(bytes(first) + bytes(rest), False)

    def waiting(self) -> bool:
        """Whether there are bytes."""
        if not self._stream:
            return False
        with visa_errors():
            return self._available() > 0

    def clear(self) -> None:
        """Device clear."""
        if self._ends:
            with visa_errors():
                self._resource.clear()

    def close(self) -> None:
        """Let go."""
        self._calm.close()
        with visa_errors():
            self._resource.close()

    def _available(self) -> int:
        return int(self._resource.get_visa_attribute(_attribute("asrl_avalaible_number")))

    def _allow(self, timeout_s: float) -> None:
        milliseconds = max(1, round(timeout_s * 1e3))
        if milliseconds != self._timeout_ms:
            self._resource.timeout = milliseconds
            self._timeout_ms = milliseconds


class visa_errors:  # noqa: N801 - reads as a statement
    """Turn what a VISA library raises into Python's own TimeoutError and ConnectionError.

    pyvisa-py lets through what its parts raise: RuntimeError and AssertionError (HiSLIP), struct.error
    (VXI-11), SerialException.
    """

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, TimeoutError):
            return
        from pyvisa.constants import StatusCode
        from pyvisa.errors import VisaIOError

        if isinstance(error, VisaIOError) and error.error_code == StatusCode.error_timeout:
            raise TimeoutError from error
        raise ConnectionError(f"{type(error).__name__}: {error}") from error


def _attribute(name: str) -> Any:
    from pyvisa.constants import ResourceAttribute

    return ResourceAttribute[name]


@cache
def _manager(visa: str) -> pyvisa.ResourceManager:
    import pyvisa

    try:
        return pyvisa.ResourceManager(visa)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"visa: library {visa!r} cannot be loaded ({error}); '@py' is the one that needs no installation"
        ) from error


def open_visa(name: str, settings: TransportSettings) -> Link:
    """Connect to a VISA resource; errors as for `open_link`."""
    from pyvisa import rname
    from pyvisa.errors import VisaIOError
    from pyvisa.resources import MessageBasedResource

    try:
        parsed = rname.ResourceName.from_string(name)
    except rname.InvalidResourceName as error:
        raise ConfigError(
            f"resource {name!r} is no VISA resource; for example TCPIP::192.168.0.5::5025::SOCKET, "
            "TCPIP::192.168.0.5::INSTR, GPIB0::26::INSTR, ASRL/dev/ttyUSB0::INSTR or serial:/dev/ttyUSB0"
        ) from error
    manager = _manager(settings.visa)
    started = time.monotonic()
    try:
        opened = manager.open_resource(name, open_timeout=max(1, round(settings.open_timeout * 1e3)))
    except VisaIOError as error:
        raise ConnectionError(str(error)) from error
    except ValueError as error:  # pyvisa-py: no session class, with the reason
        raise ConfigError(f"resource {name}: {error}") from error
    except Exception as error:  # pyvisa-py raises bare Exception where nobody listens
        raise ConnectionError(str(error)) from error
    if not isinstance(opened, MessageBasedResource):
        opened.close()
        raise ConfigError(f"resource {name}: no instrument that takes and gives messages")
    if settings.visa == "@py" and parsed.resource_class == "SOCKET":
        left = max(0.001, settings.open_timeout - (time.monotonic() - started))
        return SocketLink(opened, _connected(opened, left))
    if settings.visa == "@py" and isinstance(parsed, rname.TCPIPInstr) and not _hislip(parsed):
        from drivers.transport.vxi11 import Vxi11Link

        return Vxi11Link(opened)
    return _visa_link(opened, parsed.interface_type, parsed.resource_class, settings)


def _hislip(parsed: rname.TCPIPInstr) -> bool:
    return parsed.lan_device_name.lower().startswith("hislip")


def _expect_full_reads(resource: Any) -> ExitStack:
    """Reading just what is there ends with "as many bytes as asked for", of which pyvisa would warn."""
    from pyvisa.constants import StatusCode

    stack = ExitStack()
    stack.enter_context(resource.ignore_warning(StatusCode.success_max_count_read))
    return stack


def _connected(resource: MessageBasedResource, timeout_s: float) -> socket.socket:
    """The socket of a pyvisa-py resource, once its connection stands."""
    library: Any = resource.visalib
    line: socket.socket = library.sessions[resource.session].interface
    select.select([], [line], [], timeout_s)
    code = line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        resource.close()
        raise ConnectionRefusedError(code, "connection refused or host unreachable")
    return line


def _visa_link(
    resource: MessageBasedResource, interface: str, kind: str, settings: TransportSettings
) -> Link:
    from pyvisa import constants

    if interface == "ASRL":
        serial: Any = resource
        serial.baud_rate = settings.baud
        serial.data_bits = settings.data_bits
        serial.parity = constants.Parity[settings.parity]
        serial.stop_bits = constants.StopBits(10 * settings.stop_bits)
        flows = {"none": "none", "rts-cts": "rts_cts", "xon-xoff": "xon_xoff"}
        serial.flow_control = constants.ControlFlow[flows[settings.flow]]
        serial.end_input = constants.SerialTermination.none
        return VisaLink(resource, stream=True, ends=False)
    if kind == "SOCKET":
        resource.set_visa_attribute(_attribute("termchar"), settings.read_end[-1])
        resource.set_visa_attribute(_attribute("termchar_enabled"), True)
    return VisaLink(resource, stream=False, ends=kind != "SOCKET")
