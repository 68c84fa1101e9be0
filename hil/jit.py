"""The one place that knows numba: how this project's kernels are compiled.

Results must not depend on the number of threads, so kernels are serial, nor on where arrays happen to lie in
memory. A loop that stores has two compiled forms, SIMD and scalar, and LLVM picks one at run time by how far
apart its arrays lie; so float sums keep their written order there, and may be reordered only in
:func:`reduction`, whose loops store nothing. NaN and infinity are kept: they mark bad readings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

_ORDERED = {"contract", "nsz"}


def kernel(function: F) -> F:
    """Compile ``function`` on first use and cache the result on disk."""
    return _compiled(function, _ORDERED)


def reduction(function: F) -> F:
    """Like :func:`kernel`, with float sums reordered into SIMD lanes. No loop in it may store to an array."""
    return _compiled(function, _ORDERED | {"reassoc"})


def inline(function: F) -> F:
    """Compile a small function into every kernel that calls it."""
    return _compiled(function, _ORDERED, inline="always")


def _compiled(function: F, flags: set[str], **options: Any) -> F:
    compiler: Any = numba.njit(cache=True, fastmath=flags, error_model="numpy", **options)
    return compiler(function)
