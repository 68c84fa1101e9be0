"""What the command line asks for of a study: which cases, which seeds."""

from __future__ import annotations

from collections.abc import Sequence

from hil.compare.cells import Axis, Cell
from hil.config.validate import did_you_mean
from hil.errors import ConfigError


def only_these(asked: Sequence[str], axes: Sequence[Axis], cells: Sequence[Cell]) -> list[Cell]:
    """The cells that have one of the asked labels on every axis that is named.

    ``asked``: ``LABEL`` where one axis alone has it, else ``AXIS=LABEL``; nothing asked is everything.

    Raises
    ------
    ConfigError
        No such label or axis, or more than one.
    """
    wanted: dict[str, set[str]] = {}
    for text in asked:
        axis, label = _found(text, axes)
        wanted.setdefault(axis, set()).add(label)
    return [cell for cell in cells if all(cell.at(axis) in labels for axis, labels in wanted.items())]


def seeds_of(text: str) -> tuple[int, ...]:
    """Seeds from "1,2,5-8".

    Raises
    ------
    ConfigError
        It is not of that form, or names a seed twice.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise ConfigError(f"--seeds {text}: {part.strip()!r} is no seed or range; write e.g. 1,2,5-8")
        seeds += range(int(first), int(last if dash else first) + 1)
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds {text}: a seed stands there twice")
    return tuple(seeds)


def _found(text: str, axes: Sequence[Axis]) -> tuple[str, str]:
    having = [axis.name for axis in axes if text in axis.labels]
    if len(having) == 1:
        return having[0], text
    if having:
        raise ConfigError(f"--only {text}: it is on {len(having)} axes; write e.g. --only {having[0]}={text}")
    for axis in axes:
        for name in (axis.name, axis.short):
            if text.startswith(f"{name}="):
                label = text.removeprefix(f"{name}=")
                if label in axis.labels:
                    return axis.name, label
                raise ConfigError(
                    f"--only {text}: {axis.name} has no {label!r}; {did_you_mean(label, axis.labels)}"
                )
    every = [label for axis in axes for label in axis.labels]
    raise ConfigError(f"--only {text}: there is no such case; {did_you_mean(text, every)}")
