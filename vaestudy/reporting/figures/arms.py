"""Figures of studies whose factors are not all numbers.

An arm is a combination of levels of the factors that are not numbers. The figure `arms` has one row per arm and one
panel per metric. `gallery` puts figures of single runs together; `export` uses it for the study's field `gallery`.
"""

from __future__ import annotations

import io
import itertools
import textwrap

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaestudy.config.compatibility import has_option
from vaestudy.plotting import legend_below
from vaestudy.reporting.runs_frame import interval, level_rank
from vaestudy.reporting.tables.formats import label
from vaestudy.study.declaration import Level, Study, level_text

Arm = tuple[Level, ...]
Colour = tuple[float, ...]
MOST_PANELS = 5
WIDE = 50.0  # an axis is logarithmic if its largest and smallest value differ by more than this factor


def arms(runs: pd.DataFrame, study: Study) -> Figure | None:
    """The metrics that the study tabulates, by arm: means with intervals, and every run, a colour for each number.

    An arm is a combination of levels of the factors that are not numbers. The number of its failed runs is given beside
    its name. Return None if no finished run has any of the metrics.
    """
    names = [name for name in study.factors if not pd.api.types.is_numeric_dtype(runs[name])]
    numbers = [name for name in study.factors if name not in names]
    finished = runs[runs["status"] == "FINISHED"]
    metrics = [metric for metric in study.tabulate if metric in finished and finished[metric].notna().any()]
    metrics = metrics[:MOST_PANELS]
    if not metrics:
        return None
    rows = _ordered(runs, names, study)
    cells = _ordered(finished, numbers, study)
    colours = _shades(cells)
    with sns.axes_style("whitegrid", {"grid.color": ".92"}), sns.plotting_context("notebook", font_scale=0.9):
        width, height = 2.5 + 2.6 * len(metrics), 1.9 + max(0.42, 0.11 * len(cells)) * len(rows)
        figure = Figure(figsize=(width, height), layout="constrained")
        for ax, metric in zip(np.atleast_1d(figure.subplots(1, len(metrics), sharey=True)), metrics, strict=True):
            for index, (cell, colour) in enumerate(zip(cells, colours, strict=True)):
                shift = (index - (len(cells) - 1) / 2) * min(0.22, 0.75 / len(cells))
                _points(ax, finished, metric, rows, names, dict(zip(numbers, cell, strict=True)), shift, colour)
            _fit(ax, finished[metric].dropna())
            ax.set_title(label(metric), fontsize=11)
        first = figure.axes[0]
        first.set_yticks(range(len(rows)), [_arm_label(row, names, runs, study) for row in rows])
        first.set_ylim(len(rows) - 0.5, -0.5)
        if numbers:
            legend_below(figure)
        data, quick = finished["tags.data.name"].iloc[0], finished["params.subset"].iloc[0] != "null"
        figure.suptitle(
            f"{study.question}\n{data}, {finished['seed'].nunique()} seeds: dots are runs, bars 95 % intervals"
            f" over seeds{'   QUICK LOOK, NOT A RESULT' if quick else ''}",
            fontsize=11,
        )
    return figure


def _shades(cells: list[Arm]) -> list[Colour]:
    """Return a colour for each combination of levels of the numeric factors.

    Each level of the first factor has a hue of its own; the hue becomes paler along the levels of the other factors.
    """
    found: list[Colour] = []
    for index, (_, group) in enumerate(itertools.groupby(cells, lambda cell: cell[:1])):
        colour, count = np.array(sns.color_palette()[index % 10]), len(list(group))
        found += [tuple(colour + (1 - colour) * (0.6 * step / max(1, count - 1))) for step in range(count)]
    return found


