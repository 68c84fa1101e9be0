"""A weight matrix in the devices: where it lies, how it is driven and sensed, how weight changes map onto
pulses.

w[out, in] = (g[in, plus_out] - g[in, minus_out]) / scale; rows of the array are inputs, columns outputs. The
minus device is a weight's own (a differential pair) or a reference that all weights of an input share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from hil.bench import DeviceSheet
from hil.errors import BenchError
from hil.faults import Faults
from hil.network.block import Block, Side, Weights
from hil.network.kernels import active, difference, peaks, signed_pair, signed_reference
from hil.network.spare import spared, without
from hil.plan import Plan
from hil.schedule import (
    Counts,
    Index,
    Multiply,
    MultiplyAnswer,
    Program,
    Pulses,
    Read,
    ReadAnswer,
    Region,
)

F32: TypeAlias = NDArray[np.float32]
S = TypeVar("S", bound=np.generic)
_NO_MATRIX = np.zeros((0, 0), np.float32)
_ZERO, _ONE = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)


@dataclass(slots=True, eq=False)
class Signal:
    """Sums sensed from a tile: ``values`` float32 [n, lines] and ``clipped`` bool [n, lines] where they are
    only bounds.
    """

    values: F32
    clipped: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class TileReading:
    """Conductances of a tile, float32 siemens [in, out] each; NaN where a reading was only a bound, or the
    device is known not to work.

    ``minus`` of a reference stands in every column that is measured against it.
    """

    plus: F32
    minus: F32


@dataclass(slots=True, eq=False)
class Wanted:
    """A wanted weight change, kept in factors: dW[out, in] = factor * sum over samples of delta[s, out]
    inputs[s, in].

    ``delta`` float32 [n, out] (dC/dz) and ``inputs`` float32 [n, in]; ``factor`` is -learning rate / n. A
    gradient that was measured weight by weight has no factors: then ``delta`` and ``inputs`` have no samples
    and dW[out, in] = factor * matrix[in, out].
    """

    delta: F32
    inputs: F32
    factor: float
    matrix: F32 = field(default_factory=lambda: _NO_MATRIX)

    @classmethod
    def measured(cls, gradient: F32, factor: float) -> Wanted:
        """Of a gradient dC/dW, float32 [out, in], without factors."""
        n_out, n_in = gradient.shape
        none = np.zeros((0, n_out), np.float32), np.zeros((0, n_in), np.float32)
        return cls(*none, factor, np.ascontiguousarray(gradient.T, dtype=np.float32))

    @property
    def factored(self) -> bool:
        """Whether there are factors; else there is a matrix."""
        return self.matrix.size == 0

    def dense(self) -> F32:
        """dW, float32 [out, in]; made only when asked."""
        gradient = self.delta.T @ self.inputs if self.factored else self.matrix.T
        return np.float32(self.factor) * gradient

    def active_inputs(self) -> Index:
        """Inputs for which something is wanted, int64 [k]: the other rows have nothing to change."""
        return active(self.inputs) if self.factored else np.flatnonzero(self.matrix.any(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One weight matrix w[out, in] on one or several arrays. Its devices lie as on an array, so counts and
    conductances are [n_in, n_out].

    Parameters
    ----------
    name
        Of the layer it serves.
    n_in, n_out
        Inputs, that of the bias included, and outputs.
    blocks
        Rectangles that together hold every plus and minus device once.
    scale_s
        Siemens per unit of weight: (g_max - g_min) / w_max of a pair, half of that against a reference.
    sheet
        The typical device of its arrays: pulses, read voltage, expected steps.
    bounded_inputs
        Inputs never exceed 1 in magnitude; otherwise each vector is scaled to the read voltage by its own
        maximum.
    faults
        By array: devices known not to work. The tile pulses none of them and reads them as not known, so that
        no rule has to ask.
    """

    name: str
    n_in: int
    n_out: int
    blocks: tuple[Block, ...]
    scale_s: float
    sheet: DeviceSheet
    bounded_inputs: bool = True
    faults: Mapping[str, Faults] = field(default_factory=dict[str, Faults], kw_only=True)

    @property
    def paired(self) -> bool:
        """Whether each weight has a minus device of its own."""
        return self.blocks[0].side != "reference"

    @property
    def w_max(self) -> float:
        """Largest weight that the devices can hold."""
        span = self.sheet.g_max_s - self.sheet.g_min_s
        return (span if self.paired else span / 2) / self.scale_s

    @property
    def devices(self) -> int:
        """How many devices it has, references included."""
        return sum(block.region.rows.size * block.region.cols.size for block in self.blocks)

    @property
    def faulty(self) -> dict[str, int]:
        """How many of them are known not to work, by kind of fault."""
        found: dict[str, int] = {}
        for block in self.blocks:
            known = self.faults.get(block.region.array)
            for kind, number in ({} if known is None else known.counts(block.region)).items():
                found[kind] = found.get(kind, 0) + number
        return found

    def forward(self, inputs: F32) -> Plan[Signal]:
        """W inputs: [n, in] to [n, out], the rows driven with inputs times the read voltage."""
        peak = None if self.bounded_inputs else peaks(inputs, _ONE)
        volts = inputs * self.sheet.read_voltage_v if peak is None else _volts(inputs, peak, self.sheet)
        ops = tuple(Multiply(b.region, _part(volts, b.inputs), self.sheet.integration_s) for b in self.blocks)
        execution = yield ops
        if len(ops) == 1:
            amperes, clipped = _multiplied(execution.answers[0])
            values, clipped = difference(amperes, clipped, 1 / self._siemens_volts, self.n_out)
            return Signal(values if peak is None else values * peak, clipped)
        return self._sum_forward(tuple(_multiplied(a) for a in execution.answers), peak)

    def backward(self, delta: F32) -> Plan[Signal]:
        """The same weights read the other way, delta W: [n, out] to [n, in].

        +delta on the plus columns, -delta on the minus ones, and minus their sum on a reference.
        """
        driven = [_signed(_part(delta, b.outputs), b.side) for b in self.blocks]
        peak = peaks(driven[0], _ZERO)
        for other in driven[1:]:
            peak = peaks(other, peak)
        ops = tuple(
            Multiply(b.region, _volts(d, peak, self.sheet), self.sheet.integration_s, transpose=True)
            for b, d in zip(self.blocks, driven, strict=True)
        )
        execution = yield ops
        if len(ops) == 1:
            amperes, clipped = _multiplied(execution.answers[0])
            scale: F32 = peak * np.float32(1 / self._siemens_volts)
            return Signal(amperes * scale, clipped)
        values = np.zeros((delta.shape[0], self.n_in), np.float32)
        clipped = np.zeros(values.shape, np.bool_)
        for block, raw in zip(self.blocks, execution.answers, strict=True):
            amperes, bounds = _multiplied(raw)
            values[:, block.inputs] += amperes
            clipped[:, block.inputs] |= bounds
        values *= peak * np.float32(1 / self._siemens_volts)
        return Signal(values, clipped)

    def read(self, rows: Index | None = None) -> Plan[TileReading]:
        """Every conductance of some inputs (int64 [k], rising; None: of all), by single readings at the read
        voltage; NaN for other inputs, and for devices known not to work.
        """
        parts: list[tuple[Block, Region, slice | Index]] = [(b, b.region, b.inputs) for b in self.blocks]
        if rows is not None:
            inside = [(block, at) for block in self.blocks if (at := _inside(rows, block)).size]
            parts = [(block, block.region.with_rows(at - block.first_in), at) for block, at in inside]
        execution = yield tuple(
            Read(region, self.sheet.read_voltage_v, self.sheet.integration_s) for _, region, _ in parts
        )
        return self.assembled(
            (block, inputs, without(self.faults, region, read_answer(answer).siemens, np.nan))
            for (block, region, inputs), answer in zip(parts, execution.answers, strict=True)
        )

    def assembled(self, parts: Iterable[tuple[Block, slice | Index, NDArray[Any]]]) -> TileReading:
        """Values of blocks as their regions have them, for some inputs each; NaN elsewhere."""
        plus = np.full((self.n_in, self.n_out), np.nan, np.float32)
        minus = plus.copy()
        for block, inputs, siemens in parts:
            m = block.n_out
            if block.plus:
                plus[inputs, block.outputs] = siemens[:, :m]
            if block.side != "plus":
                minus[inputs, block.outputs] = siemens[:, m if block.side == "reference" else -m :]
        return TileReading(plus, minus)

    def weights(self, reading: TileReading) -> F32:
        """The weights [out, in] that a reading stands for."""
        return ((reading.plus - reading.minus) * np.float32(1 / self.scale_s)).T

    def targets(self, weights: F32) -> TileReading:
        """Conductances that hold weights [in, out], around the middle of the range."""
        middle = np.float32(0.5 * (self.sheet.g_min_s + self.sheet.g_max_s))
        if not self.paired:
            return TileReading(middle + np.float32(self.scale_s) * weights, np.full_like(weights, middle))
        half = np.float32(0.5 * self.scale_s) * weights
        return TileReading(middle + half, middle - half)

    def program(self, plus: Counts, minus: Counts) -> tuple[Program, ...]:
        """Operations that give every device its pulses; ``plus`` and ``minus`` int16 [in, out].

        A reference gets what ``minus`` says of the first of its outputs; a device that does not work nothing.
        """
        laid_out = ((b, without(self.faults, b.region, counts)) for b, counts in self.laid_out(plus, minus))
        return tuple(
            Program(block.region, counts, self.sheet.potentiate, self.sheet.depress)
            for block, counts in laid_out
            if counts.any()
        )

    def laid_out(self, plus: NDArray[S], minus: NDArray[S]) -> Iterator[tuple[Block, NDArray[S]]]:
        """Values of all devices [in, out] as each block's region has them; a reference gets what ``minus``
        says of the first of its outputs.
        """
        for block in self.blocks:
            first = block.first_out
            shared = slice(first, first + 1) if block.side == "reference" else block.outputs
            parts = [plus[block.inputs, block.outputs]] if block.plus else []
            if block.side != "plus":
                parts.append(minus[block.inputs, shared])
            yield block, np.concatenate(parts, axis=1)

    def pulse(self, region: Region, pulses: Pulses) -> Program:
        """One operation on rows of one block's trained devices, as :meth:`active` names them; devices that do
        not work are left out.
        """
        if self.faults:
            pulses = spared(self.faults, region, pulses)
        return Program.of(region, pulses, self.sheet.potentiate, self.sheet.depress)

    def spare(self, region: Region, values: NDArray[S]) -> NDArray[S]:
        """Values of a region's devices, row by row and of any shape, with 0 for those that do not work."""
        if not self.faults:
            return values
        return without(self.faults, region, values.reshape(region.shape)).reshape(values.shape)

    def active(self, wanted: Wanted) -> Iterator[tuple[Block, Index, Region]]:
        """The blocks that a wanted change touches, each with its active inputs (positions in the tile, int64
        [r]) and their rows.
        """
        rows = wanted.active_inputs()
        for block in self.blocks:
            inside = rows if block.n_in == self.n_in else _inside(rows, block)
            if inside.size:
                yield (
                    block,
                    inside,
                    block.trained.with_rows(inside - block.first_in if block.first_in else inside),
                )

    @property
    def _siemens_volts(self) -> float:
        return self.scale_s * self.sheet.read_voltage_v

    def _sum_forward(self, answers: tuple[tuple[F32, NDArray[np.bool_]], ...], peak: F32 | None) -> Signal:
        n = answers[0][0].shape[0]
        values = np.zeros((n, self.n_out), np.float32)
        clipped = np.zeros(values.shape, np.bool_)
        for block, (amperes, bounds) in zip(self.blocks, answers, strict=True):
            m = block.n_out
            last = slice(m, None) if block.side == "reference" else slice(-m, None)
            if block.plus:
                values[:, block.outputs] += amperes[:, :m]
                clipped[:, block.outputs] |= bounds[:, :m]
            if block.side != "plus":
                values[:, block.outputs] -= amperes[:, last]
                clipped[:, block.outputs] |= bounds[:, last]
        values *= 1 / self._siemens_volts
        return Signal(values if peak is None else values * peak, clipped)

    def __repr__(self) -> str:
        places = ", ".join(f"{b.region.array} {b.side} {b.n_in}x{b.n_out}" for b in self.blocks)
        return f"Tile({self.name!r}, w[{self.n_out}, {self.n_in}], |w| <= {self.w_max:g}, on {places})"


