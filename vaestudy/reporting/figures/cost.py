"""Figures of a study over M and L: what a bound costs.

They cover the bound over M and L at equal cost, the bound as it rises with the cost, the best combination of levels for
a given cost, and the rules by which the step size grows with M. All but the last need milestones.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from vaestudy.config.registry import LR_SCALINGS
from vaestudy.plotting import legend_below
from vaestudy.reporting import cost_curves
from vaestudy.reporting.figures.style import figure_title, log_cost_axis
from vaestudy.reporting.grouping import at_baseline, runs_by_cell, runs_by_level
from vaestudy.reporting.runs_frame import interval
from vaestudy.reporting.tables.formats import three_digits
from vaestudy.study.declaration import Study, level_text

NATS_SHOWN = 30  # the range below the best bound that is drawn; worse bounds occur only at the very start of training
Key = tuple[Any, ...]


def m_l_heatmaps(runs: pd.DataFrame, study: Study) -> Figure | None:
    """The bound over M and L at equal images, equal decoder passes and equal seconds, with lines of equal M L.

    A panel is left out if fewer than two M or two L have its bound.
    """
    cells = _runs_by_m_and_l(runs, study)
    tests = {key: float(cell["test/elbo"].mean()) for key, cell in cells.items() if "test/elbo" in cell}
    panels = {"Test ELBO, equal images seen (whole runs)": tests}
    for kind in ("passes", "seconds"):
        if curves := cost_curves.cost_curves(cells, kind):
            cost = min(curve.end for curve in curves.values())
            title = f"Validation ELBO after {three_digits(cost)} {cost_curves.COSTS[kind]}"
            panels[title] = {key: float(curve.at(cost).mean()) for key, curve in curves.items()}
    known = {title: {key: v for key, v in values.items() if math.isfinite(v)} for title, values in panels.items()}
    shown = {title: values for title, values in known.items() if _is_grid(values.keys())}
    if not shown:
        return None
    figure = Figure(figsize=(5 * len(shown), 5.4), layout="constrained")
    for ax, (title, values) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
        _heatmap(ax, values, title)
    figure.suptitle(figure_title(runs, study, "dashed: equal decoder rows in a step, M·L"), fontsize=12)
    return figure


def _is_grid(keys: Collection[tuple[int, int]]) -> bool:
    """Return whether there are at least two M and two L among the keys (M, L)."""
    return min(len({key[axis] for key in keys}) for axis in (0, 1)) > 1


def _runs_by_m_and_l(runs: pd.DataFrame, study: Study) -> dict[tuple[int, int], pd.DataFrame]:
    """Return (M, L) -> the runs, with all other factors at the baseline's level; {} unless M and L are factors."""
    if not {"minibatch", "samples"} <= set(study.factors):
        return {}
    position = {name: index for index, name in enumerate(study.factors)}
    return {
        (int(key[position["minibatch"]]), int(key[position["samples"]])): cell  # type: ignore[arg-type]
        for key, cell in runs_by_cell(runs, study).items()
        if all(key[position[n]] == v for n, v in study.baseline.items() if n not in ("minibatch", "samples"))
    }


def _heatmap(ax: Axes, values: dict[tuple[int, int], float], title: str) -> None:
    """Draw the values over M and L as colours and numbers, with dashed lines of equal M L."""
    Ms, Ls = (sorted({key[axis] for key in values}) for axis in (0, 1))
    grid = np.array([[values.get((M, L), math.nan) for L in Ls] for M in Ms])
    # Limit the colours to the upper part of the range: one very low value would make all others look the same.
    low = max(float(np.nanmin(grid)), float(np.nanmax(grid)) - NATS_SHOWN)
    image = ax.imshow(grid, origin="lower", aspect="auto", cmap="viridis", vmin=low, vmax=float(np.nanmax(grid)))
    middle = (low + float(np.nanmax(grid))) / 2
    for row, column in np.ndindex(*grid.shape):
        value = grid[row, column]
        if value == value:
            colour = "black" if value > middle else "white"
            ax.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=10, color=colour)
    ax.set_xticks(range(len(Ls)), [str(L) for L in Ls])
    ax.set_yticks(range(len(Ms)), [str(M) for M in Ms])
    ax.set(xlabel="L, draws per image", ylabel="M, images in a step", title=title)
    ax.figure.colorbar(image, ax=ax, shrink=0.85, label="nats per image")
    x = np.linspace(0, len(Ls) - 1, 200)
    L_at = np.exp(np.interp(x, range(len(Ls)), np.log(Ls)))
    for rows in sorted({M * Ls[0] for M in Ms} | {Ms[-1] * L for L in Ls}):
        y = np.interp(np.log(rows / L_at), np.log(Ms), range(len(Ms)), left=math.nan, right=math.nan)
        if np.isfinite(y).sum() > 10:
            ax.plot(x, y, color="white", linestyle="--", linewidth=1, alpha=0.45, zorder=1.5)
    ax.set(xlim=(-0.5, len(Ls) - 0.5), ylim=(-0.5, len(Ms) - 0.5))


