"""Figures of the class scores: what the labels, which are not used in training, show about a study's runs.

They cover the reconstructions of each class, how clearly generated images can be classified, the classes of the nearest
neighbours in latent space, and the positions of the classes at D=2. The runs must have been made with the configuration
field `class_scores`. vaestudy/scoring/score.py defines the metrics.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from vaestudy.plotting import INK, PALE, WIDEST, balanced, house_style, legend_below, look, set_heading, text_colour
from vaestudy.reporting.figures.axis_texts import cell_label
from vaestudy.reporting.figures.labels import pushed_apart
from vaestudy.reporting.figures.style import figure_title
from vaestudy.reporting.grouping import metric_interval, runs_by_cell
from vaestudy.reporting.procrustes import ALIGNMENTS, Array, distance, standardised
from vaestudy.reporting.tables.classes import PICTURE_KINDS, class_layouts, has_picture_scores, scored_classes
from vaestudy.scoring.class_probe import CONFIDENT, NEIGHBOURS
from vaestudy.study.declaration import Study

MOST_CELLS = 4
DEVIATIONS = 2.0
"""Half the axes of an ellipse of `class_planes`, in standard deviations over seeds."""
NUMERAL_ROOM = 0.085
"""The least distance of two numerals on ellipses, as a part of the panel's width."""
BY_CLASS = {
    "recognised_reconstruction": ("Reconstructions that read as their class", "share of images, higher is better"),
    "relative_error": ("What reconstructions miss", "|x - E[x|z]|² / |x|², lower is better"),
    "neighbour_purity": (
        f"Own class among the {NEIGHBOURS} nearest in latent space",
        "share of neighbours, higher is better",
    ),
}
CLARITY = {
    "unclear": (f"Unclear: no class has {100 * CONFIDENT:.0f} %", "share of pictures, lower is better"),
    "class_entropy": ("Entropy of a classifier's answer", "nats, lower is better"),
    "greyness": ("Greyness: 0 black and white, 1 half-way", "mean over pixels, lower is better"),
}


