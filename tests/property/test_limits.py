"""Random schedules: nothing over a limit reaches the bench, and nothing within limits is held back."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hil.bench import Execution
from hil.errors import LimitError
from hil.limits import LimitedBench, Limits
from hil.schedule import Multiply, Nudge, Op, Program, Pulse, Read, Region, Schedule, Variants, Wait
from tests.contract.reference import ReferenceBench

LIMITS = Limits(read_v=0.25, program_v=2.0, width_min_s=1e-7, width_max_s=1e-5, pulses_per_op=7, dose=60)
SHAPE = {"main": (9, 7), "side": (4, 5)}
OPERATIONS = 100_000


class Spy(ReferenceBench):
    """Takes what reaches it and does nothing."""

    last: Schedule | None = None

    def execute(self, schedule: Schedule) -> Execution:
        self.last = schedule
        return Execution((), ())


class Checker:
    """The limits once more, one device at a time in plain Python, from their definition alone."""

    def __init__(self) -> None:
        self.spent = {name: [[0] * cols for _ in range(rows)] for name, (rows, cols) in SHAPE.items()}

    def allows(self, schedule: Schedule) -> bool:
        """Whether the whole schedule is within limits; if so its pulses are spent."""
        pulses: dict[tuple[str, int, int], int] = {}
        for op in schedule:
            given: dict[tuple[str, int, int], int] = {}
            for device, count in self.given(op):
                given[device] = given.get(device, 0) + count
            if any(count > 7 for count in given.values()):
                return False
            if not all(-0.25 <= v <= 0.25 for v in self.driven(op)):
                return False
            if not all(-2 <= p.amplitude_v <= 2 and 1e-7 <= p.width_s <= 1e-5 for p in self.shapes(op)):
                return False
            for device, count in given.items():
                pulses[device] = pulses.get(device, 0) + count
        if any(self.spent[a][r][c] + count > 60 for (a, r, c), count in pulses.items()):
            return False
        for (a, r, c), count in pulses.items():
            self.spent[a][r][c] += count
        return True

    @staticmethod
    def driven(op: Op) -> list[float]:
        if isinstance(op, Read):
            return [op.voltage_v]
        volts = [] if isinstance(op, Wait | Program) else op.volts.ravel().tolist()
        if isinstance(op, Multiply) and op.variants is not None:
            volts += op.variants.volts.ravel().tolist()
        return volts

    @staticmethod
    def shapes(op: Op) -> list[Pulse]:
        if isinstance(op, Program) or (isinstance(op, Nudge) and op.kind == "pulse"):
            return [pulse for pulse in (op.potentiate, op.depress) if pulse is not None]
        return []

    @staticmethod
    def given(op: Op) -> list[tuple[tuple[str, int, int], int]]:
        if isinstance(op, Program):
            region = op.region
            return [
                ((region.array, row, col), abs(count))
                for row, counts in zip(region.rows.tolist(), op.counts.tolist(), strict=True)
                for col, count in zip(region.cols.tolist(), counts, strict=True)
                if count
            ]
        if isinstance(op, Nudge) and op.kind == "pulse":
            rows, cols = op.region.rows.tolist(), op.region.cols.tolist()
            return [
                ((op.region.array, rows[r], cols[c]), 2 * abs(int(op.size))) for r, c in op.points.tolist()
            ]
        return []


class Author:
    """Writes schedules whose values lie within limits, at them, just or far beyond, or are not finite."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.regions = [
            Region(name, self.lines(rows), self.lines(cols))
            for name, (rows, cols) in SHAPE.items()
            for _ in range(20)
        ]
        self.wrong = False

    def lines(self, most: int) -> NDArray[np.int64]:
        if self.rng.random() < 0.5:
            start, stop = np.sort(self.rng.choice(most + 1, 2, replace=False))
            return np.arange(start, stop)
        return self.rng.permutation(most)[: self.rng.integers(1, most + 1)]

    def schedule(self) -> Schedule:
        # Every other schedule is meant to be within limits; the rest have about one bad value in ten.
        self.wrong = bool(self.rng.random() < 0.5)
        return tuple(self.op() for _ in range(self.rng.integers(1, 6)))

    def slips(self) -> bool:
        return self.wrong and bool(self.rng.random() < 0.1)

    def magnitude(self, limit: float) -> float:
        sign = self.rng.choice((-1.0, 1.0))
        if self.slips():
            return sign * float(self.rng.choice((math.nextafter(limit, math.inf), 2 * limit, 1e300)))
        return sign * limit if self.rng.random() < 0.1 else float(sign * self.rng.uniform(1e-3, 1) * limit)

    def volts(self, *shape: int) -> NDArray[np.float64] | NDArray[np.float32]:
        volts = self.rng.uniform(-0.25, 0.25, shape)
        if self.slips() and volts.size:
            where = np.unravel_index(self.rng.integers(volts.size), shape)
            volts[where] = self.rng.choice((math.nan, math.inf, -math.inf, math.nextafter(0.25, 1), -0.26))
            return volts
        return volts.astype(np.float32) if self.rng.random() < 0.5 else volts

    def pulse(self) -> Pulse:
        width = float(self.rng.choice((1e-7, 1e-6, 1e-5)))
        if self.slips():
            width = float(self.rng.choice((math.nextafter(1e-7, 0), math.nextafter(1e-5, 1), 1.0)))
        return Pulse(self.magnitude(2.0), width)

    def op(self) -> Op:
        region = self.regions[self.rng.integers(len(self.regions))]
        rows, cols = region.shape
        kind, n = self.rng.integers(5), int(self.rng.integers(0, 3))
        if kind == 0:
            return Read(region, self.magnitude(0.25), 1e-6)
        if kind == 1:
            back = bool(self.rng.random() < 0.5)
            lines = cols if back else rows
            which = self.rng.integers(0, lines, int(self.rng.integers(0, 3)))
            variants = Variants(which, self.volts(which.size, n)) if self.rng.random() < 0.5 else None
            return Multiply(region, self.volts(n, lines), 1e-6, back, variants)
        if kind == 2:
            most = 9 if self.slips() else int(self.rng.integers(1, 8))
            counts = self.rng.integers(-most, most + 1, (rows, cols)) * (self.rng.random((rows, cols)) < 0.5)
            return Program(region, counts.astype(np.int16), self.pulse(), self.pulse())
        if kind == 3:
            points = np.stack([self.rng.integers(0, rows, n), self.rng.integers(0, cols, n)], axis=1)
            size = int(self.rng.integers(1, 6 if self.slips() else 3)) * int(self.rng.choice((-1, 1)))
            pulses = self.pulse(), self.pulse()
            which = self.rng.choice(("gate", "current", "pulse"))
            return Nudge(region, points, str(which), size, self.volts(n, rows), 1e-6, *pulses)  # type: ignore[arg-type]
        return Wait(0.0)


def test_no_schedule_over_a_limit_reaches_the_bench_and_none_within_is_refused() -> None:
    author, spy = Author(20), Spy()
    bench, checker = LimitedBench(spy, LIMITS), Checker()
    asked = refused = worn_out = 0
    while asked < OPERATIONS:
        schedule = author.schedule()
        asked += len(schedule)
        spy.last = None
        try:
            bench.execute(schedule)
        except LimitError as error:
            refused += 1
            worn_out += "its dose is" in str(error)
        if (spy.last is schedule) != checker.allows(schedule):
            raise AssertionError(f"limits and their definition disagree on {schedule}")
        if refused % 500 == 499:  # new devices, or soon everything would be refused for its dose
            assert {name: dose.tolist() for name, dose in bench.doses.items()} == checker.spent
            bench, checker = LimitedBench(spy, LIMITS), Checker()
    assert {name: dose.tolist() for name, dose in bench.doses.items()} == checker.spent
    assert 0.2 < refused / (asked / 3) < 0.8
    assert worn_out > 100