def bound_against_cost(runs: pd.DataFrame, study: Study) -> Figure | None:
    """The validation bound along the way, a column for each M: against decoder passes and against seconds."""
    cells = _runs_by_m_and_l(runs, study)
    curves = {kind: cost_curves.cost_curves(cells, kind) for kind in ("passes", "seconds")}
    if not curves["passes"]:
        return None
    Ms, Ls = (sorted({key[axis] for key in curves["passes"]}) for axis in (0, 1))
    colours = dict(zip(Ls, sns.color_palette("viridis_r", len(Ls)), strict=True))
    top = max(float(curve.mean[-1]) for curve in curves["passes"].values())
    with sns.axes_style("whitegrid", {"grid.color": ".92"}):
        figure = Figure(figsize=(2.2 + 3.1 * len(Ms), 7.4), layout="constrained")
        axes = figure.subplots(2, len(Ms), sharex="row", sharey=True, squeeze=False)
        for row, (kind, mine) in enumerate(curves.items()):
            front_x, front_y, _ = _front(list(mine.values()))
            for ax, M in zip(axes[row], Ms, strict=True):
                ax.plot(
                    front_x,
                    front_y,
                    color="0.55",
                    linewidth=3.5,
                    alpha=0.55,
                    label="best of all cells for at most this cost",
                )
                for L in Ls:
                    if (M, L) in mine:
                        x, y = mine[M, L].cost, mine[M, L].mean
                        ax.plot(x, y, color=colours[L], marker=".", markersize=4, linewidth=1.3, label=f"L={L}")
                ax.set(xlabel=cost_curves.COSTS[kind], ylim=(top - NATS_SHOWN, top + 0.06 * NATS_SHOWN))
                log_cost_axis(ax, left=_first_shown(front_x, front_y, top))
                if row == 0:
                    ax.set_title(f"M={M}")
            axes[row][0].set_ylabel("validation ELBO, nats per image")
        legend_below(figure)
        figure.suptitle(figure_title(runs, study, "means over seeds; seconds are medians"), fontsize=12)
    return figure


def _front(curves: list[cost_curves.CostCurve]) -> tuple[list[float], list[float], list[int]]:
    """Return three lists: costs, the best mean bound for at most each cost, and the index of the curve that has it.

    The costs are close enough to each other to draw a smooth line.
    """
    low, high = min(curve.cost[0] for curve in curves), max(curve.end for curve in curves)
    costs: list[float] = []
    best: list[float] = []
    winners: list[int] = []
    for cost in np.geomspace(low, high, 120):
        values = np.array([curve.at_most(float(cost)).mean() for curve in curves])
        if np.isfinite(values).any():
            costs.append(float(cost))
            best.append(float(np.nanmax(values)))
            winners.append(int(np.nanargmax(values)))
    return costs, best, winners


def _first_shown(costs: list[float], values: list[float], top: float) -> float:
    """Return the left limit of the cost axis: a little below the cost at which the front becomes visible."""
    return next(cost for cost, value in zip(costs, values, strict=True) if value > top - NATS_SHOWN) / 1.3