def _named(runs: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    """Return the runs of the first MOST_CELLS combinations of levels, under readable keys."""
    cells = list(runs_by_cell(runs, study).items())[:MOST_CELLS]
    return {cell_label(key, study): cell for key, cell in cells}


def _intervals(cell: pd.DataFrame, columns: list[str]) -> tuple[Array, Array]:
    """Return the means and half-widths of some metrics over the runs.

    Where no run has the metric, the mean is nan. An unknown half-width is 0.
    """
    means, halves = np.array([metric_interval(cell, column) for column in columns]).T
    return means, np.nan_to_num(halves)


def _dots(ax: Axes, cells: dict[str, pd.DataFrame], columns: list[str]) -> None:
    """Draw the mean and the interval of each metric, with the combinations of levels side by side."""
    for index, (name, cell) in enumerate(cells.items()):
        means, halves = _intervals(cell, columns)
        position = np.arange(len(columns)) + 0.12 * (index - (len(cells) - 1) / 2)
        style = look(index)
        ax.errorbar(position, means, yerr=halves, linestyle="none", marker=style.marker, color=style.colour,
                    markersize=5, label=name)  # fmt: skip
    ax.grid(axis="x", visible=False)


def class_panels(runs: pd.DataFrame, study: Study) -> Figure | None:
    """By class, a colour for each cell: how reconstructions read, what they miss, how pure the surroundings are."""
    if not (classes := scored_classes(runs)):
        return None
    cells = _named(runs, study)
    with house_style():
        figure = Figure(figsize=(WIDEST, 4.6), layout="constrained")
        for ax, (metric, (title, unit)) in zip(figure.subplots(1, len(BY_CLASS)), BY_CLASS.items(), strict=True):
            if metric.startswith("recognised"):
                images, _ = _intervals(runs, [f"test/class_{c}/recognised_data" for c in classes])
                ax.plot(range(len(classes)), images, "_", color=INK, markersize=16, label="the images themselves")
            names = [f"test/class_{c}/{metric}" for c in classes]
            _dots(ax, cells, names)
            ax.set(title=balanced(title, 30), ylabel=unit, xlabel="class")
            # An interval may extend beyond the means, and shares are at most 1.
            means = np.concatenate([_intervals(cell, names)[0] for cell in cells.values()])
            ax.set_ylim(0, min(ax.get_ylim()[1], 1.05 * max(1.0, float(np.nanmax(means, initial=0.0)))))
            ax.set_xticks(range(len(classes)), [str(c) for c in classes])
        legend_below(figure)
        set_heading(figure, figure_title(runs, study, "bars 95 % intervals over seeds"))
    return figure


def clarity_panels(runs: pd.DataFrame, study: Study) -> Figure | None:
    """Test images, reconstructions and samples of the prior: how clearly they read and how grey they are."""
    if not has_picture_scores(runs):
        return None
    cells = _named(runs, study)
    with house_style():
        figure = Figure(figsize=(WIDEST, 4.4), layout="constrained")
        for ax, (metric, (title, unit)) in zip(figure.subplots(1, len(CLARITY)), CLARITY.items(), strict=True):
            _dots(ax, cells, [f"test/{metric}_{kind}" for kind in PICTURE_KINDS])
            ax.set(title=balanced(title, 30), ylabel=unit, ylim=(0, None), xlim=(-0.5, len(PICTURE_KINDS) - 0.5))
            ax.set_xticks(
                range(len(PICTURE_KINDS)), [name.replace(" of the ", "\nof the ") for name in PICTURE_KINDS.values()]
            )
        legend_below(figure)
        set_heading(figure, figure_title(runs, study, "pictures are decoder means; bars 95 % intervals over seeds"))
    return figure


def class_neighbours(runs: pd.DataFrame, study: Study) -> Figure | None:
    """Of each class, the classes of its nearest neighbours in latent space, in percent: a panel a cell."""
    if not (classes := scored_classes(runs)):
        return None
    cells = _named(runs, study)
    with house_style():
        columns = min(2, len(cells))
        lines = -(-len(cells) // columns)
        figure = Figure(figsize=(0.8 + 5.3 * columns, 0.8 + 5.6 * lines), layout="constrained")
        axes = figure.subplots(lines, columns, squeeze=False).flatten()
        for ax in axes[len(cells) :]:
            ax.remove()
        for ax, (name, cell) in zip(axes[: len(cells)], cells.items(), strict=True):
            shares = np.array([[cell[f"test/class_{c}/neighbours_{o}"].mean() for o in classes]
                               for c in classes])  # fmt: skip
            sns.heatmap(
                100 * shares,
                ax=ax,
                annot=True,
                fmt=".0f",
                annot_kws={"fontsize": 9.5},
                cmap="Blues",
                vmin=0,
                vmax=100,
                cbar=False,
                xticklabels=classes,
                yticklabels=classes,
            )
            ax.set(title=name, xlabel="class of the neighbours", ylabel="class")
            ax.tick_params(axis="y", rotation=0)
        description = f"percent of the {NEIGHBOURS} nearest other test images in latent space, mean over seeds"
        set_heading(figure, figure_title(runs, study, description))
    return figure


def class_planes(runs: pd.DataFrame, study: Study) -> Figure | None:
    """D=2: where the classes lie in each seed's plane, as trained and moved to the first seed's.

    The numbers in the titles are medians over the pairs that are drawn, those with the first seed. The table
    `same_plane` and claim C13 take the median over all pairs of seeds; the titles give both.
    """
    with_layouts = ((cell, class_layouts(cell)) for cell in runs_by_cell(runs, study).values())
    cell, layouts = next(((cell, found) for cell, found in with_layouts if len(found) > 1), (None, {}))
    if cell is None:
        return None
    (first, *others), classes = list(layouts.values()), scored_classes(runs)
    with house_style():
        figure = Figure(figsize=(WIDEST, 5.2), layout="constrained")
        axes = figure.subplots(1, 1 + len(ALIGNMENTS))
        _draw_numerals(axes[0], list(layouts.values()), classes)
        axes[0].set(title="As trained", xlabel="z1", ylabel="z2")
        seeds: list[Array] = []
        for ax, (name, move) in zip(axes[1:], ALIGNMENTS.items(), strict=True):
            shown = np.median([distance(first, layout, move) for layout in others])
            every = np.median([distance(a, b, move) for a, b in itertools.combinations(layouts.values(), 2)])
            cross = [standardised(layout).T @ standardised(first) for layout in layouts.values()]
            moved = [standardised(layout) @ move(c) for layout, c in zip(layouts.values(), cross, strict=True)]
            seeds.append(np.stack(moved))
            title = (
                f"Moved to the first seed's by {name};\nmedian of the share unexplained: {shown:.2f} for the\n"
                f"{len(others)} pairs shown, {every:.2f} for all pairs of seeds (C13)"
            )
            ax.set_title(title, fontsize=9.5)
            ax.set(xticks=[], yticks=[], xlabel="z1, standardised", ylabel="z2, standardised")
        low, high = _square(seeds)
        for ax, mine in zip(axes[1:], seeds, strict=True):
            _draw_ellipses(ax, mine, classes, gap=NUMERAL_ROOM * float(high[0] - low[0]))
            ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        description = "marks: a class's mean in one seed's latent plane; ellipses: two standard deviations over seeds"
        set_heading(figure, figure_title(cell, study, description))
    return figure


def _square(panels: list[Array]) -> tuple[Array, Array]:
    """Return the lowest and the highest corner [2] of the least square in which all points and ellipses are.

    Args:
        panels: the class means [seeds, C, 2] of each panel.
    """
    points = np.concatenate([seeds.reshape(-1, 2) for seeds in panels])
    for sign in (-1, 1):  # an ellipse reaches along each axis as far as the deviations along this axis
        ends = [seeds.mean(0) + sign * DEVIATIONS * seeds.std(0, ddof=1) for seeds in panels]
        points = np.concatenate([points, *ends])
    middle, half = (points.max(0) + points.min(0)) / 2, 0.53 * np.ptp(points, axis=0).max()
    return middle - half, middle + half


def _draw_numerals(ax: Axes, layouts: list[Array], classes: list[int]) -> None:
    """Draw the class means [C, 2] of each seed as numerals, in the colours of their classes."""
    shown = np.stack(layouts)
    for index, label in enumerate(classes):
        for a, b in shown[:, index]:
            ax.text(a, b, str(label), color=text_colour(look(index).colour), ha="center", va="center", fontsize=12,
                    weight="bold")  # fmt: skip
    reach = 1.12 * np.abs(shown).max()
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    _plane(ax)


def _draw_ellipses(ax: Axes, seeds: Array, classes: list[int], gap: float) -> None:
    """Draw the class means of layouts on top of each other, with an ellipse and one numeral for each class.

    Args:
        ax: the panel.
        seeds: the class means [seeds, C, 2].
        classes: the classes.
        gap: the least distance of two numerals, which are beside the middles of their classes if those are closer.
    """
    middles = seeds.mean(0)
    for index, (label, middle, place) in enumerate(zip(classes, middles, pushed_apart(middles, gap), strict=True)):
        style, points = look(index), seeds[:, index]
        ax.plot(*points.T, style.marker, color=style.colour, markersize=6, alpha=0.75, markeredgewidth=0)
        sizes, axes = np.linalg.eigh(np.cov(points.T))
        width, height = 2 * DEVIATIONS * np.sqrt(np.maximum(sizes, 0))
        angle = float(np.degrees(np.arctan2(axes[1, 0], axes[0, 0])))
        ax.add_patch(Ellipse((middle[0], middle[1]), width, height, angle=angle, facecolor="none",
                             edgecolor=style.colour, linestyle=style.dash, linewidth=1.2))  # fmt: skip
        ax.plot(*np.stack([middle, place]).T, color=style.colour, linewidth=0.9)
        ax.text(place[0], place[1], str(label), color=text_colour(style.colour), ha="center", va="center", fontsize=11,
                weight="bold", bbox={"boxstyle": "circle,pad=0.12", "facecolor": "white", "edgecolor": style.colour,
                                     "alpha": 0.9})  # fmt: skip
    _plane(ax)


def _plane(ax: Axes) -> None:
    """Give a panel the same scale along both axes, and lines through its origin."""
    ax.set_aspect("equal")
    ax.grid(visible=False)
    for line in (ax.axhline, ax.axvline):
        line(0, color=PALE, linewidth=0.8, zorder=0)
