"""Progressive backpropagation: each layer is pulsed while the error passes back, so no partial derivative is
stored.

van Doremaele et al., Sci. Adv. 10(28), eado8999 (2024), 10.1126/sciadv.ado8999. Only the abstract could be
read: the order of pulsing and error reading is our reconstruction and therefore an option.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from pydantic import Field

from hil.config.validate import Config
from hil.network import Network, Trace, Wanted
from hil.network.tile import F32
from hil.plan import Plan
from hil.training.contracts import Batch, Change, StepReport

Order: TypeAlias = Literal["update-first", "error-first", "re-measure"]


class ProgressiveBp(Config):
    """Layer by layer from the output: pulse, pass the error on, forget."""

    name: Literal["progressive-bp"] = "progressive-bp"
    order: Order = Field(
        default="update-first",
        description=(
            "update-first: the error goes back through the weights just updated. error-first: it is "
            "read before they are pulsed "
            "(with one sample a step this is SGD exactly). re-measure: update-first, and the layers "
            "are driven forward again after each update."
        ),
    )
    cosine_every: int = Field(
        default=100,
        ge=0,
        description=(
            "Steps between two measurements of the cosine between the error used and the exact one (0: "
            "never); one more reading each."
        ),
    )

    def step(self, network: Network, batch: Batch, change: Change) -> Plan[StepReport]:
        """Forward once, then from the last layer to the first: change the layer and read the error for the
        one below.
        """
        traces = yield from network.forward(batch.x)
        output = network.output_error(traces, batch.labels)
        delta, clipped = output.delta, output.clipped
        watch = self.order != "error-first" and self.cosine_every > 0 and batch.step % self.cosine_every == 0
        exact = delta
        cosines: list[float] = []
        for number in range(len(network.layers) - 1, 0, -1):
            wanted = Wanted(delta, traces[number].inputs, batch.factor)
            if watch:
                exact, _ = yield from network.pass_back(number, exact, traces[number - 1])
            if self.order == "error-first":
                delta, bounds = yield from network.pass_back(number, delta, traces[number - 1])
                yield from change([(number, wanted)])
            elif self.order == "update-first":
                yield from change([(number, wanted)])
                delta, bounds = yield from network.pass_back(number, delta, traces[number - 1])
            else:
                yield from change([(number, wanted)])
                traces, delta, bounds = yield from _measured_again(network, batch, number)
            clipped += bounds
            if watch:
                cosines.append(_cosine(delta, exact, batch.labels.size))
        yield from change([(0, Wanted(delta, traces[0].inputs, batch.factor))])
        return StepReport(output.cost, output.correct, clipped, float(np.mean(cosines)) if cosines else None)

    def warnings(self, network: Network) -> Sequence[str]:
        """ReLU and steep sigmoids do not bear an error that went through updated weights."""
        hidden = {layer.activation for layer in network.layers[:-1]}
        if self.order == "error-first" or not hidden - {"tanh"}:
            return ()
        return (
            f"progressive-bp with order {self.order} on hidden "
            f"{', '.join(sorted(hidden - {'tanh'}))}: the error goes back through "
            "weights that were just updated, which adds -rate |delta|^2 a f' to it, and may learn less or "
            "diverge. Use activation: tanh, a smaller rate, or order: error-first.",
        )


def _measured_again(network: Network, batch: Batch, number: int) -> Plan[tuple[list[Trace], F32, int]]:
    """Traces of a new forward pass, the new error passed down to layer ``number - 1``, and readings that were
    only bounds.
    """
    traces = yield from network.forward(batch.x)
    output = network.output_error(traces, batch.labels)
    delta, clipped = output.delta, output.clipped
    for above in range(len(network.layers) - 1, number - 1, -1):
        delta, bounds = yield from network.pass_back(above, delta, traces[above - 1])
        clipped += bounds
    return traces, delta, clipped


def _cosine(used: F32, exact: F32, n: int) -> float:
    """Mean over n samples of the cosine between two errors [n positions, lines]; samples without an error do
    not count.
    """
    used, exact = used.reshape(n, -1), exact.reshape(n, -1)
    lengths = np.linalg.norm(used, axis=1) * np.linalg.norm(exact, axis=1)
    known = lengths > 0
    return float(((used * exact).sum(axis=1)[known] / lengths[known]).mean()) if known.any() else 1.0
