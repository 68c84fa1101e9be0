"""An experiment that a bench has room for, as a command: the built-in one with fewer pixels and neurons."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from hil.bench import ArrayInfo
from hil.errors import ConfigError
from hil.network import MatrixSize, place

_CLASSES = 10
_WHOLE = 28, 128
"""Pixels a side and hidden neurons of the built-in experiment."""
_SMALLER = ((14, 64), (14, 32), (14, 16), (7, 32), (7, 16), (7, 0), (5, 0), (4, 0))
"""Pixels a side and hidden neurons, none: one layer."""


def command_that_fits(bench: Path, arrays: Mapping[str, ArrayInfo]) -> str | None:
    """A command that trains the largest of some digits experiments on the arrays of a bench file; None: they
    have no room for the smallest.
    """
    train = f"hil train --bench {shlex.quote(str(bench))}"
    if _fits(*_WHOLE, arrays):
        return train
    for pixels, hidden in _SMALLER:
        if _fits(pixels, hidden, arrays):
            first = f"{{outputs: {hidden}}}, " if hidden else ""
            layers = f"network.layers=[{first}{{outputs: {_CLASSES}, activation: softmax}}]"
            return f"{train} --set data.pixels={pixels} --set {shlex.quote(layers)}"
    return None


def _fits(pixels: int, hidden: int, arrays: Mapping[str, ArrayInfo]) -> bool:
    widths = [pixels**2, *([hidden] if hidden else []), _CLASSES]
    sizes = [MatrixSize("", n_in + 1, n_out) for n_in, n_out in pairwise(widths)]
    try:
        place(sizes, arrays)
    except ConfigError:
        return False
    return True
