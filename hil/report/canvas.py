"""From a matplotlib figure to SVG inside a page: the object interface alone, no global state left behind."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

import base64
import io
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from PIL import Image

from hil.report.style import FIGURE, WIDTH_IN

MAP_DPI = 220


@contextmanager
def styled() -> Generator[None]:
    """Draw in the house style inside; settings made elsewhere in the program stay as they are."""
    with matplotlib.rc_context(FIGURE):  # pyright: ignore[reportArgumentType]
        yield


def sheet(height_in: float) -> Figure:
    """Give an empty figure of full width."""
    figure = Figure(figsize=(WIDTH_IN, height_in))
    FigureCanvasSVG(figure)
    return figure


def panel(
    figure: Figure, left: float, top: float, width: float, height: float, letter: str = "", out: float = 0.42
) -> Axes:
    """Place axes by inches from the left and top edge of the sheet, its letter ``out`` to the left."""
    total_w, total_h = figure.get_size_inches()
    box = (left / total_w, 1 - (top + height) / total_h, width / total_w, height / total_h)
    axes = figure.add_axes(box)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    if letter:
        x, y = (left - out) / total_w, 1 - (top - 0.1) / total_h
        figure.text(x, y, letter, fontweight="bold", fontsize=9, va="bottom", ha="left")
    return axes


def engineering(axes: Axes, which: str, unit: str = "", *, log: bool = False, ticks: int = 5) -> None:
    """Ticks with engineering prefixes, 10 ms or 20k, but never kiloseconds."""
    axis: Any = axes.xaxis if which == "x" else axes.yaxis
    if log:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
        axis.set_major_locator(LogLocator(numticks=5))
        axis.set_minor_formatter(NullFormatter())
    else:
        axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
    prefixed = EngFormatter(unit=unit, sep=" " if unit else "")

    def written(value: float, _: int | None = None) -> str:
        return f"{value:,.0f} s" if unit == "s" and value >= 1000 else prefixed(value)

    axis.set_major_formatter(FuncFormatter(written))


def svg(figure: Figure, prefix: str) -> str:
    """Write a figure as an SVG element whose ids begin with ``prefix``, so that many fit in one page."""
    file = io.StringIO()
    none = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", dpi=MAP_DPI, metadata=none)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)", _smaller, text)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    return text.replace("url(#", f"url(#{prefix}-").strip()


def _smaller(found: re.Match[str]) -> str:
    """Store a map with a palette: a colour map has no more than 256 colours, and the file is a third."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(found[1]))) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
