"""A run that does not come to its end keeps what it gave: doses, wear and costs are in its record."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hil import session
from hil.bench import Bench, Execution
from hil.errors import BenchError
from hil.lock import LineLocks
from hil.opened import OpenedBench
from hil.schedule import Program, Schedule
from hil.session import Prepared
from hil.setup import load_bench
from hil.store import open_run

SMALL = (
    "data.pixels=7",
    "data.train=200",
    "data.test=50",
    "network.layers=[{outputs: 6, activation: tanh}, {outputs: 10, activation: softmax}]",
    "training.epochs=1",
    "training.rate=0.05",
)


class Breaks:
    """A bench that ends with an error in its n-th schedule of pulses, which may have gone out."""

    def __init__(self, bench: Bench, ends: Callable[[], BaseException], at: int) -> None:
        self.bench, self.ends, self.left = bench, ends, at
        self.arrays, self.durable, self.identity = bench.arrays, bench.durable, bench.identity
        self.given = {name: np.zeros(info.shape, np.int64) for name, info in bench.arrays.items()}
        self.answered = 0

    def execute(self, schedule: Schedule) -> Execution:
        programs = [op for op in schedule if isinstance(op, Program)]
        for op in programs:
            self.given[op.region.array][np.ix_(op.region.rows, op.region.cols)] += np.abs(op.counts)
        self.left -= bool(programs)
        if programs and self.left == 0:
            raise self.ends()
        self.answered += sum(int(np.abs(op.counts).sum()) for op in programs)
        return self.bench.execute(schedule)

    def make_safe(self) -> None:
        self.bench.make_safe()

    def close(self) -> None:
        self.bench.close()


def breaking(ends: Callable[[], BaseException], at: int) -> tuple[Prepared, Breaks]:
    setup = session.prepare(overrides=SMALL)
    bench = Breaks(setup.bench, ends, at)
    settings, _ = load_bench()
    return replace(setup, bench=OpenedBench(bench, settings, LineLocks())), bench


@pytest.mark.parametrize("at", [1, 40], ids=["while the first weights are written", "in training"])
@pytest.mark.parametrize(
    ("ends", "status"),
    [
        (lambda: BenchError("smu: no answer"), "failed"),
        (lambda: ZeroDivisionError("a driver's own mistake"), "failed"),
        (lambda: KeyboardInterrupt("SIGINT"), "stopped"),
    ],
)
def test_whatever_ends_a_run_every_pulse_that_may_have_gone_out_is_in_its_doses(
    tmp_path: Path, ends: Callable[[], BaseException], status: str, at: int
) -> None:
    setup, bench = breaking(ends, at)
    with pytest.raises(type(ends())) as raised:
        session.execute(setup, tmp_path)
    ended = open_run(tmp_path)
    assert ended.status == status
    assert any(str(ended.path) in note for note in raised.value.__notes__)
    assert ended.doses.keys() == bench.given.keys()
    for name, given in bench.given.items():
        np.testing.assert_array_equal(ended.doses[name], given)
    assert ended.summary["wear"] == max(int(given.max()) for given in bench.given.values()) > 0
    assert ended.summary["pulses"] == ended.cost.pulses == bench.answered
    assert ended.summary["error"] == f"{type(raised.value).__name__}: {raised.value}"


def test_on_a_durable_bench_intents_have_their_steps_and_pulses_in_doubt_are_told(tmp_path: Path) -> None:
    setup, bench = breaking(lambda: BenchError("smu: no answer"), 40)
    bench.durable = True
    with pytest.raises(BenchError) as raised:
        session.execute(setup, tmp_path)
    ended = open_run(tmp_path)
    *_, last = ended.intents
    assert last.in_doubt
    assert last.step == ended.events[-1][0] > 10
    assert len({intent.step for intent in ended.intents}) > 10
    assert list(ended.training["samples"]) == [last.step], "the window that was under way is kept"
    doubts = [note for note in raised.value.__notes__ if note.startswith("in doubt: ")]
    assert len(doubts) == 1
    assert f" {last.pulses:,} pulses to layer" in doubts[0]


def test_a_disk_that_is_full_when_a_run_fails_does_not_hide_why_it_failed(tmp_path: Path) -> None:
    def full() -> BaseException:
        journal = next(tmp_path.glob("*/journal.sqlite"))
        with sqlite3.connect(journal) as other:
            other.executescript(
                "CREATE TRIGGER full BEFORE INSERT ON finish BEGIN SELECT RAISE(FAIL, 'full'); END;"
            )
        other.close()
        return BenchError("smu: no answer")

    setup, _ = breaking(full, 1)
    with pytest.raises(BenchError, match="no answer") as raised:
        session.execute(setup, tmp_path)
    assert sum("could not be marked as failed" in note for note in raised.value.__notes__) == 1
