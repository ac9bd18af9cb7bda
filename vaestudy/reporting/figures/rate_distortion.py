"""Figure of rate against distortion, with lines of equal ELBO, and of the active units along the front.

A panel's curve is one D, its points are the levels of beta (`vaestudy/reporting/rate_distortion.py`). Points that were
found in another way than by the grid are added to a panel by `add_points`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from vaestudy.plotting import GREY, PALE, WIDEST, fix_layout, house_style, legend_below, look, set_heading
from vaestudy.reporting.figures.axis_texts import field_label
from vaestudy.reporting.figures.labels import box, is_free, marker_box, pixels, write_beside
from vaestudy.reporting.figures.style import figure_title
from vaestudy.reporting.rate_distortion import FrontPoint, fronts
from vaestudy.study.declaration import Study, level_text

LABEL_POINTS, LINE_POINTS = 8.0, 7.5  # font sizes of the labels of points and of lines
MOST_LINES = 9  # of equal ELBO in a panel
RING: dict[str, Any] = {"s": 190, "facecolors": "none", "edgecolors": "black", "linewidths": 1.6, "zorder": 4}


def rate_distortion(runs: pd.DataFrame, study: Study) -> Figure | None:
    """Rate against distortion with lines of equal ELBO, and active units against beta: a column for each likelihood.

    A curve is one D. Return None if beta is no factor or the runs lack the metrics.
    """
    panels = fronts(runs, study)
    if not panels:
        return None
    Ds = sorted({D for curves in panels.values() for D in curves})
    with house_style():
        figure = Figure(figsize=(max(7.0, min(WIDEST, 6.4 * len(panels))), 9.0), layout="constrained")
        axes = figure.subplots(2, len(panels), squeeze=False, height_ratios=(2, 1))
        for column, (label, curves) in enumerate(panels.items()):
            front, units = axes[:, column]
            for style, D in enumerate(Ds):
                points = curves.get(D, [])
                add_points(front, points, style, f"D={D}", joined=True)
                _units(units, points, style)
            front.set(title=label, xlabel="rate: KL to the prior, nats per image")
            front.grid(visible=False)
            units.set(xscale="log", xlabel=field_label("beta"))
            drawn = [p for points in curves.values() for p in points]
            _ticks(units, drawn)
            _limits(front, drawn)
        axes[0][0].set_ylabel("distortion: -E[log p(x|z)], nats per image")
        axes[1][0].set_ylabel("active units, latent dimensions")
        if any(p.collapsed for curves in panels.values() for points in curves.values() for p in points):
            ring = "posterior collapse: some run has no active unit and a rate below 0.1"
            axes[0][0].scatter([], [], label=ring, **RING)
        legend_below(figure)
        description = "numbers at the points: β; bars: 95 % intervals over seeds"
        scored = "scored at β = 1; grey lines: equal ELBO, lower left is better"
        set_heading(figure, figure_title(runs, study, description), scored)
        fix_layout(figure)
        for ax, curves in zip(axes[0], panels.values(), strict=True):
            _write_labels(ax, [(p, Ds.index(D)) for D, points in curves.items() for p in points])
    return figure


def add_points(ax: Axes, points: Sequence[FrontPoint], style: int, label: str, *, joined: bool) -> None:
    """Draw points in a panel of rate and distortion, with intervals in both directions.

    Args:
        ax: the panel.
        points: the points, in the order in which they are joined.
        style: the number of the colour, marker and line style.
        label: the label for the legend.
        joined: whether a line joins the points; for points of a grid, not for those of a search.
    """
    x, y = ([pair[0] for pair in pairs] for pairs in ([p.rate for p in points], [p.distortion for p in points]))
    ax.errorbar(x, y, xerr=np.nan_to_num([p.rate[1] for p in points]),
                yerr=np.nan_to_num([p.distortion[1] for p in points]), color=look(style).colour, label=label,
                marker=look(style).marker, markersize=6, linewidth=1.4, elinewidth=1.0, capsize=2,
                linestyle=look(style).dash if joined else "none", zorder=3)  # fmt: skip
    _mark_collapsed(ax, [(p.rate[0], p.distortion[0]) for p in points if p.collapsed])


def _mark_collapsed(ax: Axes, places: list[tuple[float, float]]) -> None:
    """Draw a ring around each point of which some run is collapsed."""
    if places:
        x, y = zip(*places, strict=True)
        ax.scatter(x, y, **RING)


def _units(ax: Axes, points: list[FrontPoint], style: int) -> None:
    """Draw the active units against beta."""
    means, halves = ([p.active[i] for p in points] for i in (0, 1))
    shift = 1.02 ** (style - 1)  # so that equal values of several D are all visible
    betas = [p.beta * shift for p in points]
    ax.errorbar(betas, means, yerr=np.nan_to_num(halves), color=look(style).colour, marker=look(style).marker,
                markersize=6, linewidth=1.4, elinewidth=1.0, capsize=2, linestyle=look(style).dash)  # fmt: skip
    _mark_collapsed(ax, [(b, p.active[0]) for b, p in zip(betas, points, strict=True) if p.collapsed])


def _ticks(ax: Axes, points: list[FrontPoint]) -> None:
    """Set a tick for each beta, and limit the axis of active units to about 0 to D, also if an interval is longer."""
    betas = sorted({p.beta for p in points})
    ax.set_xticks(betas, [level_text(beta) for beta in betas])
    ax.set_xticks([], minor=True)
    top = max(1.0, *(p.active[0] for p in points))
    ax.set_ylim(-0.1 * top, 1.1 * top)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))


def _limits(ax: Axes, points: list[FrontPoint]) -> None:
    """Set the limits so that every mean is visible, with room for labels; the interval of few seeds may be cut."""
    for values, setter in (
        ([p.rate[0] for p in points], ax.set_xlim),
        ([p.distortion[0] for p in points], ax.set_ylim),
    ):
        room = 0.1 * (max(values) - min(values)) or 1.0
        setter(min(values) - room, max(values) + room)


def _write_labels(ax: Axes, points: list[tuple[FrontPoint, int]]) -> None:
    """Write beta beside the points, and draw the lines of equal ELBO with their values; no label covers another.

    The panel must have its final size and limits.

    Args:
        ax: the panel.
        points: the points with the numbers of their styles.
    """
    taken = [marker_box(ax, p.rate[0], p.distortion[0]) for p, _ in points]
    for point, style in points:
        place = point.rate[0], point.distortion[0]
        write_beside(ax, place, level_text(point.beta), LABEL_POINTS, look(style).colour, taken)
    draw_iso_lines(ax, taken)


def draw_iso_lines(ax: Axes, taken: list[Bbox]) -> None:
    """Draw the lines of equal ELBO in a panel that has its final size and limits.

    Args:
        ax: the panel.
        taken: boxes in pixels that the values of the lines must not cover; their own boxes are added.
    """
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    for total in MaxNLocator(MOST_LINES).tick_values(left + bottom, right + top):
        x0, x1 = max(left, total - top), min(right, total - bottom)
        if x1 > x0:
            _iso_line(ax, total, x0, x1, taken)


def _iso_line(ax: Axes, total: float, x0: float, x1: float, taken: list[Bbox]) -> None:
    """Draw the line rate + distortion = total from x0 to x1; write its ELBO on it where there is room.

    Args:
        ax: the panel.
        total: -ELBO, nats per image.
        x0: the rate at which the line begins.
        x1: the rate at which it ends.
        taken: boxes in pixels that the text must not cover; its own box is added.
    """
    ax.plot([x0, x1], [total - x0, total - x1], color=PALE, linewidth=0.9, zorder=1)
    ends = pixels(ax, x0, total - x0), pixels(ax, x1, total - x1)
    direction = ends[1] - ends[0]
    angle, text = np.arctan2(direction[1], direction[0]), f"ELBO {0.0 - total:g}".replace("-", "−")
    length, height = 0.62 * LINE_POINTS * len(text) * ax.figure.dpi / 72, 1.2 * LINE_POINTS * ax.figure.dpi / 72
    if np.hypot(*direction) < 1.3 * length:
        return
    size = (abs(length * np.cos(angle)) + height, abs(length * np.sin(angle)) + height)
    for share in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8):
        place = ends[0] + share * direction
        area = box(place, *size)
        if is_free(area, taken) and ax.bbox.contains(area.x0, area.y0) and ax.bbox.contains(area.x1, area.y1):
            taken.append(area)
            x = x0 + share * (x1 - x0)
            ax.text(x, total - x, text, rotation=np.degrees(angle), rotation_mode="anchor", ha="center", va="center",
                    color=GREY, fontsize=LINE_POINTS, zorder=1.5,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})  # fmt: skip
            return
