"""The cells of a study: one for each combination of what varies, with its labels and what it sets."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class Axis:
    """Something that varies, and the labels of its values."""

    name: str
    labels: tuple[str, ...]

    @property
    def short(self) -> str:
        """The name's last word: ``nl_up`` of ``bench.device.nl_up``."""
        return self.name.rpartition(".")[2]

    @property
    def numbers(self) -> tuple[float, ...] | None:
        """The labels as numbers; None unless all of them are."""
        try:
            numbers = tuple(float(label) for label in self.labels)
        except ValueError:
            return None
        return numbers if all(map(math.isfinite, numbers)) else None


@dataclass(frozen=True, slots=True)
class Setting:
    """One key that is set, and the place that says so ("study.yaml:12:", "--set")."""

    where: str
    key: str
    value: Any
    of_bench: bool

    @property
    def text(self) -> str:
        """As ``--set`` and ``--bench-set`` take it."""
        return f"{self.key}={json.dumps(self.value, ensure_ascii=False)}"


@dataclass(frozen=True)
class Cell:
    """One combination: a label on each axis, and all that is set there."""

    axes: tuple[Axis, ...]
    labels: tuple[str, ...]
    settings: tuple[Setting, ...]

    def at(self, axis: str) -> str:
        """Label on an axis."""
        return self.labels[self._names.index(axis)]

    @cached_property
    def _names(self) -> list[str]:
        return [axis.name for axis in self.axes]

    @property
    def slug(self) -> str:
        """Its runs' name: the labels in characters that a run's name may have."""
        slug = "_".join(re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-") for label in self.labels)
        return slug[:64] or "run"

    def __str__(self) -> str:
        told = (
            label if axis.numbers is None else f"{axis.short} {label}"
            for axis, label in zip(self.axes, self.labels, strict=True)
        )
        return ", ".join(told) or "the experiment"


def label_of(value: Any) -> str:
    """A value from a file as a label: "2.4", "bidirectional, compensated", "gain 0.3"."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int | float):
        return f"{value:.12g}"
    if isinstance(value, Mapping):
        return ", ".join(_entry(str(key), item) for key, item in cast(Mapping[Any, Any], value).items())
    if isinstance(value, list):
        return "[" + ", ".join(label_of(item) for item in cast(list[Any], value)) + "]"
    return str(value)


def _entry(key: str, value: Any) -> str:
    if key in ("name", "preset", "label"):
        return label_of(value)
    if isinstance(value, bool):
        return key if value else f"not {key}"
    return f"{key} {label_of(value)}"
