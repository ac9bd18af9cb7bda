"""Figure of the front of a search beside the front of the grid (`front_comparison.py`)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaestudy.plotting import DASHES, PALETTE, fix_layout, house_style
from vaestudy.reporting.figures.labels import marker_box
from vaestudy.reporting.figures.rate_distortion import add_points, draw_iso_lines
from vaestudy.reporting.rate_distortion import FrontPoint
from vaestudy.reporting.runs_frame import interval
from vaestudy.reporting.search.drawing import heading, whole_ticks
from vaestudy.reporting.search.front_comparison import FrontComparison, compare_fronts
from vaestudy.reporting.search.hypervolume import Array, attained, hypervolume, pareto_front
from vaestudy.reporting.search.searched import Searched

GRID, SEARCH = 0, 1
"""The numbers of the colour, marker and line style of the two."""
RATES_DRAWN = 400


def rate_distortion_search(searched: Searched, runs: pd.DataFrame) -> Figure | None:
    """Draw both fronts by the validation images, their difference along the rate, and the hypervolume by trainings.

    Args:
        searched: the search.
        runs: the tidy runs of the grid.
    """
    if (found := compare_fronts(searched, runs)) is None:
        return None
    with house_style():
        figure = Figure(figsize=(9.5, 9.6), layout="constrained")
        places = figure.add_gridspec(2, 2, height_ratios=(1.7, 1))
        front = figure.add_subplot(places[0, :])
        left, right = figure.add_subplot(places[1, 0]), figure.add_subplot(places[1, 1])
        _fronts(front, found)
        _difference(left, found)
        _by_trainings(right, found)
        figure.legend(*front.get_legend_handles_labels(), loc="outside lower center", ncols=1)
        shared = ", ".join(found.fixed.values())
        bars = "; bars: 95 % intervals over seeds" if len(found.grid) > 1 else ""
        heading(figure, searched, f"{shared or 'all cells'}; scored on the validation images at β = 1{bars}; steps: "
                "the fronts; grey lines: equal ELBO, lower left is better")  # fmt: skip
        fix_layout(figure)
        points = np.concatenate([found.mean, found.first(len(found.trials))])
        draw_iso_lines(front, [marker_box(front, x, y) for x, y in points])
    return figure


def _fronts(ax: Axes, found: FrontComparison) -> None:
    """Draw the points of the grid and of the search, and the front of each as steps."""
    seeds, cells, _ = found.grid.shape
    trials = found.first(len(found.trials))
    whole = np.concatenate([found.mean, trials])
    low, high = whole.min(axis=0), whole.max(axis=0)
    room = np.where(high > low, 0.06 * (high - low), 1.0)
    ax.set(xlim=(low[0] - room[0], high[0] + room[0]), ylim=(low[1] - room[1], high[1] + room[1]))
    grid = [_point(found.grid[:, cell], levels.get("beta", math.nan)) for cell, levels in enumerate(found.cells)]
    trained = f"{cells * seeds} trainings"
    mean = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    fronts = [len(pareto_front(points)) for points in (found.mean, trials)]
    add_points(ax, grid, GRID, f"grid: {cells} cells, {mean} ({trained}), {fronts[0]} on its front", joined=False)
    each = f"({len(found.trials) * found.seeds_per_trial} trainings)"
    search = [_point(point[None], math.nan) for point in trials]
    add_points(ax, search, SEARCH, f"search: {len(trials)} trials {each}, {fronts[1]} on its front", joined=False)
    for style, points in ((GRID, found.mean), (SEARCH, trials)):
        steps = pareto_front(points)
        x, y = [*steps[:, 0], ax.get_xlim()[1]], [*steps[:, 1], steps[-1, 1]]
        ax.step(x, y, where="post", color=PALETTE[style], linestyle=DASHES[style], linewidth=2.0, zorder=2)
    for container in ax.containers:
        for part in (*container[1], *container[2]):
            part.set_alpha(0.4)  # or the bars hide the steps
    ax.grid(visible=False)
    ax.set(xlabel="rate: KL to the prior, nats per image", ylabel="distortion: -E[log p(x|z)], nats per image")


def _point(values: Array, beta: float) -> FrontPoint:
    """Return the point of some runs, [runs, 2]; active units are not measured on the validation images."""
    rate, distortion = (interval(pd.Series(values[:, objective])) for objective in range(2))
    return FrontPoint(beta, rate, distortion, active=(math.nan, math.nan), runs=len(values), collapsed=0)


def _difference(ax: Axes, found: FrontComparison) -> None:
    """Draw how much lower the search's distortion is than the grid's along the rate, for the mean and each seed."""
    trials = found.first(len(found.trials))
    start = max(found.mean[:, 0].min(), trials[:, 0].min())
    rates = np.linspace(start, found.reference[0], RATES_DRAWN)
    mine = attained(trials, rates, found.reference[1])
    several = len(found.grid) > 1
    for seed, points in enumerate(found.grid):
        ax.plot(rates, attained(points, rates, found.reference[1]) - mine, color="0.6", linewidth=0.8,
                label="to each seed of the grid" if seed == 0 else None)  # fmt: skip
    if several:
        ax.plot(rates, attained(found.mean, rates, found.reference[1]) - mine, color="black", linewidth=1.6,
                label="to the mean of seeds")  # fmt: skip
    ax.axhline(0, color="black", linewidth=0.8, linestyle=":")
    ax.legend(frameon=False, fontsize=8.5, loc="best")
    ax.set(xlabel="rate, nats per image", ylabel="nats per image,\nabove 0: the search is better")
    ax.set_title("distortion: how much lower the search's is", fontsize=10)


def _by_trainings(ax: Axes, found: FrontComparison) -> None:
    """Draw the hypervolume of the search's front along its trainings, and that of the grid at its numbers of seeds."""
    counts = range(1, len(found.trials) + 1)
    trainings = [count * found.seeds_per_trial for count in counts]
    values = [hypervolume(found.first(count), found.reference) for count in counts]
    ax.step(trainings, values, where="post", color=PALETTE[SEARCH], linestyle=DASHES[SEARCH], label="search")
    for count in {found.equal_trials or len(found.trials), len(found.trials)}:
        value, half = found.search(count)
        ax.errorbar(count * found.seeds_per_trial, value, yerr=np.nan_to_num(half), color=PALETTE[SEARCH],
                    marker="s", capsize=3)  # fmt: skip
    seeds, cells, _ = found.grid.shape
    shown = [(cells, found.grid_one_seed(), "o", "grid, one seed")]
    shown += [(seeds * cells, found.grid_mean(), "D", f"grid, mean of {seeds} seeds")] * (seeds > 1)
    for x, (value, half), marker, label in shown:
        ax.errorbar(x, value, yerr=np.nan_to_num(half), color=PALETTE[GRID], marker=marker, capsize=3,
                    linestyle="none", label=label)  # fmt: skip
    drawn = [*values, *(value for _, (value, _), _, _ in shown)]
    room = 0.15 * (max(drawn) - min(drawn)) or 1.0
    ax.set(xlim=(0, None), ylim=(min(drawn) - room, max(drawn) + room))  # the interval of few seeds may be cut
    ax.legend(frameon=False, fontsize=8.5, loc="lower right")
    ax.set(xlabel="trainings", ylabel="nats², higher is better")
    ax.set_title("hypervolume by number of trainings", fontsize=10)
    whole_ticks(ax)
