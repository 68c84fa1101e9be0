"""The one place that knows numba: how this project's kernels are compiled.

Results must not depend on the number of threads, so kernels are serial; they may reorder float sums (SIMD) but
keep NaN and infinity, which mark bad readings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

_FAST = {"reassoc", "contract", "arcp", "nsz"}


def kernel(function: F) -> F:
    """Compile ``function`` on first use and cache the result on disk."""
    return numba.njit(cache=True, fastmath=_FAST, error_model="numpy")(function)


def inline(function: F) -> F:
    """Compile a small function into every kernel that calls it."""
    return numba.njit(cache=True, fastmath=_FAST, error_model="numpy", inline="always")(function)
