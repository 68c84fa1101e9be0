"""The one place that knows numba: how this project's kernels are compiled.

Results must not depend on the number of threads, so kernels are serial, nor on where arrays happen to lie in
memory. A loop that stores has two compiled forms, SIMD and scalar, and LLVM picks one at run time by how far
apart its arrays lie; so float sums keep their written order there, and may be reordered only in
:func:`reduction`, whose loops store nothing. NaN and infinity are kept: they mark bad readings.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar, cast

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])

_ORDERED = {"contract", "nsz"}


def kernel(function: F) -> F:
    """Compile ``function`` on first use and cache the result on disk."""
    return _compiled(function, _ORDERED)


def reduction(function: F) -> F:
    """Like :func:`kernel`, with float sums reordered into SIMD lanes. No loop in it may store to an array.
    It makes none, as in :func:`lean`.
    """
    return _compiled(function, _ORDERED | {"reassoc"}, _nrt=False)


def lean(function: F) -> F:
    """Like :func:`kernel`, for what makes no array and calls nothing that does; numba refuses it otherwise.

    References are not counted then. Counting takes two atomic operations for every slice, some 15 ns, and a
    row of 256 devices that is cut from its arrays took twice as long.
    """
    return _compiled(function, _ORDERED, _nrt=False)


def inline(function: F) -> F:
    """Compile a small function into every kernel that calls it."""
    return _compiled(function, _ORDERED, inline="always")


def _compiled(function: F, flags: set[str], **options: Any) -> F:
    compiler: Any = numba.njit(cache=True, fastmath=flags, error_model="numpy", **options)
    return compiler(function)


_intrinsic: Any = intrinsic  # called without its first argument, which type checkers cannot know


@_intrinsic
def nonzero_bits(_context: Any, row: Any, first: Any) -> Any:
    """Bit j of a uint64: whether ``row[first + j]`` is not 0, for 64 places of an int16 row, in SIMD lanes.

    A loop that shifts each answer into its place costs four times as much.
    """
    if row.dtype != types.int16 or row.layout != "C":
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        lanes = ir.VectorType(ir.IntType(16), 64)
        place = builder.bitcast(builder.gep(data, [args[1]]), lanes.as_pointer())
        some = builder.icmp_unsigned("!=", builder.load(place, align=2), ir.Constant(lanes, None))
        return builder.bitcast(some, ir.IntType(64))

    return types.uint64(row, first), emit


@_intrinsic
def lowest_bit(_context: Any, word: Any) -> Any:
    """Place of the lowest bit of a uint64 that is not 0."""

    def emit(_: Any, builder: Any, __: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(word), emit


class HearsCompiler(Protocol):
    """Is told when kernels are compiled."""

    def compiling(self) -> None:
        """One is begun."""
        ...

    def compiled(self) -> None:
        """It is done."""


@contextmanager
def watching_compiler(display: HearsCompiler) -> Generator[None]:
    """Have the display know when numba compiles: the first run on a machine takes so much longer."""
    from numba.core import event

    class Listener(event.Listener):
        depth = 0  # a kernel that calls another compiles it on the way

        def on_start(self, event: Any) -> None:
            self.depth += 1
            if self.depth == 1:
                display.compiling()

        def on_end(self, event: Any) -> None:
            self.depth -= 1
            if self.depth == 0:
                display.compiled()

    install = cast(Callable[..., AbstractContextManager[Any]], event.install_listener)
    with install("numba:compile", Listener()):
        yield
