"""Values of TSP (Lua 5.0), what operators make of them, and functions: what a line is done with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Value: TypeAlias = "float | str | bool | Function | None"


class TspError(Exception):
    """-285 (syntax: nothing of the line is done) or -286 (run time: what stands before it is done)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Names(Protocol):
    """The names an instrument knows, by their dotted path."""

    def get(self, path: str) -> Value:
        """Value of a name, nil if it has none; TspError if what stands before the last dot is no table."""
        ...

    def set(self, path: str, value: Value) -> None:
        """Assign."""
        ...

    def call(self, path: str, arguments: Sequence[Value]) -> tuple[Value, ...]:
        """Call a function; its results."""
        ...


Strings: TypeAlias = Sequence[str]
Expression: TypeAlias = Callable[[Names, Strings], tuple[Value, ...]]
Action: TypeAlias = Callable[[Names, Strings], tuple[Value, ...] | None]
"""A statement; values are what it returns from its function."""


@dataclass(frozen=True, eq=False)
class Function:
    """A function of a host's own."""

    parameters: Sequence[str]
    body: Sequence[Action]
    strings: Strings

    def call(self, names: Names, arguments: Sequence[Value]) -> tuple[Value, ...]:
        """Its results."""
        given = [*arguments, *[None] * len(self.parameters)]
        scope = Scope(names, dict(zip(self.parameters, given, strict=False)))
        return done(self.body, scope, self.strings) or ()


class Scope:
    """The names inside a function: its own, and those around it."""

    def __init__(self, around: Names, own: dict[str, Value]) -> None:
        self._around = around
        self.own = own

    def get(self, path: str) -> Value:
        """See `Names.get`."""
        return self.own[path] if path in self.own else self._around.get(path)

    def set(self, path: str, value: Value) -> None:
        """See `Names.set`."""
        if path in self.own:
            self.own[path] = value
        else:
            self._around.set(path, value)

    def call(self, path: str, arguments: Sequence[Value]) -> tuple[Value, ...]:
        """See `Names.call`."""
        return self._around.call(path, arguments)


def values_of(names: Names, strings: Strings, expressions: Sequence[Expression]) -> list[Value]:
    """Each gives one value, the last all of its own."""
    results = [expression(names, strings) for expression in expressions]
    each: list[Value] = [result[0] if result else None for result in results[:-1]]
    return each + (list(results[-1]) if results else [])


def done(actions: Sequence[Action], names: Names, strings: Strings) -> tuple[Value, ...] | None:
    """Do them; what the first that returns gives."""
    for action in actions:
        returned = action(names, strings)
        if returned is not None:
            return returned
    return None


def assign(names: Names, paths: Sequence[str], values: Sequence[Value]) -> None:
    """Nil to what has no value."""
    for index, path in enumerate(paths):
        names.set(path, values[index] if index < len(values) else None)


def chosen(left: Expression, right: Expression, *, otherwise: bool) -> Expression:
    """A or b (``otherwise``), a and b."""

    def result(names: Names, strings: Strings) -> tuple[Value, ...]:
        first = first_of(left(names, strings))
        return (first,) if true(first) == otherwise else right(names, strings)[:1]

    return result


def true(value: Value) -> bool:
    """Whether a condition holds: all but nil and false, so also 0."""
    return value is not None and value is not False


def equal(left: Expression, right: Expression, *, alike: bool) -> Expression:
    """A == b (``alike``), a ~= b: values of two types are never equal."""

    def result(names: Names, strings: Strings) -> tuple[Value, ...]:
        a, b = first_of(left(names, strings)), first_of(right(names, strings))
        return ((type(a) is type(b) and a == b) == alike,)

    return result


def concatenated(left: Expression, right: Expression) -> Expression:
    """A .. b."""

    def result(names: Names, strings: Strings) -> tuple[Value, ...]:
        a, b = first_of(left(names, strings)), first_of(right(names, strings))
        if not (isinstance(a, str) and isinstance(b, str)):
            raise TspError(-286, "TSP Runtime error at line 1: attempt to concatenate a nil value")
        return (a + b,)

    return result


def first_of(values: tuple[Value, ...]) -> Value:
    """Where one value is wanted; nil if there is none."""
    return values[0] if values else None


def arithmetic(mark: str, left: Expression, right: Expression) -> Expression:
    """A + b and the like, of numbers."""

    def result(names: Names, strings: Strings) -> tuple[Value, ...]:
        a, b = left(names, strings)[0], right(names, strings)[0]
        if not (type(a) is float and type(b) is float):
            raise TspError(-286, "TSP Runtime error at line 1: attempt to perform arithmetic on a nil value")
        if mark == "/" and b == 0:
            return (float("nan") if a == 0 else float("inf") if a > 0 else float("-inf"),)
        return ({"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else 0.0}[mark],)

    return result


def printed(value: Value, digits: int) -> str:
    """As print() writes it, with format.asciiprecision ``digits``."""
    if value is None:
        return "nil"
    if isinstance(value, Function):
        return "function: 3f1c"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:.{digits - 1}e}"