def _fit(ax: Axes, values: pd.Series[float]) -> None:
    """Set the limits of the axis so that every run is visible.

    The intervals do not count: an interval over few seeds can be so wide that the runs could not be distinguished.
    """
    if values.empty:
        return
    low, high = values.min(), values.max()
    if low > 0 and high / low > WIDE:
        ax.set_xscale("log")
        ax.set_xlim(low / 1.6, high * 1.6)
    else:
        room = 0.15 * (high - low) or 0.05 * abs(high) or 1.0
        ax.set_xlim(low - room, high + room)


def _ordered(runs: pd.DataFrame, names: list[str], study: Study) -> list[Arm]:
    """Return the combinations of levels that occur in the runs, in the order of the study's declaration.

    Without names there is one combination, of no levels.
    """
    if not names:
        return [()]
    found = list(dict.fromkeys(runs[names].itertuples(index=False, name=None)))
    return sorted(
        found, key=lambda row: [level_rank(level, name, study) for level, name in zip(row, names, strict=True)]
    )


def _matches(runs: pd.DataFrame, names: list[str], levels: Arm) -> pd.Series[bool]:
    """Return a mask of the runs that have these levels."""
    mine = pd.Series(True, index=runs.index)
    for name, level in zip(names, levels, strict=True):
        mine &= pd.Series([value == level for value in runs[name]], index=runs.index)
    return mine


def _arm_label(row: Arm, names: list[str], runs: pd.DataFrame, study: Study) -> str:
    """Return the levels of an arm as text, with the number of its failed runs.

    Options that have no meaning for the arm's likelihood are left out.
    """
    levels = dict(zip(names, row, strict=True))
    likelihood = str(levels.get("likelihood", study.base.likelihood))
    text = ", ".join(level_text(level) for name, level in levels.items() if has_option(likelihood, name))
    mine = runs[_matches(runs, names, row)]
    failed = int((mine["status"] != "FINISHED").sum())
    return f"{text} ({failed} of {len(mine)} failed)" if failed else text


def _points(
    ax: Axes,
    runs: pd.DataFrame,
    metric: str,
    rows: list[Arm],
    names: list[str],
    numbers: dict[str, Level],
    shift: float,
    colour: Colour,
) -> None:
    """Draw the runs, means and intervals of one combination of the numeric factors' levels in a panel.

    Args:
        ax: the panel.
        runs: finished runs.
        metric: the metric of the panel.
        rows: the arms, one per row.
        names: the factors that define the arms.
        numbers: the level of each numeric factor.
        shift: the offset from the centre of a row, so that the colours do not cover each other.
        colour: the colour to draw with.
    """
    mine = runs[_matches(runs, list(numbers), tuple(numbers.values()))]
    legend = ", ".join(f"{name}={level_text(level)}" for name, level in numbers.items())
    for index, row in enumerate(rows):
        values = mine.loc[_matches(mine, names, row), metric].dropna()
        mean, half = interval(values)
        ax.errorbar([mean], [index + shift], xerr=np.nan_to_num([half]), fmt="|", markersize=9, capsize=2,
                    linewidth=1.2, color=colour, label=legend if index == 0 else None)  # fmt: skip
        ax.scatter(values, [index + shift] * len(values), s=16, alpha=0.5, linewidths=0, color=colour)


def gallery(pictures: list[bytes], title: str) -> Figure:
    """Return one figure with all the PNG files in one column, or in two if there are more than four.

    The files need no titles here, as each one contains its own.
    """
    images = [image.imread(io.BytesIO(content), format="png") for content in pictures]
    columns = 2 if len(images) > 4 else 1
    lines = -(-len(images) // columns)
    height = max(picture.shape[0] / picture.shape[1] for picture in images)
    figure = Figure(figsize=(6.4 * columns, (6.4 * height + 0.05) * lines + 0.5), layout="constrained")
    for ax in (grid := np.atleast_1d(figure.subplots(lines, columns)).flat):
        ax.set_axis_off()
    for ax, picture in zip(grid.base.flat, images, strict=False):
        ax.imshow(picture)
    figure.suptitle(textwrap.fill(title, 55 * columns), fontsize=12)
    return figure
