"""Helpers for matplotlib figures that both the pictures of a run and the figures of a study use."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure


def legend_below(figure: Figure) -> None:
    """Put the first panel's legend below all panels.

    The legend has as few lines as fit into the figure's width, with about the same number of entries in each line.
    """
    handles, labels = figure.axes[0].get_legend_handles_labels()
    lengths, count = [len(label) for label in labels], len(labels)

    def inches(columns: int) -> float:
        handle, letter = 0.6, 0.08
        return sum(handle + letter * int(column.max()) for column in np.array_split(lengths, columns))

    fitting = max((n for n in range(1, count + 1) if inches(n) <= figure.get_figwidth()), default=1)
    lines = -(-count // fitting)
    figure.legend(handles, labels, loc="outside lower center", ncols=-(-count // lines), frameon=False)


def to_png(figure: Figure, dots: int = 150) -> bytes:
    """Return the figure as a PNG file of this many dots per inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots)
    return buffer.getvalue()
