"""Many arrays as one that is never put together in memory: measured one by one, kept as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Arrays of one shape, one or more, as one with a leading axis."""

    parts: Sequence[NDArray[Any]]

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
