"""From changed sums of a layer to those of the last, many nudges in one transaction: each is one more set of
vectors for the layers above.

A nudge in a kernel changes one channel, at all positions. Only that channel is put anew into what drives the
layer above; whole layers change further up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from hil.network import Convolution, Layer, Tile
from hil.network.activations import activate
from hil.network.patches import unfold
from hil.network.tile import F32
from hil.plan import Plan
from hil.schedule import Index
from protocols.gradients.nudge_kernels import add_changes, nudged_sums, with_lines


class Moved(NamedTuple):
    """Changes of all sums of a layer by k nudges, as the columns of one block tell them.

    ``amperes`` [columns, k, n] with a nudge, ``base`` [n, columns] without; ``per_ampere`` [n]: what an
    ampere of a plus column adds to a sum; ``plus``, ``minus``: where these columns begin, -1 where there are
    none.
    """

    amperes: F32
    base: F32
    per_ampere: F32
    plus: int
    minus: int

    @classmethod
    def by(cls, changes: F32) -> Moved:
        """Of the changes themselves, [out, k, n]."""
        outs, _, n = changes.shape
        return cls(changes, np.zeros((n, outs), np.float32), np.ones(n, np.float32), 0, -1)

    def changes(self) -> F32:
        """The changes themselves, [out, k, n]."""
        columns, k, n = self.amperes.shape
        outs = columns if min(self.plus, self.minus) < 0 else self.minus
        out = np.zeros((outs, k, n), np.float32)
        add_changes(out, 0, 0, self.amperes, self.base, self.per_ampere, outs, self.plus, self.minus)
        return out


class Tops(NamedTuple):
    """What came of some groups of nudges, each measured against one reading of the layers above without.

    ``z`` [n, out] of the last layer without a nudge, and how each ``moved`` it, group by group; ``clipped``:
    readings that were only bounds.
    """

    z: list[F32]
    moved: list[Moved]
    clipped: int


def circuits(layer: Layer) -> tuple[F32, F32]:
    """Gain and offset of a layer's neurons, [out] each."""
    if layer.neurons is not None:
        return layer.neurons.gain, layer.neurons.offset
    return np.ones(layer.tile.n_out, np.float32), np.zeros(layer.tile.n_out, np.float32)


def by_channels(
    layers: Sequence[Layer], seen: Convolution, z: F32, outs: Index, changes: F32, group: int
) -> Plan[Tops]:
    """Drive the layers above the first, a convolution, with one of its channels changed at a time.

    Parameters
    ----------
    layers, seen
        From the convolution to the last, and the geometry of the first.
    z
        Sums of the convolution without a nudge, [n positions, out].
    outs, changes
        Whose sum each nudge changes, int64 [k], and by how much, [k, n positions].
    group
        Nudges that share one reading without.
    """
    layer, above = layers[0], layers[1]
    nudged = activate(layer.activation, nudged_sums(z, outs, changes, *circuits(layer)))
    planes = seen.pooled(nudged.reshape(-1, 1))
    if above.convolution is not None:
        window = above.convolution
        planes = unfold(planes, 1, *seen.given[1:], window.size, window.stride, window.padding)
        width = window.size * window.size
    else:
        width = planes.shape[1]
    which, own = _grouped(len(outs), group)
    held = above.vectors(layer.output(z))
    vectors = with_lines(held, planes.reshape(-1, len(held), width), outs * width, which)
    sums, clipped = yield from _driven(above.tile, vectors, own)
    top, more = yield from to_top(layers[1:], sums, own)
    first = [*np.flatnonzero(which < 0).tolist(), len(which)]
    moved = [Moved.by(changed(top[a:b])) for a, b in pairwise(first)]
    return Tops([top[a] for a in first[:-1]], moved, clipped + more)


def changed(sums: F32) -> F32:
    """Changes of sums [1 + k, n, out] against the first, [out, k, n]."""
    return np.ascontiguousarray((sums[1:] - sums[0]).transpose(2, 0, 1))


def to_top(layers: Sequence[Layer], sums: F32, own: Index) -> Plan[tuple[F32, int]]:
    """Sums of the last of these layers, [t, n, out], by driving all above the first; and how many readings
    were only bounds.

    ``sums`` [t, n positions, out] are the first layer's; ``own`` int64 [t]: where the sums without a nudge
    are that each is held against.
    """
    clipped = 0
    for layer, above in pairwise(layers):
        vectors = above.vectors(layer.output(sums.reshape(-1, layer.tile.n_out)))
        sums, more = yield from _driven(above.tile, vectors, own)
        clipped += more
    return sums, clipped


def _driven(tile: Tile, vectors: F32, own: Index) -> Plan[tuple[F32, int]]:
    """Sums of a tile; where a reading was only a bound there is no change."""
    signal = yield from tile.forward(vectors)
    sums = signal.values.reshape(len(own), -1, tile.n_out)
    clipped = int(np.count_nonzero(signal.clipped))
    if clipped:
        bounds = signal.clipped.reshape(sums.shape)
        sums = np.where(bounds | bounds[own], sums[own], sums)
    return sums, clipped


def _grouped(k: int, group: int) -> tuple[Index, Index]:
    """What is driven, int64 [t] each: the number of a nudge, or -1 for none before each group; and where that
    of the group stands.
    """
    number = np.arange(k)
    groups = -(-k // group)
    which = np.insert(number, number[::group], -1)
    own = np.repeat(np.arange(groups) * (group + 1), group + 1)[: len(which)]
    return which, own
