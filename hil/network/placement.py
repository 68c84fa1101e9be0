"""Where the weight matrices lie:
which lines of which arrays, split into blocks where an array is too small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from hil.bench import ArrayInfo
from hil.errors import ConfigError
from hil.network.tile import Block, Side
from hil.schedule import Region

Pairs: TypeAlias = Literal["columns", "arrays"]


@dataclass(frozen=True, slots=True)
class MatrixSize:
    """A weight matrix to be placed: its layer's name, inputs (bias included) and outputs."""

    name: str
    n_in: int
    n_out: int


def wanted_arrays(matrices: Sequence[MatrixSize], pairs: Pairs) -> dict[str, tuple[int, int]]:
    """Arrays, (rows, cols) by name, for a bench that may choose: each matrix whole, on its own array or pair
    of arrays.
    """
    sizes: dict[str, tuple[int, int]] = {}
    for m in matrices:
        if pairs == "columns":
            sizes[m.name] = (m.n_in, 2 * m.n_out)
        else:
            sizes[f"{m.name}_plus"] = sizes[f"{m.name}_minus"] = (m.n_in, m.n_out)
    return sizes


@dataclass(slots=True)
class _Shelf:
    """A band of rows of an array, filled with rectangles from left to right."""

    first_row: int
    height: int
    next_col: int


@dataclass(slots=True)
class _Floor:
    """What is still free of one array."""

    info: ArrayInfo
    next_row: int = 0
    shelves: list[_Shelf] = field(default_factory=list[_Shelf])

    def take(self, rows: int, cols: int) -> Region | None:
        """A free rectangle of the array, or None."""
        for shelf in self.shelves:
            if shelf.height >= rows and shelf.next_col + cols <= self.info.cols:
                first_col = shelf.next_col
                shelf.next_col += cols
                return self._region(shelf.first_row, first_col, rows, cols)
        if self.next_row + rows > self.info.rows or cols > self.info.cols:
            return None
        shelf = _Shelf(self.next_row, rows, cols)
        self.shelves.append(shelf)
        self.next_row += rows
        return self._region(shelf.first_row, 0, rows, cols)

    def _region(self, row: int, col: int, rows: int, cols: int) -> Region:
        return Region.block(self.info.name, range(row, row + rows), range(col, col + cols))


def place(
    matrices: Sequence[MatrixSize], arrays: Mapping[str, ArrayInfo], pairs: Pairs = "columns"
) -> tuple[tuple[Block, ...], ...]:
    """Blocks of each matrix, in order: whole where it fits, else cut to the largest array.

    With ``pairs`` "columns" the plus and minus columns of a block lie side by side; with "arrays" on two
    arrays.

    Raises
    ------
    ConfigError
        When the arrays have no room left; says for which matrix, what it needs and what there is.
    """
    if pairs == "arrays" and len(arrays) < 2:
        raise ConfigError(
            "network.pairs: arrays was asked for; it needs two arrays or more, the bench has one"
        )
    floors = [_Floor(info) for info in arrays.values()]
    return tuple(_place_one(matrix, floors, pairs) for matrix in matrices)


def _place_one(matrix: MatrixSize, floors: Sequence[_Floor], pairs: Pairs) -> tuple[Block, ...]:
    devices = 2 if pairs == "columns" else 1
    height = min(matrix.n_in, max(f.info.rows for f in floors))
    width = min(matrix.n_out, max(f.info.cols for f in floors) // devices)
    blocks: list[Block] = []
    for first_in in range(0, matrix.n_in, height):
        rows = min(height, matrix.n_in - first_in)
        for first_out in range(0, matrix.n_out, max(width, 1)):
            cols = min(width, matrix.n_out - first_out)
            sides: tuple[Side, ...] = ("pair",) if pairs == "columns" else ("plus", "minus")
            taken: list[Region] = []
            for side in sides:
                region = _take(floors, rows, cols * devices, other_than=[r.array for r in taken])
                if region is None or cols == 0:
                    raise ConfigError(_no_room(matrix, floors, devices))
                taken.append(region)
                blocks.append(Block(region, first_in, first_out, side))
    return tuple(blocks)


def _take(floors: Sequence[_Floor], rows: int, cols: int, other_than: Sequence[str]) -> Region | None:
    for floor in floors:
        if floor.info.name not in other_than and (region := floor.take(rows, cols)) is not None:
            return region
    return None


def _no_room(matrix: MatrixSize, floors: Sequence[_Floor], devices: int) -> str:
    have = ", ".join(
        f"{f.info.name} {f.info.rows} x {f.info.cols} ({f.info.rows - f.next_row} rows free)" for f in floors
    )
    pairs = "columns" if devices == 2 else "columns on each of two arrays"
    return (
        f"{matrix.name} needs {matrix.n_in} rows x {devices * matrix.n_out} {pairs} "
        f"({matrix.n_in} inputs with bias, {matrix.n_out} outputs, two devices a weight); the bench "
        f"has {have}; "
        "make the arrays larger, add arrays, or shrink the layer"
    )
