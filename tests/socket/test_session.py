"""A session over real sockets and pseudo-terminals: what is refused, and that no answer is taken twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from drivers.transport.session import Session, open_session
from drivers.transport.settings import TransportSettings
from hil.errors import ConfigError, DesyncError, DisconnectedError, IdentityError, OwnerError, TimeoutError_
from hil.wire import WireLog

QUICK = TransportSettings(timeout=5.0, quiet=0.002, open_timeout=5.0)


def who(session: Session) -> None:
    name = session.query("*IDN?")
    if name != "MAKER,MODEL,123,1.0":
        raise IdentityError(name)


def test_a_question_has_its_answer_and_counts_one_transaction(session: Session, other: Any) -> None:
    assert session.query("*IDN?") == "MAKER,MODEL,123,1.0"
    session.write("output off")
    assert [session.query(f"echo {k}") for k in range(50)] == [str(k) for k in range(50)]
    assert session.transactions == 52
    assert other.heard[:2] == [b"*IDN?", b"output off"]


def test_an_answer_in_pieces_is_put_together(session: Session, other: Any) -> None:
    def answer(command: bytes, line: Any) -> None:
        for piece in (b"1.0", b"e-", b"6\n"):
            line.say(piece)

    other.answer = answer
    assert session.query("i?") == "1.0e-6"


def test_lines_and_counted_bytes_can_be_read_one_after_the_other(session: Session, other: Any) -> None:
    other.answer = lambda command, line: line.say(b"first\nsecond\n\x00\x01\n\xff")
    assert session.query("all?") == "first"
    assert session.read_line() == "second"
    assert session.read_bytes(4) == b"\x00\x01\n\xff"
    assert session.transactions == 1


def test_after_a_time_out_every_verb_is_refused_until_recovered(session: Session, other: Any) -> None:
    heard = len(other.heard)
    with pytest.raises(TimeoutError_, match=r"smu: 'mute\?': no answer within 0.05 s"):
        session.query("mute?", timeout_s=0.05)
    assert session.state == "desynchronised"
    verbs: tuple[Callable[[], object], ...] = (
        lambda: session.query("*IDN?"),
        lambda: session.write("pulse"),
        session.read_line,
        lambda: session.query_bytes(b"x", 1),
    )
    for verb in verbs:
        with pytest.raises(DesyncError, match="not sent; recover first"):
            verb()
    session.recover(who)
    assert session.state == "open"
    assert session.query("echo again") == "again"
    assert other.heard[heard:] == [b"mute?", b"*IDN?", b"echo again"]


def test_an_extra_line_is_found_before_the_next_command_leaves(session: Session, other: Any) -> None:
    other.answer = lambda command, line: line.say(b"mine\nnobody's\n")
    assert session.query("value?") == "mine"
    with pytest.raises(DesyncError, match=r"nobody's.*on the line unasked.*'pulse' was not sent"):
        session.write("pulse")
    assert session.state == "desynchronised"
    assert b"pulse" not in other.heard


@pytest.mark.parametrize(
    "reply",
    [b"1.0\x002\n", b"\xff\xfe\n", b"\x1b[31m1.0\n", b"1.0\xc2\xb5A\n"],
    ids=["NUL", "UTF-8", "ESC", "micro"],
)
def test_an_answer_that_is_no_ascii_text_is_refused(session: Session, other: Any, reply: bytes) -> None:
    other.answer = lambda command, line: line.say(reply)
    with pytest.raises(DesyncError, match="no text"):
        session.query("value?")
    assert session.state == "desynchronised"


def test_a_truncated_answer_is_a_time_out_that_shows_it(session: Session, other: Any) -> None:
    other.answer = lambda command, line: line.say(b"1.23")
    with pytest.raises(TimeoutError_, match=r"no answer but '1.23'"):
        session.query("value?", timeout_s=0.2)


def test_an_answer_over_the_cap_is_refused(tcp: Any) -> None:
    tcp.answer = lambda command, line: line.say(b"7" * 1_000_000 + b"\n")
    settings = QUICK.model_copy(update={"max_reply_bytes": 65_536, "timeout": 5.0})
    with open_session(tcp.resource, settings, role="smu") as session:
        with pytest.raises(DesyncError, match="over 65536 bytes"):
            session.query("value?")
        assert session.state == "desynchronised"


def test_an_answer_that_cannot_be_parsed_desynchronises(session: Session) -> None:
    assert session.ask("echo 5", int) == 5
    with pytest.raises(DesyncError, match=r"'echo five' was answered 'five'"):
        session.ask("echo five", int)
    assert session.state == "desynchronised"


def test_a_question_is_put_again_only_when_asked_to_and_never_a_command(session: Session, other: Any) -> None:
    def first_time_mute(command: bytes, line: Any) -> None:
        if command == b"*IDN?":
            line.say(b"MAKER,MODEL,123,1.0\n")
        elif command == b"echo 1" and other.heard.count(command) > 1:
            line.say(b"1\n")

    other.answer = first_time_mute
    session.identify = who
    assert session.ask("echo 1", int, timeout_s=0.2, attempts=2) == 1
    assert other.heard == [b"echo 1", b"*IDN?", b"echo 1"]


def test_another_thread_is_refused_and_can_be_handed_the_session(session: Session) -> None:
    outcome: list[object] = []

    def elsewhere(take: bool) -> None:
        try:
            if take:
                session.hand_over()
            outcome.append(session.query("echo 1"))
        except OwnerError as error:
            outcome.append(error)

    for take in (False, True):
        thread = threading.Thread(target=elsewhere, args=(take,))
        thread.start()
        thread.join()
    assert isinstance(outcome[0], OwnerError)
    assert outcome[1] == "1"
    with pytest.raises(OwnerError, match="another thread"):
        session.query("echo 1")


def test_closing_from_another_thread_wakes_the_one_that_waits(tcp: Any) -> None:
    outcome: list[BaseException] = []
    asked = threading.Event()
    tcp.answer = lambda command, line: asked.set()

    def waiting(session: Session) -> None:
        session.hand_over()
        try:
            session.query("mute?", timeout_s=60.0)
        except DisconnectedError as error:
            outcome.append(error)

    session = open_session(tcp.resource, QUICK, role="smu")
    thread = threading.Thread(target=waiting, args=(session,))
    thread.start()
    assert asked.wait(10)
    session.close()
    thread.join(10)
    assert not thread.is_alive()
    assert len(outcome) == 1
    assert session.state == "closed"


def test_an_interrupt_while_waiting_desynchronises(session: Session, other: Any, mocker: Any) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    mocker.patch.object(session.wire, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.query("echo 1")
    mocker.stopall()
    with pytest.raises(DesyncError):
        session.query("echo 2")


def test_recovery_refuses_another_instrument_at_once(session: Session, other: Any) -> None:
    other.answer = lambda command, line: line.say(b"MAKER,MODEL,999,1.0\n") if command == b"*IDN?" else None
    with pytest.raises(TimeoutError_):
        session.query("mute?", timeout_s=0.05)
    with pytest.raises(IdentityError, match="999"):
        session.recover(who)
    assert session.state == "desynchronised"
    assert other.heard.count(b"*IDN?") == 1


def test_switching_off_is_possible_in_any_state(session: Session, other: Any) -> None:
    with pytest.raises(TimeoutError_):
        session.query("mute?", timeout_s=0.05)
    session.force("output off")
    with pytest.raises(DesyncError):
        session.write("pulse")
    session.recover(who)
    assert other.heard == [b"mute?", b"output off", b"*IDN?"]


def test_only_one_line_of_printable_text_is_a_command(session: Session, other: Any) -> None:
    for text in ("", "a\nb", "a\rb", "naïve", "\x00", "a\x1bb"):
        with pytest.raises(ConfigError, match="no command"):
            session.write(text)
    assert session.state == "open"
    assert other.heard == []


def test_a_closed_session_says_so(session: Session) -> None:
    session.close()
    session.close()
    with pytest.raises(DisconnectedError, match="closed"):
        session.query("*IDN?")


def test_a_line_that_is_hung_up_is_no_time_out(tcp: Any) -> None:
    tcp.answer = lambda command, line: line.hang_up()
    with open_session(tcp.resource, QUICK.model_copy(update={"timeout": 30.0}), role="smu") as session:
        with pytest.raises(DisconnectedError, match="does not answer"):
            session.query("value?")
        assert session.state == "desynchronised"
        tcp.answer = lambda command, line: line.say(b"MAKER,MODEL,123,1.0\n")
        session.recover(who)
        assert session.state == "open"


def test_a_side_that_takes_nothing_is_a_time_out_of_the_write(tcp: Any) -> None:
    done = threading.Event()
    tcp.answer = lambda command, line: done.wait(10) and None
    settings = QUICK.model_copy(update={"timeout": 0.2})
    with open_session(tcp.resource, settings, role="smu") as session:
        session.write("listen no more")
        with pytest.raises(TimeoutError_, match="not taken"):
            session.write_bytes(b"x" * 100_000_000)
        assert session.state == "desynchronised"
    done.set()


def test_nobody_there_is_said_when_opening() -> None:
    for resource in ("TCPIP::127.0.0.1::1::SOCKET", "serial:/dev/nothing", "ASRL/dev/nothing::INSTR"):
        with pytest.raises(DisconnectedError, match=r"does not answer|nothing"):
            open_session(resource, QUICK)


@pytest.mark.parametrize("resource", ["smu", "TCPIP::", "serial"])
def test_a_resource_that_cannot_be_understood_is_a_configuration_error(resource: str) -> None:
    with pytest.raises(ConfigError, match="VISA resource"):
        open_session(resource, QUICK)


def test_every_message_is_in_the_wire_log(other: Any) -> None:
    wire = WireLog()
    with open_session(other.resource, QUICK, wire, role="smu") as session:
        session.query("*IDN?")
        session.write("output off")
    talk = [(m.role, m.direction, m.data) for m in wire.last if m.direction != "event"]
    assert talk == [
        ("smu", "sent", b"*IDN?\n"),
        ("smu", "received", b"MAKER,MODEL,123,1.0\n"),
        ("smu", "sent", b"output off\n"),
    ]
    times = [message.monotonic_s for message in wire.last]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("resource", "library"),
    [("GPIB0::26::INSTR", "gpib"), ("USB0::0x0957::0x8E18::MY51140001::INSTR", "usb")],
)
def test_gpib_and_usb_without_their_library_say_what_to_install(resource: str, library: str) -> None:
    if find_spec(library):
        pytest.skip(f"{library} is installed")
    with pytest.raises(ConfigError, match=f"resource {resource}: Please install"):
        open_session(resource, QUICK)
