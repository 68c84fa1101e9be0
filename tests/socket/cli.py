"""`hil` in processes of its own, as people run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def virtual(folder: Path, bench: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`hil virtual` until the block ends, then Ctrl-C; ``folder``/bench.yaml finds it."""
    command = [
        sys.executable,
        "-m",
        "hil",
        "virtual",
        str(bench),
        "--write-bench",
        str(folder / "bench.yaml"),
    ]
    for option in options:
        command += ["--bench-set", option]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told: list[str] = []
            for line in process.stdout:
                told.append(line)
                if line.startswith("ready; "):
                    break
            assert any(".resource  " in line for line in told), told
            yield process
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def hil(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "hil", *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def interrupted(folder: Path, begun: str, *arguments: str) -> str:
    """One command that gets Ctrl-C when a line of stdout begins with ``begun`` and ends by it; its stderr."""
    with subprocess.Popen(
        [sys.executable, "-m", "hil", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            next(line for line in process.stdout if line.startswith(begun))
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=100)
        finally:
            process.kill()
    assert process.returncode == 130, said
    return said


def asked(folder: Path, answer: bytes | None, *arguments: str) -> tuple[int, str]:
    """One command on a terminal, and what is typed when it asks (None: Ctrl-C); its exit code and all that it
    says.
    """
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "hil", *arguments]
    said, open_question = b"", True
    with subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        try:
            while part := os.read(ours, 4096):
                said += part
                if open_question and said.rstrip().endswith(b"[y/N]"):
                    open_question = False
                    if answer is None:
                        process.send_signal(signal.SIGINT)
                    else:
                        os.write(ours, answer)
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    return process.returncode, said.decode()
