"""Figure of the routine ``disturb``: change of neighbours against shots, and where it is."""

# pyright: reportUnknownMemberType=false
# matplotlib leaves its keyword arguments without types.

from __future__ import annotations

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binom

from calibration.figures.parts import cross_out, device_map, outlying, reach_of, signed
from calibration.intervals import Floats
from hil.calibrate.record import Record
from hil.figures.canvas import legend_above, logarithmic, panel, prefix, sheet
from hil.figures.style import BLACK, BLUE, ORANGE

_KINDS = (("row", BLUE, "o"), ("column", ORANGE, "s"), ("control", BLACK, "^"))
_APART = 1.06
"""Factor between the shots at which kinds of neighbours are drawn, so that their bars can be told apart."""


def draw(record: Record, levels: Floats) -> Figure:
    """Shots up and down, a panel each, and the map of what shots up changed; devices whose change is far from
    that of others of the same row, of the same column, or of the rest, are marked and not on its scale.

    ``levels``: conductances [readings up then down, rows, cols] as `Disturb.analyse` takes them, siemens.
    """
    maps = record.result.maps
    figure = sheet(2.85)
    shots = maps["shots"]
    ways = dict(zip(("up", "down"), np.split(levels, [len(shots)]), strict=True))
    found = {way: _medians(block - block[0]) for way, block in ways.items()}
    factor, letter = prefix(max(reach_of(each) for kinds in found.values() for each in kinds.values()))
    for number, (way, kinds) in enumerate(found.items()):
        axes = panel(figure, 0.65 + 2.15 * number, 0.5, 1.5, 1.6, "ab"[number])
        for place, (kind, colour, shape) in enumerate(_KINDS, start=-1):
            value, low, high = kinds[kind][:, 1:] / factor
            axes.errorbar(
                shots[1:] * _APART**place, value, [value - low, high - value],
                fmt=f"{shape}-", color=colour, markersize=3, linewidth=0.8, elinewidth=0.7, label=kind,
            )  # fmt: skip
        axes.axhline(0, color="#999999", linewidth=0.6, zorder=0)
        logarithmic(axes, "x", shots[1:], whole=True)
        axes.set_xlabel(f"shots {way} to one device")
        axes.set_ylabel(f"median change ({letter}S)")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper left", bbox_to_anchor=(0.1, 0.98), ncols=3)
    _map(figure, maps["change_up_s"])
    return signed(figure, record, "bars: 95 % intervals of the median over devices")


def _map(figure: Figure, change: Floats) -> None:
    """Change of every device by all shots up, the pulsed one and outlying ones marked."""
    row, col = (lines // 2 for lines in change.shape)
    change = change.copy()
    change[row, col] = np.nan
    far = _far(change)
    change[far] = np.nan
    reach = reach_of(change)
    factor, letter = prefix(reach)
    norm = Normalize(-reach / factor or -1.0, reach / factor or 1.0)
    place = (4.95, 0.5, 1.35, 1.6)
    axes = device_map(figure, place, change / factor, norm, f"change, up ({letter}S)", "c", "RdBu_r")
    axes.scatter([col], [row], s=16, marker="*", c=BLACK, linewidths=0, label="pulsed")
    cross_out(axes, far)
    legend_above(axes)


def _medians(change: Floats) -> dict[str, Floats]:
    """Median of each kind of neighbours and its 95 % interval [3, readings], by order statistics; the whole
    span of devices where they are too few for one.
    """
    row, col = (lines // 2 for lines in change.shape[1:])
    rest: Floats = np.delete(np.delete(change, row, axis=1), col, axis=2)
    kinds: dict[str, Floats] = {
        "row": np.delete(change[:, row], col, axis=1),
        "column": np.delete(change[:, :, col], row, axis=1),
        "control": rest.reshape(len(change), -1),
    }
    found: dict[str, Floats] = {}
    for name, values in kinds.items():
        ordered, n = np.sort(values, axis=1), values.shape[1]
        rank = max(int(binom.ppf(0.025, n, 0.5)) - 1, 0)
        found[name] = np.stack([np.median(ordered, axis=1), ordered[:, rank], ordered[:, n - 1 - rank]])
    return found


def _far(change: Floats) -> NDArray[np.bool_]:
    """Outlying devices [rows, cols]: those on the lines of the target are held against each other alone."""
    row, col = change.shape[0] // 2, change.shape[1] // 2
    far, rest = np.zeros(change.shape, np.bool_), change.copy()
    rest[row], rest[:, col] = np.nan, np.nan
    far |= outlying(rest)
    far[row] |= outlying(change[row])
    far[:, col] |= outlying(change[:, col])
    return far
