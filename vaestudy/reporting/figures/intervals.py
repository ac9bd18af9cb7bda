"""Means with intervals that stay inside a panel: a bar that leaves it ends at the edge, at a small arrow.

An interval of few seeds can be far wider than all runs, and its lower end can be negative where only positive numbers
have a meaning. So the limits of an axis follow the runs, and on a logarithmic axis no bar has an end at or below 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from vaestudy.plotting import Look

WIDE = 50.0
"""An axis is logarithmic if its largest and smallest value differ by more than this factor."""
CUT = "arrows at an edge: the interval goes on"
"""What a heading says of such arrows."""


def value_limits(values: ArrayLike, log: bool, room: float = 0.15) -> tuple[float, float]:
    """Return limits of an axis so that all values are inside, with a margin; for a logarithmic axis, positive ones.

    Args:
        values: finite values, one or more; on a logarithmic axis those at or below 0 are not shown.
        log: whether the axis is logarithmic.
        room: the margin, as a share of the range.
    """
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known) & ((known > 0) | (not log))]
    if not len(known):
        return (0.1, 10.0) if log else (-1.0, 1.0)
    low, high = float(known.min()), float(known.max())
    if log:
        factor = max(1.6, (high / low) ** room)
        return low / factor, high * factor
    margin = room * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def is_wide(values: ArrayLike) -> bool:
    """Return whether positive values differ so much that their axis should be logarithmic."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    return bool(len(known)) and bool(known.min() > 0) and bool(known.max() / known.min() > WIDE)


def draw_means(
    ax: Axes,
    places: Sequence[float] | NDArray[np.float64],
    means: ArrayLike,
    halves: ArrayLike,
    look: Look,
    label: str | None = None,
    *,
    horizontal: bool = False,
    joined: bool = False,
    filled: bool = True,
    bar: str = "-",
) -> bool:
    """Draw means with intervals in a panel whose axis of values has its scale and limits.

    Args:
        ax: the panel.
        places: where the means are on the other axis.
        means: the means; nan is not drawn.
        halves: the half-widths of the intervals; nan where there is none.
        look: colour, marker and line style.
        label: the label for the legend.
        horizontal: whether the values are on the horizontal axis.
        joined: whether a line joins the means.
        filled: whether the markers are full.
        bar: the line style of the intervals.

    Returns:
        whether an interval was cut at an edge.
    """
    middle, half = np.asarray(means, dtype=float), np.nan_to_num(np.asarray(halves, dtype=float))
    low, high = ax.get_xlim() if horizontal else ax.get_ylim()
    inside = (middle >= low) & (middle <= high)
    lower = np.where(inside, np.minimum(half, middle - low), 0.0)
    upper = np.where(inside, np.minimum(half, high - middle), 0.0)
    x, y = (middle, places) if horizontal else (places, middle)
    bars: dict[str, Any] = {"xerr" if horizontal else "yerr": (np.nan_to_num(lower), np.nan_to_num(upper))}
    drawn = ax.errorbar(x, y, **bars, color=look.colour, marker=look.marker, markersize=5.5, elinewidth=1.2,
                        linestyle=look.dash if joined else "none", label=label, zorder=3,
                        markerfacecolor=look.colour if filled else "white")  # fmt: skip
    for lines in drawn[2]:
        lines.set_linestyle(bar)
    at = np.asarray(places, dtype=float)
    cut = False
    for which, edge, marker in ((half > lower, low, "<v"), (half > upper, high, ">^")):
        if (gone := inside & which & (half > 0)).any():
            cut = True
            edges = np.full(int(gone.sum()), edge)
            x, y = (edges, at[gone]) if horizontal else (at[gone], edges)
            ax.plot(x, y, marker[0 if horizontal else 1], color=look.colour, markersize=5, clip_on=False, zorder=4,
                    label="_cut")  # fmt: skip
    return cut
