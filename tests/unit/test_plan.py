"""Plans meet a bench in `run` alone: whatever ends one, outputs are made safe and the plan is closed."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest

from hil.bench import Cost, Execution
from hil.errors import BenchError
from hil.plan import Plan, run, together
from hil.schedule import Read, Region, Schedule, Wait
from tests.contract.reference import ReferenceBench


class Bench(ReferenceBench):
    """The reference bench with a diary, failing on the schedule given by number."""

    def __init__(self, fails_with: BaseException | None = None, at: int = 0) -> None:
        super().__init__()
        self.diary: list[str] = []
        self.fails_with, self.at = fails_with, at

    def execute(self, schedule: Schedule) -> Execution:
        number = self.diary.count("execute")
        self.diary.append("execute")
        if self.fails_with is not None and number == self.at:
            raise self.fails_with
        return super().execute(schedule)

    def make_safe(self) -> None:
        self.diary.append("safe")


class Record:
    """A recorder that writes into the bench's diary, failing where told to."""

    def __init__(self, bench: Bench, fails: str = "", error: BaseException | None = None) -> None:
        self.bench, self.fails, self.error = bench, fails, error
        self.durable: bool | None = None

    def before(self, schedule: Schedule, *, durable: bool) -> None:
        self.durable = durable
        self.note("before")

    def after(self, schedule: Schedule, execution: Execution) -> None:
        self.note("after")

    def note(self, what: str) -> None:
        self.bench.diary.append(what)
        if what == self.fails and self.error is not None:
            raise self.error


def waits(diary: list[str], *seconds: float, result: str = "done") -> Plan[str]:
    try:
        for time in seconds:
            yield (Wait(time),)
        return result
    finally:
        diary.append("closed")


def test_a_plan_is_sent_what_came_of_its_schedules_and_its_result_returned() -> None:
    bench = Bench()

    def plan() -> Plan[list[float]]:
        took: list[float] = []
        for seconds in (1.0, 2.0):
            execution = yield (Wait(seconds), Wait(seconds))
            took.append(execution.cost.seconds)
        return took

    assert run(plan(), bench) == [2.0, 4.0]
    assert bench.diary == ["execute", "execute", "safe"]


def test_a_plan_that_asks_for_nothing_returns_and_the_bench_is_made_safe() -> None:
    bench = Bench()
    assert run(waits(bench.diary), bench) == "done"
    assert bench.diary == ["closed", "safe"]


def test_the_record_commits_before_output_and_is_told_after() -> None:
    bench = Bench()
    bench.durable = True
    record = Record(bench)
    run(waits(bench.diary, 1.0), bench, record)
    assert bench.diary == ["before", "execute", "after", "closed", "safe"]
    assert record.durable is True


@pytest.mark.parametrize(
    "error", [BenchError("lost"), ValueError("bug"), KeyboardInterrupt(), SystemExit(1)], ids=repr
)
def test_whatever_the_bench_raises_travels_on_after_it_is_made_safe_and_the_plan_closed(
    error: BaseException,
) -> None:
    bench = Bench(error, at=1)
    record = Record(bench)
    with pytest.raises(type(error)) as caught:
        run(waits(bench.diary, 1.0, 2.0, 3.0), bench, record)
    assert caught.value is error
    assert bench.diary == ["before", "execute", "after", "before", "execute", "safe", "closed"]


@pytest.mark.parametrize("kind", [SystemError, ImportError])
def test_an_interrupt_that_compiled_code_wrapped_is_an_interrupt_again(kind: type[Exception]) -> None:
    wrapped = kind("returned a result with an exception set")
    wrapped.__cause__ = KeyboardInterrupt("SIGINT")
    wrapped.add_note("kept")
    bench = Bench(wrapped, at=1)
    with pytest.raises(KeyboardInterrupt, match="SIGINT") as caught:
        run(waits(bench.diary, 1.0, 2.0), bench)
    assert caught.value.__notes__ == ["kept"]
    assert bench.diary[-2:] == ["safe", "closed"]


@pytest.mark.parametrize("kind", [SystemError, ImportError])
def test_an_error_of_compiled_code_without_an_interrupt_stays_what_it_is(kind: type[Exception]) -> None:
    with pytest.raises(kind, match="bug"):
        run(waits(["start"], 1.0, 2.0), Bench(kind("bug"), at=1))


