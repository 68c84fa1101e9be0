"""Simultaneous perturbation: all weights are pulsed at once by random signs, and two readings of the cost say
which way was downhill. A cheap and noisy cousin of dgc.

Spall, IEEE Trans. Autom. Control 37, 332 (1992), 10.1109/9.119632.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from hil.bench import ArrayInfo
from hil.config.validate import Config
from hil.errors import ConfigError
from hil.network import Layer, Network, Wanted
from hil.network.kernels import active
from hil.network.tile import F32
from hil.plan import Plan
from hil.schedule import MAX_COUNT, Counts, Schedule
from hil.training.contracts import Batch, Change, StepReport


class Spsa(Config):
    """C(W + h s) and C(W - h s) with signs s: a weight wants their difference times its own sign."""

    name: Literal["spsa"] = "spsa"
    pulses: int = Field(
        default=4,
        ge=1,
        le=MAX_COUNT // 2,
        description=(
            "Pulses by which a device is moved away from where it was; of a pair, both devices, oppositely."
        ),
    )

    def step(self, network: Network, batch: Batch, change: Change) -> Plan[StepReport]:
        """Two forward passes, pulses between them, and the pulses that are wanted."""
        signs = [_signs(layer, number, batch) for number, layer in enumerate(network.layers)]
        yield self._moved(network, signs, 1)
        above = yield from network.forward(batch.x)
        yield self._moved(network, signs, -2)
        below = yield from network.forward(batch.x)
        yield self._moved(network, signs, 1)
        up, down = network.output_error(above, batch.labels), network.output_error(below, batch.labels)
        yield from change(
            [
                (number, self._wanted(layer, sign, up.cost - down.cost, batch))
                for number, (layer, sign) in enumerate(zip(network.layers, signs, strict=True))
            ]
        )
        cost = 0.5 * (up.cost + down.cost)
        moves = [self._weight(layer) for layer in network.layers]
        return StepReport(cost, up.correct, up.clipped + down.clipped, nudge=float(np.mean(moves)))

    def warnings(self, network: Network) -> Sequence[str]:
        """What such a gradient takes of rate and devices."""
        return (
            f"spsa: the measured gradient is about {np.sqrt(network.weights):.0f} times as long as the true "
            "one, nearly all of it noise, so the rate must be small; every driven device is pulsed "
            f"{4 * self.pulses} times a step, which wears it and leaves a residue where up and down differ",
        )

    def check(self, network: Network, arrays: Mapping[str, ArrayInfo]) -> None:
        """Refuse pulses that would take a weight beyond what its devices hold.

        Raises
        ------
        ConfigError
            It begins with the key.
        """
        for layer in network.layers:
            if self._weight(layer) > layer.tile.w_max:
                most = int(self.pulses * layer.tile.w_max / self._weight(layer))
                raise ConfigError(
                    f"gradient.pulses: asked for {self.pulses}, nominally a weight of "
                    f"{self._weight(layer):.3g} in {layer.tile.name}, whose devices hold "
                    f"{layer.tile.w_max:g}: up to {most} are allowed"
                )

    def _moved(self, network: Network, signs: Sequence[Counts], times: int) -> Schedule:
        counts = [np.int16(times * self.pulses) * sign for sign in signs]
        return tuple(
            op
            for layer, count in zip(network.layers, counts, strict=True)
            for op in layer.tile.program(count, -count if layer.tile.paired else np.zeros_like(count))
        )

    def _weight(self, layer: Layer) -> float:
        """How far the pulses move a weight, by the data sheet's nominal steps."""
        sheet = layer.tile.sheet
        steps = 0.5 * (sheet.step_up_s + sheet.step_down_s) * (2 if layer.tile.paired else 1)
        return self.pulses * steps / layer.tile.scale_s

    def _wanted(self, layer: Layer, signs: Counts, difference: float, batch: Batch) -> Wanted:
        slope = np.float32(difference / (2 * self._weight(layer)))
        gradient: F32 = slope * signs.T.astype(np.float32)
        return Wanted.measured(gradient, batch.factor)


def _signs(layer: Layer, number: int, batch: Batch) -> Counts:
    """+1 or -1 for each weight, int16 [in, out]; 0 where nothing of the batch drives an input of the first
    layer, whose weights then have no part in the cost.
    """
    tile = layer.tile
    rng = np.random.default_rng([batch.seed, batch.step, number])
    signs = rng.integers(0, 2, (tile.n_in, tile.n_out), np.int16) * np.int16(2) - np.int16(1)
    if number == 0:
        driven = np.zeros(tile.n_in, np.bool_)
        driven[active(layer.unfold(batch.x))] = True
        if layer.bias:
            driven[-1] = True
        signs[~driven] = 0
    return signs
