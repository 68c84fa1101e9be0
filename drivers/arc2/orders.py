"""What the board is asked for: channels driven and sensed, and pulses of one line against some of the other
side at once, into which a matrix of counts is cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hil.region import Index
from hil.schedule import Counts


class Drive(NamedTuple):
    """Voltages of channels, all others at 0 V, while the currents of ``sensed`` are measured."""

    volts: Sequence[tuple[int, float]]
    sensed: Index


class Shot(NamedTuple):
    """Equal pulses between one channel and some others, of ``volts`` from ``low`` to ``highs``; ns."""

    low: int
    highs: Index
    volts: float
    width: int
    gap: int
    times: int


class Slice(NamedTuple):
    """``times`` equal pulses between ``line`` (a row for ``axis`` 0, else a column) and ``others``."""

    axis: int
    line: int
    others: Index
    times: int
    rising: bool


def slices(counts: Counts) -> Iterator[Slice]:
    """Slices that add up to ``counts`` [rows, cols], along the axis that needs fewer pulses.

    Line after line; of each the potentiating ones first. Others take part until they have had their count.
    """
    wanted = counts.astype(np.int64)
    if not wanted.any():
        return
    axis = int(_pulses(wanted.T) < _pulses(wanted))
    for line, pattern in enumerate(wanted.T if axis else wanted):
        for rising in (True, False):
            left = np.maximum(pattern if rising else -pattern, 0)
            had = 0
            for level in np.unique(left[left > 0]).tolist():
                yield Slice(axis, line, np.flatnonzero(left >= level), level - had, rising)
                had = level


def _pulses(wanted: NDArray[np.int64]) -> int:
    """Pulses put out one after the other, if by rows."""
    return int(wanted.max(axis=1, initial=0).sum() - wanted.min(axis=1, initial=0).sum())
