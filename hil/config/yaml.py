"""Read a YAML file strictly, and remember where every key and value stood.

YAML 1.2 scalars (``on`` is text, ``1e-6`` a number), no tags, no duplicate keys, bounded depth and size:
whatever the bytes are, the answer is a `Document` or one `ConfigError` with file, line, column and key.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml

from hil.errors import ConfigError

KeyPath = tuple[str | int, ...]

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 50_000  # after expansion of aliases
MAX_ALIASES = 100
MAX_DIGITS = 64


class Position(NamedTuple):
    """Line and column in a file, both counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """Plain data (dict, list, str, int, float, bool, None) and where each part of it was written.

    ``keys`` and ``values`` map a key path, e.g. ``("layers", 2, "size")``, to its position; list items have
    no key position. ``origins`` names the paths that come from elsewhere, e.g. the command line. In a section
    these paths stay those of the whole document; ``path`` is where the section stands in it.
    """

    name: str
    data: Any
    keys: Mapping[KeyPath, Position]
    values: Mapping[KeyPath, Position]
    origins: Mapping[KeyPath, str]
    path: KeyPath = ()

    def section(self, *keys: str | int) -> "Document":
        """Give the part under ``keys`` as a document of its own; errors still name the full path and line.

        Raises KeyError or IndexError if there is no such part: ask only for what was validated before.
        """
        data = self.data
        for key in keys:
            data = data[key]
        return Document(self.name, data, self.keys, self.values, self.origins, self.path + keys)

    def where(self, path: KeyPath) -> str:
        """Name the place of a full key path, or of the nearest part around it: "bench.yaml:12"."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.origins:
                return self.origins[path[:end]]
            position = self.keys.get(path[:end]) or self.values.get(path[:end])
            if position is not None:
                return f"{self.name}:{position.line}"
        return self.name


def load_yaml(source: Path | str | bytes, name: str = "<text>") -> Document:
    """Read a file (Path) or a text (str or UTF-8 bytes, ``name`` in messages) whose top level is a mapping.

    Raises ConfigError "FILE:LINE:COL: key.path: what; what to do" for anything that is not plainly one such
    document.
    """
    if isinstance(source, Path):
        name, source = str(source), _read(source)
    document = load_value(source, name)
    if not isinstance(document.data, dict):
        found = "empty" if document.data is None else f"{describe(document.data)} at its top level"
        raise ConfigError(f"{name}:1:1: the file is {found}; write a mapping of keys to values")
    return document


def load_value(source: str | bytes, name: str) -> Document:
    """Read one YAML value of any kind under the same rules, e.g. what stands after ``--set key=``."""
    text = _decode(source, name)
    return _Builder(name).build(_compose(text, name))


def dotted(path: KeyPath) -> str:
    """Write a key path as people do: ``layers.2.size``."""
    return ".".join(str(key) for key in path)


def describe(value: object) -> str:
    """Show a value from a file in a message: short, on one line, in the file's own words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: cannot be read: {reason}; check the name and permissions") from error


