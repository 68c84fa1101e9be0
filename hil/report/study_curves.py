"""Figures over the cases of a study: learning curves with bands over seeds, any figure along what varies."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hil.compare.cells import Axis
from hil.compare.results import CellResult
from hil.figures.canvas import counts, logarithmic, panel, sheet
from hil.figures.style import LINES

MOST_PANELS = 24
_TOP, _BOTTOM, _LEFT, _HEIGHT = 0.45, 0.42, 0.6, 1.5
_IN_ROW, _GAP, _FULL, _EDGE = 3, 0.62, 6.4, 0.05
_FEW = 8
_STYLES = ("-", "--", ":")
_MARKS = ("o", "s", "^", "D")
_OPEN: dict[str, Any] = {"markersize": 3.5, "markerfacecolor": "white", "markeredgewidth": 0.8}
_ROW = 0.07
"""Of a panel's height: a row of open marks; where they would hide each other each line has one of its own."""
_MOST_ROWS = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """Which axis of a study is along x, which tells lines apart, and which have a panel for each value."""

    x: Axis | None
    lines: Axis | None
    panels: tuple[Axis, ...]

    @classmethod
    def along(cls, axes: Sequence[Axis], x: str | None) -> Layout:
        """For a figure against ``x``: by default the last axis; the first of the others tells lines apart."""
        if not axes:
            return cls(None, None, ())
        chosen = next((axis for axis in axes if axis.name == x), axes[-1])
        others = [axis for axis in axes if axis is not chosen]
        return cls(chosen, others[0] if others else None, tuple(others[1:]))

    def over_samples(self) -> Layout:
        """For figures against training samples: what was along x has a panel for each value, too."""
        if self.lines is None:
            return Layout(None, self.x, ())
        return Layout(None, self.lines, tuple(axis for axis in (*self.panels, self.x) if axis is not None))

    def split(self, cells: Sequence[CellResult]) -> list[tuple[str, list[CellResult]]]:
        """Cells of each panel, with its title; panels without any are left out."""
        found: list[tuple[str, list[CellResult]]] = []
        for labels in product(*(axis.labels for axis in self.panels)):
            at = dict(zip((axis.name for axis in self.panels), labels, strict=True))
            here = [cell for cell in cells if all(cell.cell.at(name) == label for name, label in at.items())]
            title = ", ".join(titled(axis, label) for axis, label in zip(self.panels, labels, strict=True))
            if here:
                found.append((title, here))
        return found

    def by_line(self, cells: Sequence[CellResult]) -> list[tuple[int, str, list[CellResult]]]:
        """Number, label and cells of each line that there is."""
        if self.lines is None:
            return [(0, "", list(cells))]
        name = self.lines.name
        lines = [
            (number, titled(self.lines, label), [cell for cell in cells if cell.cell.at(name) == label])
            for number, label in enumerate(self.lines.labels)
        ]
        return [line for line in lines if line[2]]


def titled(axis: Axis, label: str) -> str:
    """A label that says what it is of: a number alone does not."""
    return label if axis.numbers is None else f"{axis.short} {label}"


