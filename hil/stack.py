"""Many arrays as one that is never put together in memory: measured one by one, kept as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.errors import StoreError


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Arrays of one shape, one or more, as one with a leading axis.

    Raises
    ------
    StoreError
        There is none, or one is of another shape than the first.
    """

    parts: Sequence[NDArray[Any]]

    def __post_init__(self) -> None:
        if not self.parts:
            raise StoreError("no arrays to keep as one; one or more are needed")
        shape = self.parts[0].shape
        for number, part in enumerate(self.parts):
            if part.shape != shape:
                raise StoreError(
                    f"arrays of one shape are kept together; number {number} has {part.shape}, the first "
                    f"{shape}"
                )

    @property
    def dtype(self) -> np.dtype[Any]:
        """One that holds them all."""
        return np.result_type(*self.parts)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of parts, and the shape of each."""
        return len(self.parts), *self.parts[0].shape

    def __getitem__(self, number: int) -> NDArray[Any]:
        return self.parts[number]


def pieces(values: NDArray[Any] | Stack) -> Iterator[bytes | memoryview]:
    """The bytes of an array in C order, part by part."""
    kind = values.dtype
    for part in values.parts if isinstance(values, Stack) else (values,):
        whole = np.ascontiguousarray(part, kind)
        yield whole.view(np.uint8).data if whole.size and part.ndim else whole.tobytes()
