"""A part of a weight matrix on one array: which of its lines stand for which inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from hil.region import Region

Side: TypeAlias = Literal["pair", "plus", "minus", "reference"]
Weights: TypeAlias = Literal["pair", "split-pair", "reference"]
"""How weights are held: each by a pair of devices side by side, by a pair on two arrays, or by one device
against a reference that a column shares.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A rectangle of a weight matrix on one array.

    ``region``'s rows are the inputs ``first_in`` and on; its columns the outputs ``first_out`` and on: all
    plus columns, then all minus columns (side "pair"), only one of the two kinds (side "plus" or "minus"), or
    all plus columns and then one that all of them are measured against (side "reference").
    """

    region: Region
    first_in: int
    first_out: int
    side: Side = "pair"
    trained: Region = field(init=False)
    """The devices that training pulses: all but a reference."""

    def __post_init__(self) -> None:
        region = self.region
        if self.side == "reference":
            region = Region(region.array, region.rows, region.cols[:-1])
        object.__setattr__(self, "trained", region)

    @property
    def plus(self) -> bool:
        """Whether it holds the plus devices of its weights."""
        return self.side != "minus"

    @property
    def minus(self) -> bool:
        """Whether it holds minus devices of its weights."""
        return self.side in ("pair", "minus")

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return self.region.rows.size

    @property
    def n_out(self) -> int:
        """Number of outputs."""
        return self.trained.cols.size // 2 if self.side == "pair" else self.trained.cols.size

    @property
    def inputs(self) -> slice:
        """Which inputs of the tile."""
        return slice(self.first_in, self.first_in + self.n_in)

    @property
    def outputs(self) -> slice:
        """Which outputs of the tile."""
        return slice(self.first_out, self.first_out + self.n_out)
