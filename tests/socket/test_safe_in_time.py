"""Making safe ends in time, whatever the lines are like: sockets that stop answering, or are not taken."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from drivers.array_controller import ArrayController
from drivers.sim.virtual.faults import Fault, Faults
from drivers.transport.session import Session, open_session
from drivers.transport.settings import TransportSettings
from hil.errors import DesyncError, DisconnectedError, TimeoutError_
from hil.region import Region
from hil.schedule import Multiply, Program, Read
from tests.socket.crosspoint_server import crosspoint_bench

PATIENT = TransportSettings()
"""As in a bench file that says nothing."""


def ask_name(session: Session) -> None:
    session.query("*IDN?")


@contextmanager
def nobody_takes_it() -> Generator[str]:
    """A resource to which a connection is begun and never taken, as to a host that is switched off."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # fills the backlog
            yield f"TCPIP::127.0.0.1::{port}::SOCKET"


def test_two_dead_sources_are_switched_off_at_once_and_the_relays_open_within_two_seconds() -> None:
    with crosspoint_bench() as lab:
        info = lab.bench.arrays["main"]
        some = Region.block("main", range(2), range(2))
        pulses = Program(some, np.ones((2, 2), np.int16), info.device.potentiate, info.device.depress)
        lab.bench.execute((pulses, Read(some, 0.1, 20e-3)))
        for role in ("smu", "pulser"):
            lab.outlets[role].faults = Faults([Fault(kind="silent", share=1.0)])
        began = time.monotonic()
        problems = lab.bench.probe.make_safe()
        assert time.monotonic() - began < 2.0
        assert lab.off
        assert not lab.grid.closed
        assert [problem.split(":")[0] for problem in problems] == ["smu", "pulser"]
        assert lab.cold
        for role in ("smu", "pulser"):
            lab.outlets[role].faults = Faults([])
        assert lab.bench.probe.make_safe() == ()
        lab.bench.execute((Multiply(some, np.array([[0.1, 0.1]]), 20e-3),))


def test_a_session_that_was_lent_to_be_made_safe_belongs_to_the_same_thread_afterwards() -> None:
    with crosspoint_bench() as lab:
        done: list[tuple[str, ...]] = []
        lab.bench.make_safe()
        for line in lab.bench.probe.lines:
            assert line.query("*IDN?")
        thread = threading.Thread(target=lambda: done.append(lab.bench.probe.make_safe()))
        thread.start()
        thread.join()
        assert "belongs to another thread" in done[0][-1]  # the matrix; nobody took it over
        for line in lab.bench.probe.lines:
            line.hand_over()
        assert lab.bench.probe.make_safe() == ()


@pytest.mark.parametrize("kind", ["mute", "away"])
def test_a_recovery_ends_when_its_time_is_over(kind: str, tcp: Any) -> None:
    tcp.answer = lambda command, line: None
    with open_session(tcp.resource, PATIENT, role="smu") as session:
        with pytest.raises(TimeoutError_):
            session.query("anybody?", timeout_s=0.01)
        began = time.monotonic()
        with nobody_takes_it() as away:
            if kind == "away":
                session.resource = away
            with pytest.raises((TimeoutError_, DisconnectedError)), session.within(0.3):
                session.recover(ask_name)
        assert time.monotonic() - began < 1.5  # without a bound 6 s and 15 s
        assert session.state == "desynchronised"


def test_a_line_that_never_falls_silent_is_found_out(tcp: Any) -> None:
    stop = threading.Event()

    def talk(command: bytes, line: Any) -> None:
        while not stop.wait(0.005):
            line.say(b".")

    tcp.answer = talk
    settings = PATIENT.model_copy(update={"timeout": 0.2, "attempts": 1})
    with open_session(tcp.resource, settings, role="smu") as session:
        session.write("talk")
        with pytest.raises(DesyncError, match=r"bytes unasked within 0\.2 s, and no end"):
            session.clear()
        stop.set()


def test_a_board_that_does_not_answer_is_given_up_in_time(tcp: Any) -> None:
    tcp.answer = lambda command, line: None
    controller = ArrayController(open_session(tcp.resource, PATIENT, role="controller"))
    began = time.monotonic()
    problems = controller.make_safe()
    assert time.monotonic() - began < 3.0  # without a bound 14 s
    assert problems == ("controller: sent STOP; the board did not say that its outputs are at 0 V",)
    controller.session.close()
