"""Backpropagation, the baseline: all errors through the weights as they were, then all layers are pulsed at
once.

Rumelhart, Hinton and Williams, Nature 323, 533 (1986), 10.1038/323533a0; the error is read from the
transposed arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hil.config.validate import Config
from hil.network import Network, Wanted
from hil.plan import Plan
from hil.training.contracts import Batch, Change, StepReport


class Backprop(Config):
    """Errors of every layer first, then one transaction of pulses."""

    name: Literal["backprop"] = "backprop"

    def step(self, network: Network, batch: Batch, change: Change) -> Plan[StepReport]:
        """Forward, errors from last to first layer, then all wanted changes together."""
        traces = yield from network.forward(batch.x)
        output = network.output_error(traces, batch.labels)
        delta, clipped = output.delta, output.clipped
        changes: list[tuple[int, Wanted]] = []
        for number in range(len(network.layers) - 1, -1, -1):
            changes.append((number, Wanted(delta, traces[number].inputs, batch.factor)))
            if number:
                delta, bounds = yield from network.pass_back(number, delta, traces[number - 1])
                clipped += bounds
        yield from change(changes)
        return StepReport(output.cost, output.correct, clipped)

    def warnings(self, network: Network) -> Sequence[str]:
        """Nothing: this is the reference."""
        return ()
