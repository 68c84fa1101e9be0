"""A run outlives its writer: kill -9 and a full disk lose nothing that was committed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hil.store import open_run

# Tells on its standard output what has been committed, so that the test knows what must not be lost.
WRITER = """
import itertools, sys
from pathlib import Path
import numpy as np
from hil.bench import Cost, Execution
from hil.schedule import Program, Pulse, Region
from hil.store import RunWriter
from hil.training.events import TrainingRow

region = Region.block("main", range(4), range(4))
schedule = (Program(region, np.ones((4, 4), np.int16), Pulse(1, 1e-6), Pulse(-1, 1e-6)),)
with RunWriter.create(Path(sys.argv[1]), {"name": "killed", "created": "2025-01-01T00:00:00"}) as run:
    for step in itertools.count():
        run.before(schedule, durable=True)
        run.after(schedule, Execution((None,), (Cost(pulses=16),)))
        run.training(TrainingRow(step, step, 0, 1.0, 0.5, 0, 0.0))
        print(step, flush=True)
"""

FULL_DISK = """
import resource, sys
from pathlib import Path
from hil.errors import StoreError
from hil.store import RunWriter
from hil.training.events import TrainingRow

with RunWriter.create(Path(sys.argv[1]), {"name": "full", "created": "2025-01-01T00:00:00"}) as run:
    run.event("note", "committed before")
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))  # no file may grow beyond
    for step in range(100_000):
        run.event("note", "x" * 1000)
"""


def _start(script: str, root: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, str(root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9 on Windows")
@pytest.mark.parametrize("after", [0, 3, 57])
def test_kill_9_loses_nothing_committed_and_leaves_at_most_one_schedule_in_doubt(
    tmp_path: Path, after: int
) -> None:
    writer = _start(WRITER, tmp_path)
    assert writer.stdout is not None
    for _ in range(after + 1):
        told = int(writer.stdout.readline())
    run = open_run(tmp_path)
    assert run.status == "running"
    os.kill(writer.pid, signal.SIGKILL)
    told = max([told, *(int(line) for line in writer.communicate()[0].split())])

    assert run.status == "interrupted"
    assert run.integrity() == "ok"
    assert run.training["step"].tolist() == list(range(run.training.size))
    assert told < run.training.size <= told + 2
    assert run.cost_history["pulses"][told] == 16 * (told + 1)
    intents = run.intents
    assert sum(intent.in_doubt for intent in intents) <= 1
    assert not any(intent.in_doubt for intent in intents[: told + 1])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file size")
def test_a_full_disk_is_a_store_error_naming_the_file_and_what_was_committed_stays_readable(
    tmp_path: Path,
) -> None:
    writer = _start(FULL_DISK, tmp_path)
    _, error = writer.communicate()
    assert f"StoreError: {tmp_path / '20250101-000000-full' / 'journal.sqlite'}: cannot be written" in error
    run = open_run(tmp_path)
    assert run.integrity() == "ok"
    assert run.events[0] == (0, "note", "committed before")
    assert run.events[-1][2] == "x" * 1000
