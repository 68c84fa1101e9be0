"""The two axes of training: a gradient says what weight change is wanted, an update makes pulses of it.

Both are plans over the bench contract, so any pair runs on any bench. Neither hides state in itself: an
update's state is handed in and comes back changed, so that a checkpoint is the state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from hil.bench import ArrayInfo
from hil.network import Network, Tile, Wanted
from hil.network.network import Labels
from hil.network.tile import F32
from hil.plan import Plan

State = TypeVar("State")


@dataclass(slots=True, eq=False)
class Batch:
    """Samples of one step: ``x`` float32 [n, in], ``labels`` int64 [n]; ``rate`` the learning rate; ``step``
    counts from 0; ``seed``: a gradient's chance comes from it and the step alone.
    """

    x: F32
    labels: Labels
    rate: float
    step: int
    seed: int = 0

    @property
    def factor(self) -> float:
        """-rate / n: the factor of a wanted change whose gradient is the mean over the batch."""
        return -self.rate / self.labels.size


@dataclass(slots=True)
class StepReport:
    """What a gradient step saw: summed cost and correct answers of the batch before it was learned, readings
    that were only bounds.

    ``cosine``: mean over hidden layers of the cosine between the error used and the exact one, None where it
    was not measured. Of a gradient measured by nudges, else None: ``drift``, root mean square of the steps of
    the mean cost from one baseline to the next; ``nudge``, the mean size of the nudges, in weights;
    ``residue``, mean magnitude of the weight changes that they left behind.
    """

    cost: float
    correct: int
    clipped: int
    cosine: float | None = None
    drift: float | None = None
    nudge: float | None = None
    residue: float | None = None


Change: TypeAlias = Callable[[Sequence[tuple[int, Wanted]]], Plan[None]]
"""Called by a gradient with (layer index, wanted change) pairs that are to be pulsed now, in one transaction.
"""


class Gradient(Protocol):
    """What weight change is wanted. Use an entry point of ``hil.gradients`` to add one."""

    def step(self, network: Network, batch: Batch, change: Change) -> Plan[StepReport]:
        """Measure what the batch wants and call ``yield from change(...)`` whenever a layer's change is
        known.
        """
        ...

    def warnings(self, network: Network) -> Sequence[str]:
        """What a user should know before this gradient trains this network; shown once and recorded."""
        ...


@runtime_checkable
class Demanding(Protocol):
    """A gradient or an update that not every network or bench can serve: it is asked before anything runs."""

    def check(self, network: Network, arrays: Mapping[str, ArrayInfo]) -> None:
        """Refuse by a ConfigError that begins with the experiment's key: "gradient.nudge: asked for …"."""
        ...


@runtime_checkable
class Resumable(Protocol[State]):
    """An update that can go on where a run ended; what it had learned of the devices is learned anew."""

    def at_step(self, state: State, step: int) -> State:
        """The state that :meth:`Update.start` has just given, with so many steps behind it: none of their
        chance comes again.
        """
        ...


@dataclass(frozen=True, slots=True)
class Continuation:
    """What lies behind a training that goes on: how many steps are over, the last of them after which the
    network was evaluated (-1: none), and the accuracies of all evaluations.
    """

    step: int
    evaluated: int = -1
    accuracies: tuple[float, ...] = ()


class Update(Protocol[State]):
    """How a wanted change becomes pulses. Use an entry point of ``hil.updates`` to add one."""

    def start(self, tile: Tile, seed: int) -> Plan[State]:
        """The state of one tile at the start of a run; chance comes from ``seed`` alone."""
        ...

    def apply(self, tile: Tile, wanted: Wanted, state: State) -> Plan[State]:
        """Pulse the tile by the wanted change and return its next state."""
        ...

    def remarks(self, state: State) -> Sequence[str]:
        """What a user should know of a tile's updates at the end of a run; recorded as warnings."""
        ...