def _decode(source: str | bytes, name: str) -> str:
    if len(source) > MAX_BYTES:
        raise ConfigError(f"{name}: larger than {MAX_BYTES} bytes; keep data out of configuration files")
    if isinstance(source, str):
        return source
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = source[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise ConfigError(f"{name}:{line}:{column}: not UTF-8 text; save the file as UTF-8") from error


class _Refused(Exception):  # noqa: N818 - becomes a ConfigError as soon as the key path is known
    def __init__(self, mark: yaml.Mark, problem: str) -> None:
        super().__init__(problem)
        self.mark, self.problem = mark, problem


class _Loader(yaml.SafeLoader):
    """PyYAML's scanner and composer; scalars are left as text, so none of YAML 1.1's guesses are made."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's name

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = self.nodes = self.aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = cast(yaml.Event, self.peek_event())  # pyright: ignore[reportUnknownMemberType]
        self.nodes += 1
        self.aliases += isinstance(event, yaml.AliasEvent)
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _Refused(event.start_mark, f"tag {tag!r} is not allowed; write the plain value")
        if self.depth > MAX_DEPTH:
            raise _Refused(event.start_mark, f"nested deeper than {MAX_DEPTH} levels; make it flatter")
        if self.nodes > MAX_NODES:
            raise _Refused(event.start_mark, f"more than {MAX_NODES} values; make the file smaller")
        if self.aliases > MAX_ALIASES:
            raise _Refused(event.start_mark, f"more than {MAX_ALIASES} aliases; write the values out")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        return _Loader(text).get_single_node()
    except _Refused as error:
        raise _located(name, error.mark, (), error.problem) from error
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        character = f"U+{int(error.character):04X}"
        raise ConfigError(f"{name}:{line}:{column}: character {character} is not text; remove it") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise _located(name, mark, (), f"{problem}; {_advice(problem)}") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML passes an escape beyond Unicode ("\UFFFFFFFF") straight to chr().
        raise ConfigError(f"{name}: not YAML: {error}; check escapes and directives") from error


def _advice(problem: str) -> str:
    if "\\t" in problem:
        return "indent with spaces, not tabs"
    if "another document" in problem:
        return "keep one document per file and remove the line '---'"
    if "undefined alias" in problem:
        return "quote the text if the '*' is part of it"
    return "check indentation, quotes and brackets here and on the line before"


def _located(name: str, mark: yaml.Mark | None, path: KeyPath, problem: str) -> ConfigError:
    place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
    return ConfigError(": ".join(part for part in (place, dotted(path), problem) if part))


class _Builder:
    """Turns nodes into plain data and notes positions; aliases are expanded here, so this is bounded."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes = 0
        self._keys: dict[KeyPath, Position] = {}
        self._values: dict[KeyPath, Position] = {}

    def build(self, node: yaml.Node | None) -> Document:
        data = None if node is None else self._value(node, ())
        return Document(self._name, data, self._keys, self._values, {})

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._nodes += 1
        self._values[path] = Position(node.start_mark.line + 1, node.start_mark.column + 1)
        if len(path) > MAX_DEPTH or self._nodes > MAX_NODES:
            problem = "an alias repeats too much, or itself; write the values out"
            raise _located(self._name, node.start_mark, (), problem)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        try:
            return _scalar(node.value, plain=_is_plain(node))
        except ValueError as error:
            raise _located(self._name, node.start_mark, path, str(error)) from None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            here = (*path, key)
            if key in mapping:
                problem = f"this key is already on line {self._keys[here].line}; keep one of the two"
                raise _located(self._name, key_node.start_mark, here, problem)
            self._keys[here] = Position(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if (
                node.flow_style
                and key[:1].isdigit()
                and value_node.start_mark.index == value_node.end_mark.index
            ):
                problem = f"{key!r} stands alone; a decimal comma before it? write a point: 1.5, not 1,5"
                raise _located(self._name, key_node.start_mark, path, problem)
            mapping[key] = self._value(value_node, here)
        return mapping

    def _key(self, node: yaml.Node, path: KeyPath) -> str:
        problem = "a key must be one word or text, not a list or mapping; write 'key: value'"
        if isinstance(node, yaml.ScalarNode):
            if _is_plain(node) and node.value == "<<":
                problem = "merge key '<<' is not allowed; write the keys out"
                raise _located(self._name, node.start_mark, path, problem)
            try:
                key = _scalar(node.value, plain=_is_plain(node))
            except ValueError as error:
                raise _located(self._name, node.start_mark, path, f"in a key: {error}") from None
            if isinstance(key, str):
                return key
            problem = f"key {describe(key)} is not text; put it in quotes (decimal comma? write a point)"
        raise _located(self._name, node.start_mark, path, problem)


_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
# Terminal escapes, NUL and lone surrogates can be smuggled in as "\e", "\0" or "\ud800".
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def _is_plain(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None


def _scalar(text: str, plain: bool) -> str | int | float | bool | None:
    """Resolve a scalar by the YAML 1.2 core schema; ValueError for a number that may not be meant so."""
    if unprintable := _UNPRINTABLE.search(text):
        raise ValueError(f"character U+{ord(unprintable[0]):04X} is not allowed in text; remove it")
    if not plain:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a finite number; write a number, or quote it if it is text")
    if not _FLOAT.fullmatch(text) and not _INTEGER.fullmatch(text):
        return text
    if len(text) > MAX_DIGITS:
        raise ValueError(
            f"a number of {len(text)} digits; write at most {MAX_DIGITS}, or quote it if it is text"
        )
    if _INTEGER.fullmatch(text):
        if re.match(r"[-+]?0[0-9]", text):
            raise ValueError(f"{text} may mean octal; drop the leading zero, or quote it if it is text")
        return int(text, 0)
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large for a number; write a smaller one, or quote it if it is text")
    return number
