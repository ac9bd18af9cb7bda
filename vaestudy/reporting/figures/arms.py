"""Figures of studies whose factors are not all numbers.

An arm is a combination of levels of the factors that are not numbers. The figure `arms` has one row per arm and one
panel per metric. `gallery` puts figures of single runs together; `export` uses it for the study's field `gallery`.
"""

from __future__ import annotations

import io
import itertools
import textwrap
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vaestudy.config.compatibility import has_option
from vaestudy.plotting import DASHES, MARKERS, WIDEST, Dash, Look, house_style, legend_below, look, set_heading
from vaestudy.reporting.figures.axis_texts import levels_label, unit_label
from vaestudy.reporting.figures.intervals import CUT, draw_means, is_wide, value_limits
from vaestudy.reporting.figures.labels import End, can_label_ends, label_ends
from vaestudy.reporting.figures.style import figure_title
from vaestudy.reporting.runs_frame import interval, level_rank
from vaestudy.reporting.tables.formats import label
from vaestudy.study.declaration import Level, Study, level_text

Arm = tuple[Level, ...]
MOST_PANELS = 5
MOST_COLUMNS = 3
FEW_CELLS, FEW_ROWS = 3, 4
"""More combinations of numeric levels are labelled at the first arm, if there are at most so many arms."""
LONGEST_ARM = 34
"""The largest number of letters in a line of an arm's name."""


@dataclass(frozen=True)
class ArmLook:
    """How one combination of levels of the numeric factors is drawn."""

    look: Look
    filled: bool
    """Whether its markers are full."""
    bar: Dash
    """The line style of its intervals."""


@dataclass(frozen=True)
class Group:
    """The finished runs of one combination of levels of the numeric factors, and how they are drawn."""

    name: str
    """The levels as text."""
    runs: list[pd.DataFrame]
    """The runs of each arm, in the order of the rows."""
    shift: float
    """The distance of its marks from the centre of an arm's row, in rows, so that groups do not cover each other."""
    style: ArmLook


def arms(runs: pd.DataFrame, study: Study) -> Figure | None:
    """The metrics that the study tabulates, by arm: means with intervals, and every run, a look for each number.

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
    groups = _groups(finished, [_matches(finished, names, row) for row in rows], numbers, study)
    direct = len(groups) > FEW_CELLS and len(rows) <= FEW_ROWS and can_label_ends([group.name for group in groups])
    with house_style():
        columns = len(metrics) if len(metrics) <= MOST_COLUMNS else -(-len(metrics) // 2)
        lines = -(-len(metrics) // columns)
        row = max(0.42, (0.18 if direct else 0.13) * len(groups))  # inches
        size = (min(WIDEST, 2.2 + 2.9 * columns + 1.4 * direct), 1.2 + (1.0 + row * len(rows)) * lines)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(lines, columns, sharey=True, squeeze=False).flatten()
        for ax in axes[len(metrics) :]:
            ax.remove()
        cut = False
        for ax, metric in zip(axes[: len(metrics)], metrics, strict=True):
            cut |= _draw_panel(ax, metric, finished[metric].dropna(), groups)
        first = figure.axes[0]
        first.set_yticks(range(len(rows)), [_arm_label(row, names, runs, study) for row in rows])
        first.set_ylim(len(rows) - 0.5, -0.5)
        only = f"{groups[0].name}; " if numbers and len(groups) == 1 else ""
        description = f"{only}dots are runs, bars 95 % intervals over seeds" + f"; {CUT}" * cut
        set_heading(figure, figure_title(runs, study, description))
        if direct:
            last = figure.axes[columns - 1]
            label_ends(figure, {last: _group_ends(last, groups)})
        elif len(groups) > 1:
            legend_below(figure)
    return figure


def _shift(index: int, count: int) -> float:
    """Return how far the marks of a combination of numeric levels are from the centre of an arm's row, in rows."""
    return (index - (count - 1) / 2) * min(0.22, 0.75 / count)


def _group_ends(ax: Axes, groups: list[Group]) -> list[End]:
    """Return the labels of the groups, at the right edge of the first arm's row."""
    right = ax.get_xlim()[1]
    return [End(right, group.shift, group.name, group.style.look.colour) for group in groups]


def _groups(finished: pd.DataFrame, in_rows: list[pd.Series[bool]], numbers: list[str], study: Study) -> list[Group]:
    """Return a group for each combination of levels of the numeric factors.

    Args:
        finished: the finished runs.
        in_rows: for each arm, a mask of its runs.
        numbers: the numeric factors.
        study: its declaration gives the order of the levels.
    """
    cells = _ordered(finished, numbers, study)
    found = []
    for index, (cell, style) in enumerate(zip(cells, _looks(cells), strict=True)):
        mine = _matches(finished, numbers, cell)
        name = levels_label(dict(zip(numbers, cell, strict=True)))
        found.append(Group(name, [finished[mine & row] for row in in_rows], _shift(index, len(cells)), style))
    return found


def _looks(cells: list[Arm]) -> list[ArmLook]:
    """Return how each combination of levels of the numeric factors is drawn.

    Each level of the first factor has a colour and a marker. Along the levels of the other factors the marker is full,
    then hollow, and the bars are whole, dashed, dotted: no level is paler than another.
    """
    found: list[ArmLook] = []
    for index, (_, group) in enumerate(itertools.groupby(cells, lambda cell: cell[:1])):
        for step, _ in enumerate(group):
            marker = MARKERS[(index + 3 * (step // 2)) % len(MARKERS)]
            style = Look(look(index).colour, marker, "-")
            found.append(ArmLook(style, filled=step % 2 == 0, bar=DASHES[step % len(DASHES)]))
    return found


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
    parts = (level_text(level) for name, level in levels.items() if has_option(likelihood, name))
    text = textwrap.fill(", ".join(parts), LONGEST_ARM, break_on_hyphens=False)
    mine = runs[_matches(runs, names, row)]
    failed = int((mine["status"] != "FINISHED").sum())
    return f"{text}\n({failed} of {len(mine)} failed)" if failed else text


def _draw_panel(ax: Axes, metric: str, values: pd.Series[float], groups: list[Group]) -> bool:
    """Draw a metric of all groups into a panel; return whether an interval was cut at its edge.

    Args:
        ax: the panel.
        metric: the metric.
        values: its values in all finished runs that have it. They give the limits and the scale of the axis.
        groups: the groups.
    """
    if log := is_wide(values):
        ax.set_xscale("log")
    ax.set_xlim(value_limits(values, log))
    cut = [_draw_group(ax, metric, group) for group in groups]
    if not log:
        ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set_title(label(metric))
    ax.set_xlabel(unit_label(metric), fontsize=9)
    return any(cut)


def _draw_group(ax: Axes, metric: str, group: Group) -> bool:
    """Draw the runs, means and intervals of a group; return whether an interval was cut at the edge of the panel."""
    by_arm = [runs[metric].dropna() for runs in group.runs]
    means, halves = zip(*map(interval, by_arm), strict=True)
    places = [index + group.shift for index in range(len(by_arm))]
    style = group.style
    cut = draw_means(ax, places, means, halves, style.look, group.name, horizontal=True,
                     filled=style.filled, bar=style.bar)  # fmt: skip
    every = [(value, place) for place, values in zip(places, by_arm, strict=True) for value in values]
    if every:
        x, y = zip(*every, strict=True)
        ax.scatter(x, y, s=14, alpha=0.45, linewidths=0, color=style.look.colour, zorder=2)
    return cut


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
