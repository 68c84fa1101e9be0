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
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray
from PIL import Image

from hil.figures.style import FIGURE, WIDTH_IN
from hil.units import raised

MAP_DPI = 220
_DPI_NOTEBOOK = 110
_FEW = 10  # fewer values have no middle that could tell what is usual
_PREFIXES = ((1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


@contextmanager
def styled() -> Generator[None]:
    """Draw in the house style inside; settings made elsewhere in the program stay as they are."""
    with matplotlib.rc_context(FIGURE):  # pyright: ignore[reportArgumentType]
        yield


class Sheet(Figure):
    """A figure that is in the house style wherever it is drawn, and that a notebook shows by itself."""

    def draw(self, renderer: Any) -> None:
        """As any figure: ticks are made only now."""
        with styled():
            super().draw(renderer)

    def savefig(self, fname: Any, **options: Any) -> None:
        """As any figure: how text is written is asked of the style as the file is made."""
        with styled():
            super().savefig(fname, **options)

    def _repr_png_(self) -> bytes:
        page = io.BytesIO()
        self.savefig(page, format="png", dpi=_DPI_NOTEBOOK)
        return page.getvalue()


def sheet(height_in: float) -> Figure:
    """Give an empty figure of full width."""
    figure = Sheet(figsize=(WIDTH_IN, height_in))
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


def logarithmic(axes: Axes, which: str, values: NDArray[Any], *, whole: bool = False) -> None:
    """A logarithmic axis around the positive of ``values``; ticks as 0.01, 10⁻⁶, or as 20k where ``whole``
    says that they are counts. The unit belongs to the axis label.
    """
    ticks = log_ticks(float(values[values > 0].min()), float(values.max()))
    axis: Any = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(EngFormatter(sep="") if whole else FuncFormatter(_decimal))
    low, high = min(ticks[0], values[values > 0].min()), max(ticks[-1], values.max())
    margin = (high / low) ** 0.04
    (axes.set_xlim if which == "x" else axes.set_ylim)(low / margin, high * margin)


def _decimal(value: float, _: int | None = None) -> str:
    """A tick of a logarithmic axis: 0.01, 1,000, 10⁻⁶."""
    if 1e-3 <= value < 1e4 or value <= 0:
        return f"{value:,g}"
    digit, power = f"{value:.0e}".split("e")
    return f"10{raised(int(power))}" if digit == "1" else f"{digit} × 10{raised(int(power))}"  # noqa: RUF001


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


def usual(values: NDArray[Any]) -> tuple[float, float]:
    """Ends of a scale that a few far values do not ruin, such as shorted devices: from the middle 80 % of the
    known ``values`` [any shape] outwards, up to a gap of twice what is spanned so far. At least one is known.
    """
    known = np.sort(values[np.isfinite(values)].ravel())
    if known.size < _FEW:
        return float(known[0]), float(known[-1])
    first, last = math.ceil(0.1 * (known.size - 1)), math.floor(0.9 * (known.size - 1))
    return -_reach(-known[last::-1]), _reach(known[first:])


def _reach(ordered: NDArray[Any]) -> float:
    """The last of rising values before a gap of more than twice what lies between the first and it; the last
    of all where most are the same.
    """
    core = math.floor(0.88 * (ordered.size - 1))
    gap, span = np.diff(ordered)[core:], (ordered - ordered[0])[core:-1]
    far = (gap > 2 * span) & (span > 0)
    return float(ordered[core + int(far.argmax())] if far.any() else ordered[-1])


def empty(axes: Axes, text: str) -> None:
    """Say in the place of data why there are none, on axes without scales."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="#777777")


def foot(figure: Figure, left: str, right: str = "") -> None:
    """Small print at the foot of a sheet: what marks mean at the left, what was measured at the right."""
    wide, high = figure.get_size_inches()
    for x, text, side in ((0.06, left, "left"), (wide - 0.06, right, "right")):
        figure.text(x / wide, 0.05 / high, text, fontsize=6, color="#666666", ha=side, va="bottom")


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
