"""One layer's gradient by nudging its weights one after the other: what is nudged, by how much, and the slope
of the cost that comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hil.errors import BenchError
from hil.network import Block, Network, Tile
from hil.network.kernels import active
from hil.network.network import Labels
from hil.network.tile import F32
from hil.plan import Plan
from hil.schedule import Answer, Index, Nudge, NudgeAnswer, NudgeKind
from protocols.gradients.cost_change import Driven, bounds, columns, cost_changes, sensed
from protocols.gradients.nudge_kernels import add_slopes, own_change

Sides: TypeAlias = Literal["one", "two"]
Devices: TypeAlias = Literal["plus", "minus", "both"]

_PILOT = 64
_STUCK = 0.1
"""A change below this part of the one wanted tells nothing: its noise would be ten times as large."""


@dataclass(frozen=True, slots=True)
class Nudging:
    """How weights are nudged: settings of :class:`protocols.gradients.dgc.Dgc`, ``size`` in weights."""

    kind: NudgeKind
    size: float
    sides: Sides
    devices: Devices
    baseline_every: int


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What drives a layer while it is nudged: ``inputs`` [n positions, in] and ``labels`` [n]."""

    inputs: F32
    labels: Labels


class Slope(NamedTuple):
    """Of the cost summed over a sample, for each weight that was nudged.

    ``at`` int64 [k]: input x outputs + output of each; ``cost`` float64 [k]: change of the cost; ``weight``
    float64 [k]: the measured change of the weight it goes with; ``base`` the summed cost without a nudge;
    ``clipped`` readings that were only bounds.
    """

    at: Index
    cost: NDArray[np.float64]
    weight: NDArray[np.float64]
    base: float
    clipped: int


@dataclass(frozen=True, slots=True, eq=False)
class Swept:
    """A layer's gradient ``matrix`` float32 [out, in], of the cost summed over the batch.

    ``bases``: the summed cost without a nudge, as often as it was measured; ``clipped``: readings that were
    only bounds.
    """

    matrix: F32
    bases: list[float]
    clipped: int


class _Points(NamedTuple):
    """Some devices of one block: number of the block, positions [k, 2] in it, +1 plus or -1 minus, and the
    tile's inputs and outputs [k] they belong to.
    """

    block: int
    points: Index
    sign: int
    inputs: Index
    outs: Index


def sweep(network: Network, number: int, sample: Sample, nudging: Nudging) -> Plan[Swept]:
    """Nudge every weight of a layer that the sample drives, and measure the slope of the cost.

    A weight whose input is zero in the whole sample changes no sum: its slope is 0 and it is not nudged.
    With two-sided nudges the slope is (C+ - C-) / (w+ - w-), else (C' - C) / (w' - w); where both devices of
    a pair are nudged, the one that moved further counts more, by the square of its change: least squares. A
    weight whose devices moved by less than a tenth of the size asked for has a slope of 0.
    """
    tile = network.layers[number].tile
    products, squares = np.zeros(tile.n_in * tile.n_out), np.zeros(tile.n_in * tile.n_out)
    bases: list[float] = []
    clipped = 0
    for points in _chunks(tile, active(sample.inputs), nudging):
        slope = yield from _measured(network, number, sample, points, nudging)
        add_slopes(products, squares, slope.at, slope.cost, slope.weight)
        bases.append(slope.base)
        clipped += slope.clipped
    moved = squares >= (_STUCK * nudging.size) ** 2
    matrix = np.divide(products, squares, out=np.zeros_like(products), where=moved)
    gradient = matrix.reshape(tile.n_in, tile.n_out).T.astype(np.float32)
    return Swept(gradient, bases, clipped)


def chosen_size(
    network: Network, number: int, sample: Sample, nudging: Nudging, kappa: float, smallest: float
) -> Plan[float]:
    """The nudge at which noise is ``kappa`` times the slope: sigma / (kappa g_rms), within ``smallest`` and
    the size of ``nudging``.

    Some weights, evenly spread over those that the sample drives, are nudged twice by the largest size. Half
    the mean square of what the two differ by is the variance sigma^2 of a change of the cost, and the mean of
    their products is the square of the signal, as their noise has nothing in common.
    """
    tile = network.layers[number].tile
    every = next(iter(_chunks(tile, active(sample.inputs), nudging)), None)
    if every is None:
        return nudging.size
    k, last = min(_PILOT, every.outs.size), every.outs.size - 1
    few = np.arange(k) * last // max(k - 1, 1)
    pilot = _Points(every.block, every.points[few], every.sign, every.inputs[few], every.outs[few])
    one = yield from _measured(network, number, sample, pilot, nudging)
    two = yield from _measured(network, number, sample, pilot, nudging)
    apart = one.cost - two.cost
    noise, signal = 0.5 * float(apart @ apart) / few.size, float(one.cost @ two.cost) / few.size
    if signal <= 0:
        return nudging.size
    # cost / size is the slope, so sigma / (kappa slope) is size sigma / (kappa signal).
    return min(max(nudging.size * np.sqrt(noise / signal) / kappa, smallest), nudging.size)