@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyboardInterrupt()], ids=repr)
def test_an_error_in_the_plan_makes_the_bench_safe(error: BaseException) -> None:
    bench = Bench()

    def plan() -> Plan[None]:
        yield (Wait(1.0),)
        raise error

    with pytest.raises(type(error)) as caught:
        run(plan(), bench)
    assert caught.value is error
    assert bench.diary == ["execute", "safe"]


@pytest.mark.parametrize("where", ["before", "after"])
def test_an_error_in_the_record_makes_the_bench_safe(where: str) -> None:
    bench = Bench()
    with pytest.raises(OSError, match="disk full"):
        run(waits(bench.diary, 1.0), bench, Record(bench, where, OSError("disk full")))
    assert bench.diary[-2:] == ["safe", "closed"]
    assert ("execute" in bench.diary) == (where == "after")


def test_a_stop_iteration_out_of_a_bench_does_not_end_a_run_as_a_success() -> None:
    bench = Bench(StopIteration("from a driver"), at=1)
    with pytest.raises(BenchError, match="StopIteration escaped from Bench"):
        run(waits(bench.diary, 1.0, 2.0), bench)
    assert bench.diary == ["execute", "execute", "safe", "closed"]


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_stop_iteration_out_of_a_record_does_not_end_a_run_as_a_success(where: str) -> None:
    bench = Bench()
    with pytest.raises(BenchError, match="StopIteration escaped"):
        run(waits(bench.diary, 1.0), bench, Record(bench, where, StopIteration()))
    assert bench.diary[-2:] == ["safe", "closed"]


def test_plans_together_share_one_schedule_a_round_and_return_in_order() -> None:
    diary: list[str] = []
    plan = together(
        [waits(diary, 1.0, 2.0, result="a"), waits(diary, result="b"), waits(diary, 3.0, result="c")]
    )
    rounds: list[Schedule] = []

    def watched() -> Generator[Schedule, Execution, list[str]]:
        schedule = next(plan)
        while True:
            rounds.append(schedule)
            execution = yield schedule
            try:
                schedule = plan.send(execution)
            except StopIteration as stop:
                return stop.value

    assert run(watched(), Bench()) == ["a", "b", "c"]
    assert rounds == [(Wait(1.0), Wait(3.0)), (Wait(2.0),)]


def test_each_plan_together_gets_its_own_answers_and_costs() -> None:
    bench = Bench()

    def read(*rows: int) -> Plan[tuple[list[np.ndarray], float]]:
        ops = [Read(Region("main", np.array([row]), np.arange(7)), 0.1, 1e-6) for row in rows]
        execution = yield (*ops, Wait(float(len(rows))))
        found = [answer.siemens[0] for answer in execution.answers[:-1]]  # type: ignore[union-attr]
        assert execution.answers[-1] is None
        return found, execution.costs[-1].seconds

    wanted = [(3, 1), (), (2,)]
    for rows, (found, seconds) in zip(
        wanted, run(together([read(*rows) for rows in wanted]), bench), strict=True
    ):
        np.testing.assert_allclose(np.reshape(found, (len(rows), 7)), bench.g["main"][list(rows)], rtol=1e-12)
        assert seconds == len(rows)
    assert bench.diary.count("execute") == 1


def test_no_plans_together_ask_for_nothing() -> None:
    bench = Bench()
    assert run(together([]), bench) == []
    assert bench.diary == ["safe"]


def test_an_error_closes_all_plans_together() -> None:
    closed: list[str] = []

    def fails() -> Plan[str]:
        yield (Wait(1.0),)
        raise RuntimeError("bug")

    bench = Bench()
    with pytest.raises(RuntimeError, match="bug"):
        run(together([waits(closed, 1.0, 2.0), fails(), waits(closed, 1.0)]), bench)
    assert closed == ["closed", "closed"]
    assert bench.diary[-1] == "safe"


def test_a_bench_error_closes_all_plans_together() -> None:
    closed: list[str] = []
    with pytest.raises(BenchError, match="lost"):
        run(together([waits(closed, 1.0), waits(closed, 1.0)]), Bench(BenchError("lost")))
    assert closed == ["closed", "closed"]


def test_a_plan_is_tested_without_a_bench_by_sending_answers() -> None:
    plan = waits([], 1.0)
    assert next(plan) == (Wait(1.0),)
    with pytest.raises(StopIteration) as stop:
        plan.send(Execution((None,), (Cost(seconds=1.0),)))
    assert stop.value.value == "done"
