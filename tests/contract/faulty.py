"""Benches that break the contract in one way each, as real ones have done."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hil.bench import Cost, Execution
from hil.errors import ScheduleError
from hil.schedule import (
    Multiply,
    MultiplyAnswer,
    Nudge,
    NudgeAnswer,
    Op,
    Program,
    Read,
    ReadAnswer,
    Region,
    Schedule,
    Wait,
)
from tests.contract.reference import STEP, ReferenceBench


class ClipsVoltage(ReferenceBench):
    """Drives no more than 0.3 V and says nothing."""

    def read(self, op: Read) -> tuple[ReadAnswer, Cost]:
        answer, cost = super().read(replace(op, voltage_v=min(op.voltage_v, 0.3)))
        return replace(answer, voltage_v=op.voltage_v), cost


class SaturatesUnflagged(ReferenceBench):
    """A converter at its end of range, given out as a reading."""

    def multiply(self, op: Multiply) -> tuple[MultiplyAnswer, Cost]:
        answer, cost = super().multiply(op)
        return replace(answer, amperes=np.clip(answer.amperes, -20e-6, 20e-6)), cost


class IgnoresRowOrder(ReferenceBench):
    """Reads lines in rising order, whatever the region says."""

    def read(self, op: Read) -> tuple[ReadAnswer, Cost]:
        region = Region(op.region.array, np.sort(op.region.rows), np.sort(op.region.cols))
        return super().read(replace(op, region=region))


class ProgramsInRisingOrder(ReferenceBench):
    """Puts counts on lines in rising order, whatever the region says."""

    def program(self, op: Program) -> Cost:
        region = Region(op.region.array, np.sort(op.region.rows), np.sort(op.region.cols))
        return super().program(replace(op, region=region))


class ProgramsWholeRows(ReferenceBench):
    """Forgets to inhibit the columns that are not selected."""

    def program(self, op: Program) -> Cost:
        cost = super().program(op)
        others = np.setdiff1d(np.arange(self.arrays[op.region.array].cols), op.region.cols)
        counts = np.repeat(op.counts.max(axis=1, keepdims=True, initial=0), others.size, axis=1)
        self.shift(Region(op.region.array, op.region.rows, others), counts.astype(np.int64))
        return cost


class IgnoresDepress(ReferenceBench):
    """Sends potentiating pulses alone."""

    def program(self, op: Program) -> Cost:
        cost = super().program(replace(op, counts=np.maximum(op.counts, 0)))
        return replace(cost, pulses=int(np.abs(op.counts.astype(int)).sum()), seconds=1.0)


class PulsesTheWrongWay(ReferenceBench):
    """Has the two polarities exchanged."""

    def program(self, op: Program) -> Cost:
        return super().program(replace(op, counts=-op.counts))


class PulsesOnZero(ReferenceBench):
    """Gives a pulse where none was asked for."""

    def program(self, op: Program) -> Cost:
        cost = super().program(op)
        self.shift(op.region, (op.counts == 0).astype(np.int64))
        return cost


class OnePulseForMany(ReferenceBench):
    """Sends one pulse twice as strong, however many were asked for."""

    def program(self, op: Program) -> Cost:
        cost = super().program(replace(op, counts=2 * np.sign(op.counts)))
        return replace(cost, pulses=int(np.abs(op.counts.astype(int)).sum()), seconds=1.0)


class LiesAboutPulses(ReferenceBench):
    """Counts devices, not pulses."""

    def program(self, op: Program) -> Cost:
        return replace(super().program(op), pulses=int(np.count_nonzero(op.counts)))


class LiesAboutReads(ReferenceBench):
    """Counts operations, not currents."""

    def multiply(self, op: Multiply) -> tuple[MultiplyAnswer, Cost]:
        answer, cost = super().multiply(op)
        return answer, replace(cost, reads=1)


class LiesAboutReadingTime(ReferenceBench):
    """Counts one integration for all vectors."""

    def multiply(self, op: Multiply) -> tuple[MultiplyAnswer, Cost]:
        answer, cost = super().multiply(op)
        return answer, replace(cost, seconds=op.integration_s)


class LiesAboutPulseTime(ReferenceBench):
    """Counts one pulse's time for any number."""

    def program(self, op: Program) -> Cost:
        return replace(super().program(op), seconds=op.potentiate.width_s)


class DoesNotWait(ReferenceBench):
    """Skips waits."""

    def execute(self, schedule: Schedule) -> Execution:
        done = super().execute(schedule)
        costs = (replace(cost, seconds=cost.seconds * bool(cost.reads + cost.pulses)) for cost in done.costs)
        return replace(done, costs=tuple(costs))


class SwapsAnswers(ReferenceBench):
    """Answers the last operation first."""

    def execute(self, schedule: Schedule) -> Execution:
        done = super().execute(schedule)
        return replace(done, answers=done.answers[::-1])


class ReadsFirst(ReferenceBench):
    """Does all readings of a schedule before its pulses."""

    def execute(self, schedule: Schedule) -> Execution:
        order = sorted(range(len(schedule)), key=lambda i: isinstance(schedule[i], Program))
        done = super().execute(tuple(schedule[i] for i in order))
        back = np.argsort(order)
        return Execution(tuple(done.answers[i] for i in back), tuple(done.costs[i] for i in back))


