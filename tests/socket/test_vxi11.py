"""A session over VXI-11 by pyvisa and pyvisa-py, against the virtual server."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import pyvisa
from pyvisa_py.protocols import rpc, vxi11

from drivers.sim.virtual.faults import Fault, Faults
from drivers.sim.virtual.rpc import Arguments
from drivers.sim.virtual.server import Outlet, serving
from drivers.transport.session import Session, open_session
from drivers.transport.settings import TransportSettings
from hil.errors import DesyncError, DisconnectedError, IdentityError, TimeoutError_

QUICK = TransportSettings(timeout=5.0, quiet=0.01, open_timeout=5.0)
SOON = TransportSettings(timeout=0.3, quiet=0.01, open_timeout=5.0)


@dataclass
class Device:
    """*IDN? with a name, echo with the word, anything else with nothing."""

    heard: list[bytes] = field(default_factory=list[bytes])
    came: threading.Event = field(default_factory=threading.Event)

    def receive(self, line: bytes) -> bytes:
        self.heard.append(line)
        self.came.set()
        if line == b"*IDN?":
            return b"MAKER,MODEL,123,1.0\n"
        return line.removeprefix(b"echo ") + b"\n" if line.startswith(b"echo ") else b""


@contextmanager
def served(*faults: Fault, portmapper: int | None = None) -> Generator[tuple[Device, Outlet]]:
    device = Device()
    outlet = Outlet(device, Faults(list(faults)), link="vxi11", portmapper=portmapper)
    with serving([outlet]):
        yield device, outlet


def who(session: Session) -> None:
    if session.query("*IDN?") != "MAKER,MODEL,123,1.0":
        raise IdentityError("another")


def test_questions_have_their_answers_however_long_both_are() -> None:
    with served() as (device, outlet), open_session(outlet.resource, QUICK) as session:
        assert session.query("*IDN?") == "MAKER,MODEL,123,1.0"
        session.write("output off")
        for size in (1, 1023, 1024, 20_000):
            assert session.query("echo " + "7" * size) == "7" * size
        assert session.transactions == 6
    assert device.heard[1] == b"output off"


def test_a_time_out_is_recovered_by_device_clear_and_reopening() -> None:
    with served() as (device, outlet), open_session(outlet.resource, QUICK, role="smu") as session:
        with pytest.raises(TimeoutError_, match=r"no answer within 0\.05 s"):
            session.query("mute?", timeout_s=0.05)
        with pytest.raises(DesyncError, match="recover first"):
            session.query("echo 1")
        session.recover(who)
        assert session.query("echo 2") == "2"
        assert device.heard == [b"mute?", b"*IDN?", b"echo 2"]


def test_device_clear_drops_the_answer_that_is_late_and_the_commands_behind_it() -> None:
    with (
        served(Fault(kind="late", on="slow", numbers=[1], delay=0.3)) as (device, outlet),
        open_session(outlet.resource, SOON) as session,
    ):
        with pytest.raises(TimeoutError_):
            session.query("echo slow", timeout_s=0.05)
        session.force("pulse")
        session.recover(who)
        assert session.query("echo new", timeout_s=5.0) == "new"
        assert device.heard == [b"echo slow", b"*IDN?", b"echo new"]


def test_an_answer_that_comes_on_the_link_opened_next_is_no_answer_to_anything() -> None:
    with (
        served(Fault(kind="late-next", on="slow", numbers=[1], delay=0.2)) as (_, outlet),
        open_session(outlet.resource, QUICK.model_copy(update={"quiet": 0.5})) as session,
    ):
        with pytest.raises(TimeoutError_):
            session.query("echo slow", timeout_s=0.05)
        session.recover(who)
        assert session.query("echo new") == "new"


def test_a_second_answer_is_found_before_the_next_command() -> None:
    with (
        served(Fault(kind="extra-line", on="value", numbers=[1])) as (device, outlet),
        open_session(outlet.resource, QUICK) as session,
    ):
        assert session.query("echo value") == "value"
        with pytest.raises(DesyncError, match="'pulse' was not sent"):
            session.write("pulse")
        assert device.heard == [b"echo value"]


@pytest.mark.parametrize("kind", ["truncated", "garbage", "nul", "huge"])
def test_a_spoilt_answer_is_refused_and_the_next_is_right(kind: Any) -> None:
    with (
        served(Fault(kind=kind, on="value", numbers=[1])) as (_, outlet),
        open_session(outlet.resource, QUICK.model_copy(update={"max_reply_bytes": 4096})) as session,
    ):
        with pytest.raises((DesyncError, TimeoutError_)):
            session.query("echo value", timeout_s=0.3)
        session.recover(who)
        assert session.query("echo 2") == "2"


@pytest.mark.parametrize("kind", ["disconnect-before", "disconnect-within", "disconnect-after"])
def test_a_closed_connection_is_told_at_once_and_comes_back(kind: Any) -> None:
    patient = QUICK.model_copy(update={"timeout": 3600.0})
    with (
        served(Fault(kind=kind, on="value", numbers=[1])) as (_, outlet),
        open_session(outlet.resource, patient) as session,
    ):
        with pytest.raises(DisconnectedError):
            session.query("echo value" + "7" * 3000)
        session.settings = QUICK
        session.recover(who)
        assert session.query("echo 2") == "2"


def test_recovery_refuses_another_instrument() -> None:
    with served() as (device, outlet), open_session(outlet.resource, QUICK) as session:

        def another(asked: Session) -> None:
            raise IdentityError(asked.query("*IDN?"))

        with pytest.raises(IdentityError, match="123"):
            session.recover(another)
        with pytest.raises(DesyncError):
            session.write("pulse")
        assert device.heard == [b"*IDN?"]


def test_closing_from_another_thread_wakes_the_one_that_waits() -> None:
    with served() as (device, outlet):
        session = open_session(outlet.resource, QUICK)
        outcome: list[BaseException] = []

        def waiting() -> None:
            session.hand_over()
            try:
                session.query("mute?", timeout_s=3600.0)
            except DisconnectedError as error:
                outcome.append(error)

        thread = threading.Thread(target=waiting)
        thread.start()
        assert device.came.wait(10)
        session.close()
        thread.join(10)
        assert not thread.is_alive()
        assert len(outcome) == 1


def test_the_port_mapper_says_where_the_instrument_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts ask at port 111, where only root may listen: pyvisa-py's own constant is another here."""
    with served(portmapper=0) as (_, outlet):
        monkeypatch.setattr(rpc, "PMAP_PORT", outlet.mapped)
        with open_session("TCPIP::127.0.0.1::INSTR", QUICK) as session:
            assert session.query("*IDN?") == "MAKER,MODEL,123,1.0"


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param("TCPIP::127.0.0.1,{nobody}::INSTR", id="nobody listens"),
        pytest.param("TCPIP::127.0.0.1,{port}::inst3::INSTR", id="no such device"),
        pytest.param("TCPIP::127.0.0.1,{mapped}::INSTR", id="another program"),
    ],
)
def test_nobody_or_somebody_else_there_is_a_disconnect(resource: str) -> None:
    """pyvisa-py leaves the socket of such an attempt to the garbage collector, of which Python warns."""
    with served() as (_, gone):
        nobody = gone.port
    with served(portmapper=0) as (_, outlet):
        name = resource.format(nobody=nobody, port=outlet.port, mapped=outlet.mapped)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            with pytest.raises(DisconnectedError, match="does not answer"):
                open_session(name, QUICK)
            gc.collect()


