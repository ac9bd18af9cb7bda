"""Figures of the class scores: what the labels, which are not used in training, show about a study's runs.

They cover the reconstructions of each class, how clearly generated images can be classified, the classes of the nearest
neighbours in latent space, and the positions of the classes at D=2. The runs must have been made with the configuration
field `class_scores`. vaestudy/scoring/score.py defines the metrics.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaestudy.plotting import legend_below
from vaestudy.reporting.figures.style import figure_title
from vaestudy.reporting.grouping import metric_interval, runs_by_cell, runs_by_cell_name
from vaestudy.reporting.procrustes import ALIGNMENTS, Alignment, Array, distance, standardised
from vaestudy.reporting.tables.classes import PICTURE_KINDS, class_layouts, has_picture_scores, scored_classes
from vaestudy.scoring.class_probe import CONFIDENT, NEIGHBOURS
from vaestudy.study.declaration import Study

MOST_CELLS = 4
TAB10 = 10
"""Number of colours of the palette for a few classes."""
BY_CLASS = {
    "recognised_reconstruction": ("Reconstructions that read as their class", "share"),
    "relative_error": ("What reconstructions miss", "|x - E[x|z]|² / |x|²"),
    "neighbour_purity": (f"Own class among the {NEIGHBOURS} nearest in latent space", "share"),
}
CLARITY = {
    "unclear": (f"Unclear: no class has {100 * CONFIDENT:.0f} %", "share of pictures"),
    "class_entropy": ("Entropy of a classifier's answer", "nats"),
    "greyness": ("Greyness: 0 black and white, 1 half-way", "mean over pixels"),
}


def _named(runs: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
    """Return the runs of the first MOST_CELLS combinations of levels, under readable keys."""
    return dict(list(runs_by_cell_name(runs, study).items())[:MOST_CELLS])


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
        ax.errorbar(position, means, yerr=halves, fmt="o", markersize=5, capsize=3, label=name)
    ax.grid(axis="x", visible=False)


def class_panels(runs: pd.DataFrame, study: Study) -> Figure | None:
    """By class, a colour for each cell: how reconstructions read, what they miss, how pure the surroundings are."""
    if not (classes := scored_classes(runs)):
        return None
    cells = _named(runs, study)
    with sns.axes_style("whitegrid", {"grid.color": ".92"}):
        figure = Figure(figsize=(15, 4.8), layout="constrained")
        for ax, (metric, (title, unit)) in zip(figure.subplots(1, len(BY_CLASS)), BY_CLASS.items(), strict=True):
            if metric.startswith("recognised"):
                images, _ = _intervals(runs, [f"test/class_{c}/recognised_data" for c in classes])
                ax.plot(range(len(classes)), images, "_", color="0.3", markersize=20, label="the images themselves")
            _dots(ax, cells, [f"test/class_{c}/{metric}" for c in classes])
            ax.set(title=title, ylabel=unit, xlabel="class")
            # All are shares of at most 1, but an interval may extend beyond 1.
            ax.set_ylim(0, min(1.05, ax.get_ylim()[1]))
            ax.set_xticks(range(len(classes)), [str(c) for c in classes])
        legend_below(figure)
        figure.suptitle(figure_title(runs, study, "bars 95 % intervals over seeds"), fontsize=12)
    return figure


def clarity_panels(runs: pd.DataFrame, study: Study) -> Figure | None:
    """Test images, reconstructions and samples of the prior: how clearly they read and how grey they are."""
    if not has_picture_scores(runs):
        return None
    cells = _named(runs, study)
    with sns.axes_style("whitegrid", {"grid.color": ".92"}):
        figure = Figure(figsize=(13, 4.4), layout="constrained")
        for ax, (metric, (title, unit)) in zip(figure.subplots(1, len(CLARITY)), CLARITY.items(), strict=True):
            _dots(ax, cells, [f"test/{metric}_{kind}" for kind in PICTURE_KINDS])
            ax.set(title=title, ylabel=unit, ylim=(0, None), xlim=(-0.5, len(PICTURE_KINDS) - 0.5))
            ax.set_xticks(
                range(len(PICTURE_KINDS)), [name.replace(" of the ", "\nof the ") for name in PICTURE_KINDS.values()]
            )
        legend_below(figure)
        figure.suptitle(
            figure_title(runs, study, "pictures are decoder means; bars 95 % intervals over seeds"), fontsize=12
        )
    return figure


def class_neighbours(runs: pd.DataFrame, study: Study) -> Figure | None:
    """Of each class, the classes of its nearest neighbours in latent space, in percent: a panel a cell."""
    if not (classes := scored_classes(runs)):
        return None
    cells = _named(runs, study)
    figure = Figure(figsize=(1 + 6.2 * len(cells), 6.6), layout="constrained")
    for ax, (name, cell) in zip(figure.subplots(1, len(cells), squeeze=False)[0], cells.items(), strict=True):
        shares = np.array([[cell[f"test/class_{c}/neighbours_{o}"].mean() for o in classes]
                           for c in classes])  # fmt: skip
        sns.heatmap(
            100 * shares,
            ax=ax,
            annot=True,
            fmt=".0f",
            cmap="Blues",
            vmin=0,
            vmax=100,
            square=True,
            cbar=False,
            xticklabels=classes,
            yticklabels=classes,
        )
        ax.set(title=name, xlabel="class of the neighbours", ylabel="class")
        ax.tick_params(axis="y", rotation=0)
    description = f"percent of the {NEIGHBOURS} nearest other test images in latent space, mean over seeds"
    figure.suptitle(figure_title(runs, study, description), fontsize=12)
    return figure


def class_planes(runs: pd.DataFrame, study: Study) -> Figure | None:
    """D=2: where the classes lie in each seed's plane, as trained and moved to the first seed's."""
    layouts = next(
        (found for cell in runs_by_cell(runs, study).values() if len(found := class_layouts(cell)) > 1), None
    )
    if layouts is None:
        return None
    first, classes = next(iter(layouts.values())), scored_classes(runs)
    figure = Figure(figsize=(15, 6.5), layout="constrained")
    axes = figure.subplots(1, 1 + len(ALIGNMENTS))
    _draw_layouts(axes[0], layouts, classes, lambda layout: layout)
    axes[0].set(title="As trained", xlabel="z1", ylabel="z2")
    for ax, (name, move) in zip(axes[1:], ALIGNMENTS.items(), strict=True):
        unexplained = np.median([distance(first, layout, move) for layout in list(layouts.values())[1:]])

        def moved(layout: Array, move: Alignment = move) -> Array:
            return np.asarray(standardised(layout) @ move(standardised(layout).T @ standardised(first)))

        _draw_layouts(ax, layouts, classes, moved)
        ax.set(title=f"Moved to the first seed's by {name}:\n{unexplained:.2f} of the layout stay unexplained (median)")
        ax.set(xticks=[], yticks=[])
    description = "each numeral is a class's mean in one seed's latent plane"
    figure.suptitle(figure_title(runs, study, description), fontsize=12)
    return figure


def _draw_layouts(ax: Axes, layouts: dict[int, Array], classes: list[int], moved: Callable[[Array], Array]) -> None:
    """Draw the class means of each seed as coloured numerals, each layout after the transformation `moved`."""
    count = max(TAB10, max(classes) + 1)
    colours = sns.color_palette("tab10" if count == TAB10 else "husl", count)
    shown = np.stack([moved(layout) for layout in layouts.values()])  # [seeds, C, 2]
    for layout in shown:
        for label, (a, b) in zip(classes, layout, strict=True):
            ax.text(a, b, str(label), color=colours[label], ha="center", va="center", fontsize=12, weight="bold")
    reach = 1.12 * np.abs(shown).max()
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.axvline(0, color="0.85", linewidth=0.8, zorder=0)
