"""The part of TSP (Lua 5.0) that single lines need: assignments, calls, arithmetic, indices, print.

Written from the Series 2600B reference manual (2600BS-901-01), sections 8 (TSP fundamentals) and 9. No loops,
no functions, no scripts: such a line is a syntax error (-285), as nonsense is to a real instrument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Protocol, TypeAlias

Value: TypeAlias = float | str | bool | None

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<name>[A-Za-z_]\w*)|(?P<string>"[^"\n]*"|'[^'\n]*')|(?P<mark>[-+*/=(),.;[\]])|(?P<wrong>\S))""",
    re.VERBOSE,
)
_END = ("end", "<eof>")


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
Action: TypeAlias = Callable[[Names, Strings], None]
Expression: TypeAlias = Callable[[Names, Strings], tuple[Value, ...]]


def run(line: str, names: Names) -> None:
    """Read the whole line, then do it statement by statement. Raises TspError."""
    pieces = line.split('"')  # every second one is a string
    if len(pieces) % 2 and "'" not in line and "--" not in line:
        actions, strings = _read_before('""'.join(pieces[::2]))[0], pieces[1::2]
    else:
        actions, strings = _read(line)
    for action in actions:
        action(names, strings)


def _read(line: str) -> tuple[Sequence[Action], Strings]:
    """What a line does, and its strings, which it is given when it is done."""
    reader = _Reader(line)
    actions: list[Action] = []
    while reader.kind != "end":
        actions.append(reader.statement())
    return actions, reader.strings


_read_before = lru_cache(maxsize=512)(_read)
"""Hosts send the same lines again and again, with another word in a string."""


class _Reader:
    def __init__(self, line: str) -> None:
        text = line.split("--", 1)[0].rstrip()
        tokens = [(match.lastgroup or "", match[match.lastgroup or 0]) for match in _TOKEN.finditer(text)]
        wrong = next((found for kind, found in tokens if kind == "wrong"), None)
        if wrong is not None:
            raise TspError(-285, f"TSP Syntax error at line 1: malformed near `{wrong}'")
        self._tokens = iter(tokens)
        self.strings: list[str] = []
        self.kind, self.text = next(self._tokens, _END)

    def statement(self) -> Action:
        path, call = self._prefix()
        if call is not None and self.text != ".":
            self._skip(";")
            return lambda names, strings: (call(names, strings), None)[1]
        paths = [path]
        while self._skip(","):
            path, call = self._prefix()
            if call is not None:
                self._wrong()
            paths.append(path)
        if not self._skip("="):
            self._wrong()
        expressions = self._list()
        self._skip(";")
        return lambda names, strings: _assign(names, paths, _values(names, strings, expressions))

    def _prefix(self) -> tuple[str, Expression | None]:
        path = self._name()
        while self.text in (".", "["):
            path += "." + self._name() if self._skip(".") else self._index()
        if not self._skip("("):
            return path, None
        arguments = [] if self.text == ")" else self._list()
        if not self._skip(")"):
            self._wrong()
        return path, lambda names, strings: names.call(path, _values(names, strings, arguments))

    def _list(self) -> list[Expression]:
        found = [self._sum()]
        while self._skip(","):
            found.append(self._sum())
        return found

    def _sum(self) -> Expression:
        left = self._product()
        while self.kind == "mark" and self.text in "+-":
            left = _binary(self._take(), left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._unary()
        while self.kind == "mark" and self.text in "*/":
            left = _binary(self._take(), left, self._unary())
        return left

    def _unary(self) -> Expression:
        if self._skip("-"):
            return _binary("-", lambda _, __: (0.0,), self._unary())
        return self._primary()

    def _primary(self) -> Expression:
        if self.kind == "number":
            number = float(self._take())
            return lambda _, __: (number,)
        if self.kind == "string":
            place = len(self.strings)
            self.strings.append(self._take()[1:-1])
            return lambda _, strings: (strings[place],)
        if self._skip("("):
            inner = self._sum()
            if not self._skip(")"):
                self._wrong()
            return inner
        if self.kind == "name" and self.text in _CONSTANTS:
            constant = _CONSTANTS[self._take()]
            return lambda _, __: (constant,)
        path, call = self._prefix()
        return call if call is not None else lambda names, _: (names.get(path),)

    def _name(self) -> str:
        if self.kind != "name" or self.text in _RESERVED:
            self._wrong()
        return self._take()

    def _index(self) -> str:
        """A whole number between brackets, as part of the path: slot[1]."""
        self._skip("[")
        if self.kind != "number" or not self.text.isdigit():
            self._wrong()
        index = self._take()
        if not self._skip("]"):
            self._wrong()
        return f"[{index}]"

    def _take(self) -> str:
        text = self.text
        self.kind, self.text = next(self._tokens, _END)
        return text

    def _skip(self, mark: str) -> bool:
        if self.kind == "mark" and self.text == mark:
            self.kind, self.text = next(self._tokens, _END)
            return True
        return False

    def _wrong(self) -> None:
        raise TspError(-285, f"TSP Syntax error at line 1: unexpected symbol near `{self.text}'")


_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "nil": None}
_RESERVED = frozenset(
    {"and", "break", "do", "else", "elseif", "end", "for", "function", "if", "in", "local", "not"}
    | {"or", "repeat", "return", "then", "until", "while"}
)


def _values(names: Names, strings: Strings, expressions: Sequence[Expression]) -> list[Value]:
    """Each gives one value, the last all of its own."""
    results = [expression(names, strings) for expression in expressions]
    each: list[Value] = [result[0] if result else None for result in results[:-1]]
    return each + (list(results[-1]) if results else [])


def _assign(names: Names, paths: Sequence[str], values: Sequence[Value]) -> None:
    for index, path in enumerate(paths):
        names.set(path, values[index] if index < len(values) else None)


def _binary(mark: str, left: Expression, right: Expression) -> Expression:
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
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:.{digits - 1}e}"