def scale_s(sheet: DeviceSheet, w_max: float, weights: Weights) -> float:
    """Siemens per unit of weight where the range of a device holds weights up to ``w_max``."""
    span = sheet.g_max_s - sheet.g_min_s
    return (span / 2 if weights == "reference" else span) / w_max


def _inside(rows: Index, block: Block) -> Index:
    """Those of rising inputs that a block has."""
    low, high = np.searchsorted(rows, (block.first_in, block.first_in + block.n_in))
    return rows[low:high]


def _volts(values: F32, peak: F32, sheet: DeviceSheet) -> F32:
    scale: F32 = np.float32(sheet.read_voltage_v) / peak
    return values * scale


def _part(values: F32, part: slice) -> F32:
    if part.start == 0 and part.stop == values.shape[1]:
        return values
    return np.ascontiguousarray(values[:, part])


def _signed(delta: F32, side: Side) -> F32:
    if side == "pair":
        return signed_pair(delta)
    if side == "reference":
        return signed_reference(delta)
    return delta if side == "plus" else -delta


def read_answer(answer: object) -> ReadAnswer:
    """The answer of a Read, as what it must be.

    Raises
    ------
    BenchError
        The bench answered something else.
    """
    if not isinstance(answer, ReadAnswer):
        raise BenchError(f"a Read was answered by {type(answer).__name__}; this is a fault of the bench")
    return answer


def _multiplied(answer: object) -> tuple[F32, NDArray[np.bool_]]:
    """Currents in float32, whatever the bench measures in, and which of them are only bounds."""
    if not isinstance(answer, MultiplyAnswer):
        raise BenchError(f"a Multiply was answered by {type(answer).__name__}; this is a fault of the bench")
    return np.asarray(answer.amperes, np.float32), answer.clipped