def learning(cells: Sequence[CellResult], layout: Layout) -> Figure | None:
    """Accuracy against training samples: means, and a band of one standard deviation over seeds."""
    layout = layout.over_samples()
    split = layout.split([cell for cell in cells if cell.curve()[0].size])[:MOST_PANELS]
    if not split:
        return None
    figure, panels = _sheet(split)
    for axes, (_, here) in zip(panels, split, strict=True):
        for number, label, (*some,) in layout.by_line(here):
            for cell in some:
                samples, mean, spread = cell.curve()
                colour, style = LINES[number % len(LINES)], _STYLES[number // len(LINES) % 3]
                axes.plot(samples, 100 * mean, style, color=colour, label=label, marker="o", markersize=2.5)
                low, high = 100 * (mean - spread), 100 * (mean + spread)
                axes.fill_between(samples, low, high, color=colour, alpha=0.2, linewidth=0)
        counts(axes, "x")
    _share(panels, "Training samples", "Test accuracy (%)")
    _make_room(figure, panels)
    _legend(figure, panels)
    return figure


def along(
    cells: Sequence[CellResult], layout: Layout, figure: str, label: str, unit: str = "", never: str = ""
) -> Figure | None:
    """A figure of the runs along x, means with one standard deviation; each run is a small point.

    Accuracy is linear, in %; anything else logarithmic. With ``never`` cases whose finished runs all lack the
    figure have an open mark at the upper edge, which the legend calls so; else they are left out. None if no
    run has the figure.
    """
    known = [cell for cell in cells if cell.by_seed(figure)]
    shown = [cell for cell in cells if cell.finished] if never else known
    split = layout.split(shown)[:MOST_PANELS]
    if not known or layout.x is None:
        return None
    sheet_, panels = _sheet(split, _room(layout.x))
    scale = 100.0 if figure == "accuracy" else 1.0
    values = np.array([value for cell in known for value in cell.by_seed(figure).values()])
    whole = not unit and values.max() >= 1000
    by_line = [layout.by_line(here) for _, here in split]
    rows = min(_MOST_ROWS, max(map(len, by_line))) if _numeric(layout.x) else 1
    for axes, (_, here), lines in zip(panels, split, by_line, strict=True):
        for place, (number, name, some) in enumerate(lines):
            apart = 0.0 if _numeric(layout.x) else 0.5 * ((place + 0.5) / len(lines) - 0.5)
            _line(axes, layout.x, some, figure, scale, number, name, apart, 1 - _ROW * (place % rows + 0.5))
        if any(cell not in known for cell in here):
            axes.plot([], [], "o", color="#777777", label=never, **_OPEN)
        _x_axis(axes, layout.x)
        if figure != "accuracy" and (values > 0).all():
            ends = [cell.mean(figure) + sign * cell.spread(figure) for cell in known for sign in (-1, 1)]
            logarithmic(axes, "y", np.array([*values, *(end for end in ends if end > 0)]), whole=whole)
    _share(panels, layout.x.short, f"{label} ({unit})" if unit else label)
    if len(known) < len(shown):
        for axes in panels:
            _open_above(axes, _ROW * rows)
    _make_room(sheet_, panels)
    _legend(sheet_, panels, last=never)
    return sheet_


def _line(
    axes: Axes,
    x: Axis,
    cells: Sequence[CellResult],
    figure: str,
    scale: float,
    number: int,
    name: str,
    apart: float,
    top: float,
) -> None:
    """One case after the other; those without the figure are marked at ``top``, a part of the panel."""
    where = np.array([_position(x, cell.cell.at(x.name)) for cell in cells]) + apart
    mean = scale * np.array([cell.mean(figure) for cell in cells])
    spread = scale * np.nan_to_num(np.array([cell.spread(figure) for cell in cells]))
    colour, mark = LINES[number % len(LINES)], _MARKS[number % len(_MARKS)]
    style = "-" if _numeric(x) else "none"
    for place, cell in zip(where, cells, strict=True):
        every = scale * np.array(list(cell.by_seed(figure).values()))
        if len(every) > 1:
            axes.plot(np.full(len(every), place), every, "_", color=colour, markersize=6)
    has = np.isfinite(mean)
    axes.errorbar(
        where[has], mean[has], spread[has],
        color=colour, label=name, marker=mark, linestyle=style, capsize=2, markersize=3.5,
    )  # fmt: skip
    at_top = np.full(np.count_nonzero(~has), top)
    axes.plot(where[~has], at_top, mark, color=colour, transform=axes.get_xaxis_transform(), **_OPEN)


def _open_above(axes: Axes, part: float) -> None:
    """Leave a part of a panel, above its scale, to marks that have no value."""
    low, high = axes.get_ylim()
    scaled = axes.yaxis.get_transform()
    bottom, top = scaled.transform(np.array([low, high]))
    above = scaled.inverted().transform(np.array([bottom + (top - bottom) / (1 - part)]))
    axes.set_ylim(low, float(above[0]))
    axes.axhline(high, color="#bbbbbb", linestyle=":", linewidth=0.7)


def _sheet(split: Sequence[tuple[str, object]], room: float = 0.0) -> tuple[Figure, list[Axes]]:
    """A sheet with a panel for each part, three in a row, ``room`` inches more below each row."""
    rows = math.ceil(len(split) / _IN_ROW)
    in_row = min(len(split), _IN_ROW)
    wide = (_FULL - (in_row - 1) * _GAP) / in_row if in_row > 1 else _FULL
    height = _HEIGHT if in_row > 1 else 2.3
    step = height + _BOTTOM + room + (0.16 if in_row > 1 or split[0][0] else 0.0)
    figure = sheet(_TOP + rows * step)
    panels: list[Axes] = []
    for number, (title, _) in enumerate(split):
        row, column = divmod(number, _IN_ROW)
        axes = panel(figure, _LEFT + column * (wide + _GAP), _TOP + row * step, wide, height)
        axes.set_title(title, fontsize=7.5, pad=3)
        panels.append(axes)
    return figure, panels


def _share(panels: Sequence[Axes], x: str, y: str) -> None:
    """Panels can be compared: the same scale on all; labels only at the edges."""
    low, high = (pick(axes.get_ylim()[end] for axes in panels) for pick, end in ((min, 0), (max, 1)))
    if panels[0].get_yscale() == "linear":
        low, high = max(0.0, low), min(100.0, high) if "%" in y else high
    for number, axes in enumerate(panels):
        axes.set_ylim(low, high)
        if number % _IN_ROW == 0:
            axes.set_ylabel(y)
        if number >= len(panels) - _IN_ROW:
            axes.set_xlabel(x)


def _make_room(figure: Figure, panels: Sequence[Axes]) -> None:
    """Each panel gives up on its left what labels as long as "10,000 s" need beyond the margin."""
    short = max(0.0, _EDGE - float(figure.get_tightbbox().x0)) / float(figure.get_size_inches()[0])
    for axes in panels:
        box = axes.get_position()
        axes.set_position((box.x0 + short, box.y0, box.width - short, box.height))


def _legend(figure: Figure, panels: Sequence[Axes], last: str = "") -> None:
    """One for all panels, above them."""
    named: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    if last in named:
        named[last] = named.pop(last)
    named.pop("", None)
    if named:
        figure.legend(
            named.values(),
            named.keys(),
            loc="upper center",
            bbox_to_anchor=(0.53, 1.0),
            ncols=4,
            columnspacing=1.2,
        )


def _numeric(axis: Axis) -> bool:
    return axis.numbers is not None


def _position(axis: Axis, label: str) -> float:
    number = axis.labels.index(label)
    return float(number) if axis.numbers is None else axis.numbers[number]


def _x_axis(axes: Axes, axis: Axis) -> None:
    if axis.numbers is None:
        turned = _room(axis) > 0
        axes.set_xticks(range(len(axis.labels)), axis.labels, rotation=90 if turned else 0)
        axes.set_xlim(-0.6, len(axis.labels) - 0.4)
        axes.grid(axis="x", linewidth=0.3, color="#dddddd")
        return
    numbers = np.array(axis.numbers)
    if (numbers > 0).all() and numbers.max() > 20 * numbers.min():
        logarithmic(axes, "x", numbers)
    if len(numbers) <= _FEW:
        axes.set_xticks(numbers, axis.labels)


def _room(axis: Axis) -> float:
    """Inches below a panel that labels in words take."""
    longest = max(map(len, axis.labels))
    return 0.0 if axis.numbers is not None or longest * len(axis.labels) < 40 else 0.065 * longest
