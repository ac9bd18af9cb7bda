"""The style of all pictures: colours, markers and line styles, letters and grid, and the files of a figure.

The colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart, without their yellow, which is
too pale for a line on white. No picture relies on colour alone: what has a colour has a marker or line style as well.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

Dash = Literal["-", "--", "-.", ":"]
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKERS = "os^Dv<>PX"
DASHES: tuple[Dash, ...] = ("-", "--", "-.", ":")
INK, GREY, PALE = "0.15", "0.45", "0.8"
"""Texts and single values; what explains them; lines behind them."""
LETTERS_AN_INCH = 11.5
"""Letters of a heading of 11 points in an inch of width."""
WIDEST = 11.4
"""Inches. In a figure that is no wider, letters of 8.5 points are legible at a width of 800 pixels."""
CONTRAST = 4.5
"""The least contrast of a coloured text with white (WCAG 2.2, level AA)."""
GRID: Any = {
    "axes.axisbelow": True,
    "axes.facecolor": "white",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.bottom": True,
    "axes.spines.left": True,
    "axes.spines.right": True,
    "axes.spines.top": True,
    "figure.facecolor": "white",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["Arial", "DejaVu Sans", "Liberation Sans", "Bitstream Vera Sans", "sans-serif"],
    "grid.linestyle": "-",
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "text.color": INK,
    "xtick.direction": "out",
    "xtick.top": False,
    "ytick.direction": "out",
    "ytick.right": False,
}
"""Seaborn's style "whitegrid". It is written here because seaborn imports scipy.stats, which takes a second, and each
worker process of a study imports this module."""
STYLE: Any = {
    **GRID,
    "xtick.bottom": True,
    "ytick.left": True,
    "axes.edgecolor": "0.7",
    "grid.color": "0.92",
    "xtick.color": "0.7",
    "ytick.color": "0.7",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.labelsize": 10.5,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "figure.titlesize": 11.5,
    "lines.linewidth": 1.5,
    "errorbar.capsize": 2.5,
    "axes.formatter.useoffset": False,  # an offset such as -1.1e2 above the axis is overlooked
    "svg.hashsalt": "vaestudy",  # else the names in an SVG file are random
    "pdf.fonttype": 42,  # journals refuse the default, Type 3
}
DATELESS = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


@dataclass(frozen=True)
class Look:
    """How one line or one group of points is drawn."""

    colour: str
    marker: str
    dash: Dash


def look(index: int) -> Look:
    """Return the look of a line by its number. The first 252 differ in colour, marker or line style."""
    return Look(PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)], DASHES[index % len(DASHES)])


def text_colour(colour: str) -> str:
    """Return a colour for texts: the colour itself, or a darker shade of it if it is too pale to read on white."""
    rgb = np.array(to_rgb(colour))
    while 1.05 / (_luminance(rgb) + 0.05) < CONTRAST:
        rgb = 0.97 * rgb
    return to_hex(tuple(rgb))


def _luminance(rgb: NDArray[np.float64]) -> float:
    """Return the relative luminance of an sRGB colour [3], as WCAG 2.2 defines it."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with the letters and the grid of all pictures."""
    with mpl.rc_context(STYLE):
        yield


def set_heading(figure: Figure, *lines: str) -> None:
    """Write the heading of a figure; lines that are longer than the figure is wide are broken."""
    width = max(30, int(figure.get_figwidth() * LETTERS_AN_INCH))
    parts = [part for line in lines for part in line.split("\n")]
    figure.suptitle("\n".join(balanced(part, width) for part in parts), fontsize=11)


def balanced(text: str, width: int) -> str:
    """Return a text in as few lines of at most `width` letters as possible, with lines of about the same length."""
    lines = textwrap.wrap(text, width, break_on_hyphens=False)
    for narrower in range(width - 1, 0, -1):
        found = textwrap.wrap(text, narrower, break_on_hyphens=False)
        if len(found) > len(lines):
            break
        lines = found
    return "\n".join(lines)


def legend_below(figure: Figure) -> None:
    """Put one legend of all panels below them. What several panels show has one entry.

    The legend has as few lines as fit into the figure's width, with about the same number of entries in each line.
    """
    entries: dict[str, Any] = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    handles, labels = list(entries.values()), list(entries)
    lengths, count = [len(label) for label in labels], len(labels)

    def inches(columns: int) -> float:
        handle, letter = 0.7, 0.08
        return sum(handle + letter * int(column.max()) for column in np.array_split(lengths, columns))

    fitting = max((n for n in range(1, count + 1) if inches(n) <= figure.get_figwidth()), default=1)
    lines = -(-count // fitting)
    columns = -(-count // lines)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=2.6)


def fix_layout(figure: Figure) -> None:
    """Compute the places and sizes of the panels, and keep them. Call this before labels are placed by them."""
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.execute(figure)
    figure.set_layout_engine("none")


def to_png(figure: Figure, dots: int = 150) -> bytes:
    """Return the figure as a PNG file of this many dots per inch."""
    return _file(figure, "png", dpi=dots)


def figure_files(path: str, figure: Figure, papers: bool) -> dict[str, bytes]:
    """Return a figure as a PNG file for screens, and if wanted as PDF and SVG files for papers: path -> content.

    The same figure has the same bytes each time.

    Args:
        path: the path without an ending.
        figure: the figure.
        papers: whether to add the files for papers, which take longer than the drawing.
    """
    png = to_png(figure)
    if not papers:
        return {f"{path}.png": png}
    figure.set_layout_engine("none")  # the layout is the same for all files, and takes longer than the drawing
    return {f"{path}.png": png, f"{path}.pdf": _file(figure, "pdf"), f"{path}.svg": _file(figure, "svg")}


def for_papers(path: str) -> bool:
    """Return whether a file is a picture for papers, which the folder of the tables has and MLflow has not."""
    return path.endswith((".pdf", ".svg"))


def _file(figure: Figure, kind: str, **options: Any) -> bytes:
    """Return the figure as a file of a kind."""
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format=kind, metadata=DATELESS.get(kind), **options)
    return buffer.getvalue()
