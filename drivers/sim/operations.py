"""The four operations on one array: answer, and what they took in pulses, readings, seconds and joules.

Joules are V² G t of the driven devices; lines, half-selected devices, converters and amplifiers are not in
them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.sim import kernels
from drivers.sim.array import SimArray
from drivers.sim.response import Response
from drivers.sim.settings import SimSettings
from drivers.sim.shots import count_shots, grouped, half_selects, one_by_one
from hil.schedule import (
    Answer,
    Floats,
    Index,
    Multiply,
    MultiplyAnswer,
    Nudge,
    NudgeAnswer,
    Program,
    Pulse,
    Read,
    ReadAnswer,
)

Array = NDArray[np.float32]


class Done(NamedTuple):
    """An answer and its cost."""

    answer: Answer
    seconds: float
    joules: float = 0.0
    reads: int = 0
    pulses: int = 0
    half_selects: int = 0


@dataclass(frozen=True, slots=True)
class Physics:
    """What operations need of the settings; bits 0 means exact, an infinite range of the ADC means auto."""

    noise: float
    exponent: float
    reference_s: float
    converters: kernels.Converters
    settle_s: float
    transaction_s: float
    shot_s: float
    scheme: str
    disturbs: bool
    response: Response

    @classmethod
    def of(cls, settings: SimSettings, response: Response) -> Physics:
        """Take them from the settings."""
        return cls(
            noise=settings.read.noise,
            exponent=settings.read.exponent,
            reference_s=settings.read.integration,
            converters=kernels.Converters(
                dac_bits=settings.dac.bits or 0,
                dac_range_v=settings.dac_range_v,
                offset_a=settings.read.offset,
                adc_bits=settings.adc.bits or 0,
                adc_range_a=math.inf if settings.adc.range == "auto" else settings.adc.range,
            ),
            settle_s=settings.timing.settle,
            transaction_s=settings.timing.transaction,
            shot_s=settings.timing.shot,
            scheme=settings.disturb.scheme,
            disturbs=settings.disturb.half_select > 0,
            response=response,
        )

    def sigma(self, integration_s: float) -> float:
        """Relative noise of one reading: it falls with a power of the time, white noise with the root."""
        if self.noise == 0:
            return 0.0
        worth = self.reference_s / integration_s
        return self.noise * (math.sqrt(worth) if self.exponent == 0.5 else worth**self.exponent)

    def drive(self, volts: Floats) -> Array:
        """The volts that the DAC puts out for the volts asked for."""
        if self.converters.dac_bits == 0:
            return np.ascontiguousarray(volts, dtype=np.float32)
        return kernels.dac(volts, self.converters.dac_bits, self.converters.dac_range_v)

    def sense(self, amperes: Array) -> NDArray[np.bool_]:
        """Pass amperes through amplifier and ADC, in place; True where the answer is only a bound."""
        _, _, offset_a, bits, full = self.converters
        if offset_a != 0:
            amperes += np.float32(offset_a)
        if math.isinf(full):
            if bits == 0 or amperes.size == 0:
                return _none_clipped(amperes)
            full = float(np.abs(amperes).max()) or 1.0
        return kernels.adc(amperes, bits, full)


def read(array: SimArray, op: Read, physics: Physics, now_s: float, key: int) -> Done:
    """Read row after row, all columns of the region at once."""
    r, (rows, cols) = op.region, op.region.shape
    voltage_v = op.voltage_v
    if physics.converters.dac_bits:
        voltage_v = float(physics.drive(np.array([[voltage_v]]))[0, 0])
    sigma = physics.sigma(op.integration_s)
    amperes = kernels.read(array.seen(now_s), r.rows, r.cols, r.col_start, voltage_v, sigma, 0.0, key)
    joules = abs(float(amperes.sum(dtype=np.float64)) * voltage_v) * op.integration_s
    clipped = physics.sense(amperes)
    seconds = rows * (op.integration_s + physics.settle_s)
    return Done(ReadAnswer(amperes, clipped, op.voltage_v), seconds, joules, reads=rows * cols)


def multiply(array: SimArray, op: Multiply, physics: Physics, now_s: float, key: int) -> Done:
    """Drive vector after vector, all other lines sensed at once."""
    r = op.region
    sigma = physics.sigma(op.integration_s)
    variants = op.variants
    if variants is None:
        amperes, clipped, power_w = kernels.multiply(
            array.seen(now_s), r.rows, r.cols, r.col_start, np.asarray(op.volts, np.float32), sigma, key,
            transpose=op.transpose, converters=physics.converters,
        )  # fmt: skip
        vectors, watts = power_w.size, _total(power_w)
    else:
        amperes, watts = kernels.multiply_variants(
            array.seen(now_s), r.rows, r.cols, r.col_start, physics.drive(op.volts), variants.lines,
            physics.drive(variants.volts), sigma, key, transpose=op.transpose,
        )  # fmt: skip
        clipped = physics.sense(amperes.transpose(2, 0, 1)).transpose(1, 2, 0)  # as they lie in memory
        vectors = variants.volts.size
    seconds = vectors * (op.integration_s + physics.settle_s)
    joules = watts * op.integration_s
    return Done(MultiplyAnswer(amperes, clipped), seconds, joules, reads=amperes.size)


def program(array: SimArray, op: Program, physics: Physics, now_s: float, key: int) -> Done:
    """Put the counts out in shots of equal rows (drivers.sim.shots)."""
    up, down, shots = op.potentiate, op.depress, count_shots(op.pulses, op.region.cols.size)
    factors = physics.response.factors(up, down)
    done = array.pulse(op.region, op.pulses, now_s, key, factors)
    if array.devices.unformed is not None:
        array.devices.unformed.form(array.devices, op)
    if physics.disturbs:
        trains = grouped(np.maximum(op.counts, 0)), grouped(np.maximum(-op.counts, 0))
        array.disturb(op.region, *trains, factors)
    return Done(
        None,
        shots.up * _shot_s(up, physics) + shots.down * _shot_s(down, physics),
        _joules(up, done.up_siemens) + _joules(down, done.down_siemens),
        pulses=shots.up_pulses + shots.down_pulses,
        half_selects=half_selects(shots, *array.info.shape, physics.scheme),
    )


def nudge(array: SimArray, op: Nudge, physics: Physics, now_s: float, key: int) -> Done:
    """Change, drive, sense and undo one crosspoint after the other.

    ``gate`` and ``current`` leave the device alone, so undoing is exact. Behind resistive lines a change is
    felt in the proportion in which the device itself is: exact to first order in the change.
    """
    if op.kind == "pulse" and op.potentiate is not None and op.depress is not None:
        return _nudge_by_pulses(array, op, op.potentiate, op.depress, physics, now_s, key)
    rows, cols = op.region.rows[op.points[:, 0]], op.region.cols[op.points[:, 1]]
    if op.kind == "gate":
        siemens = (op.size * array.held(now_s)[rows, cols]).astype(np.float32)
        felt = siemens * _felt_share(array, rows, cols, now_s)
    else:
        siemens = felt = np.full(len(op.points), op.size, np.float32)
    amperes, joules = _sense_nudged(array, op, felt, physics, now_s, key)
    return _nudged(op, amperes, siemens, joules, physics)


def _nudge_by_pulses(
    array: SimArray, op: Nudge, potentiate: Pulse, depress: Pulse, physics: Physics, now_s: float, key: int
) -> Done:
    """Real pulses, and as many of the other kind back.

    Devices do not feel each other's pulses, so all are pulsed at once here; that a column also carries what
    the points before left in it is put in afterwards. A point that is named twice is pulsed twice.
    """
    points, region, count = op.points, op.region, round(op.size)
    if len(np.unique(points, axis=0)) < len(points):
        return _one_after_the_other(array, op, potentiate, depress, physics, now_s, key)
    rows, cols = region.rows[points[:, 0]], region.cols[points[:, 1]]
    counts = np.zeros(region.shape, np.int16)
    counts[points[:, 0], points[:, 1]] = count
    before, share = array.held(now_s)[rows, cols], _felt_share(array, rows, cols, now_s)
    factors = physics.response.factors(potentiate, depress)
    there = array.pulse(region, counts, now_s, key, factors)
    change = array.held(now_s)[rows, cols] - before
    back = array.pulse(region, -counts, now_s, key + 1, factors)
    after = array.held(now_s)[rows, cols]
    array.put(rows, cols, before)
    amperes, joules = _sense_nudged(array, op, change * share, physics, now_s, key + 2)
    array.put(rows, cols, after)
    amperes += _left_before(points, physics.drive(op.volts), (after - before) * share)
    if physics.disturbs:
        train = one_by_one(np.abs(counts).astype(np.float64))
        array.disturb(region, train, train, factors)
    up_s = there.up_siemens + back.up_siemens
    down_s = there.down_siemens + back.down_siemens
    sensed = _nudged(
        op, amperes, change, joules + _joules(potentiate, up_s) + _joules(depress, down_s), physics
    )
    shots, (height, width) = 2 * abs(count) * len(points), array.info.shape
    others = height * width - 1 if physics.scheme == "V/3" else height + width - 2
    return sensed._replace(
        seconds=sensed.seconds + shots / 2 * (_shot_s(potentiate, physics) + _shot_s(depress, physics)),
        pulses=2 * abs(count) * len(points),
        half_selects=shots * others,
    )


def _one_after_the_other(
    array: SimArray, op: Nudge, potentiate: Pulse, depress: Pulse, physics: Physics, now_s: float, key: int
) -> Done:
    """Each point as an operation of its own, noise included."""
    answers: list[NudgeAnswer] = []
    total = Done(None, 0.0)
    for number in range(len(op.points)):
        single = replace(op, points=op.points[number : number + 1])
        done = _nudge_by_pulses(array, single, potentiate, depress, physics, now_s, key + 3 * number)
        if isinstance(done.answer, NudgeAnswer):
            answers.append(done.answer)
        total = Done(
            None,
            total.seconds + done.seconds,
            total.joules + done.joules,
            total.reads + done.reads,
            total.pulses + done.pulses,
            total.half_selects + done.half_selects,
        )
    together = NudgeAnswer(
        np.concatenate([answer.amperes for answer in answers], dtype=np.float32),
        np.concatenate([answer.clipped for answer in answers]),
        np.concatenate([answer.siemens for answer in answers], dtype=np.float32),
    )
    return total._replace(answer=together)


def _felt_share(array: SimArray, rows: Index, cols: Index, now_s: float) -> Array:
    """Part of a device's conductance that a measurement sees of it, [k]: below 1 behind resistive lines."""
    held, seen = array.held(now_s)[rows, cols], array.seen(now_s).g[rows, cols]
    return np.divide(seen, held, out=np.ones_like(held), where=held > 0)


