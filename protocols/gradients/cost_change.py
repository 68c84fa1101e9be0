"""From the change of one neuron's sum to the change of the cost, by driving the layers above: nudges by the
thousand in a few transactions, in slices that bound the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hil.errors import BenchError
from hil.network import Block, Layer, Network, Tile
from hil.network.activations import activate
from hil.network.kernels import peaks, with_bias
from hil.network.network import Labels
from hil.network.tile import F32
from hil.plan import Plan
from hil.schedule import Answer, Index, Multiply, MultiplyAnswer, NudgeAnswer, Variants
from protocols.gradients.cost_kernels import softmax_cost_changes
from protocols.gradients.nudge_kernels import (
    add_changes,
    add_sums,
    leave_out,
    nudged_sums,
)
from protocols.gradients.upward import Moved, Tops, by_channels, changed, circuits, to_top

_GROUP = 1 << 19
"""Numbers that it takes to drive the layers above, at most, for the nudges that share one reading without."""
_AT_ONCE = 1 << 20
"""Numbers in the largest array of a transaction: four megabytes, so that they stay in the cache."""
_ZERO = np.zeros((1, 1), np.float32)
Flags = NDArray[np.bool_]


class Sensed(NamedTuple):
    """Currents of an answer, float32 whatever the bench measures in, and which of them are only bounds; those
    of variants column by column, [others, k, n].
    """

    amperes: F32
    clipped: Flags


class Changed(NamedTuple):
    """``summed`` float64 [k]: change of the cost by each nudge, summed over the batch; ``base``: the summed
    cost without a nudge, by the readings that the changes were taken from; ``clipped``: readings that were
    only bounds.
    """

    summed: NDArray[np.float64]
    base: float
    clipped: int


@dataclass(frozen=True, slots=True, eq=False)
class Driven:
    """A batch as it drives a tile: ``volts`` [n, in], and ``per_unit`` [n], the volts that stand for an input
    of 1.
    """

    volts: F32
    per_unit: F32

    @classmethod
    def by(cls, tile: Tile, inputs: F32, at_least: F32 = _ZERO) -> Driven:
        """Inputs [n, in]; unless they are bounded, each vector is scaled to the read voltage by its largest,
        or by ``at_least`` [n, 1] where that is more.
        """
        per_unit = np.full((len(inputs), 1), tile.sheet.read_voltage_v, np.float32)
        if not tile.bounded_inputs:
            per_unit /= peaks(inputs, at_least)
        return cls(inputs * per_unit, per_unit[:, 0])

    def baseline(self, tile: Tile) -> tuple[Multiply, ...]:
        """Operations that drive every block of the tile, nothing nudged."""
        return tuple(Multiply(b.region, self.of(b), tile.sheet.integration_s) for b in tile.blocks)

    def of(self, block: Block) -> F32:
        """The volts of a block's rows."""
        return np.ascontiguousarray(self.volts[:, block.inputs])

    def per_ampere(self, tile: Tile) -> F32:
        """What an ampere of a plus column adds to a sum, [n]."""
        return np.float32(1 / tile.scale_s) / self.per_unit

    def sums(self, tile: Tile, answers: Sequence[Sensed]) -> F32:
        """Z [n, out], of the answers to :meth:`baseline`."""
        z, per_ampere = np.zeros((len(self.volts), tile.n_out), np.float32), self.per_ampere(tile)
        for block, answer in zip(tile.blocks, answers, strict=True):
            add_sums(z, block.first_out, answer.amperes, per_ampere, block.n_out, *columns(block))
        return z


def columns(block: Block) -> tuple[int, int]:
    """Where the plus and the minus columns begin in a block's region, -1 where there are none."""
    plus = 0 if block.plus else -1
    return plus, -1 if block.side == "plus" else block.n_out if block.plus else 0


def sensed(answer: Answer) -> Sensed:
    """The readings of a Multiply or a Nudge.

    Raises
    ------
    BenchError
        The bench answered something else.
    """
    if not isinstance(answer, MultiplyAnswer | NudgeAnswer):
        raise BenchError(f"currents were asked for, {type(answer).__name__} came; a fault of the bench")
    amperes, clipped = answer.amperes, answer.clipped
    if amperes.ndim == 3:
        amperes, clipped = amperes.transpose(2, 0, 1), clipped.transpose(2, 0, 1)
    return Sensed(np.ascontiguousarray(amperes, np.float32), clipped)


def bounds(answers: Sequence[Sensed]) -> int:
    """How many readings were only bounds; at once where one flag stands for all of an answer."""
    return sum(
        int(np.count_nonzero(flags)) if any(flags.strides) else flags.size and flags.size * int(flags.item(0))
        for _, flags in answers
    )


def cost_changes(
    network: Network, number: int, z: F32, outs: Index, changes: F32, labels: Labels
) -> Plan[Changed]:
    """Change of the cost by changes of single sums of layer ``number``.

    Neighbours, 2 q and 2 q + 1, are measured against one reading of the layers above, so that its noise
    leaves their difference.

    Parameters
    ----------
    network
        Its layers above ``number`` are driven, and driven again without a nudge for every group of nudges.
    z
        Sums of the layer without a nudge, [n positions, out].
    outs, changes
        Which sum each nudge changes, int64 [k], rising, and by how much in each vector, [k, n positions].
    labels
        True classes [n].
    """
    layers = network.layers[number:]
    group, groups = _together(layers, labels.size)
    summed = np.empty(len(outs))
    bases: list[float] = []
    clipped = 0
    for first in range(0, len(outs), group * groups):
        part = slice(first, first + group * groups)
        tops = yield from _tops(layers, z, outs[part], changes[part], group)
        at = first
        for top, moved in zip(tops.z, tops.moved, strict=True):
            end = at + moved.amperes.shape[1]
            summed[at:end], base = _cost(network, top, moved, labels)
            at = end
            bases.append(base)
        clipped += tops.clipped
    return Changed(summed, sum(bases) / len(bases), clipped)


