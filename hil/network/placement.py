"""Where the weight matrices lie:
which lines of which arrays, split into blocks where an array is too small.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hil.bench import ArrayInfo
from hil.errors import ConfigError
from hil.network.avoid import avoid
from hil.network.block import Block, Side, Weights
from hil.schedule import Region

_ARRAYS_NAMED = 6


@dataclass(frozen=True, slots=True)
class MatrixSize:
    """A weight matrix to be placed: its layer's name, inputs (bias included) and outputs."""

    name: str
    n_in: int
    n_out: int


def wanted_arrays(matrices: Sequence[MatrixSize], weights: Weights) -> dict[str, tuple[int, int]]:
    """Arrays, (rows, cols) by name, for a bench that may choose: each matrix whole, on its own array or pair
    of arrays.
    """
    sizes: dict[str, tuple[int, int]] = {}
    for m in matrices:
        if weights != "split-pair":
            sizes[m.name] = (m.n_in, _columns(m.n_out, weights))
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
    matrices: Sequence[MatrixSize], arrays: Mapping[str, ArrayInfo], weights: Weights = "pair"
) -> tuple[tuple[Block, ...], ...]:
    """Blocks of each matrix, in order: whole where it fits, else cut to the largest array.

    The plus and minus columns of a block lie side by side, with "split-pair" on two arrays; with "reference"
    one column follows the plus columns of each block. Where an array's faulty devices are known, its spare
    lines are used to keep out of their way (:func:`hil.network.avoid.avoid`).

    Raises
    ------
    ConfigError
        When the arrays have no room left; says for which matrix, what it needs, what was free before it and
        what the matrices before it took.
    """
    if weights == "split-pair" and len(arrays) < 2:
        raise ConfigError(
            "network.weights: split-pair was asked for; it needs two arrays or more, the bench has one"
        )
    floors = [_Floor(info) for info in arrays.values()]
    placed: list[tuple[Block, ...]] = []
    for number, matrix in enumerate(matrices):
        free = [floor.free() for floor in floors]
        blocks = _place_one(matrix, floors, weights)
        if blocks is None:
            raise ConfigError(_no_room(matrices[: number + 1], list(arrays.values()), free, weights))
        placed.append(blocks)
    return avoid(placed, arrays)


def _place_one(matrix: MatrixSize, floors: Sequence[_Floor], weights: Weights) -> tuple[Block, ...] | None:
    """Its blocks; None when they have no room, and then part of the floors is filled all the same."""
    height = min(matrix.n_in, max(f.info.rows for f in floors))
    widest = max(f.info.cols for f in floors)
    width = min(matrix.n_out, {"pair": widest // 2, "split-pair": widest, "reference": widest - 1}[weights])
    blocks: list[Block] = []
    for first_in in range(0, matrix.n_in, height):
        rows = min(height, matrix.n_in - first_in)
        for first_out in range(0, matrix.n_out, max(width, 1)):
            cols = min(width, matrix.n_out - first_out)
            sides: tuple[Side, ...] = ("plus", "minus") if weights == "split-pair" else (weights,)
            taken: list[Region] = []
            for side in sides:
                wanted = _columns(cols, weights)
                region = _take(floors, rows, wanted, other_than=[r.array for r in taken])
                if region is None or cols == 0:
                    return None
                taken.append(region)
                blocks.append(Block(region, first_in, first_out, side))
    return tuple(blocks)


def _columns(outputs: int, weights: Weights) -> int:
    """Columns that outputs take on one array."""
    return {"pair": 2 * outputs, "split-pair": outputs, "reference": outputs + 1}[weights]


def _take(floors: Sequence[_Floor], rows: int, cols: int, other_than: Sequence[str]) -> Region | None:
    for floor in floors:
        if floor.info.name not in other_than and (region := floor.take(rows, cols)) is not None:
            return region
    return None


def _no_room(
    matrices: Sequence[MatrixSize],
    arrays: Sequence[ArrayInfo],
    free: Sequence[Sequence[tuple[int, int]]],
    weights: Weights,
) -> str:
    """Why the last matrix has no room, by the pieces that were free in each array before it was tried."""
    *before, matrix = matrices
    size = f"{matrix.n_in} rows x {_columns(matrix.n_out, weights)} columns"
    each = " in each of two arrays" if weights == "split-pair" else ""
    a_weight = "one device a weight and a reference" if weights == "reference" else "two devices a weight"
    needed = _devices(matrix, weights)
    there = sum(info.rows * info.cols for info in arrays)
    left = sum(rows * cols for pieces in free for rows, cols in pieces)
    where = "; ".join(
        f"{info.name} {info.rows} x {info.cols}, free {_pieces(pieces)}"
        for info, pieces in zip(arrays[:_ARRAYS_NAMED], free, strict=False)
    )
    more = f"; and {len(arrays) - _ARRAYS_NAMED} arrays more" if len(arrays) > _ARRAYS_NAMED else ""
    took = "".join(f", {m.name} took {_devices(m, weights):,}" for m in before)
    enough = ", enough but not in pieces that take it" if left >= needed else ""
    return (
        f"{matrix.name} needs {needed:,} devices, {size}{each} ({matrix.n_in} inputs with bias, "
        f"{matrix.n_out} outputs, {a_weight}); the bench has {there:,}{took}; "
        f"free before {matrix.name}, in rectangles: {left:,}{enough} ({where}{more}); "
        "make the arrays larger, add arrays, or shrink the layer"
    )


def _devices(matrix: MatrixSize, weights: Weights) -> int:
    return matrix.n_in * _columns(matrix.n_out, weights) * (2 if weights == "split-pair" else 1)


def _pieces(pieces: Sequence[tuple[int, int]]) -> str:
    return " and ".join(f"{rows} x {cols}" for rows, cols in pieces) or "nothing"
