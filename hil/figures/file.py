"""A figure drawn in the house style, and written into a file where one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from hil.errors import ConfigError, StoreError
from hil.figures.canvas import styled

SUFFIXES = (".png", ".svg", ".pdf")
_DPI = 200


def draw(make: Callable[[], Figure], file: Path | None = None) -> Figure:
    """Have a figure made, and write it; the file's ending says how.

    Raises
    ------
    ConfigError
        Of an ending that cannot be drawn; nothing was made.
    StoreError
        The file cannot be written.
    """
    if file is not None and file.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{file}: asked for {file.suffix!r}; {', '.join(SUFFIXES)} can be drawn")
    with styled():
        figure = make()
        try:
            if file is not None:
                figure.savefig(file, dpi=_DPI)  # pyright: ignore[reportUnknownMemberType]
        except OSError as error:
            raise StoreError(f"{file}: cannot be written: {error.strerror}") from error
    return figure