def _left_before(points: Index, volts: Array, residue_s: Array) -> Array:
    """Amperes [k, n] that each point's column carries from the residues of the points before it there."""
    left = volts[:, points[:, 0]].T * residue_s[:, np.newaxis]
    order = np.argsort(points[:, 1], kind="stable")
    running = np.cumsum(left[order], axis=0) - left[order]
    cols = points[order, 1]
    _, first, points_each = np.unique(cols, return_index=True, return_counts=True)
    first = np.repeat(first, points_each)  # where each column's points begin
    carried = np.empty_like(left)
    carried[order] = running - running[first]
    return carried


def _sense_nudged(
    array: SimArray, op: Nudge, felt_s: Array, physics: Physics, now_s: float, key: int
) -> tuple[Array, float]:
    r = op.region
    sigma = physics.sigma(op.integration_s)
    amperes, power_w = kernels.multiply_nudged(
        array.seen(now_s), r.rows, r.cols, r.col_start, physics.drive(op.volts), op.points, felt_s, sigma, key
    )
    return amperes, power_w * op.integration_s


def _nudged(op: Nudge, amperes: Array, siemens: Array, joules: float, physics: Physics) -> Done:
    clipped = physics.sense(amperes)
    seconds = amperes.size * (op.integration_s + physics.settle_s)
    return Done(NudgeAnswer(amperes, clipped, siemens), seconds, joules, reads=amperes.size)


def _none_clipped(amperes: Array) -> NDArray[np.bool_]:
    """Flags of readings that nothing bounds: one stands for all, as half a million need not be written."""
    return np.ndarray(amperes.shape, np.bool_, b"\0", strides=(0,) * amperes.ndim)


def _total(power_w: NDArray[np.float64]) -> float:
    return power_w.item() if power_w.size == 1 else float(power_w.sum())  # batch 1 saves a microsecond


def _shot_s(pulse: Pulse, physics: Physics) -> float:
    return pulse.width_s + pulse.gap_s + physics.shot_s


def _joules(pulse: Pulse, siemens: float) -> float:
    return pulse.amplitude_v**2 * pulse.width_s * siemens
