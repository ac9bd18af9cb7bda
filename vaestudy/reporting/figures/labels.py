"""Labels at the ends of lines and beside points, which do not cover each other."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from vaestudy.plotting import fix_layout, text_colour

Array = NDArray[np.float64]
MOST_ENDS = 8
"""The largest number of lines of a panel that are labelled at their ends; more have a legend."""
LONGEST_END = 26
"""The largest number of letters of a label at an end."""
END_POINTS = 8.5
"""Font size of the labels at ends."""
GAP, REACH = 12.0, 14.0
"""Points from one label to the next, and from the panel to the labels."""
HALO = [patheffects.withStroke(linewidth=2.0, foreground="white")]
"""The white edge of letters that are written over lines."""
MOST_ROUNDS, GOLDEN_ANGLE = 200, np.pi * (3 - np.sqrt(5))
"""The most rounds in which labels are pushed apart; the angle, in radians, between the directions of first moves."""
MOVED = 3.0
"""Points by which a label is moved from its line before a thin line leads to it."""


@dataclass(frozen=True)
class End:
    """The end of a line: its place in the data, its label and its colour."""

    x: float
    y: float
    text: str
    colour: str


def can_label_ends(texts: Sequence[str]) -> bool:
    """Return whether lines with these labels are labelled at their ends, and need no legend."""
    return len(texts) <= MOST_ENDS and max(map(len, texts), default=0) <= LONGEST_END


def label_ends(figure: Figure, panels: Mapping[Axes, Sequence[End]]) -> None:
    """Write the label of each line at its end, right of its panel, and fix the layout of the figure.

    The panels must have their final limits.
    """
    written = {
        ax: [ax.annotate(end.text, (1.0, 0.5), (REACH, 0.0), xycoords="axes fraction", textcoords="offset points",
                         va="center", fontsize=END_POINTS, color=text_colour(end.colour), annotation_clip=False)
             for end in ends]
        for ax, ends in panels.items()
    }  # fmt: skip
    fix_layout(figure)
    for ax, ends in panels.items():
        points = 72 / figure.dpi * ax.bbox.height, 72 / figure.dpi * ax.bbox.width
        places = ax.transAxes.inverted().transform([pixels(ax, end.x, end.y) for end in ends] or [np.zeros(2)])
        places = np.clip(places, 0, 1)
        spread = apart([float(y) for _, y in places[: len(ends)]], GAP / points[0], 0.0, 1.0)
        for end, text, (x, y), at in zip(ends, written[ax], places, spread, strict=False):
            text.xy = (1.0, at)
            if abs(at - y) * points[0] > MOVED or (1 - x) * points[1] > REACH:
                ax.plot([x, 1 + (REACH - 2) / points[1]], [y, at], transform=ax.transAxes, clip_on=False,
                        color=end.colour, linewidth=0.6, alpha=0.6, zorder=1.5, label="_to its label")  # fmt: skip


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places near the wanted ones, at least `gap` apart, with the least sum of squared moves.

    Between the limits, if they are wide enough. This is isotonic regression of the wanted places without the gaps.

    Args:
        wanted: places, in any order; the order is kept.
        gap: the least distance of two places.
        low: the lowest place.
        high: the highest place.
    """
    order = np.argsort(wanted, kind="stable")
    blocks: list[list[float]] = []  # (mean, number) of places that touch each other
    for rank, index in enumerate(order):
        blocks.append([wanted[index] - rank * gap, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (first, n), (second, m) = blocks[-2:]
            blocks[-2:] = [[(n * first + m * second) / (n + m), n + m]]
    top = max(low, high - gap * (len(wanted) - 1))
    starts = itertools.chain.from_iterable([min(max(mean, low), top)] * int(count) for mean, count in blocks)
    found = [0.0] * len(wanted)
    for rank, (index, start) in enumerate(zip(order, starts, strict=True)):
        found[index] = start + rank * gap
    return found


def pushed_apart(wanted: Array, gap: float) -> Array:
    """Return places [N, 2] near the wanted ones [N, 2], at least about `gap` apart; those with room stay.

    In each round, each place moves by half of what its distances to others lack, on average over those that are too
    close. It ends when all have room, to a hundredth of the gap, or after MOST_ROUNDS rounds.
    """
    angles = np.arange(len(wanted)) * GOLDEN_ANGLE
    rays = np.stack([np.cos(angles), np.sin(angles)], -1)
    places = wanted + gap / 1000 * rays  # else those that coincide would have no direction to move in
    for _ in range(MOST_ROUNDS):
        away = places[:, None] - places[None]  # [N, N, 2], from the second to the first
        far = np.linalg.norm(away, axis=-1)
        np.fill_diagonal(far, np.inf)
        lack = np.maximum(gap - far, 0)
        if lack.max(initial=0.0) < gap / 100:
            break
        moves = (lack / far / 2)[..., None] * away
        places = places + moves.sum(1) / np.maximum((lack > 0).sum(1), 1)[:, None]
    return places


def write_beside(
    ax: Axes, place: tuple[float, float], text: str, size: float, colour: str, taken: list[Bbox], reach: float = 7.0
) -> bool:
    """Write a text beside a point where it covers no box; return whether there is room.

    The panel must have its final size and limits.

    Args:
        ax: the panel.
        place: the point, in the data.
        text: the text.
        size: the font size, in points.
        colour: the colour of the text.
        taken: boxes in pixels that the text must not cover; its own box is added.
        reach: the distance from the point to the text, in points.
    """
    scale = ax.figure.dpi / 72  # pixels a point
    width, height = 0.62 * size * len(text) * scale, size * scale
    here = pixels(ax, *place)
    for angle in np.radians([45, -135, 0, 90, -90, 180, -45, 135]):
        offset = np.array([np.cos(angle) * (reach * scale + width / 2), np.sin(angle) * (reach * scale + height / 2)])
        where = box(here + offset, width, height)
        if is_free(where, taken) and ax.bbox.contains(*where.p0) and ax.bbox.contains(*where.p1):
            taken.append(where)
            ax.annotate(text, place, tuple(offset / scale), ha="center", va="center", textcoords="offset points",
                        fontsize=size, color=text_colour(colour), zorder=5, path_effects=HALO)  # fmt: skip
            return True
    return False


def marker_box(ax: Axes, x: float, y: float) -> Bbox:
    """Return the box of a point's marker, in pixels."""
    size = 7 * ax.figure.dpi / 72
    return box(pixels(ax, x, y), size, size)


def pixels(ax: Axes, x: float, y: float) -> Array:
    """Return a place of a panel in pixels, [2]."""
    found: Array = ax.transData.transform((x, y))
    return found


def is_free(where: Bbox, taken: list[Bbox]) -> bool:
    """Return whether a box overlaps none of the boxes that are taken."""
    return not any(where.overlaps(other) for other in taken)


def box(centre: Array, width: float, height: float) -> Bbox:
    """Return the box around a place, in pixels."""
    half = np.array([width, height]) / 2
    return Bbox([centre - half, centre + half])
