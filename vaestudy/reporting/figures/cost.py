"""Figures of a study over M and L: what a bound costs.

They cover the bound over M and L at equal cost, the bound as it rises with the cost, the best combination of levels for
a given cost, and the rules by which the step size grows with M. All but the last need milestones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from vaestudy.config.registry import LR_SCALINGS
from vaestudy.plotting import PALE, WIDEST, Look, fix_layout, house_style, legend_below, look, set_heading
from vaestudy.reporting import cost_curves
from vaestudy.reporting.figures.axis_texts import cell_label
from vaestudy.reporting.figures.intervals import draw_means, value_limits
from vaestudy.reporting.figures.labels import End, box, label_ends, pixels, write_beside
from vaestudy.reporting.figures.style import figure_title, level_ticks, log_cost_axis
from vaestudy.reporting.grouping import at_baseline, runs_by_cell, runs_by_level
from vaestudy.reporting.runs_frame import interval
from vaestudy.reporting.tables.formats import three_digits
from vaestudy.study.declaration import Study

NATS_SHOWN = 30  # the range below the best bound that is drawn; worse bounds occur only at the very start of training
OUTLINE = [patheffects.withStroke(linewidth=1.8, foreground="0.35")]
"""The edge of white lines over a heat map, which is in part pale."""
Key = tuple[Any, ...]


def m_l_heatmaps(runs: pd.DataFrame, study: Study) -> Figure | None:
    """The bound over M and L at equal images, equal decoder passes and equal seconds, with lines of equal M L.

    A panel is left out if fewer than two M or two L have its bound.
    """
    cells = _runs_by_m_and_l(runs, study)
    tests = {key: float(cell["test/elbo"].mean()) for key, cell in cells.items() if "test/elbo" in cell}
    panels = {"Test ELBO,\nequal images seen (whole runs)": tests}
    for kind in ("passes", "seconds"):
        if curves := cost_curves.cost_curves(cells, kind):
            cost = min(curve.end for curve in curves.values())
            title = f"Validation ELBO\nafter {three_digits(cost)} {cost_curves.COSTS[kind]}"
            panels[title] = {key: float(curve.at(cost).mean()) for key, curve in curves.items()}
    known = {title: {key: v for key, v in values.items() if math.isfinite(v)} for title, values in panels.items()}
    shown = {title: values for title, values in known.items() if _is_grid(values.keys())}
    if not shown:
        return None
    with house_style():
        figure = Figure(figsize=(0.6 + 3.6 * len(shown), 5.0), layout="constrained")
        for ax, (title, values) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
            _heatmap(ax, values, title)
        set_heading(
            figure,
            figure_title(
                runs,
                study,
                "dashed: equal decoder rows in a step, M·L; each panel has colours of its own, yellow is best",
            ),
        )
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
    image = ax.imshow(grid, origin="lower", aspect="auto", cmap="cividis", vmin=low, vmax=float(np.nanmax(grid)))
    middle = (low + float(np.nanmax(grid))) / 2
    for row, column in np.ndindex(*grid.shape):
        value = grid[row, column]
        if value == value:
            colour = "black" if value > middle else "white"
            ax.text(column, row, f"{value:.1f}", ha="center", va="center", fontsize=9, color=colour, zorder=3,
                    bbox={"facecolor": image.to_rgba(value), "linewidth": 0, "pad": 1.0})  # fmt: skip
    ax.set_xticks(range(len(Ls)), [str(L) for L in Ls])
    ax.set_yticks(range(len(Ms)), [str(M) for M in Ms])
    ax.set(xlabel="L, draws per image", ylabel="M, images in a step", title=title)
    cut = "min" if low > float(np.nanmin(grid)) else "neither"
    ax.figure.colorbar(image, ax=ax, orientation="horizontal", extend=cut, label="nats per image, higher is better")
    ax.grid(visible=False)
    x = np.linspace(0, len(Ls) - 1, 200)
    L_at = np.exp(np.interp(x, range(len(Ls)), np.log(Ls)))
    for rows in sorted({M * Ls[0] for M in Ms} | {Ms[-1] * L for L in Ls}):
        y = np.interp(np.log(rows / L_at), np.log(Ms), range(len(Ms)), left=math.nan, right=math.nan)
        if np.isfinite(y).sum() > 10:
            ax.plot(x, y, color="white", linestyle="--", linewidth=1, zorder=1.5, path_effects=OUTLINE)
    ax.set(xlim=(-0.5, len(Ls) - 0.5), ylim=(-0.5, len(Ms) - 0.5))


def bound_against_cost(runs: pd.DataFrame, study: Study) -> Figure | None:
    """The validation bound along the way, a column for each M: against decoder passes and against seconds."""
    cells = _runs_by_m_and_l(runs, study)
    curves = {kind: cost_curves.cost_curves(cells, kind) for kind in ("passes", "seconds")}
    if not curves["passes"]:
        return None
    Ms, Ls = (sorted({key[axis] for key in curves["passes"]}) for axis in (0, 1))
    looks = {L: look(index) for index, L in enumerate(Ls)}
    top = max(float(curve.mean[-1]) for curve in curves["passes"].values())
    with house_style():
        figure = Figure(figsize=(max(6.5, min(WIDEST, 1.6 + 3.0 * len(Ms))), 7.0), layout="constrained")
        axes = figure.subplots(2, len(Ms), sharex="row", sharey=True, squeeze=False)
        for row, (kind, mine) in enumerate(curves.items()):
            front_x, front_y, _ = _front(list(mine.values()))
            for ax, M in zip(axes[row], Ms, strict=True):
                ax.plot(
                    front_x,
                    front_y,
                    color=PALE,
                    linewidth=4.5,
                    zorder=1,
                    label="_best",
                )
                for L in Ls:
                    if (M, L) in mine:
                        x, y = mine[M, L].cost, mine[M, L].mean
                        style = looks[L]
                        ax.plot(x, y, color=style.colour, marker=style.marker, markersize=3.5, linestyle=style.dash,
                                linewidth=1.3, label=f"_L={L}")  # fmt: skip
                ax.set(xlabel=cost_curves.COSTS[kind], ylim=(top - NATS_SHOWN, top + 0.06 * NATS_SHOWN))
                log_cost_axis(ax, _first_shown(front_x, front_y, top), most=7 if len(Ms) < 4 else 4)
                if row == 0:
                    ax.set_title(f"M={M}")
            axes[row][0].set_ylabel("validation ELBO, nats per image,\nhigher is better")
        description = "means over seeds; seconds are medians; grey: the best of all cells for at most this cost"
        set_heading(figure, figure_title(runs, study, description))
        fix_layout(figure)
        for row, mine in zip(axes, curves.values(), strict=True):
            for ax, M in zip(row, Ms, strict=True):
                _name_curves(ax, {L: mine[M, L] for L in Ls if (M, L) in mine}, looks, top - NATS_SHOWN)
    return figure


def _name_curves(ax: Axes, curves: dict[int, cost_curves.CostCurve], looks: dict[int, Look], low: float) -> None:
    """Write L beside each curve of a panel, which must have its final size and limits.

    Args:
        ax: the panel.
        curves: L -> its curve.
        looks: L -> its look.
        low: the lowest value that is shown.
    """
    places = {L: [(x, y) for x, y in zip(c.cost, c.mean, strict=True) if y > low] for L, c in curves.items()}
    size = 4 * ax.figure.dpi / 72
    taken = [box(pixels(ax, x, y), size, size) for mine in places.values() for x, y in mine]
    for L, mine in places.items():
        order = [*reversed(mine[len(mine) // 2 :]), *reversed(mine[: len(mine) // 2])]
        any(
            write_beside(ax, place, f"L={L}", 8.5, looks[L].colour, taken, reach)
            for reach in (7.0, 14.0)
            for place in order
        )


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
    looks = {winner: look(index) for index, winner in enumerate(ranked)}
    names = [cell_label(key, study) for key in found["passes"]]
    with house_style():
        figure = Figure(figsize=(WIDEST, 5.8), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for ax, (kind, (costs, values, winners)) in zip(axes, fronts.items(), strict=True):
            for curve in curves[kind]:
                ax.plot(curve.cost, curve.mean, color=PALE, linewidth=0.8, zorder=1)
            for winner in ranked:
                mine = [index for index, w in enumerate(winners) if w == winner]
                ax.plot([costs[i] for i in mine], [values[i] for i in mine], looks[winner].marker, markersize=5,
                        color=looks[winner].colour, label=names[winner])  # fmt: skip
            ax.set(xlabel=f"at most this many {cost_curves.COSTS[kind]}", ylim=(top - NATS_SHOWN, top + 3))
            log_cost_axis(ax, _first_shown(costs, values, top))
        axes[0].set_ylabel("validation ELBO, nats per image, higher is better")
        set_heading(figure, figure_title(runs, study, "grey: every cell; marks: the best of them, means over seeds"))
        fix_layout(figure)
        low = top - NATS_SHOWN
        written = [
            _name_stretches(ax, front, names, looks, low) for ax, front in zip(axes, fronts.values(), strict=True)
        ]
        if not all(written):
            figure.set_layout_engine("constrained")
            legend_below(figure)
    return figure


def _name_stretches(
    ax: Axes, front: tuple[list[float], list[float], list[int]], names: list[str], looks: dict[int, Look], low: float
) -> bool:
    """Write the name of each cell of a front beside the middle of its longest stretch; return whether all have room.

    The panel must have its final size and limits.

    Args:
        ax: the panel.
        front: costs, values and the number of the cell that is best, as `_front` returns them.
        names: the names of the cells.
        looks: the number of a cell -> its look.
        low: the lowest value that is shown.
    """
    costs, values, winners = front
    shown = [index for index, value in enumerate(values) if value > low]
    size = 5 * ax.figure.dpi / 72
    taken: list[Bbox] = [box(pixels(ax, costs[i], values[i]), size, size) for i in shown]
    stretches = [list(group) for _, group in itertools.groupby(shown, lambda index: winners[index])]
    longest: dict[int, list[int]] = {}
    for stretch in stretches:
        winner = winners[stretch[0]]
        longest[winner] = max(longest.get(winner, []), stretch, key=len)
    found = []
    for winner, stretch in longest.items():
        middle = stretch[len(stretch) // 2]
        place = costs[middle], values[middle]
        found.append(
            any(
                write_beside(ax, place, names[winner], 8.5, looks[winner].colour, taken, reach)
                for reach in (9.0, 20.0, 34.0, 50.0)
            )
        )
    return all(found)


def step_size(runs: pd.DataFrame, study: Study) -> Figure | None:
    """The test bound against M, a line for each rule by which the step size grows with it, at the baseline's L."""
    finished = runs[runs["status"] == "FINISHED"]
    if not {"samples", "minibatch", "lr_scaling"} <= set(study.factors) or "test/elbo" not in finished:
        return None
    mine = at_baseline(finished, study, {"minibatch", "lr_scaling"})
    reference = runs_by_level(mine, study, "minibatch")
    if len(reference) < 2 or mine["lr_scaling"].nunique() < 2:
        return None
    arms = {}
    for rule in study.factors["lr_scaling"]:
        arm = mine[mine["lr_scaling"] == rule]
        base = study.baseline["minibatch"]  # at this M all rules give the same step size
        if not arm.empty:
            arms[rule] = pd.concat([arm, reference[base]]) if rule != "none" and base in reference else arm
    with house_style():
        figure = Figure(figsize=(8.4, 5), layout="constrained")
        ax = figure.subplots()
        level_ticks(ax, [float(str(M)) for M in reference], "minibatch")
        groups = {
            rule: {M: interval(cell["test/elbo"]) for M, cell in arm.groupby("minibatch")} for rule, arm in arms.items()
        }
        every = [mean + sign * half for found in groups.values() for mean, half in found.values() for sign in (-1, 1)]
        ax.set_ylim(value_limits(every, log=False, room=0.08))
        ends = []
        for index, (rule, found) in enumerate(groups.items()):
            style, shift = look(index), 1.03 ** (index - 1)
            means, halves = zip(*found.values(), strict=True)
            places = [float(str(M)) * shift for M in found]
            draw_means(ax, places, means, halves, style, str(rule), joined=True)
            ends.append(End(places[-1], means[-1], LR_SCALINGS[str(rule)].description, style.colour))
        ax.set_ylabel("test ELBO, nats per image, higher is better")
        description = f"L={study.baseline['samples']}; at the lines: the step size; 95 % intervals over seeds"
        set_heading(figure, figure_title(mine, study, description))
        label_ends(figure, {ax: ends})
    return figure
