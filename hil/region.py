"""Lines of an array: which crosspoints an operation is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hil.errors import ScheduleError

Floats: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
Index: TypeAlias = NDArray[np.int64]
Counts: TypeAlias = NDArray[np.int16]
Places: TypeAlias = NDArray[np.int32]


def _lines(name: str, lines: ArrayLike) -> Index:
    index = np.asarray(lines)
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        raise ScheduleError(f"{name}: asked for {lines!r}; a one-dimensional array of line numbers is needed")
    index = np.array(index, dtype=np.int64)
    if index.size and index.min() < 0:
        raise ScheduleError(f"{name}: asked for line {index.min()}; lines are counted from 0")
    if np.unique(index).size != index.size:
        raise ScheduleError(f"{name}: a line is named twice in {lines!r}")
    return index


def _contiguous_start(index: Index) -> int:
    """First line if the lines follow one another without a gap, else -1."""
    if index.size == 0 or np.any(np.diff(index) != 1):
        return -1
    return int(index[0])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Region:
    """Some lines of one array: the crosspoints of ``rows`` and ``cols``.

    Parameters
    ----------
    array
        Name of the array on the bench.
    rows, cols
        Line numbers, int64 [r] and [c], each line once, in the order in which answers are wanted.

    Raises
    ------
    ScheduleError
        When a line is negative or named twice.
    """

    array: str
    rows: Index
    cols: Index
    col_start: int = field(default=-1, init=False)
    """First column when the columns are contiguous, else -1: benches and kernels take the short way then."""
    whole: Region | None = field(default=None, init=False)
    """The region whose rows these are some of: what holds for its lines need not be found again."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", _lines(f"rows of {self.array}", self.rows))
        object.__setattr__(self, "cols", _lines(f"columns of {self.array}", self.cols))
        object.__setattr__(self, "col_start", _contiguous_start(self.cols))

    @classmethod
    def block(cls, array: str, rows: range, cols: range) -> Region:
        """A rectangle of neighbouring lines, for example ``Region.block("main", range(4), range(8))``."""
        return cls(array, np.arange(rows.start, rows.stop), np.arange(cols.start, cols.stop))

    def with_rows(self, positions: Index) -> Region:
        """The same columns on some of the rows; ``positions`` int64 [k] index ``rows`` and are not checked
        again.
        """
        part = object.__new__(Region)
        set_ = object.__setattr__
        set_(part, "array", self.array)
        set_(part, "rows", self.rows[positions])
        set_(part, "cols", self.cols)
        set_(part, "col_start", self.col_start)
        set_(part, "whole", self if self.whole is None else self.whole)
        return part

    @property
    def shape(self) -> tuple[int, int]:
        """(number of rows, number of columns)."""
        return self.rows.size, self.cols.size

    def __repr__(self) -> str:
        return f"Region({self.array!r}, {self.rows.size} rows x {self.cols.size} cols)"
