"""Which lines of an instrument the rows and columns of arrays are on, as bench files say it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from hil.bench import ArrayInfo
from hil.config.validate import Config, MisfitError
from hil.region import Index

_MOST = 16384


@dataclass(frozen=True, slots=True, eq=False)
class WiredArray:
    """An array and the channels that its lines are on, int64 [rows] and [cols]: of a board, or columns of a
    matrix.
    """

    info: ArrayInfo
    rows: Index
    cols: Index

    def line(self, row: int, col: int) -> tuple[int, int]:
        """Channels that a device's row and column are on."""
        return int(self.rows[row]), int(self.cols[col])


def channel_list(text: str) -> tuple[int, ...]:
    """Channels of "0-3,7": numbers and rising ranges, in their order."""
    found: list[int] = []
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch("([0-9]{1,5})(?:-([0-9]{1,5}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last >= _MOST:
            raise ValueError(
                f'asked for {text!r}; write channels as "0-31" or "0-3,8-11,20", up to {_MOST - 1}'
            )
        found.extend(range(first, last + 1))
    if len(set(found)) != len(found):
        raise ValueError(f"asked for {text!r}; a channel is named twice")
    return tuple(found)


def _checked(text: str) -> str:
    channel_list(text)
    return text


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Channels: TypeAlias = Annotated[
    str, BeforeValidator(_as_text, json_schema_input_type=str | int), AfterValidator(_checked)
]


class Wiring(Config):
    """Which channels the lines of an array are on, first line first."""

    rows: Channels = Field(description='channels of the rows, e.g. "0-63" or "0-31,40-71"')
    cols: Channels = Field(description="channels of the columns")


def check_apart(arrays: Mapping[str, Wiring]) -> None:
    """Two arrays may share rows or columns, but no crosspoint; raises MisfitError."""
    taken: list[tuple[str, set[int], set[int]]] = []
    for name, wiring in arrays.items():
        rows, cols = set(channel_list(wiring.rows)), set(channel_list(wiring.cols))
        for other, its_rows, its_cols in taken:
            if rows & its_rows and cols & its_cols:
                raise MisfitError(f"{name} is wired to crosspoints of {other}", "arrays", name)
        taken.append((name, rows, cols))
