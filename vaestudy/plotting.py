"""TODO"""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure


def legend_below(figure: Figure) -> None:
    """The first panel's legend below all panels, in as few lines as the figure is wide enough for, and even ones."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    lengths, count = [len(label) for label in labels], len(labels)

    def inches(columns: int) -> float:
        handle, letter = 0.6, 0.08
        return sum(handle + letter * int(column.max()) for column in np.array_split(lengths, columns))

    fitting = max((n for n in range(1, count + 1) if inches(n) <= figure.get_figwidth()), default=1)
    lines = -(-count // fitting)
    figure.legend(handles, labels, loc="outside lower center", ncols=-(-count // lines), frameon=False)


def to_png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