def pareto_front(runs: pd.DataFrame, study: Study) -> Figure | None:
    """The Pareto set: all cells' curves, and on top which cell is best for at most each cost."""
    cells = runs_by_cell(runs, study)
    found = {kind: cost_curves.cost_curves(cells, kind) for kind in ("passes", "seconds")}
    if not found["passes"]:
        return None
    curves = {kind: list(mine.values()) for kind, mine in found.items()}
    fronts = {kind: _front(mine) for kind, mine in curves.items()}
    top = max(max(values) for _, values, _ in fronts.values())
    ranked = sorted({w for _, values, winners in fronts.values() for v, w in zip(values, winners, strict=True)
                     if v > top - NATS_SHOWN})  # fmt: skip
    palette = dict(zip(ranked, sns.color_palette("tab10" if len(ranked) <= 10 else "husl", len(ranked)), strict=True))
    names = [_name(key, study) for key in found["passes"]]
    with sns.axes_style("whitegrid", {"grid.color": ".92"}):
        figure = Figure(figsize=(13, 6.2), layout="constrained")
        for ax, (kind, (costs, values, winners)) in zip(
            figure.subplots(1, 2, sharey=True), fronts.items(), strict=True
        ):
            for curve in curves[kind]:
                ax.plot(curve.cost, curve.mean, color="0.8", linewidth=0.8)
            for winner in ranked:
                mine = [index for index, w in enumerate(winners) if w == winner]
                ax.plot([costs[i] for i in mine], [values[i] for i in mine], "o", markersize=4.5,
                        color=to_hex(palette[winner]), label=names[winner])  # fmt: skip
            ax.set(xlabel=f"at most this many {cost_curves.COSTS[kind]}", ylim=(top - NATS_SHOWN, top + 2))
            log_cost_axis(ax, left=_first_shown(costs, values, top))
        figure.axes[0].set_ylabel("validation ELBO, nats per image")
        legend_below(figure)
        figure.suptitle(
            figure_title(runs, study, "grey: every cell; dots: the best of them, means over seeds"), fontsize=12
        )
    return figure


def step_size(runs: pd.DataFrame, study: Study) -> Figure | None:
    """The test bound against M, a line for each rule by which the step size grows with it, at the baseline's L."""
    finished = runs[runs["status"] == "FINISHED"]
    if not {"samples", "minibatch", "lr_scaling"} <= set(study.factors) or "test/elbo" not in finished:
        return None
    mine = at_baseline(finished, study, {"minibatch", "lr_scaling"})
    reference = runs_by_level(mine, study, "minibatch")
    if len(reference) < 2 or mine["lr_scaling"].nunique() < 2:
        return None
    with sns.axes_style("whitegrid", {"grid.color": ".92"}):
        figure = Figure(figsize=(7.5, 5), layout="constrained")
        ax = figure.subplots()
        for index, rule in enumerate(study.factors["lr_scaling"]):
            arm = mine[mine["lr_scaling"] == rule]
            base = study.baseline["minibatch"]  # at this M all rules give the same step size
            if arm.empty:
                continue
            arm = pd.concat([arm, reference[base]]) if rule != "none" and base in reference else arm
            groups = list(arm.groupby("minibatch"))
            means, halves = zip(*(interval(group["test/elbo"]) for _, group in groups), strict=True)
            shift = 1.03 ** (index - 1)
            ax.errorbar([float(str(M)) * shift for M, _ in groups], means, yerr=np.nan_to_num(halves), capsize=3,
                        marker="o", markersize=4, label=f"step size: {LR_SCALINGS[str(rule)].description}")  # fmt: skip
        Ms = list(reference)
        ax.set(xscale="log", xlabel="M, images in a step", ylabel="test ELBO, nats per image")
        ax.set_xticks(Ms, [str(M) for M in Ms])
        ax.set_xticks([], minor=True)
        ax.legend(frameon=False)
        figure.suptitle(
            figure_title(runs, study, f"L={study.baseline['samples']}; 95 % intervals over seeds"), fontsize=11
        )
    return figure


def _name(key: Key, study: Study) -> str:
    """Return a short text of a combination of levels; the rule of the step size is left out where it is "none"."""
    short = {"minibatch": "M", "samples": "L", "lr_scaling": "step size"}
    parts = [f"{short.get(n, n)}={level_text(v)}" for n, v in zip(study.factors, key, strict=True) if v != "none"]
    return ", ".join(parts)
