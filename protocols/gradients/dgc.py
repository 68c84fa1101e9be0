"""Direct gradient calculation: each weight is changed a little for a moment; the change of the cost is its
gradient.

Kim et al., Adv. Intell. Syst. 3(8), 2021, 10.1002/aisy.202100064. Only the abstract could be read: how the
nudge is made, and when weights are updated, is our reconstruction and therefore an option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field

from hil.bench import ArrayInfo
from hil.config.validate import Config
from hil.errors import ConfigError
from hil.network import Layer, Network, Tile, Wanted
from hil.network.network import OutputError
from hil.network.tile import F32, TileReading
from hil.plan import Plan
from hil.schedule import NudgeKind
from hil.training.contracts import Batch, Change, StepReport
from protocols.gradients.sweep import Devices, Nudging, Sample, Sides, asked, chosen_size, sweep

Order: TypeAlias = Literal["jacobi", "gauss-seidel"]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A layer's wanted change as nudges found it.

    ``bases``: the mean cost without a nudge, as often as it was measured; ``size``: of the nudges;
    ``residue``: mean magnitude of the changes of weights that they left behind, None where it was not
    measured; ``clipped``: readings that were only bounds.
    """

    wanted: Wanted
    bases: list[float]
    size: float
    residue: float | None
    clipped: int


class Nudges(Config):
    """How weights are nudged; :class:`Dgc` and the hybrid share it."""

    nudge: NudgeKind = Field(
        default="current",
        description=(
            "What changes a weight for a moment. current: extra current at the column, exact; gate: a bias "
            "that shifts the device's conductance by a part of it; pulse: programming pulses and as many "
            "back, which leaves a residue. The bench must offer it."
        ),
    )
    size: Annotated[float, Field(gt=0)] | Literal["auto"] = Field(
        default="auto",
        description=(
            "Change of a weight by a nudge (gate: of one held by a device in the middle of its range); auto: "
            "chosen for each layer and step from the noise and the slope of the cost, measured on 64 weights."
        ),
    )
    largest: float = Field(default=0.5, gt=0, description="Of size auto: the largest size, also of its test.")
    smallest: float = Field(default=0.01, gt=0, description="Of size auto: the smallest size.")
    kappa: float = Field(
        default=0.7, gt=0, description="Of size auto: noise of a measured slope over the slopes themselves."
    )
    sides: Sides = Field(
        default="one",
        description=(
            "one: against the baseline; two: up and down, twice the readings and no error of second order."
        ),
    )
    devices: Devices = Field(
        default="plus", description="Which device of a pair is nudged; both takes twice the readings."
    )
    average: int = Field(default=1, ge=1, description="Readings of each sample while a nudge lasts.")
    baseline_every: int = Field(
        default=16384, ge=1, description="Nudges after which the cost without a nudge is measured again."
    )
    residue_every: int = Field(
        default=100,
        ge=0,
        description=(
            "Of nudge pulse: steps between two measurements of what nudges leave behind (0: never), by "
            "reading all devices before and after."
        ),
    )

    def gradient(self, network: Network, number: int, inputs: F32, batch: Batch) -> Plan[Measured]:
        """The gradient of one layer, as the network stands.

        Parameters
        ----------
        inputs
            What drives its tile, [n positions, in], bias line included.
        """
        tile = network.layers[number].tile
        watch = self.nudge == "pulse" and self.residue_every > 0 and batch.step % self.residue_every == 0
        before = (yield from tile.read()) if watch else None
        sample = Sample(inputs, batch.labels)
        if self.average > 1:
            sample = Sample(np.tile(inputs, (self.average, 1)), np.tile(batch.labels, self.average))
        size = self.largest if self.size == "auto" else self.size
        nudging = Nudging(self.nudge, size, self.sides, self.devices, self.baseline_every)
        if self.size == "auto":
            size = yield from chosen_size(network, number, sample, nudging, self.kappa, self.smallest)
            nudging = Nudging(self.nudge, size, self.sides, self.devices, self.baseline_every)
        swept = yield from sweep(network, number, sample, nudging)
        residue = None if before is None else (yield from _residue(tile, before))
        wanted = Wanted.measured(swept.matrix, batch.factor / self.average)
        return Measured(
            wanted, [base / sample.labels.size for base in swept.bases], size, residue, swept.clipped
        )

    def check_nudges(self, layers: Sequence[Layer], arrays: Mapping[str, ArrayInfo], key: str) -> None:
        """Refuse what the bench or the devices cannot do; messages begin with the ``key`` of the settings."""
        for layer in layers:
            tile = layer.tile
            for block in tile.blocks:
                offered = arrays[block.region.array].nudges
                if self.nudge not in offered:
                    raise ConfigError(
                        f"{key}.nudge: asked for {self.nudge}; array {block.region.array} of this bench "
                        f"offers {', '.join(sorted(offered)) or 'none'}"
                    )
            if not tile.paired and self.devices != "plus":
                raise ConfigError(
                    f"{key}.devices: asked for {self.devices}; weights are held against a reference, which "
                    "is not nudged: plus is allowed"
                )
            size, name = (self.largest, "largest") if self.size == "auto" else (self.size, "size")
            if self.nudge == "gate" and self.sides == "two" and asked(tile, "gate", size) >= 1:
                raise ConfigError(
                    f"{key}.{name}: asked for {size:g}; downwards that is more than all of a device's "
                    f"conductance in {tile.name}: less than {size / asked(tile, 'gate', size):.3g} is allowed"
                )
        if self.size == "auto" and self.smallest > self.largest:
            raise ConfigError(f"{key}.smallest: asked for {self.smallest:g}; largest is {self.largest:g}")


