"""The parts of a page: headings, tables, numbered figures. All text is escaped, and nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from hil.report.style import PAGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Markup:
    """A page that grows from top to bottom and counts its figures."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._figures = 0

    def document(self, title: str) -> str:
        """The whole page, of what was added so far."""
        return (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f"<title>{escape(title)}</title>\n"
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<style>{PAGE}</style>\n</head>\n<body>\n" + "\n".join(self._parts) + "\n</body>\n</html>\n"
        )

    def add(self, *parts: str) -> None:
        """Markup, as it is."""
        self._parts.extend(parts)

    def missing(self, text: str) -> None:
        """Say that something is not there."""
        self.add(f'<p class="missing">{escape(text)}</p>')

    def figure(self, figure: Figure | None, caption: str, otherwise: str) -> None:
        """A drawing with its number and caption, or why there is none."""
        from hil.figures.canvas import svg

        if figure is None:
            self.missing(otherwise)
            return
        self._figures += 1
        number = self._figures
        label = f"<b>Figure {number}.</b> {escape(caption)}"
        drawing = scrolled(svg(figure, f"f{number}"))
        self.add(f"<figure>{drawing}<figcaption>{label}</figcaption></figure>")


def facts(figures: Iterable[tuple[str, str, str]]) -> str:
    """The figures that a page begins with: label, figure, remark."""
    rows = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(text)}<small>{escape(remark)}</small></dd></div>"
        for label, text, remark in figures
    )
    return f'<dl class="facts">{rows}</dl>'


def table(rows: Iterable[tuple[str, str]], style: str = "") -> str:
    """Two columns: what it is, what it says."""
    body = "".join(f"<tr><th>{escape(key)}</th><td>{escape(text)}</td></tr>" for key, text in rows)
    return f'<table class="{style}">{body}</table>'


def columns(head: Sequence[str], rows: Iterable[Sequence[str]], style: str = "number") -> str:
    """A table with headings."""
    top = "".join(f"<th>{escape(text)}</th>" for text in head)
    body = "".join(
        f"<tr><th>{escape(row[0])}</th>{''.join(f'<td>{escape(text)}</td>' for text in row[1:])}</tr>"
        for row in rows
    )
    return scrolled(f'<table class="{style}"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>')


def scrolled(markup: str) -> str:
    """What is wider than a narrow screen scrolls within its own box, by touch or by the keyboard."""
    return f'<div class="wide" tabindex="0">{markup}</div>'
