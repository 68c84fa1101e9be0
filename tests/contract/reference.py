"""The plainest honest bench: ideal linear devices in float64, every operation native, a virtual clock.

It is what the conformance suite is proved on, and it is written without looking at any driver.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from hil.bench import ArrayInfo, Cost, DeviceSheet, Execution, StepCurve
from hil.errors import LimitError, ScheduleError
from hil.schedule import (
    Answer,
    Multiply,
    MultiplyAnswer,
    Nudge,
    NudgeAnswer,
    Op,
    Program,
    Pulse,
    Read,
    ReadAnswer,
    Region,
    Schedule,
    Wait,
)

UP, DOWN = Pulse(1.0, 1e-6, 1e-6), Pulse(-1.0, 1e-6, 1e-6)
G_MIN, G_MAX, STEP = 1e-6, 21e-6, 0.1e-6
Matrix = NDArray[np.float64]

SHEET = DeviceSheet(
    g_min_s=G_MIN,
    g_max_s=G_MAX,
    step_up_s=STEP,
    step_down_s=STEP,
    curve=StepCurve(np.array([G_MIN, G_MAX]), np.array([STEP, STEP]), np.array([-STEP, -STEP])),
    potentiate=UP,
    depress=DOWN,
    read_voltage_v=0.1,
    integration_s=1e-6,
)


class ReferenceBench:
    """Two arrays of linear devices.

    ``noise`` is a reading's standard deviation over the largest current, ``write_noise`` that of one pulse
    over its step; ``read_v`` is the most that a reading may be driven with.
    """

    durable = False

    def __init__(
        self, noise: float = 0.0, write_noise: float = 0.0, read_v: float = np.inf, seed: int = 0
    ) -> None:
        nudges = frozenset[str]({"gate", "current", "pulse"})
        self.arrays: Mapping[str, ArrayInfo] = {
            name: ArrayInfo(name, rows, cols, SHEET, nudges=nudges)  # type: ignore[arg-type]
            for name, rows, cols in (("main", 9, 7), ("side", 4, 5))
        }
        self.identity = {"bench": f"reference, seed {seed}"}
        self.noise, self.write_noise, self.read_v = noise, write_noise, read_v
        self.rng = np.random.default_rng(seed)
        self.g: dict[str, Matrix] = {
            name: self.rng.uniform(G_MIN, G_MAX, info.shape) for name, info in self.arrays.items()
        }

    def make_safe(self) -> None:
        """Nothing is ever left on."""

    def close(self) -> None:
        """Nothing is held."""

    def execute(self, schedule: Schedule) -> Execution:
        for op in schedule:
            self.check(op)
        done = [self.perform(op) for op in schedule]
        return Execution(tuple(answer for answer, _ in done), tuple(cost for _, cost in done))

    def check(self, op: Op) -> None:
        if isinstance(op, Wait):
            return
        self.check_region(op.region)
        driven = [op.volts] if isinstance(op, Multiply | Nudge) else []
        if isinstance(op, Multiply) and op.variants is not None:
            driven.append(op.variants.volts)
        if isinstance(op, Read):
            driven.append(np.array([op.voltage_v]))
        for volts in driven:
            self.check_volts(volts)

    def check_region(self, region: Region) -> None:
        info = self.arrays.get(region.array)
        if info is None:
            raise ScheduleError(f"no array {region.array!r}")
        if region.rows.max(initial=-1) >= info.rows or region.cols.max(initial=-1) >= info.cols:
            raise ScheduleError(f"{region!r} lies outside {info.shape}")

    def check_volts(self, volts: NDArray[np.floating]) -> None:
        if not np.all(np.isfinite(volts)):
            raise ScheduleError("volts are not finite")
        if np.any(np.abs(volts) > self.read_v):
            raise LimitError(f"asked for {np.abs(volts).max():g} V; {self.read_v:g} V is allowed")

    def perform(self, op: Op) -> tuple[Answer, Cost]:
        if isinstance(op, Read):
            return self.read(op)
        if isinstance(op, Multiply):
            return self.multiply(op)
        if isinstance(op, Program):
            return None, self.program(op)
        if isinstance(op, Nudge):
            return self.nudge(op)
        return None, Cost(seconds=op.seconds)

    def part(self, region: Region) -> Matrix:
        return self.g[region.array][np.ix_(region.rows, region.cols)]

    def sensed(self, amperes: Matrix) -> Matrix:
        """Amperes with the noise of a reading."""
        if self.noise == 0:
            return amperes
        return amperes + self.rng.normal(0, self.noise * G_MAX * SHEET.read_voltage_v, amperes.shape)

    def read(self, op: Read) -> tuple[ReadAnswer, Cost]:
        amperes = self.sensed(op.voltage_v * self.part(op.region))
        cost = Cost(reads=amperes.size, transactions=1, seconds=amperes.size * op.integration_s)
        return ReadAnswer(amperes, np.zeros(amperes.shape, bool), op.voltage_v), cost

    def multiply(self, op: Multiply) -> tuple[MultiplyAnswer, Cost]:
        g = self.part(op.region).T if op.transpose else self.part(op.region)
        volts = np.asarray(op.volts, np.float64)
        if op.variants is not None:
            volts = np.repeat(volts[None], op.variants.lines.size, axis=0)
            for k, line in enumerate(op.variants.lines):
                volts[k, :, line] = op.variants.volts[k]
        amperes = self.sensed(volts @ g)
        vectors = volts.size // volts.shape[-1] if volts.shape[-1] else 0
        cost = Cost(reads=amperes.size, transactions=1, seconds=vectors * op.integration_s)
        return MultiplyAnswer(amperes, np.zeros(amperes.shape, bool)), cost

    def program(self, op: Program) -> Cost:
        counts = op.counts.astype(np.int64)
        self.shift(op.region, counts)
        pulses = int(np.abs(counts).sum())
        seconds = sum(
            max(0, int(np.max(sign * counts, initial=0))) * (pulse.width_s + pulse.gap_s)
            for sign, pulse in ((1, op.potentiate), (-1, op.depress))
        )
        return Cost(pulses=pulses, transactions=1, seconds=seconds)

    def shift(self, region: Region, counts: NDArray[np.int64]) -> None:
        """Move the region's devices by so many steps, within their range."""
        spread = self.write_noise * np.sqrt(np.abs(counts)) * self.rng.normal(size=counts.shape)
        moved = self.part(region) + STEP * (counts + spread)
        self.g[region.array][np.ix_(region.rows, region.cols)] = np.clip(moved, G_MIN, G_MAX)

    def nudge(self, op: Nudge) -> tuple[NudgeAnswer, Cost]:
        amperes = np.empty((len(op.points), len(op.volts)))
        siemens = np.empty(len(op.points))
        pulses = 0
        for k, (row, col) in enumerate(op.points):
            before = self.part(op.region)
            if op.kind == "pulse":
                pulses += 2 * abs(int(op.size))
                steps = np.zeros(op.region.shape, np.int64)
                steps[row, col] = int(op.size)
                self.shift(op.region, steps)
                siemens[k] = (self.part(op.region) - before)[row, col]
                self.shift(op.region, -steps)
            else:
                siemens[k] = op.size * (before[row, col] if op.kind == "gate" else 1)
            amperes[k] = op.volts @ before[:, col] + siemens[k] * op.volts[:, row]
        width = max(pulse.width_s if pulse else 0 for pulse in (op.potentiate, op.depress))
        cost = Cost(
            pulses=pulses, reads=amperes.size, seconds=amperes.size * op.integration_s + pulses * width
        )
        return NudgeAnswer(self.sensed(amperes), np.zeros(amperes.shape, bool), siemens), cost


@contextmanager
def reference(
    noise: float = 0.0, write_noise: float = 0.0, read_v: float = np.inf
) -> Iterator[ReferenceBench]:
    """Open a fresh reference bench; it is made safe on leaving."""
    bench = ReferenceBench(noise, write_noise, read_v)
    try:
        yield bench
    finally:
        bench.make_safe()
