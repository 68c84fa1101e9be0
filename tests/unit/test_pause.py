"""A line is lost in the middle of a run: what is waited for, what is not, and what a plan is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hil.bench import Execution
from hil.errors import (
    BenchError,
    BrokenOffError,
    DesyncError,
    DisconnectedError,
    IdentityError,
    InstrumentError,
    InUseError,
    TimeoutError_,
)
from hil.pause import Pause
from hil.plan import Plan, run
from hil.schedule import Schedule, Wait
from tests.contract.reference import ReferenceBench

ONE, TWO, THREE = ((Wait(seconds),) for seconds in (1.0, 2.0, 3.0))


class Away(ReferenceBench):
    """The reference bench: schedules given by number fail, and it is back after some virtual seconds."""

    def __init__(self, error: BenchError, at: tuple[int, ...] = (1,), away_s: float = 0.0) -> None:
        super().__init__()
        self.error, self.at, self.away_s = error, at, away_s
        self.done: list[Schedule] = []
        self.asked = self.safe = 0
        self.now = 0.0
        self.until = 0.0
        self.other: BenchError | None = None

    def execute(self, schedule: Schedule) -> Execution:
        self.asked += 1
        if self.asked - 1 in self.at:
            self.until = self.now + self.away_s
            raise self.error
        self.done.append(schedule)
        return super().execute(schedule)

    def make_safe(self) -> None:
        self.safe += 1

    def come_back(self) -> None:
        if self.now < self.until:
            raise DisconnectedError("smu: nobody answers")
        if self.other is not None:
            raise self.other

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def pausing(
    bench: Away,
    told: list[str],
    most_s: float = 300.0,
    place: Callable[[], str] = lambda: "training step 7",
    stop: Callable[[], bool] = lambda: False,
) -> Pause:
    def tell(kind: str, text: str) -> None:
        told.append(f"{kind}: {text}")

    return Pause(bench, most_s, place, tell, stop, lambda: bench.now, bench.sleep)


def ends_at_once() -> Plan[str]:
    yield ONE
    yield TWO
    return "done"


def goes_on(told: list[str]) -> Plan[str]:
    for schedule in (ONE, TWO, THREE):
        try:
            yield schedule
        except BrokenOffError as broken:
            told.append(str(broken))
    return "done"


LOST = [DisconnectedError("smu: gone"), TimeoutError_("smu: silent"), DesyncError("smu: garbage")]


@pytest.mark.parametrize("error", LOST, ids=repr)
@pytest.mark.parametrize("away_s", [0, 1, 10, 60])
def test_a_plan_goes_on_when_its_instruments_are_back_and_nothing_is_repeated(
    error: BenchError, away_s: float
) -> None:
    bench, told = Away(error, away_s=away_s), []
    assert run(goes_on(told), bench, None, pausing(bench, told)) == "done"
    assert bench.done == [ONE, THREE]
    assert away_s <= bench.now <= away_s + 2
    assert told[0].startswith(f"paused: at training step 7: {error}; outputs off; waiting up to")
    assert told[1].startswith("resumed: after ")
    assert told[2] == f"a schedule broke off: {error}"
    assert bench.safe == 2, "when it was lost, and at the end"


def test_a_bench_that_lost_its_power_behind_a_lost_line_is_waited_for_too() -> None:
    error = BenchError("controller: the board was reset")
    error.__cause__ = LOST[0]
    bench, told = Away(error), []
    assert run(goes_on(told), bench, None, pausing(bench, told)) == "done"


def test_a_plan_that_cannot_go_on_ends_with_what_happened() -> None:
    bench, told = Away(LOST[0]), []
    with pytest.raises(DisconnectedError) as caught:
        run(ends_at_once(), bench, None, pausing(bench, told))
    assert caught.value is LOST[0]


def test_who_stays_away_too_long_ends_the_run() -> None:
    bench, told = Away(DisconnectedError("smu: gone"), away_s=1000.0), []
    with pytest.raises(DisconnectedError) as caught:
        run(goes_on(told), bench, None, pausing(bench, told, most_s=30.0))
    assert bench.now == 30
    assert caught.value.__notes__ == ["waited 30 s for it: smu: nobody answers"]


def test_ctrl_c_ends_the_waiting() -> None:
    bench, told = Away(DisconnectedError("smu: gone"), away_s=1000.0), []
    with pytest.raises(DisconnectedError, match="gone"):
        run(goes_on(told), bench, None, pausing(bench, told, stop=lambda: bench.now >= 6))
    assert bench.now == 6


def test_another_instrument_in_its_place_ends_the_run_at_once() -> None:
    bench, told = Away(DisconnectedError("smu: gone"), away_s=4.0), []
    bench.other = IdentityError("smu: serial number 7 answers")
    with pytest.raises(DisconnectedError) as caught:
        run(goes_on(told), bench, None, pausing(bench, told))
    assert bench.now == 4
    assert caught.value.__notes__ == ["not gone on with: smu: serial number 7 answers"]


@pytest.mark.parametrize(
    "error", [BenchError("x"), InstrumentError("x", 5), InUseError("x"), IdentityError("x")], ids=repr
)
def test_what_is_no_lost_line_is_not_waited_for(error: BenchError) -> None:
    bench, told = Away(error), []
    with pytest.raises(type(error)):
        run(goes_on(told), bench, None, pausing(bench, told))
    assert not told


def test_nothing_is_waited_for_where_the_bench_file_says_so_or_the_bench_cannot() -> None:
    bench, told = Away(LOST[0]), []
    with pytest.raises(DisconnectedError):
        run(goes_on(told), bench, None, pausing(bench, told, most_s=0))
    plain = Pause(ReferenceBench(), 300.0, lambda: "here", lambda kind, text: told.append(text))
    assert not plain(LOST[0])
    assert not told


def test_what_fails_at_one_place_again_and_again_ends_the_run_and_elsewhere_counts_anew() -> None:
    bench, told = Away(DisconnectedError("smu: gone"), at=(0, 1, 2, 3)), []

    def again() -> Plan[str]:
        while True:
            try:
                yield ONE
            except BrokenOffError:
                continue
            return "done"

    with pytest.raises(DisconnectedError) as caught:
        run(again(), bench, None, pausing(bench, told))
    assert caught.value.__notes__ == ["not waited for again: lost 3 times before at training step 7"]
    bench, told = Away(DisconnectedError("smu: gone"), at=(0, 1, 2, 3)), []
    places = iter("abcd")
    assert run(again(), bench, None, pausing(bench, told, place=lambda: next(places))) == "done"