class TransposesWrongly(ReferenceBench):
    """Senses the rows from the far end."""

    def multiply(self, op: Multiply) -> tuple[MultiplyAnswer, Cost]:
        answer, cost = super().multiply(op)
        return (replace(answer, amperes=answer.amperes[..., ::-1]) if op.transpose else answer), cost


class AddsAnOffset(ReferenceBench):
    """Never zeroed its amplifiers."""

    def multiply(self, op: Multiply) -> tuple[MultiplyAnswer, Cost]:
        answer, cost = super().multiply(op)
        return replace(answer, amperes=answer.amperes + 1e-8), cost


class IgnoresVariants(ReferenceBench):
    """Drives every variant with the volts of the first."""

    def multiply(self, op: Multiply) -> tuple[MultiplyAnswer, Cost]:
        if op.variants is not None and op.variants.lines.size:
            same = np.full_like(op.variants.lines, op.variants.lines[0])
            op = replace(op, variants=replace(op.variants, lines=same))
        return super().multiply(op)


class LeavesTheNudgeIn(ReferenceBench):
    """Never undoes a nudge."""

    def nudge(self, op: Nudge) -> tuple[NudgeAnswer, Cost]:
        answer, cost = super().nudge(op)
        for (row, col), siemens in zip(op.points, answer.siemens, strict=True):
            self.g[op.region.array][op.region.rows[row], op.region.cols[col]] += siemens
        return answer, cost


class NamesTheNominalNudge(ReferenceBench):
    """Answers a gate nudge's change as of a typical device, not of the one nudged."""

    def nudge(self, op: Nudge) -> tuple[NudgeAnswer, Cost]:
        answer, cost = super().nudge(op)
        if op.kind == "gate":
            answer = replace(answer, siemens=np.full(len(op.points), op.size * 100 * STEP))
        return answer, cost


class AcceptsNan(ReferenceBench):
    """Checks voltages by a comparison that NaN passes."""

    def check_volts(self, volts: NDArray[np.floating]) -> None:
        if np.any(np.isinf(volts)):
            raise ScheduleError("infinite volts")


class WrapsLines(ReferenceBench):
    """Takes line numbers modulo the array."""

    def execute(self, schedule: Schedule) -> Execution:
        return super().execute(tuple(self.wrapped(op) for op in schedule))

    def wrapped(self, op: Op) -> Op:
        if isinstance(op, Wait) or op.region.array not in self.arrays:
            return op
        rows, cols = self.arrays[op.region.array].shape
        return replace(op, region=Region(op.region.array, op.region.rows % rows, op.region.cols % cols))


class TakesAnyArray(ReferenceBench):
    """Uses its first array when it does not know the name."""

    def execute(self, schedule: Schedule) -> Execution:
        known = tuple(
            op
            if isinstance(op, Wait) or op.region.array in self.arrays
            else replace(
                op, region=Region.block("main", range(op.region.rows.size), range(op.region.cols.size))
            )
            for op in schedule
        )
        return super().execute(known)


class ExecutesHalf(ReferenceBench):
    """Checks each operation only when its turn comes."""

    def execute(self, schedule: Schedule) -> Execution:
        parts = [super(ExecutesHalf, self).execute((op,)) for op in schedule]
        return Execution(
            tuple(answer for part in parts for answer in part.answers),
            tuple(cost for part in parts for cost in part.costs),
        )


class RaisesWhenMadeSafeTwice(ReferenceBench):
    """Closes its session the first time."""

    closed = False

    def make_safe(self) -> None:
        if self.closed:
            raise ConnectionError("session is closed")
        self.closed = True


class ErasesWhenMadeSafe(ReferenceBench):
    """Discharges its gates with its outputs."""

    def make_safe(self) -> None:
        for g in self.g.values():
            g *= 0.9


class FlagsOfWrongShape(ReferenceBench):
    """One flag a row."""

    def read(self, op: Read) -> tuple[ReadAnswer, Cost]:
        answer, cost = super().read(op)
        return replace(answer, clipped=answer.clipped.any(axis=1, keepdims=True)), cost


class FailsOnNothing(ReferenceBench):
    """Cannot run an empty schedule."""

    def execute(self, schedule: Schedule) -> Execution:
        schedule[0]
        return super().execute(schedule)


class HasNoIdentity(ReferenceBench):
    """Identifies by numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.identity = {"serial": 12345}


class HasNoExtras(ReferenceBench):
    """Not broken: a bench that announces neither nudges nor columns that can be driven, and refuses both."""

    def __init__(self) -> None:
        super().__init__()
        self.arrays = {
            name: replace(info, nudges=frozenset(), transpose=False) for name, info in self.arrays.items()
        }

    def check(self, op: Op) -> None:
        super().check(op)
        if isinstance(op, Nudge) or (isinstance(op, Multiply) and op.transpose):
            raise ScheduleError("not on this bench")
