"""Every routine on both benches of instruments, interrupted: what was measured is kept and can be
read, and every output is at 0 V.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hil.bench import Bench
from hil.calibrate.choose import routines, targets
from hil.calibrate.conduct import About, calibrate
from hil.calibrate.file import read_record, record_paths
from hil.limits import LimitedBench, Limits
from tests.socket.crosspoint_server import PULSES, crosspoint_bench
from tests.socket.line_server import line_bench

DEVICE = {"preset": "ideal", "levels_up": 40, "levels_down": 40, "initial": "uniform", **PULSES}
BENCH: dict[str, Any] = {"device": DEVICE, "read": {"voltage": 0.1, "integration": 1e-3}}
ROUTINES = (
    *("devices", "disturb", "drift", "line-resistance", "offset", "pulse-search", "read-noise"),
    "update-curve",
)


def interrupted(bench: Bench, routine: str, folder: Path) -> None:
    """Begin a routine and interrupt it after its second schedule, or its first where there is no other."""
    (target,) = targets(bench.arrays)
    settings = ["drift.until=0.05s"] if routine == "drift" else []
    chosen = routines([routine], settings)[routine]
    last = min(2, chosen.rounds(target))

    def told(done: int) -> None:
        if done == last:
            raise KeyboardInterrupt("SIGINT")

    limited = LimitedBench(bench, Limits(dose=10_000))
    with pytest.raises(KeyboardInterrupt) as caught:
        calibrate(routine, chosen, limited, target, About("lab"), folder, told)
    (path,) = record_paths(folder)
    assert str(path) in caught.value.__notes__[-1]
    record = read_record(path)
    assert record.partial == "KeyboardInterrupt: SIGINT"
    assert record.steps
    assert record.cost.reads > 0


@pytest.mark.parametrize("routine", ROUTINES)
def test_on_single_instruments(tmp_path: Path, routine: str) -> None:
    with crosspoint_bench(**BENCH, arrays={"main": {"rows": "0-2", "cols": "12-14"}}) as lab:
        interrupted(lab.bench, routine, tmp_path)
        assert lab.off
        assert lab.cold
        assert not lab.grid.closed


@pytest.mark.parametrize("routine", ROUTINES)
def test_on_a_board(tmp_path: Path, routine: str) -> None:
    with line_bench(**BENCH, arrays={"main": {"rows": "0-2", "cols": "0-2"}}) as (bench, there):
        interrupted(bench, routine, tmp_path)
        assert not there.controller.board.holds
