"""The part of TSP (Lua 5.0) that single lines need: assignments, calls, arithmetic, indices, print, and
functions with local names and conditions.

Written from the Series 2600B reference manual (2600BS-901-01), sections 8 (TSP fundamentals) and 9. No loops,
no tables, no scripts: such a line is a syntax error (-285), as nonsense is to a real instrument.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from drivers.sim.virtual.tsp_values import (
    Action,
    Expression,
    Function,
    Names,
    Scope,
    Strings,
    TspError,
    Value,
    arithmetic,
    assign,
    chosen,
    concatenated,
    done,
    equal,
    first_of,
    true,
    values_of,
)

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<name>[A-Za-z_]\w*)|(?P<string>"[^"\n]*"|'[^'\n]*')
    |(?P<mark>==|~=|\.\.|[-+*/=(),.;[\]])|(?P<wrong>\S))""",
    re.VERBOSE,
)
_END = ("end", "<eof>")


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
        self._inside = False
        self.kind, self.text = next(self._tokens, _END)

    def statement(self) -> Action:
        words = {
            "function": self._function,
            "local": self._local,
            "if": self._condition,
            "return": self._return,
        }
        if self.kind == "name" and self.text in words:
            self._inside = self._inside or self.text == "function"
            if not self._inside and self.text in ("local", "return"):
                self._wrong()
            return words[self._take()]()
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
        return lambda names, strings: assign(names, paths, values_of(names, strings, expressions))

    def _function(self) -> Action:
        name, parameters = self._name(), list[str]()
        self._need("(")
        while not self._skip(")"):
            parameters.append(self._name())
            self._skip(",")
        body = self._block("end")
        self._inside = False
        return lambda names, strings: names.set(name, Function(parameters, body, strings))

    def _local(self) -> Action:
        own = [self._name()]
        while self._skip(","):
            own.append(self._name())
        values = self._list() if self._skip("=") else []

        def declare(names: Names, strings: Strings) -> None:
            found = values_of(names, strings, values)
            if isinstance(names, Scope):
                names.own.update(zip(own, [*found, *[None] * len(own)], strict=False))

        self._skip(";")
        return declare

    def _condition(self) -> Action:
        condition = self._either()
        if self._take() != "then":
            self._wrong()
        body = self._block("end")
        return lambda names, strings: (
            done(body, names, strings) if true(first_of(condition(names, strings))) else None
        )

    def _return(self) -> Action:
        values = self._list()
        self._skip(";")
        return lambda names, strings: tuple(values_of(names, strings, values))

    def _block(self, end: str) -> list[Action]:
        actions: list[Action] = []
        while self.text != end:
            if self.kind == "end":
                self._wrong()
            actions.append(self.statement())
        self._take()
        self._skip(";")
        return actions

    def _prefix(self) -> tuple[str, Expression | None]:
        path = self._name()
        while self.text in (".", "["):
            path += "." + self._name() if self._skip(".") else self._index()
        if not self._skip("("):
            return path, None
        arguments = [] if self.text == ")" else self._list()
        self._need(")")
        return path, lambda names, strings: names.call(path, values_of(names, strings, arguments))

    def _list(self) -> list[Expression]:
        found = [self._either()]
        while self._skip(","):
            found.append(self._either())
        return found

    def _either(self) -> Expression:
        left = self._both()
        while self.text == "or":
            left = chosen(left, self._after(self._both), otherwise=True)
        return left

    def _both(self) -> Expression:
        left = self._compared()
        while self.text == "and":
            left = chosen(left, self._after(self._compared), otherwise=False)
        return left

    def _compared(self) -> Expression:
        left = self._joined()
        while self.text in ("==", "~="):
            left = equal(left, alike=self.text == "==", right=self._after(self._joined))
        return left

    def _joined(self) -> Expression:
        left = self._sum()
        while self.text == "..":
            left = concatenated(left, self._after(self._sum))
        return left

    def _after(self, read: Callable[[], Expression]) -> Expression:
        self._take()
        return read()

    def _sum(self) -> Expression:
        left = self._product()
        while self.kind == "mark" and self.text in "+-":
            left = arithmetic(self._take(), left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._unary()
        while self.kind == "mark" and self.text in "*/":
            left = arithmetic(self._take(), left, self._unary())
        return left

    def _unary(self) -> Expression:
        if self._skip("-"):
            return arithmetic("-", lambda _, __: (0.0,), self._unary())
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
            inner = self._either()
            self._need(")")
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

    def _need(self, mark: str) -> None:
        if not self._skip(mark):
            self._wrong()

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