def asked(tile: Tile, kind: NudgeKind, size: float) -> float:
    """What a Nudge is asked for so that a weight changes by about ``size``: siemens, part of the conductance
    in the middle of the range, or pulses, at least one.
    """
    siemens, sheet = size * tile.scale_s, tile.sheet
    if kind == "current":
        return siemens
    if kind == "gate":
        return siemens / (0.5 * (sheet.g_min_s + sheet.g_max_s))
    step = sheet.step_up_s if size > 0 else sheet.step_down_s
    return float(np.copysign(max(1, round(abs(siemens) / step)), size))


def _chunks(tile: Tile, rows: Index, nudging: Nudging) -> Iterator[_Points]:
    """All points of the active rows, as many at a time as one baseline serves.

    Pulses leave a residue in the column that the next point of the column would be charged with, so for them
    a baseline serves no column twice.
    """
    for number, block in enumerate(tile.blocks):
        inside = rows[(rows >= block.first_in) & (rows < block.first_in + block.n_in)] - block.first_in
        starts = columns(block) if block.side != "reference" else (0, -1)
        for sign, start, name in ((1, starts[0], "plus"), (-1, starts[1], "minus")):
            if start < 0 or nudging.devices not in (name, "both"):
                continue
            for some, outs in _groups(inside, block.n_out, nudging):
                points = np.empty((outs.size, some.size, 2), np.int64)
                points[:, :, 0], points[:, :, 1] = some, (start + outs)[:, np.newaxis]
                inputs = np.tile(some + block.first_in, outs.size)
                found = _Points(
                    number, points.reshape(-1, 2), sign, inputs, np.repeat(outs + block.first_out, some.size)
                )
                if nudging.kind == "pulse":
                    found = _working(tile, block, found)
                if found.outs.size:
                    yield found


def _working(tile: Tile, block: Block, points: _Points) -> _Points:
    """Without the devices that are known not to work: pulses only wear them."""
    known = tile.faults.get(block.region.array)
    if known is None:
        return points
    rows, cols = block.region.rows[points.points[:, 0]], block.region.cols[points.points[:, 1]]
    here = ~known.faulty[rows, cols]
    return _Points(points.block, points.points[here], points.sign, points.inputs[here], points.outs[here])


def _groups(rows: Index, n_out: int, nudging: Nudging) -> Iterator[tuple[Index, Index]]:
    """Rows and columns that are nudged from one baseline: whole rows, as many as fit, or a part of one.

    A reading of a column without a nudge is then used for few of its weights, so that its error is not
    theirs all.
    """
    height = 1 if nudging.kind == "pulse" else max(1, nudging.baseline_every // n_out)
    width = min(nudging.baseline_every, n_out)
    for top in range(0, rows.size, height):
        for left in range(0, n_out, width):
            yield rows[top : top + height], np.arange(left, min(left + width, n_out))


def _measured(
    network: Network, number: int, sample: Sample, points: _Points, nudging: Nudging
) -> Plan[Slope]:
    """The baseline and one chunk of nudges in one transaction, then the layers above."""
    tile = network.layers[number].tile
    block = tile.blocks[points.block]
    driven = Driven.by(tile, sample.inputs)
    sizes = (nudging.size, -nudging.size) if nudging.sides == "two" else (nudging.size,)
    base_ops = driven.baseline(tile)
    execution = yield (
        *base_ops,
        *(_nudge(tile, block, points.points, nudging.kind, size, driven) for size in sizes),
    )
    base = [sensed(answer) for answer in execution.answers[: len(base_ops)]]
    nudged = [sensed(answer) for answer in execution.answers[len(base_ops) :]]
    clipped = bounds((*base, *nudged))
    own, per_ampere = base[points.block], points.sign * driven.per_ampere(tile)
    cols = points.points[:, 1]
    each = [own_change(answer.amperes, own.amperes, cols, per_ampere) for answer in nudged]
    for change, answer in zip(each, nudged, strict=True) if clipped else ():
        change[answer.clipped | own.clipped.T[cols]] = 0
    weights = [
        _siemens(answer) * (points.sign / tile.scale_s) for answer in execution.answers[len(base_ops) :]
    ]
    changes, outs = each[0], points.outs
    if len(each) == 2:  # the two sides of a weight side by side, for cost_changes
        changes, outs = np.stack(each, axis=1), np.repeat(outs, 2)
    found = yield from cost_changes(
        network, number, driven.sums(tile, base), outs, changes.reshape(len(outs), -1), sample.labels
    )
    cost, weight = found.summed.reshape(-1, len(each)), weights[0]
    if len(each) == 2:
        cost, weight = cost[:, :1] - cost[:, 1:], weights[0] - weights[1]
    at = points.inputs * tile.n_out + points.outs
    return Slope(at, cost[:, 0], weight, found.base, clipped + found.clipped)


def _nudge(tile: Tile, block: Block, points: Index, kind: NudgeKind, size: float, driven: Driven) -> Nudge:
    sheet = tile.sheet
    return Nudge(
        block.region, points, kind, asked(tile, kind, size), driven.of(block), sheet.integration_s,
        sheet.potentiate, sheet.depress,
    )  # fmt: skip


def _siemens(answer: Answer) -> NDArray[np.float64]:
    """The true changes of a Nudge."""
    if not isinstance(answer, NudgeAnswer):
        raise BenchError(f"a Nudge was answered by {type(answer).__name__}; this is a fault of the bench")
    return np.asarray(answer.siemens, np.float64)
