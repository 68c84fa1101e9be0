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

_ARRAYS_NAMED = 6


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

    def free(self) -> list[tuple[int, int]]:
        """The free rectangles, (rows, cols) of each: below the shelves, and at the end of each of them."""
        pieces = [(self.info.rows - self.next_row, self.info.cols)]
        pieces += [(shelf.height, self.info.cols - shelf.next_col) for shelf in self.shelves]
        return [(rows, cols) for rows, cols in pieces if rows and cols]

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
        When the arrays have no room left; says for which matrix, what it needs, what was free before it and
        what the matrices before it took.
    """
    if pairs == "arrays" and len(arrays) < 2:
        raise ConfigError(
            "network.pairs: arrays was asked for; it needs two arrays or more, the bench has one"
        )
    floors = [_Floor(info) for info in arrays.values()]
    placed: list[tuple[Block, ...]] = []
    for number, matrix in enumerate(matrices):
        free = [floor.free() for floor in floors]
        blocks = _place_one(matrix, floors, pairs)
        if blocks is None:
            raise ConfigError(_no_room(matrices[: number + 1], list(arrays.values()), free, pairs))
        placed.append(blocks)
    return tuple(placed)


def _place_one(matrix: MatrixSize, floors: Sequence[_Floor], pairs: Pairs) -> tuple[Block, ...] | None:
    """Its blocks; None when they have no room, and then part of the floors is filled all the same."""
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
                    return None
                taken.append(region)
                blocks.append(Block(region, first_in, first_out, side))
    return tuple(blocks)


def _take(floors: Sequence[_Floor], rows: int, cols: int, other_than: Sequence[str]) -> Region | None:
    for floor in floors:
        if floor.info.name not in other_than and (region := floor.take(rows, cols)) is not None:
            return region
    return None


def _no_room(
    matrices: Sequence[MatrixSize],
    arrays: Sequence[ArrayInfo],
    free: Sequence[Sequence[tuple[int, int]]],
    pairs: Pairs,
) -> str:
    """Why the last matrix has no room, by the pieces that were free in each array before it was tried."""
    *before, matrix = matrices
    size = f"{matrix.n_in} rows x {2 * matrix.n_out if pairs == 'columns' else matrix.n_out} columns"
    each = "" if pairs == "columns" else " in each of two arrays"
    needed = _devices(matrix)
    there = sum(info.rows * info.cols for info in arrays)
    left = sum(rows * cols for pieces in free for rows, cols in pieces)
    where = "; ".join(
        f"{info.name} {info.rows} x {info.cols}, free {_pieces(pieces)}"
        for info, pieces in zip(arrays[:_ARRAYS_NAMED], free, strict=False)
    )
    more = f"; and {len(arrays) - _ARRAYS_NAMED} arrays more" if len(arrays) > _ARRAYS_NAMED else ""
    took = "".join(f", {m.name} took {_devices(m):,}" for m in before)
    enough = ", enough but not in pieces that take it" if left >= needed else ""
    return (
        f"{matrix.name} needs {needed:,} devices, {size}{each} ({matrix.n_in} inputs with bias, "
        f"{matrix.n_out} outputs, two devices a weight); the bench has {there:,}{took}; "
        f"free before {matrix.name}, in rectangles: {left:,}{enough} ({where}{more}); "
        "make the arrays larger, add arrays, or shrink the layer"
    )


def _devices(matrix: MatrixSize) -> int:
    return 2 * matrix.n_in * matrix.n_out


def _pieces(pieces: Sequence[tuple[int, int]]) -> str:
    return " and ".join(f"{rows} x {cols}" for rows, cols in pieces) or "nothing"
