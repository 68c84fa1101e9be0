"""The wire log of a run: every message is in its folder, `hil wire` shows it, a bench replays it offline."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from drivers.line.bench import line_bench_on
from drivers.line.settings import LineBenchSettings
from drivers.transport.replay import replay
from hil import session, setup
from hil.bench import Bench
from hil.cli import app
from hil.face import read
from hil.lock import FOLDER
from hil.opened import WIRE
from hil.store import Run
from hil.wire import Message, WireLog, read_wire
from tests.socket.line_server import line_settings, served

LINE = """\
driver: line
controller: {{resource: "{}", transport: {{timeout: 2 s, quiet: 5 ms}}}}
arrays: {{main: {{rows: 0-8, cols: 0-5}}}}
device: ideal
"""
EXPERIMENT = """\
name: small
seed: 1
data: {name: csv, path: points.csv, train: 8, test: 2}
network: {layers: [{outputs: 2, activation: softmax}]}
gradient: backprop
update: bidirectional
training: {epochs: 1, batch: 4, rate: 0.3, evaluations: 1, update_noise_every: 0}
initial: {kind: keep}
"""
KILLED = """
import os, signal, sys
from pathlib import Path
from hil.wire import WireLog
log = WireLog(Path(sys.argv[1]))
for number in range(500):
    log.add("smu", "sent", b"%d" % number)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FOLDER, str(tmp_path / "locks"))


@pytest.fixture
def run() -> Run:
    """A training on a virtual board that is gone by now."""
    points = [f"{k % 2 + 0.1 * k},{(k + 1) % 2},{k % 2}" for k in range(12)]
    Path("points.csv").write_text("a,b,label\n" + "\n".join(points) + "\n")
    Path("small.yaml").write_text(EXPERIMENT)
    with served(line_settings()) as there:
        Path("bench.yaml").write_text(LINE.format(there.resource))
        return session.execute(session.prepare(Path("small.yaml"), Path("bench.yaml")))


def hil(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else result.stderr


def messages(run: Run) -> list[Message]:
    return list(read_wire(run.path / WIRE))


def test_a_run_keeps_every_message_from_the_connection_to_the_last_stop(run: Run) -> None:
    found = messages(run)
    assert {message.role for message in found} == {"controller"}
    assert found[0].data.startswith(b"opened TCPIP")
    assert b" HELLO v=1" in found[1].data
    programs = [message for message in found if message.direction == "sent" and b" RUN " in message.data]
    assert len(programs) == run.cost.transactions
    assert any(b" STOP" in message.data for message in found[-4:])
    assert all(later.monotonic_s >= first.monotonic_s for first, later in pairwise(found))


def test_messages_are_shown_by_role_text_and_number(run: Run) -> None:
    lines = hil("wire").splitlines()
    assert len(lines) == len(messages(run))
    assert "0.000000  controller * opened TCPIP" in lines[0]
    assert hil("wire", str(run.path), "--last", "3").splitlines() == lines[-3:]
    stops = hil("wire", "--grep", " STOP").splitlines()
    assert stops == [line for line in lines if " STOP" in line]
    assert stops
    assert hil("wire", "--role", "smu") == ""
    assert max(map(len, lines)) < 300


def test_messages_as_json_have_every_byte(run: Run) -> None:
    shown = json.loads(hil("wire", "--json"))
    found = messages(run)
    assert [each["data"].encode("latin-1") for each in shown] == [message.data for message in found]
    assert [each["direction"] for each in shown] == [message.direction for message in found]
    assert shown[0]["seconds"] == 0
    (last,) = json.loads(hil("wire", "--json", "--last", "1", "--role", "controller"))
    assert last == shown[-1]


def test_what_an_instrument_says_is_no_command_to_the_terminal(run: Run) -> None:
    log = WireLog(run.path / WIRE)
    log.add("\x1b[2J", "received", b"\x1b[31m\xff\x00\r\n")
    log.close()
    (line,) = hil("wire", "--last", "1").splitlines()
    assert line.isprintable()
    assert "\\x1b[31m\\xff\\x00" in line


def test_a_bench_is_replayed_offline(run: Run) -> None:
    """What was read after a run is read again, from the log alone, by the same driver and bench."""
    with served(line_settings()) as there:
        Path("bench.yaml").write_text(LINE.format(there.resource))
        settings = cast(LineBenchSettings, setup.load_bench(Path("bench.yaml"))[0])
        with setup.open_bench(settings) as bench:
            bench.record_in(Path())
            measured = shown(bench)
    recorded = replay(read_wire(Path(WIRE)), "controller", settings.controller.transport)
    offline = line_bench_on(recorded, settings)
    np.testing.assert_array_equal(shown(offline), measured)
    assert offline.identity == bench.identity
    offline.close()


def shown(bench: Bench) -> NDArray[np.floating]:
    return read(bench, "main")


def test_a_simulated_run_has_no_wire_log() -> None:
    Path("points.csv").write_text("a,b,label\n" + "0.1,0.2,0\n0.9,0.4,1\n" * 6)
    Path("small.yaml").write_text(EXPERIMENT)
    run = session.execute(session.prepare(Path("small.yaml")))
    assert not list(run.path.glob("wire*"))
    assert "no wire log; the bench talked to no instrument" in hil("wire", str(run.path), code=5)


def test_a_process_that_is_killed_has_kept_every_message_before() -> None:
    subprocess.run([sys.executable, "-c", KILLED, WIRE], check=False)
    assert [int(message.data) for message in read_wire(Path(WIRE))] == list(range(500))


def test_a_log_that_cannot_be_written_ends_no_run_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("points.csv").write_text("a,b,label\n" + "0.1,0.2,0\n0.9,0.4,1\n" * 6)
    Path("small.yaml").write_text(EXPERIMENT)
    monkeypatch.setattr("hil.opened.WIRE", "/dev/full")
    with served(line_settings()) as there:
        Path("bench.yaml").write_text(LINE.format(there.resource))
        run = session.execute(session.prepare(Path("small.yaml"), Path("bench.yaml")))
    assert run.status == "finished"
    assert any(kind == "warning" and "wire log cannot be written" in text for _, kind, text in run.events)
