"""Figures of one search by the searched fields: importances, slices, parallel coordinates and a contour."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import optuna
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.tri import LinearTriInterpolator, Triangulation
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from vaestudy.plotting import PALETTE, WIDEST, balanced, house_style
from vaestudy.reporting.figures.axis_texts import field_label
from vaestudy.reporting.search.drawing import (
    SEED_NAMES,
    beyond,
    colour_bar_ends,
    draw_outcomes,
    field_axes,
    heading,
    outcome_handles,
    value_label,
    value_name,
    valued,
    visible_range,
)
from vaestudy.reporting.search.outcomes import best_trial, sign_of, trials_with_value
from vaestudy.reporting.search.searched import Searched
from vaestudy.reporting.search.trials import study_in_memory

COLUMNS = 3
BLOCKS = 5
"""The number of parts of the trials, each of which is left out once for the standard errors of importances."""
FEWEST_FOR_ERRORS = 4 * BLOCKS
FEWEST_FOR_CONTOUR = 6
GRID = 120
COLOURS = {1.0: "cividis_r", -1.0: "cividis"}
"""The colours of values by what is better, larger (1) or smaller ones (-1): the best are dark."""
EVALUATORS = {"fANOVA": (PALETTE[0], ""), "PED-ANOVA": (PALETTE[5], "//")}
"""Name of an estimator of importances -> (its colour, its hatch)."""


def importances(searched: Searched) -> Figure | None:
    """Draw how important each field is for the objective, by fANOVA and by PED-ANOVA."""
    study = searched.studies.get("")
    found = {} if study is None else {name: importances_by(study, name) for name in EVALUATORS}
    if study is None or not (found := {name: table for name, table in found.items() if len(table)}):
        return None
    fields = list(dict.fromkeys(field for table in found.values() for field in table.index))
    with house_style():
        figure = Figure(figsize=(8, 2.0 + 0.55 * len(fields)), layout="constrained")
        ax = figure.subplots()
        for index, (name, table) in enumerate(found.items()):
            colour, hatch = EVALUATORS[name]
            rows = table.reindex(fields)
            y = np.arange(len(fields)) + (index - (len(found) - 1) / 2) * 0.38
            errors = None if rows["error"].isna().all() else rows["error"].to_numpy()
            ax.barh(y, rows["importance"].to_numpy(), height=0.36, color=colour, hatch=hatch, edgecolor="white",
                    xerr=errors, error_kw={"elinewidth": 1.2, "capsize": 3, "ecolor": "0.2"}, label=name)  # fmt: skip
            for at, (field, value) in zip(y, rows["importance"].items(), strict=True):
                if value != value:
                    why = f"not by {name}: not every trial was asked for {field_label(str(field))}"
                    ax.text(0.005, at, why, va="center", fontsize=8.5, color="0.35")
        ax.set_yticks(range(len(fields)), [field_label(field) for field in fields])
        ax.set(ylim=(len(fields) - 0.5, -0.5), xlabel="importance (of all fields together: 1)")
        ax.set_xlim(left=0)
        ax.grid(visible=False, axis="y")
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        count, first = len(trials_with_value(study)), searched.search.objectives[0]
        bars = f"; bars: ± 1 standard error over trials (jackknife in {BLOCKS} parts)" * (count >= FEWEST_FOR_ERRORS)
        about = (
            "fANOVA: the field's share of the variance of the values (the worst are cut); PED-ANOVA: how much the best "
            "tenth of the trials differs in this field from the others"
        )
        heading(figure, searched, f"importance of each field for the {value_name(first)}, {count} trials with a value"
                f"{bars}. {about}")  # fmt: skip
    return figure


def importances_by(study: optuna.Study, estimator: str, errors: bool = True) -> pd.DataFrame:
    """Return the importance of each field for the first objective, and its standard error over trials.

    A value far below the median counts as the worst that other figures draw (`visible_range`): else a single failure
    would be most of the variance that fANOVA divides.

    fANOVA is left out if fewer than two trials have a value, or if no field was asked for in each of them. It says
    nothing about fields that are only asked for in some trials.

    Args:
        study: the search.
        estimator: a name of `EVALUATORS`.
        errors: whether standard errors are wanted; they take most of the time.

    Returns:
        the columns importance and error, by field, the most important first; empty if nothing can be said.
    """
    trials = trials_with_value(study)
    fields = list(field_axes(study)) if estimator == "PED-ANOVA" else _always_asked(trials)
    if len(trials) < 2 or not fields or len({trial.values[0] for trial in trials}) < 2:
        return pd.DataFrame({"importance": [], "error": []})
    whole = _importances(study, trials, fields, estimator)
    table = pd.DataFrame({"importance": pd.Series(whole, dtype=float), "error": math.nan})
    if errors and len(trials) >= FEWEST_FOR_ERRORS:
        parts = [[t for i, t in enumerate(trials) if i % BLOCKS != block] for block in range(BLOCKS)]
        again = pd.DataFrame([_importances(study, part, fields, estimator) for part in parts]).fillna(0.0)
        spread = (again - again.mean()).pow(2).sum() * (BLOCKS - 1) / BLOCKS
        table["error"] = spread.pow(0.5)
    return table.sort_values("importance", ascending=False, kind="stable")


def _always_asked(trials: list[FrozenTrial]) -> list[str]:
    """Return the fields that every trial was asked for, and that have more than one value."""
    names = [name for name in (trials[0].params if trials else {}) if name not in SEED_NAMES]
    return [name for name in names if all(name in t.params for t in trials)]


def _importances(study: optuna.Study, trials: list[FrozenTrial], fields: list[str], estimator: str) -> dict[str, float]:
    """Return the importance of each field, from some of the trials of a study and their first objective."""
    # This imports scikit-learn, which takes half a second: other sweeps should not wait for it.
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances

    sign = sign_of(study)
    limits = visible_range([trial.values[0] for trial in trials_with_value(study)], sign)
    part = study_in_memory([StudyDirection.MINIMIZE], "part")
    for trial in trials:
        part.add_trial(
            optuna.trial.create_trial(
                params={k: v for k, v in trial.params.items() if k in fields},
                distributions={k: v for k, v in trial.distributions.items() if k in fields},
                value=-sign * float(np.clip(trial.values[0], *limits)),
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # PED-ANOVA warns of few trials with a conditional field; the figure says how many trials there are.
        warnings.filterwarnings("ignore", "Some regimes for parameter", UserWarning)
        if estimator == "fANOVA":
            found = get_param_importances(part, evaluator=FanovaImportanceEvaluator(seed=0), params=fields)
        else:
            found = get_param_importances(part, evaluator=PedAnovaImportanceEvaluator())
    return {name: float(value) for name, value in found.items()}


def slices(searched: Searched) -> Figure | None:
    """Draw the objective against each searched field, one panel a field; grey: the edges of the range."""
    study = searched.studies.get("")
    if study is None or not (axes := field_axes(study)) or not (trials := valued(study)[0]):
        return None
    objectives, columns = len(study.directions), min(COLUMNS, len(axes))
    lines = -(-len(axes) // columns)
    best = best_trial(study) if objectives == 1 else None
    with house_style():
        figure = Figure(figsize=(3.2 * columns + 0.6, 2.9 * lines * objectives + 1.1), layout="constrained")
        panels = figure.subplots(lines * objectives, columns, squeeze=False)
        cut: list[str] = []
        for objective in range(objectives):
            flat = panels[objective * lines : (objective + 1) * lines].flatten()
            values = valued(study, objective)[1]
            limits = visible_range(values, sign_of(study, objective))
            if outside := beyond(values, *limits):  # the panels of one objective have the same axis: said once
                cut.append(outside if objectives == 1 else f"{searched.search.objectives[objective]}: {outside}")
            for ax in flat[len(axes) :]:
                ax.remove()
            for index, (ax, (field, axis)) in enumerate(zip(flat, axes.items(), strict=False)):
                mine = [t for t in trials if field in t.params]
                ax.set_ylim(limits)
                y = np.clip([t.values[objective] for t in mine], *limits)
                axis.scale(ax)
                draw_outcomes(ax, mine, _spread([axis.position(t.params[field]) for t in mine], axis.choices), list(y))
                if best is not None and field in best.params:
                    ax.plot(axis.position(best.params[field]), best.values[0], marker="*", markersize=15,
                            color="black", markeredgecolor="white", zorder=5, clip_on=False)  # fmt: skip
                if index % columns == 0:
                    ax.set_ylabel(value_label(searched.search.objectives[objective]).replace(", ", ",\n"))
                else:
                    ax.tick_params(labelleft=False)
        handles = outcome_handles(trials)
        if best is not None:
            handles.append(Line2D([], [], linestyle="none", marker="*", markersize=12, color="black",
                                  label=f"best, trial {best.number}"))  # fmt: skip
        figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
        about = ["objective against each field, all others varying too", "grey: the edges of a range", *cut]
        heading(figure, searched, "; ".join(about))
    return figure


def _spread(positions: list[float], choices: list[str]) -> list[float]:
    """Return positions on an axis of choices moved a little apart, so that equal ones can be told apart."""
    if not choices:
        return positions
    return [at + 0.36 * ((index * 0.618034) % 1 - 0.5) for index, at in enumerate(positions)]


def parallel_coordinates(searched: Searched) -> Figure | None:
    """Draw all fields side by side, one line a trial in the colour of its value; the best trial is the thick line."""
    study = searched.studies.get("")
    if study is None or len(axes := field_axes(study)) < 2 or not (trials := valued(study)[0]):
        return None
    sign = sign_of(study)
    values = [trial.values[0] for trial in trials]
    low, high = visible_range(values, sign)
    best = best_trial(study)
    with house_style():
        figure = Figure(figsize=(max(6.0, min(WIDEST, 1.5 * len(axes) + 2)), 5.4), layout="constrained")
        ax = figure.subplots()
        ordered = sorted(trials, key=lambda trial: sign * trial.values[0])  # the best are drawn last, on top
        lines = [
            [
                (x, axis.unit(t.params[name]) if name in t.params else math.nan)
                for x, (name, axis) in enumerate(axes.items())
            ]
            for t in ordered
        ]
        colours = LineCollection(lines, cmap=COLOURS[sign], norm=Normalize(low, high), alpha=0.85,
                                 linewidths=[3.4 if t is best else 1.3 for t in ordered])  # fmt: skip
        colours.set_array(np.array([t.values[0] for t in ordered]))
        ax.add_collection(colours)
        alone = [(x, y) for line in lines for i, (x, y) in enumerate(line) if _is_alone([p[1] for p in line], i)]
        if alone:
            ax.scatter([x for x, _ in alone], [y for _, y in alone], s=14, color="0.3", zorder=3)
        if best is not None:
            x, y = ([point[i] for point in lines[-1]] for i in (0, 1))
            ax.scatter(x, y, s=70, marker="*", color="black", zorder=4, clip_on=False)
        for at, axis in enumerate(axes.values()):
            ax.axvline(at, color="0.4", linewidth=1, zorder=1)
            for height, text in axis.ticks():
                ax.text(at + 0.04, height, text, fontsize=8.5, va="center",
                        bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1}, zorder=5)  # fmt: skip
        names = [field_label(axis.field) + " (log)" * axis.log for axis in axes.values()]
        ax.set_xticks(range(len(axes)), names)
        if len(axes) > 4:
            ax.set_xticks(range(len(axes)), [balanced(name, 12) for name in names])
        ax.set(xlim=(-0.15, len(axes) - 0.6), ylim=(-0.05, 1.05), yticks=[])
        ax.grid(visible=False)
        for side in ax.spines.values():
            side.set_visible(False)
        figure.colorbar(
            colours, ax=ax, label=value_label(searched.search.objectives[0]), extend=colour_bar_ends(values, low, high)
        )
        missing = (
            "; a line is broken where a field is not asked for"
            if any(math.isnan(y) for line in lines for _, y in line)
            else ""
        )
        heading(figure, searched, f"one line for each trial with a value, stars: the best{missing}")
    return figure


def _is_alone(heights: list[float], index: int) -> bool:
    """Return whether a point has no neighbour to which a line leads."""
    near = [heights[i] for i in (index - 1, index + 1) if 0 <= i < len(heights)]
    return not math.isnan(heights[index]) and all(map(math.isnan, near))


def contour(searched: Searched) -> Figure | None:
    """Draw the objective over the two fields that matter most: the trials, and an interpolation between them."""
    study = searched.studies.get("")
    if study is None:
        return None
    chosen = most_important(study, 2)
    if len(chosen) < 2:
        return None
    axes = field_axes(study)
    first, second = (axes[name] for name in chosen)
    trials = [t for t in valued(study)[0] if all(name in t.params for name in chosen)]
    if not trials:
        return None
    values, sign = [trial.values[0] for trial in trials], sign_of(study)
    low, high = visible_range(values, sign)
    with house_style():
        figure = Figure(figsize=(7.4, 5.6), layout="constrained")
        ax = figure.subplots()
        first.scale(ax, "x", edges=False)
        second.scale(ax, "y", edges=False)
        x = _spread([first.position(t.params[first.field]) for t in trials], first.choices)
        y = _spread([second.position(t.params[second.field]) for t in trials], second.choices)
        norm, cmap = Normalize(low, high), COLOURS[sign]
        filled = not (first.choices or second.choices) and _fill(ax, first, second, trials, low, high, cmap)
        points = ax.scatter(x, y, c=np.clip(values, low, high), norm=norm, cmap=cmap, s=60, edgecolors="white",
                            linewidths=1, zorder=3, clip_on=False)  # fmt: skip
        best = max(range(len(trials)), key=lambda i: sign * values[i])
        ax.plot(x[best], y[best], marker="*", markersize=17, color="black", markeredgecolor="white", zorder=4)
        figure.colorbar(
            points, ax=ax, label=value_label(searched.search.objectives[0]), extend=colour_bar_ends(values, low, high)
        )
        between = "; colours between them: interpolated" if filled else ""
        heading(figure, searched, f"the two most important fields; points: trials, star: the best{between}")
    return figure


def most_important(study: optuna.Study, count: int) -> list[str]:
    """Return the fields with the largest mean importance by both estimators; in the space's order if none is known."""
    tables = [importances_by(study, name, errors=False)["importance"] for name in EVALUATORS]
    known = pd.concat([table for table in tables if len(table)], axis=1) if any(map(len, tables)) else None
    if known is None:
        return list(field_axes(study))[:count]
    return [
        str(name) for name in known.fillna(0.0).mean(axis=1).sort_values(ascending=False, kind="stable").index[:count]
    ]


def _fill(ax: Axes, first: Any, second: Any, trials: list[FrozenTrial], low: float, high: float, cmap: str) -> bool:
    """Colour the plane between the trials; return False if they are too few, or lie on one line."""
    u = np.array([first.unit(t.params[first.field]) for t in trials])
    v = np.array([second.unit(t.params[second.field]) for t in trials])
    places = np.unique(np.column_stack([u, v]).round(6), axis=0)
    if len(places) < FEWEST_FOR_CONTOUR or np.linalg.matrix_rank(places - places.mean(axis=0), tol=1e-3) < 2:
        return False
    values = pd.Series(np.clip([t.values[0] for t in trials], low, high)).groupby([u.round(6), v.round(6)]).mean()
    u, v = (np.array(values.index.get_level_values(i)) for i in (0, 1))
    between = LinearTriInterpolator(Triangulation(u, v), values.to_numpy())  # on the ranges' own scales
    grid = np.linspace(0, 1, GRID)
    x, y = ([axis.value(at) for at in grid] for axis in (first, second))
    ax.contourf(x, y, between(*np.meshgrid(grid, grid)), levels=np.linspace(low, high, 13), cmap=cmap, alpha=0.6,
                extend="both")  # fmt: skip
    return True
