"""How every figure looks: one place, so that what is printed together belongs together."""

from typing import Any

WIDTH_IN = 7.1
"""Width of a full figure, inches: two columns of a journal, or the print area of A4."""

# Okabe and Ito's palette, told apart by colour-blind readers (https://jfly.uni-koeln.de/color/).
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, BLACK = "#cc79a7", "#56b4e9", "#222222"
LINES = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY, BLACK)
UNKNOWN = "#d9d9d9"
"""Colour of devices that were not read, or whose reading is only a bound."""

FIGURE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "text.color": BLACK,
    "axes.labelcolor": BLACK,
    "axes.edgecolor": "#444444",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.minor.size": 1.8,
    "ytick.minor.size": 1.8,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.parse_math": False,  # names come from files: a $ in one is a $
    "axes.formatter.useoffset": False,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # TrueType: text that can be searched and edited; journals refuse Type 3
    "ps.fonttype": 42,
    "svg.hashsalt": "hil",  # the same run gives the same page
}
