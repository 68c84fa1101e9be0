"""The wire log: bytes come back as they were, a torn end is forgiven, and a conversation can be replayed."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from drivers.instruments.keithley_2600 import Keithley2600
from drivers.sim.virtual.keithley_2600 import Keithley2600 as Virtual2600
from drivers.sim.virtual.keithley_2600 import Virtual2600Settings
from drivers.sim.virtual.server import Outlet, serving
from drivers.transport.replay import replay
from drivers.transport.session import open_session
from drivers.transport.settings import TransportSettings
from hil.errors import ConfigError, DesyncError, StoreError
from hil.instruments import Sourcing
from hil.wire import Message, WireLog, read_wire

SOURCING = Sourcing(1e-4, 1e-3)


class Resistor:
    def drive(self, source: str, volts: float) -> None: ...

    def current(self, volts: float, integration_s: float) -> float:
        return volts / 1e6


def test_every_byte_comes_back(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "wire.jsonl")
    log.add("smu", "sent", bytes(range(256)), 0.5)
    log.add("matrix", "event", b"opened")
    log.close()
    log.close()
    sent, event = read_wire(tmp_path / "wire.jsonl")
    assert (sent.role, sent.direction, sent.data, sent.duration_s) == ("smu", "sent", bytes(range(256)), 0.5)
    assert (event.role, event.direction, event.data) == ("matrix", "event", b"opened")
    assert 0 <= event.monotonic_s - sent.monotonic_s < 5


def test_a_line_torn_by_a_crash_is_forgiven_at_the_end_only(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl"
    log = WireLog(path)
    log.add("smu", "sent", b"*IDN?\n")
    log.close()
    whole = path.read_text()
    path.write_text(whole + whole[:20])
    assert len(list(read_wire(path))) == 1
    path.write_text(whole[:20] + "\n" + whole)
    with pytest.raises(StoreError, match=r"wire.jsonl:1: no message"):
        list(read_wire(path))
    with pytest.raises(StoreError, match="no wire log"):
        list(read_wire(tmp_path / "nothing"))


def test_a_process_that_is_killed_loses_no_message_of_a_compressed_log(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl.gz"
    script = (
        "import os, signal, sys; from pathlib import Path; from hil.wire import WireLog\n"
        "log = WireLog(Path(sys.argv[1]))\n"
        "for number in range(500): log.add('smu', 'sent', b'%d' % number)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode != 0
    assert [int(message.data) for message in read_wire(path)] == list(range(500))
    blob = path.read_bytes()
    for torn in (len(blob) - 1, len(blob) // 2):
        path.write_bytes(blob[:torn])
        found = [int(message.data) for message in read_wire(path)]
        assert found == list(range(len(found)))
        assert len(found) > 200
    path.write_bytes(blob[:500] + b"damaged" + blob[500:])
    with pytest.raises(StoreError, match=r"wire\.jsonl\.gz"):
        list(read_wire(path))


def test_damage_to_a_compressed_log_takes_none_of_the_messages_before_it(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl.gz"
    log = WireLog(path)
    for number in range(50):
        log.add("smu", "sent", b"%d" % number)
    blob = path.read_bytes()
    log.close()
    path.write_bytes(blob + bytes(4096))  # what a file system may leave of a power failure
    assert [int(message.data) for message in read_wire(path)] == list(range(50))
    path.write_bytes(blob + b"\xff" * 100)
    found: list[int] = []
    with pytest.raises(StoreError, match=r"wire\.jsonl\.gz: damaged"):
        found.extend(int(message.data) for message in read_wire(path))
    assert found == list(range(50))


def test_a_log_that_goes_on_in_the_same_file_reads_as_one(tmp_path: Path) -> None:
    path = tmp_path / "wire.jsonl.gz"
    for number in range(3):
        log = WireLog(path)
        log.add("smu", "sent", b"%d" % number)
        log.close()
    assert [int(message.data) for message in read_wire(path)] == [0, 1, 2]


def test_a_compressed_log_is_several_times_smaller(tmp_path: Path) -> None:
    for name in ("plain.jsonl", "packed.jsonl.gz"):
        log = WireLog(tmp_path / name)
        for number in range(2000):
            log.add("smu", "sent", b'smua.source.levelv=0.05 print("q%d",smua.measure.iv())\n' % number)
            log.add("smu", "received", b"q%d\t%.8e\t5.00000000e-02\n" % (number, 1e-5 / (number + 1)))
        log.close()
    plain, packed = (list(read_wire(tmp_path / name)) for name in ("plain.jsonl", "packed.jsonl.gz"))
    assert [each.data for each in plain] == [each.data for each in packed]
    sizes = [(tmp_path / name).stat().st_size for name in ("plain.jsonl", "packed.jsonl.gz")]
    assert sizes[1] < sizes[0] / 3


@pytest.mark.parametrize("name", ["wire.jsonl", "wire.jsonl.gz"])
def test_a_log_over_its_bound_keeps_its_beginning_and_its_end_and_says_so(name: str, tmp_path: Path) -> None:
    log = WireLog(tmp_path / name, keep=5, max_bytes=3000)
    for number in range(200):
        log.add("smu", "sent", b"%050d" % number)
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 3000
    log.close()
    messages = list(read_wire(tmp_path / name))
    numbers = [int(message.data) for message in messages if message.direction == "sent"]
    (dropped,) = (message for message in messages if message.direction == "event")
    assert b"parts of this log were dropped" in dropped.data
    first = messages.index(dropped)
    assert numbers == [*range(first), *range(200 - len(numbers) + first, 200)]
    assert first > 3
    assert len(numbers) - first > 6


def test_a_log_that_was_dropped_nothing_of_reads_as_one(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "wire.jsonl", max_bytes=3000)
    for number in range(20):
        log.add("smu", "sent", b"%050d" % number)
    log.close()
    assert len(list(tmp_path.iterdir())) == 3
    assert [int(message.data) for message in read_wire(tmp_path / "wire.jsonl")] == list(range(20))


def test_what_was_said_before_there_was_a_file_comes_first_in_it(tmp_path: Path) -> None:
    log = WireLog()
    log.add("smu", "event", b"opened")
    log.keep_in(tmp_path / "wire.jsonl")
    log.add("smu", "sent", b"*IDN?\n")
    assert [message.data for message in read_wire(tmp_path / "wire.jsonl")] == [b"opened", b"*IDN?\n"]
    log.close()


def test_long_messages_do_not_fill_the_memory() -> None:
    log = WireLog()
    for _ in range(40):
        log.add("smu", "sent", b"x" * 1_000_000)
    assert 10 <= len(log.last) < 20


def test_a_full_disk_is_told_and_keeps_nothing_from_being_sent(tmp_path: Path) -> None:
    for path in (Path("/dev/full"), tmp_path / "no such folder" / "wire.jsonl"):
        log = WireLog(path)
        for _ in range(3):
            log.add("smu", "sent", b"output off\n")
        assert "the wire log cannot be written" in log.failure
        assert [message.data for message in log.last].count(b"output off\n") == 3
        log.close()


def add_fifty(log: WireLog, role: str) -> None:
    for _ in range(50):
        log.add(role, "sent", b"x" * 3000)


def test_messages_of_many_threads_stay_whole(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "wire.jsonl")
    threads = [threading.Thread(target=partial(add_fifty, log, f"role{k}")) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    messages = list(read_wire(tmp_path / "wire.jsonl"))
    assert len(messages) == 400
    assert all(len(message.data) == 3000 for message in messages)


def recorded(path: Path) -> list[Message]:
    outlet = Outlet(Virtual2600(Virtual2600Settings(), Resistor(), Resistor()))
    wire = WireLog(path)
    with (
        serving([outlet]),
        open_session(outlet.resource, TransportSettings(quiet=0.002), wire, role="smu") as session,
    ):
        smu = Keithley2600(session)
        smu.attach()
        smu.measure(np.array([0.1, -0.2]), SOURCING)
    wire.close()
    return list(read_wire(path))


def test_a_recorded_measurement_is_replayed_offline(tmp_path: Path) -> None:
    messages = recorded(tmp_path / "wire.jsonl")
    with replay(messages, "smu") as session:
        smu = Keithley2600(session)
        smu.attach()
        readings = smu.measure(np.array([0.1, -0.2]), SOURCING)
    np.testing.assert_allclose(readings.amperes, [1e-7, -2e-7], rtol=1e-8)


def test_a_replay_refuses_another_question_and_another_role(tmp_path: Path) -> None:
    messages = recorded(tmp_path / "wire.jsonl")
    with replay(messages, "smu") as session, pytest.raises(DesyncError, match=r"recorded was sent b'\*IDN"):
        session.query("*RST?")
    with pytest.raises(ConfigError, match="no conversation of 'matrix'"):
        replay(messages, "matrix")
