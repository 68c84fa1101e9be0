"""What an array controller is ordered to do: READ, MUL, SHOT, WAIT of docs/array-controller.md, as values.

Times are whole nanoseconds, as the board makes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from drivers.line.frames import channels_text, vector_text
from hil.region import Floats, Index

Bias: TypeAlias = Literal["V/2", "V/3"]
_BETWEEN_SHOTS_NS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class ReadOrder:
    """Row after row at ``volts``, all columns sensed: amperes [rows, cols]."""

    rows: Index
    cols: Index
    volts: float
    ns: int
    wait: int = 0

    @property
    def values(self) -> int:
        """Currents in the answer."""
        return self.rows.size * self.cols.size

    @property
    def longest_ns(self) -> int:
        """The longest it may take."""
        return self.rows.size * (self.ns + self.wait)

    def text(self) -> str:
        """The words after ``OP i=…``."""
        where = f"r={channels_text(self.rows)} c={channels_text(self.cols)}"
        return f"do=READ {where} v={self.volts!r} ns={self.ns} wait={self.wait}"


@dataclass(frozen=True, slots=True, eq=False)
class MultiplyOrder:
    """Vector after vector on one side, the other sensed: amperes [n, others], with variants [k, n, others].

    ``volts`` [n, lines]; ``varied`` int64 [k] and ``varied_volts`` [k, n] as in `hil.schedule.Variants`.
    """

    rows: Index
    cols: Index
    volts: Floats
    ns: int
    wait: int = 0
    transpose: bool = False
    varied: Index | None = None
    varied_volts: Floats | None = None

    @property
    def vectors(self) -> int:
        """Vectors driven."""
        return self.volts.shape[0] * (1 if self.varied is None else self.varied.size)

    @property
    def values(self) -> int:
        """Currents in the answer."""
        return self.vectors * (self.rows if self.transpose else self.cols).size

    @property
    def longest_ns(self) -> int:
        """The longest it may take."""
        return self.vectors * (self.ns + self.wait)

    def text(self) -> str:
        """The words after ``OP i=…``."""
        side = "cols" if self.transpose else "rows"
        what = f"do=MUL side={side} r={channels_text(self.rows)} c={channels_text(self.cols)}"
        timed = f"n={self.volts.shape[0]} x={vector_text(self.volts)} ns={self.ns} wait={self.wait}"
        if self.varied is None or self.varied_volts is None:
            return f"{what} {timed}"
        return f"{what} {timed} vl={channels_text(self.varied)} vx={vector_text(self.varied_volts)}"


@dataclass(frozen=True, slots=True, eq=False)
class ShotOrder:
    """Shots s = 1, 2, …: one pulse to all rows and to those columns whose count is s or more.

    ``counts`` int64 [cols]; ``volts`` is row minus column at a selected device.
    """

    rows: Index
    cols: Index
    counts: NDArray[np.int64]
    volts: float
    width: int
    gap: int
    bias: Bias
    values: int = field(default=0, init=False)

    @property
    def shots(self) -> int:
        """How often lines are pulsed."""
        return int(self.counts.max(initial=0))

    @property
    def longest_ns(self) -> int:
        """The longest it may take, the board's own time included."""
        return self.shots * (self.width + self.gap + _BETWEEN_SHOTS_NS)

    def text(self) -> str:
        """The words after ``OP i=…``."""
        same = self.counts.size > 0 and bool((self.counts == self.counts[0]).all())
        counts = str(self.counts[0]) if same else ",".join(map(str, self.counts.tolist()))
        where = f"r={channels_text(self.rows)} c={channels_text(self.cols)} n={counts}"
        return f"do=SHOT {where} v={self.volts!r} width={self.width} gap={self.gap} bias={self.bias}"


@dataclass(frozen=True, slots=True)
class WaitOrder:
    """All lines at 0 V."""

    ns: int
    values: int = field(default=0, init=False)

    @property
    def longest_ns(self) -> int:
        """The longest it may take."""
        return self.ns

    def text(self) -> str:
        """The words after ``OP i=…``."""
        return f"do=WAIT ns={self.ns}"


Order: TypeAlias = ReadOrder | MultiplyOrder | ShotOrder | WaitOrder


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What came of an order: ``amperes`` float32 and ``clipped`` bool, flat; seconds and joules (0 where the
    board measures none).
    """

    amperes: NDArray[np.float32]
    clipped: NDArray[np.bool_]
    seconds: float
    joules: float
