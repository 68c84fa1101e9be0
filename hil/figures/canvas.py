"""From a matplotlib figure to SVG inside a page: the object interface alone, no global state left behind."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

import base64
import io
import math
import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray
from PIL import Image

from hil.figures.style import FIGURE, WIDTH_IN

MAP_DPI = 220
_PREFIXES = ((1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


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


def counts(axes: Axes, which: str) -> None:
    """An axis of whole numbers from 0, as 500 or 20k."""
    axis: Any = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], integer=True))
    axis.set_major_formatter(EngFormatter(sep=""))
    top = axes.dataLim.x1 if which == "x" else axes.dataLim.y1
    (axes.set_xlim if which == "x" else axes.set_ylim)(0, 1.04 * max(1.0, top))


def logarithmic(axes: Axes, which: str, values: NDArray[Any], unit: str = "") -> None:
    """A logarithmic axis around the positive of ``values``, ticks as 10 ms or 20k, but never kiloseconds."""
    ticks = log_ticks(float(values[values > 0].min()), float(values.max()))
    axis: Any = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_formatter(NullFormatter())
    prefixed = EngFormatter(unit=unit, sep=" " if unit else "")

    def written(value: float, _: int | None = None) -> str:
        return f"{value:,.0f} s" if unit == "s" and value >= 1000 else prefixed(value)

    axis.set_major_formatter(FuncFormatter(written))
    low, high = min(ticks[0], values[values > 0].min()), max(ticks[-1], values.max())
    margin = (high / low) ** 0.04
    (axes.set_xlim if which == "x" else axes.set_ylim)(low / margin, high * margin)


def log_ticks(low: float, high: float) -> list[float]:
    """Two ticks or more: decades from ``low`` to ``high``, or 1-2-5 around them where these are fewer."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    if last > first:
        return [10.0**power for power in range(first, last + 1, math.ceil((last - first) / 3))]
    ladder = [float(f"{digit}e{power}") for power in range(first - 2, last + 3) for digit in (1, 2, 5)]
    below = max(tick for tick in ladder if tick <= low)
    above = min(tick for tick in ladder if tick >= high and tick > below)
    return [tick for tick in ladder if below <= tick <= above]


def prefix(largest: float) -> tuple[float, str]:
    """Factor and letter of the SI prefix in which a value is between 1 and 1000."""
    return next((pair for pair in _PREFIXES if largest >= pair[0]), _PREFIXES[-1])


def legend_above(axes: Axes, columns: int = 2) -> None:
    """A legend above the axes, where no data can be; none where nothing drawn has a name."""
    if not axes.get_legend_handles_labels()[0]:
        return
    place = (0.5, 0.97)
    axes.legend(loc="lower center", bbox_to_anchor=place, ncols=columns, columnspacing=1, borderpad=0.2)


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
