"""How protocols and calibrations are written: generators that yield schedules and are sent what came of them.

Plans compose with ``yield from``, are tested without any bench by sending answers, and meet a bench in
:func:`run` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from types import FunctionType
from typing import Any, Protocol, TypeAlias, TypeVar

from hil.bench import Bench, Execution
from hil.errors import BenchError, BrokenOffError, ScheduleError
from hil.interrupt import unwrapped_interrupts
from hil.schedule import Schedule, merge

T = TypeVar("T")

Plan: TypeAlias = Generator[Schedule, Execution, T]


class Recorder(Protocol):
    """Told of every schedule before and after it runs; a run store is one.

    On a durable bench ``before`` must have committed the intent when it returns: only then is anything
    output.
    """

    def before(self, schedule: Schedule, *, durable: bool) -> None:
        """A schedule is about to run."""
        ...

    def after(self, schedule: Schedule, execution: Execution) -> None:
        """It ran, and this came of it. Not called when it failed."""
        ...


def run(
    plan: Plan[T],
    bench: Bench,
    record: Recorder | None = None,
    revive: Callable[[BenchError], bool] = lambda error: False,
) -> T:
    """Drive a plan on a bench to its end and return its result. The only loop that touches a bench.

    ``revive`` is asked after an error of the bench, which is safe by then: if it says True the bench can be
    worked with again, and the plan is told by BrokenOffError. Nothing is sent twice: a plan that goes on does
    so from what the devices hold.

    Whatever ends it, Ctrl-C included, the bench is made safe before the result or the error travels on, and
    the plan is closed so that its own ``finally`` clauses run.

    Raises
    ------
    BenchError, LimitError, ScheduleError
        What the bench raised. A StopIteration out of a driver becomes a BenchError: it would otherwise end
        the plan as if it had succeeded.
    ScheduleError
        Before anything is asked of the bench: ``plan`` is no generator, or yields what is no schedule.
    """
    _require_plan(plan)
    durable = bench.durable
    with unwrapped_interrupts():
        try:
            schedule = next(plan)
            while True:
                try:
                    execution = _execute(schedule, bench, record, durable=durable)
                except BenchError as error:
                    schedule = _go_on(plan, error, revive)
                else:
                    schedule = plan.send(execution)
        except StopIteration as stop:
            return stop.value
        finally:
            bench.make_safe()
            plan.close()


def _go_on(plan: Plan[Any], error: BenchError, revive: Callable[[BenchError], bool]) -> Schedule:
    """What a plan wants after a schedule of it broke off and the bench came back; else the error goes on."""
    if not revive(error):
        raise error
    broken = BrokenOffError(f"a schedule broke off: {error}")
    try:
        return plan.throw(broken)
    except BrokenOffError as untaken:
        if untaken is broken:
            raise error from None
        raise


def watched(
    plan: Plan[None], stop: Callable[[], bool], told: Callable[[int], None] = lambda done: None
) -> Generator[Schedule, Execution, bool]:
    """The plan, left before the first schedule for which ``stop`` says so; True if it came to its end.
    ``told`` gets the number of schedules done, after each.
    """
    done = 0
    try:
        schedule = next(plan, None)
        while schedule is not None:
            if stop():
                return False
            execution = yield schedule
            done += 1
            told(done)
            try:
                schedule = plan.send(execution)
            except StopIteration:
                return True
        return True
    finally:
        plan.close()


def _require_plan(plan: object) -> None:
    if isinstance(plan, Generator):
        return
    named = f"the function {plan.__qualname__}" if isinstance(plan, FunctionType) else type(plan).__name__
    raise ScheduleError(
        f"run: asked for {named}; a plan is needed: a generator, as a function with yield gives when called: "
        "def look(): execution = yield (read,); return execution.answers, then run(look(), bench)"
    )


def _execute(schedule: Schedule, bench: Bench, record: Recorder | None, *, durable: bool) -> Execution:
    if not isinstance(schedule, tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ScheduleError(
            f"a plan yielded {schedule!r}; a schedule is a tuple of operations: yield (operation,)"
        )
    try:
        if record is None:
            return bench.execute(schedule)
        record.before(schedule, durable=durable)
        execution = bench.execute(schedule)
        record.after(schedule, execution)
    except StopIteration as stop:
        raise BenchError(
            f"a StopIteration escaped from {type(bench).__name__} or its record; outputs were set to 0 V; "
            "this is a fault of the driver"
        ) from stop
    return execution


def together(plans: Sequence[Plan[T]]) -> Plan[list[T]]:
    """Run independent plans in step, their schedules merged into one per round; returns their results in
    order.

    Use it where nothing of one plan depends on the answers of another: four layers' updates become one
    transaction. Plans that take more rounds than others go on alone.
    """
    results: dict[int, T] = {}
    waiting: dict[int, Schedule] = {}
    try:
        for number, plan in enumerate(plans):
            try:
                waiting[number] = next(plan)
            except StopIteration as stop:
                results[number] = stop.value
        while waiting:
            execution = yield merge(list(waiting.values()))
            start = 0
            for number, schedule in list(waiting.items()):
                stop_at = start + len(schedule)
                part = Execution(execution.answers[start:stop_at], execution.costs[start:stop_at])
                start = stop_at
                try:
                    waiting[number] = plans[number].send(part)
                except StopIteration as stop:
                    del waiting[number]
                    results[number] = stop.value
    finally:
        for plan in plans:
            plan.close()
    return [results[number] for number in range(len(plans))]
