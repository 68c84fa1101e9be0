"""One process on a bench: who is second is told who is first, and a lock never outlives its holder."""

from __future__ import annotations

import getpass
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drivers.transport.links import same_line
from hil import setup
from hil.errors import BenchError, InUseError
from hil.lock import FOLDER, LineLocks
from hil.opened import lock_lines

HOLD = """
import sys
from pathlib import Path
from hil import setup
from hil.opened import lock_lines
locks = lock_lines(setup.load_bench(Path(sys.argv[1]))[0])
locks.note_run(Path("runs/first"))
print("held", flush=True)
sys.stdin.readline()
locks.release()
print("released", flush=True)
sys.stdin.readline()
"""
LINE = """\
driver: line
controller:
  resource: {}
arrays: {{main: {{rows: 0-3, cols: 0-3}}}}
device: ideal
"""
CROSSPOINT = """\
driver: crosspoint
smu: {{driver: keithley-2600, resource: {}}}
pulser: {{driver: keysight-33500, resource: "TCPIP::10.0.0.2::5025::SOCKET"}}
matrix: {{driver: keithley-700, resource: "TCPIP::10.0.0.3::5025::SOCKET"}}
buses: {{smu: A, pulser: B, ground: C}}
arrays: {{main: {{rows: 0-3, cols: 4-7}}}}
device: ideal
"""
HERE = "TCPIP::10.0.0.1::5025::SOCKET"


@pytest.fixture(autouse=True)
def locks_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "locks"))


def bench(folder: Path, name: str, text: str = LINE, resource: str = HERE) -> Path:
    path = folder / name
    path.write_text(text.format(f'"{resource}"'))
    return path


def lock(path: Path) -> LineLocks:
    return lock_lines(setup.load_bench(path)[0])


@contextmanager
def holding(path: Path) -> Generator[subprocess.Popen[str]]:
    """Another process has the bench."""
    command = [sys.executable, "-c", HOLD, str(path), "\x1b[31mred"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    path = bench(tmp_path, "bench.yaml")
    with holding(path) as first, pytest.raises(InUseError) as refused:
        lock(path)
    told = str(refused.value)
    assert told.startswith(f"{path}:3: controller.resource: {HERE} is in use by process {first.pid} of user ")
    assert f"user {getpass.getuser()} since 20" in told
    assert f"-c {path} ?[31mred, run {Path('runs/first').resolve()})" in told


def test_a_killed_process_frees_its_bench_within_a_second(tmp_path: Path) -> None:
    path = bench(tmp_path, "bench.yaml")
    with holding(path) as first:
        began = time.monotonic()
        os.kill(first.pid, signal.SIGKILL)
        first.wait(10)
        locks = lock(path)
        assert time.monotonic() - began < 1
    locks.release()


def test_a_bench_that_is_closed_is_free_while_its_process_lives(tmp_path: Path) -> None:
    path = bench(tmp_path, "bench.yaml")
    with holding(path) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        first.stdin.write("\n")
        first.stdin.flush()
        assert first.stdout.readline() == "released\n"
        lock(path).release()
        assert first.poll() is None


def test_two_bench_files_that_share_one_instrument_collide(tmp_path: Path) -> None:
    one = lock(bench(tmp_path, "line.yaml"))
    shared = bench(tmp_path, "crosspoint.yaml", CROSSPOINT, "TCPIP0::10.0.0.1::5025::SOCKET")
    with pytest.raises(InUseError, match=r"crosspoint.yaml:2: smu.resource: TCPIP0::.* this very process"):
        lock(shared)
    one.release()
    other = lock(shared)
    free = bench(tmp_path, "free.yaml", resource="TCPIP::10.0.0.4::5025::SOCKET")
    lock(free).release()
    with pytest.raises(InUseError, match=r"line.yaml:3: controller.resource"):
        lock(tmp_path / "line.yaml")
    other.release()


def test_who_is_refused_one_instrument_keeps_none_of_the_others(tmp_path: Path) -> None:
    matrix = lock(bench(tmp_path, "line.yaml", resource="TCPIP::10.0.0.3::5025::SOCKET"))
    with pytest.raises(InUseError, match="matrix"):
        lock(bench(tmp_path, "crosspoint.yaml", CROSSPOINT))
    lock(bench(tmp_path, "smu.yaml")).release()
    matrix.release()


def test_a_bench_that_fails_to_open_is_free_again(tmp_path: Path) -> None:
    settings, _ = setup.load_bench(bench(tmp_path, "bench.yaml", resource="TCPIP::127.0.0.1::1::SOCKET"))
    for _ in range(2):
        with pytest.raises(BenchError, match=r"bench.yaml:3: controller.resource: .*is it powered"):
            setup.open_bench(settings)


def test_a_simulated_bench_is_locked_by_nobody(tmp_path: Path) -> None:
    for _ in range(2):
        assert setup.open_bench(sizes={"main": (2, 2)}).arrays
    assert not (tmp_path / "locks").exists()


def test_a_lock_may_be_let_go_of_by_another_thread_and_twice(tmp_path: Path) -> None:
    path = bench(tmp_path, "bench.yaml")
    locks = lock(path)
    for _ in range(2):
        thread = threading.Thread(target=locks.release)
        thread.start()
        thread.join()
    lock(path).release()


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"pid": "x"}', "\x00", json.dumps({"pid": 1})])
def test_a_lock_counts_although_nothing_sensible_is_told_of_its_holder(note: str, tmp_path: Path) -> None:
    path = bench(tmp_path, "bench.yaml")
    locks = lock(path)
    (written,) = (tmp_path / "locks").glob("*.holder")
    written.write_text(note)
    with pytest.raises(InUseError, match="in use by another process"):
        lock(path)
    locks.release()


def test_without_a_place_for_locks_nothing_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(FOLDER, str(tmp_path / "file" / "locks"))
    with pytest.raises(BenchError, match=f"cannot be locked .* set {FOLDER} to a folder"):
        lock(bench(tmp_path, "bench.yaml"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("TCPIP::host::5025::SOCKET", "TCPIP0::HOST::5025::SOCKET"),
        ("TCPIP::host::INSTR", "TCPIP0::host::inst0::INSTR"),
        ("TCPIP::localhost::5025::SOCKET", "TCPIP::127.0.0.1::5025::SOCKET"),
        ("TCPIP::localhost,1024::INSTR", "TCPIP0::127.0.0.1,1024::inst0::INSTR"),
        ("serial:/dev/ttyX", "ASRL/dev/ttyX::INSTR"),
        ("serial:{}/by-id", "serial:{}/port"),
    ],
)
def test_a_line_is_the_same_by_all_its_names(one: str, other: str, tmp_path: Path) -> None:
    (tmp_path / "by-id").symlink_to(tmp_path / "port")
    assert same_line(one.format(tmp_path)) == same_line(other.format(tmp_path))


def test_different_lines_differ() -> None:
    names = ["TCPIP::host::5025::SOCKET", "TCPIP::host::5026::SOCKET", "GPIB0::2::INSTR", "GPIB0::3::INSTR"]
    names += ["ASRL3::INSTR", "serial:/dev/ttyX", "serial:/dev/ttyx", "no resource"]
    assert len({same_line(name) for name in names}) == len(names)