def client(port: int, program: int, version: int = 1) -> Any:
    """Calls to a program on a port, whatever it is."""
    made: Any = vxi11.CoreClient.__new__(vxi11.CoreClient)
    made.packer, made.unpacker = vxi11.Vxi11Packer(), vxi11.Vxi11Unpacker(b"")
    rpc.RawTCPClient.__init__(made, "127.0.0.1", program, version, port)
    return made


@contextmanager
def opened(outlet: Outlet) -> Generator[Any]:
    resource = pyvisa.ResourceManager("@py").open_resource(outlet.resource, write_termination="\n")
    try:
        yield resource
    finally:
        resource.close()


def test_the_status_byte_says_whether_an_answer_waits_and_a_clear_drops_it() -> None:
    with served() as (_, outlet), opened(outlet) as resource:
        assert resource.read_stb() == 0
        resource.write("echo 1")
        assert resource.query("echo 2") == "1\n"
        assert resource.read_stb() == 0x10
        resource.clear()
        assert resource.read_stb() == 0


def test_a_read_ends_with_a_termination_character_where_one_is_asked_for() -> None:
    with served() as (_, outlet), opened(outlet) as resource:
        resource.read_termination = ";"
        assert resource.query("echo a;b;c") == "a"
        assert resource.read() == "b"
        resource.clear()


def test_calls_that_are_not_of_the_program_are_refused_by_number() -> None:
    with served() as (_, outlet):
        for program, version, procedure, told in (
            (0x0607AF, 1, 99, "procedure_unavailable"),
            (0x0607AF, 2, 10, r"program_mismatch: \(1, 1\)"),
            (0x0607B1, 1, 30, "program_unavailable"),
        ):
            calling = client(outlet.port, program, version)
            with pytest.raises(rpc.RPCError, match=told):
                calling.make_call(procedure, None, None, None)
            calling.close()


def test_a_call_with_too_little_in_it_is_garbage_and_a_foreign_link_is_none() -> None:
    with served() as (_, outlet):
        core = client(outlet.port, 0x0607AF)
        with pytest.raises(rpc.RPCGarbageArgs):
            core.make_call(10, None, None, None)
        assert core.device_write(7, 100, 100, 8, b"*IDN?") == (4, 0)
        assert core.device_clear(7, 0, 100, 100) == 4
        assert core.device_trigger(7, 0, 100, 100) == 8
        error, link, _, largest = core.create_link(1, 0, 100, "inst0")
        assert (error, largest) == (0, 1024)
        assert core.device_write(link, 100, 100, 8, b"7" * 1025) == (5, 0)
        core.close()


def test_the_abort_channel_ends_a_read_that_waits() -> None:
    with served() as (_, outlet), opened(outlet) as resource:
        session: Any = resource.visalib.sessions[resource.session]
        _, link, abort_port, _ = session.interface.create_link(1, 0, 100, "inst0")
        found: list[Any] = []
        reading = threading.Thread(
            target=lambda: found.append(session.interface.device_read(link, 10, 60_000, 100, 0, 0))
        )
        reading.start()
        abort = client(abort_port, 0x0607B0)
        while reading.is_alive():
            packer, unpacker = abort.packer, abort.unpacker
            assert abort.make_call(1, link, packer.pack_device_link, unpacker.unpack_device_error) == 0
            reading.join(0.01)
        abort.close()
        assert found[0][0] == 23


def test_arguments_are_read_as_xdr_has_them() -> None:
    call = Arguments(b"\x00\x00\x00\x05\x00\x00\x00\x03abc\x00\x00\x00\x00\x01")
    assert (call.word(), call.opaque(), call.word()) == (5, b"abc", 1)