def _together(layers: Sequence[Layer], n: int) -> tuple[int, int]:
    """How many nudges share one reading of the layers above the first without a nudge, and how many such
    groups one transaction takes.
    """
    last = len(layers) == 1
    if not last and layers[0].convolution is None:
        group = max(2, _GROUP // (2 * layers[1].tile.n_out * n))
        return group // 64 * 64 or group // 2 * 2, 1
    group = max(2, _GROUP // (_widest(layers) * n) // 2 * 2)
    return group, 1 if last else max(1, _AT_ONCE // ((group + 1) * _widest(layers[1:]) * n))


def _widest(layers: Sequence[Layer]) -> int:
    """Numbers of a sample in the largest array that it takes to drive these layers one by one."""
    return max(layer.positions * (layer.tile.n_in + 2 * layer.tile.n_out) for layer in layers)


def _tops(layers: Sequence[Layer], z: F32, outs: Index, changes: F32, group: int) -> Plan[Tops]:
    """Sums of the last layer, and their changes; arguments as of :func:`cost_changes`."""
    layer, above = layers[0], layers[1:]
    if not above:
        moved = np.zeros((z.shape[1], *changes.shape), np.float32)
        moved[outs, np.arange(len(outs))] = changes
        return Tops([z], [Moved.by(moved)], 0)
    if layer.convolution is not None:
        return (yield from by_channels(layers, layer.convolution, z, outs, changes, group))
    z, moved, clipped = yield from _by_lines(layer, above[0].tile, z, outs, changes)
    if len(above) > 1:
        sums = np.concatenate([z[np.newaxis], z + moved.changes().transpose(1, 2, 0)])
        sums, more = yield from to_top(above, sums, np.zeros(len(sums), np.int64))
        return Tops([sums[0]], [Moved.by(changed(sums))], clipped + more)
    return Tops([z], [moved], clipped)


def _by_lines(layer: Layer, tile: Tile, z: F32, outs: Index, changes: F32) -> Plan[tuple[F32, Moved, int]]:
    """Sums [n, out] of a dense layer's tile and how they move as one driven line changes at a time; and how
    many readings were only bounds.

    ``layer`` is the dense layer below, the rest as in :func:`cost_changes`.
    """
    values = activate(layer.activation, nudged_sums(z, outs, changes, *circuits(layer)))
    inputs = layer.output(z)
    if tile.n_in > layer.tile.n_out:
        inputs = with_bias(inputs)
    largest = _ZERO if tile.bounded_inputs else np.abs(values).max(axis=0)[:, np.newaxis]
    driven = Driven.by(tile, inputs, largest)
    volts = values * (driven.per_unit[0] if tile.bounded_inputs else driven.per_unit)
    ops = list(driven.baseline(tile))
    asked: list[tuple[int, int]] = []  # block, and the first nudge that changes a line of it
    for b, block in enumerate(tile.blocks):
        first, end = np.searchsorted(outs, (block.first_in, block.first_in + block.n_in)).tolist()
        if first < end:
            asked.append((b, first))
            single = Variants(outs[first:end] - block.first_in, volts[first:end])
            ops.append(Multiply(block.region, ops[b].volts, tile.sheet.integration_s, variants=single))
    execution = yield tuple(ops)
    answers = [sensed(answer) for answer in execution.answers]
    base, nudged = answers[: len(tile.blocks)], answers[len(tile.blocks) :]
    per_ampere, z = driven.per_ampere(tile), driven.sums(tile, base)
    clipped = bounds(answers)
    if len(tile.blocks) == 1 and not clipped:
        return z, Moved(nudged[0].amperes, base[0].amperes, per_ampere, *columns(tile.blocks[0])), 0
    moved = np.zeros((tile.n_out, *changes.shape), np.float32)
    for (b, first), answer in zip(asked, nudged, strict=True):
        block = tile.blocks[b]
        where = block.n_out, *columns(block)
        add_changes(moved, first, block.first_out, answer.amperes, base[b].amperes, per_ampere, *where)
    for (b, first), answer in zip(asked, nudged, strict=True) if clipped else ():
        block = tile.blocks[b]
        where = block.n_out, *columns(block)
        flags = np.ascontiguousarray(answer.clipped), np.ascontiguousarray(base[b].clipped)
        leave_out(moved, first, block.first_out, *flags, *where)
    return z, Moved.by(moved), clipped


def _cost(network: Network, z: F32, moved: Moved, labels: Labels) -> tuple[NDArray[np.float64], float]:
    """Changes of the summed cost [k] as the last layer's sums z [n, out] move; and the cost without."""
    last, loss = network.layers[-1], network.loss
    output = last.output(z)
    cost = loss.output(z, output, labels)[0]
    if loss.name == "cross-entropy" and last.activation == "softmax":
        return softmax_cost_changes(*moved, output, circuits(last)[0], labels), float(cost.sum())
    k = moved.amperes.shape[1]
    nudged = (z + moved.changes().transpose(1, 2, 0)).reshape(-1, z.shape[1])
    costs = loss.output(nudged, last.output(nudged), np.tile(labels, k))[0]
    return (costs.reshape(k, -1) - cost).sum(axis=1), float(cost.sum())
