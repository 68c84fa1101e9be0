"""How well the network in the devices does on samples it does not learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hil.network import Network
from hil.network.network import Labels
from hil.network.tile import F32
from hil.plan import Plan

_CHUNK = 250
"""Samples in one schedule: enough to amortise a transaction, little enough to show progress and to stop."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Mean loss, accuracy (0 to 1), number of images, readings that were only bounds."""

    loss: float
    accuracy: float
    images: int
    clipped: int


def evaluate(network: Network, x: F32, labels: Labels) -> Plan[Scores]:
    """Drive samples [n, in] through the network and compare with their classes [n]."""
    cost, correct, clipped = 0.0, 0, 0
    for start in range(0, labels.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        traces = yield from network.forward(np.array(x[part]))
        output = network.output_error(traces, labels[part])
        cost += output.cost
        correct += output.correct
        clipped += output.clipped
    return Scores(cost / labels.size, correct / labels.size, labels.size, clipped)
