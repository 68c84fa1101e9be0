"""DGC where it takes few readings, backpropagation elsewhere: a kernel's few weights are nudged, a dense
layer's many are not.

Kim et al., Adv. Intell. Syst. 3(8), 2021, 10.1002/aisy.202100064 report such a hybrid for convolution
networks; which layer takes which method is our reconstruction and therefore an option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hil.bench import ArrayInfo
from hil.config.validate import Config, MisfitError, did_you_mean
from hil.errors import ConfigError
from hil.network import Network, Wanted
from hil.plan import Plan
from hil.training.contracts import Batch, Change, StepReport
from protocols.gradients.dgc import Measured, Nudges, pulse_warnings, report


class Hybrid(Config):
    """DGC on some layers; on the others backprop, or progressive backpropagation."""

    name: Literal["hybrid"] = "hybrid"
    layers: Annotated[tuple[str, ...], Field(strict=False)] | None = Field(
        default=None,
        description="Layers that dgc trains, by name (layer1 is the first); left out: all convolutions.",
    )
    others: Literal["backprop", "progressive-bp"] = Field(
        default="backprop", description="What trains the other layers."
    )
    order: Literal["update-first", "error-first"] = Field(
        default="update-first",
        description="Of others progressive-bp: whether the error goes back through updated weights.",
    )
    dgc: Nudges = Field(default=Nudges(), description="How weights are nudged.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.layers is not None and not self.layers:
            raise MisfitError(
                "no layer is left to dgc; that is gradient: backprop or progressive-bp", "layers"
            )
        if self.others == "backprop" and "order" in self.model_fields_set:
            raise MisfitError("is for others: progressive-bp; others is backprop", "order")
        return self

    def step(self, network: Network, batch: Batch, change: Change) -> Plan[StepReport]:
        """Forward once; from the last layer to the first either the error or nudges say what is wanted."""
        traces = yield from network.forward(batch.x)
        output = network.output_error(traces, batch.labels)
        owned = self.owned(network)
        lowest = min(number for number in range(len(traces)) if number not in owned)
        delta = output.delta
        found: list[Measured] = []
        waiting: list[tuple[int, Wanted]] = []
        for number in range(len(traces) - 1, -1, -1):
            if number in owned:
                measured = yield from self.dgc.gradient(network, number, traces[number].inputs, batch)
                found.append(measured)
                waiting.append((number, measured.wanted))
            else:
                waiting.append((number, Wanted(delta, traces[number].inputs, batch.factor)))
                if self._update_first:
                    yield from change([waiting.pop()])
            if number > lowest:
                delta, clipped = yield from network.pass_back(number, delta, traces[number - 1])
                output.clipped += clipped
            if waiting and self.others == "progressive-bp":
                yield from change([waiting.pop()])
        if waiting:
            yield from change(waiting)
        return report(output, batch, found)

    def warnings(self, network: Network) -> Sequence[str]:
        """Those of nudges."""
        return pulse_warnings(self.dgc)

    def owned(self, network: Network) -> frozenset[int]:
        """Numbers of the layers that dgc trains.

        Raises
        ------
        ConfigError
            No such layer, no convolution where none is named, or no layer left for the others.
        """
        names = [layer.tile.name for layer in network.layers]
        if self.layers is None:
            numbers = frozenset(n for n, layer in enumerate(network.layers) if layer.convolution is not None)
            if not numbers:
                raise ConfigError(
                    "gradient.layers: missing; this network has no convolution, so name what dgc is to "
                    f"train: some of {', '.join(names)}"
                )
        else:
            for place, name in enumerate(self.layers):
                if name not in names:
                    raise ConfigError(
                        f"gradient.layers.{place}: asked for {name!r}; {did_you_mean(name, names)}"
                    )
            numbers = frozenset(names.index(name) for name in self.layers)
        if len(numbers) == len(names):
            raise ConfigError("gradient.layers: no layer is left to others; that is gradient: dgc")
        return numbers

    def check(self, network: Network, arrays: Mapping[str, ArrayInfo]) -> None:
        """Refuse layers that are not there, nudges that the bench does not offer, and an order of others that
        would need a layer of dgc updated by them.

        Raises
        ------
        ConfigError
            It begins with the key.
        """
        owned = self.owned(network)
        lowest = min(number for number in range(len(network.layers)) if number not in owned)
        between = [network.layers[number].tile.name for number in sorted(owned) if number > lowest]
        if self._update_first and between:
            below = network.layers[lowest].tile.name
            raise ConfigError(
                f"gradient.order: asked for update-first; the error for {below} goes back through "
                f"{', '.join(between)}, which dgc updates and progressive-bp does not: use order: "
                f"error-first or others: backprop, or leave {below} to dgc (gradient.layers)"
            )
        self.dgc.check_nudges([network.layers[number] for number in sorted(owned)], arrays, "gradient.dgc")

    @property
    def _update_first(self) -> bool:
        return self.others == "progressive-bp" and self.order == "update-first"
