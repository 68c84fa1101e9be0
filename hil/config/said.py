"""What is put on top of a file, with the words that it was asked for by: messages speak as whoever asked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, cast

from hil.errors import ConfigError

T = TypeVar("T")


class Option(Protocol):
    """How whoever asked writes an option, with its value if there is one."""

    def __call__(self, name: str, value: object = "") -> str:
        """As in `on_command_line`, or in `in_python`."""
        ...


def on_command_line(name: str, value: object = "") -> str:
    """Write "--share 0.1"."""
    return f"--{name} {value}".rstrip()


def in_python(name: str, value: object = "") -> str:
    """Write "share=0.1"."""
    return f"{name}={value}"


class Said(str):
    """A text as it was asked for: ``words`` are '--name test', or 'overrides=["name=test"]' in Python."""

    words: str

    def __new__(cls, text: str, words: str) -> Self:
        """Of the text, and the words for it."""
        made = super().__new__(cls, text)
        made.words = words
        return made


def words_of(text: str, option: str) -> str:
    """How a text was asked for; as ``option`` on a command line unless it says otherwise."""
    return text.words if isinstance(text, Said) else f"{option} {text}"


def list_given(argument: str, texts: object, example: str = "training.epochs=1") -> tuple[Said, ...]:
    """The texts that an argument of a Python function took.

    Raises
    ------
    ConfigError
        It is no list of texts: one text, a mapping, or something else.
    """
    found: Any = texts
    if not isinstance(texts, str | Mapping) and isinstance(texts, Sequence):
        if all(isinstance(each, str) for each in found):
            return tuple(said_in_python(argument, each) for each in found)
        meant = [example]
    elif isinstance(texts, Mapping):
        meant = [f"{key}={value}" for key, value in cast(Mapping[object, object], texts).items()]
    else:
        meant = [texts] if isinstance(texts, str) else [example]
    raise ConfigError(
        f"{argument}: asked for {found!r}; a list of texts is needed: {argument}={_quoted(meant)}"
    )


def said_in_python(argument: str, text: str) -> Said:
    """One text of a list that an argument took; one that was taken before keeps its words."""
    return text if isinstance(text, Said) else Said(text, f"{argument}=[{_quoted(text)}]")


def all_of(found: object, *kinds: type[T]) -> tuple[T, ...] | None:
    """A sequence whose every item is of some kinds; None for anything else."""
    items: Any = found
    if isinstance(found, Sequence) and all(isinstance(each, kinds) for each in items):
        return tuple(items)
    return None


def file_given(argument: str, path: object, folder: str = "") -> Path | None:
    """The path that an argument of a Python function took; None where it took none. ``folder``: it is one of
    a folder, for example of this.

    Raises
    ------
    ConfigError
        It is no path: a bench that is open, settings that were loaded.
    """
    if path is None or isinstance(path, Path):
        return path
    if isinstance(path, str | os.PathLike):
        return Path(cast(str, path))
    raise ConfigError(
        f"{argument}: asked for {type(path).__name__}; the path of a {'folder' if folder else 'file'} is "
        f'needed, which is opened here: {argument}="{folder or f"{argument}.yaml"}"'
    )


def _quoted(text: object) -> str:
    return json.dumps(text, ensure_ascii=False)