class Dgc(Nudges):
    """Every layer by nudges, from the last to the first; no error goes back and no slope is computed."""

    name: Literal["dgc"] = "dgc"
    order: Order = Field(
        default="jacobi",
        description=(
            "jacobi: all layers are measured, then all are updated; gauss-seidel: each layer is updated as "
            "soon as it is measured, and those below see it updated."
        ),
    )

    def step(self, network: Network, batch: Batch, change: Change) -> Plan[StepReport]:
        """Forward once for what drives each layer, then sweep after sweep."""
        traces = yield from network.forward(batch.x)
        output = network.output_error(traces, batch.labels)
        found: list[Measured] = []
        changes: list[tuple[int, Wanted]] = []
        for number in range(len(network.layers) - 1, -1, -1):
            measured = yield from self.gradient(network, number, traces[number].inputs, batch)
            found.append(measured)
            changes.append((number, measured.wanted))
            if self.order == "gauss-seidel":
                yield from change([changes.pop()])
        if changes:
            yield from change(changes)
        return report(output, batch, found)

    def warnings(self, network: Network) -> Sequence[str]:
        """What the nudges leave behind is the user's to know."""
        return pulse_warnings(self)

    def check(self, network: Network, arrays: Mapping[str, ArrayInfo]) -> None:
        """Refuse nudges that the bench does not offer or the devices cannot follow.

        Raises
        ------
        ConfigError
            It begins with the key.
        """
        self.check_nudges(network.layers, arrays, "gradient")


def report(output: OutputError, batch: Batch, found: Sequence[Measured]) -> StepReport:
    """A step's report: the drift is the root mean square of the steps of the mean cost from one baseline to
    the next, the batch's own forward pass first.
    """
    bases = [output.cost / batch.labels.size, *(base for measured in found for base in measured.bases)]
    residues = [measured.residue for measured in found if measured.residue is not None]
    return StepReport(
        output.cost,
        output.correct,
        output.clipped + sum(measured.clipped for measured in found),
        drift=float(np.sqrt(np.mean(np.diff(bases) ** 2))) if len(bases) > 1 else None,
        nudge=float(np.mean([measured.size for measured in found])),
        residue=float(np.mean(residues)) if residues else None,
    )


def pulse_warnings(nudges: Nudges) -> Sequence[str]:
    """That a nudge by pulses wears every device and stays in it."""
    if nudges.nudge != "pulse":
        return ()
    return (
        "nudges by pulses: every weight that is driven is pulsed up and back in every step, which wears the "
        "devices and leaves a residue where up and down differ; the record has the residue and the doses",
    )


def _residue(tile: Tile, before: TileReading) -> Plan[float]:
    after = yield from tile.read()
    return float(np.nanmean(np.abs(tile.weights(after) - tile.weights(before))))
