"""Tables of a study over M and L: what a bound costs.

They cover the loss of one draw of z against more draws, the best combination of levels for a given cost, and the best
L that the gradient's variance predicts. The runs must have recorded the bound on valid at milestones.
"""

from __future__ import annotations

import math

import pandas as pd

from vaestudy.reporting import cost_curves, selection
from vaestudy.reporting.grouping import runs_by_cell, runs_by_level
from vaestudy.reporting.runs_frame import interval
from vaestudy.reporting.tables.formats import bound_text, interval_column, level_columns, three_digits
from vaestudy.reporting.tables.gradient_noise import STAGE_WORDS
from vaestudy.reporting.tables.summary import Table
from vaestudy.study.declaration import Study, level_text
from vaestudy.training.gradient_noise import STAGES, best_samples

VALID = "Bounds along the way are ELBOs on valid, nats per image, one draw of z an image."
SECONDS = "Seconds are medians over seeds of runs that may have shared the machine: read them to a tenth or so."


def one_draw(runs: pd.DataFrame, study: Study) -> Table | None:
    """What L=1 loses against more draws, at the baseline's M"""
    cells = runs_by_level(runs, study, "samples")
    if 1 not in cells or len(cells) < 2 or len(cost_curves.cost_curves(cells, "images")) < len(cells):
        return None
    rows = []
    for kind, cost_name in ({"": "images seen"} | cost_curves.COSTS).items():
        curves = cost_curves.cost_curves(cells, kind or "images")
        cost = min(curve.end for curve in curves.values())
        values = {L: curve.at(cost) for L, curve in curves.items()}
        if not kind:
            values = {L: cell.set_index("seed")["test/elbo"] for L, cell in cells.items()}
        for L in list(cells)[1:]:
            loses, half = interval((values[L] - values[1]).dropna())
            excludes = bool(abs(loses) > half) if half == half else None
            rows.append({"split": "valid" if kind else "test", "equal": cost_name, "cost": cost, "samples": L,
                         "elbo_one": values[1].mean(), "elbo": values[L].mean(), "one_loses": loses,
                         "one_loses_ci95": half, "excludes_0": excludes})  # fmt: skip
    full = pd.DataFrame(rows)
    verdict = {True: ", excludes 0", False: ", includes 0", None: ""}
    shown = pd.DataFrame(
        {
            "split": full["split"],
            "at equal": full["equal"],
            "namely": [three_digits(cost) for cost in full["cost"]],
            "L": full["samples"].astype(str),
            "ELBO, L=1": [bound_text(v) for v in full["elbo_one"]],
            "ELBO, this L": [bound_text(v) for v in full["elbo"]],
            "L=1 loses": [
                loss + verdict[excludes]
                for loss, excludes in zip(interval_column(full, "one_loses", sign="+"), full["excludes_0"], strict=True)
            ],
        }
    )
    fixed = ", ".join(f"{name}={level_text(value)}" for name, value in study.baseline.items() if name != "samples")
    notes = [
        f"At {fixed}; differences at the same seed with their 95 % interval over seeds. "
        "A cost is the largest that all of these cells came to.",
        VALID,
        SECONDS,
    ]
    return Table(full, shown, notes)


def pareto(runs: pd.DataFrame, study: Study) -> Table | None:
    """The Pareto set: which cell has the best bound for at most each cost"""
    everything = runs_by_cell(runs, study)
    seeds = selection.choosing_seeds(everything)
    cells = selection.with_seeds(everything, seeds)
    if not cost_curves.cost_curves(cells, "images"):
        return None
    baseline = tuple(study.baseline[name] for name in study.factors)
    rows = []
    for kind in ("passes", "seconds"):
        curves = cost_curves.cost_curves(cells, kind)
        fresh = cost_curves.cost_curves(selection.with_seeds(everything, seeds, fresh=True), kind)
        for cost in _ladder(list(curves.values())):
            values = {key: curve.at_most(cost) for key, curve in curves.items()}
            means = {key: float(v.mean()) for key, v in values.items() if v.notna().all()}
            if not means:
                continue
            best = max(means, key=lambda key: means[key])
            own = values[baseline] if baseline in values else values[best] * math.nan
            pair = [fresh[key].at_most(cost) for key in (best, baseline) if key in fresh and best != baseline]
            again = pair[0] - pair[1] if len(pair) == 2 else None
            gain, half, confirming = selection.confirmed_gain(values[best] - own, again)
            rows.append(dict(zip(study.factors, best, strict=True)) | {
                "kind": kind, "cost": cost, "elbo": means[best], "baseline_elbo": float(own.mean()),
                "gain": gain, "gain_ci95": half, "fresh_seeds": confirming})  # fmt: skip
    if not rows:
        return None
    full = pd.DataFrame(rows)
    shown = pd.DataFrame(
        {
            "cost": [
                f"{three_digits(cost)} {cost_curves.COSTS[kind]}"
                for cost, kind in zip(full["cost"], full["kind"], strict=True)
            ]
        }
    )
    shown = shown.join(level_columns(full, study))
    shown["ELBO"] = [f"{v:.2f}" for v in full["elbo"]]
    shown["baseline"] = [bound_text(v) for v in full["baseline_elbo"]]
    shown["gain"] = interval_column(full, "gain", sign="+")
    shown["fresh seeds"] = full["fresh_seeds"].astype(str)
    notes = [
        "The cell with the highest mean at each cost. A cell that had ended keeps its last bound; one without a "
        "milestone yet does not stand.",
        selection.selection_note(len(cells), "cells", seeds),
        VALID,
        SECONDS,
    ]
    return Table(full, shown, notes)


def _ladder(curves: list[cost_curves.CostCurve]) -> list[float]:
    """Return the costs of 1, 2 and 5 times powers of ten from the first milestone of all curves to the last."""
    low, high = min(float(curve.cost[0]) for curve in curves), max(curve.end for curve in curves)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [cost for power in powers for step in (1, 2, 5) if low <= (cost := step * 10.0**power) <= high]


def predicted_samples(runs: pd.DataFrame, study: Study) -> Table | None:
    """The best L that the gradient's variance predicts for the measured cost of a step"""
    cells = runs_by_level(runs, study, "samples")
    curves = cost_curves.cost_curves(cells, "seconds")
    if 1 not in cells or len(cells) < 2 or len(curves) < len(cells) or "gradient/end/all/var_x" not in runs:
        return None
    fixed, each = cost_curves.step_cost(list(cells.values()))
    cost = min(curve.end for curve in curves.values())
    reached = {L: float(curve.at(cost).mean()) for L, curve in curves.items()}
    best = max(reached, key=lambda L: reached[L] if reached[L] == reached[L] else -math.inf)
    one, rows = cells[1], []
    for stage in STAGES:
        head = f"gradient/{stage}/all"
        parts = {name: interval(one[f"{head}/{name}"]) for name in ("var_x", "var_eps")}
        each_seed = [best_samples(fixed, each, x, e) for x, e in one[[f"{head}/var_x", f"{head}/var_eps"]].to_numpy()]
        predicted, half = interval(pd.Series(each_seed).dropna())
        rows.append({"stage": stage, "var_x": parts["var_x"][0], "var_x_ci95": parts["var_x"][1],
                     "var_eps": parts["var_eps"][0], "var_eps_ci95": parts["var_eps"][1],
                     "seconds_per_image": fixed, "seconds_per_draw": each, "predicted": predicted,
                     "predicted_ci95": half, "best_of_grid": best, "at_seconds": cost})  # fmt: skip
    full = pd.DataFrame(rows)
    shown = pd.DataFrame(
        {
            "weights": [STAGE_WORDS[str(stage)] for stage in full["stage"]],
            "Var_x": [three_digits(v) for v in full["var_x"]],
            "Var_eps, L=1": [three_digits(v) for v in full["var_eps"]],
            "µs per image": [three_digits(1e6 * v) for v in full["seconds_per_image"]],
            "µs per draw": [three_digits(1e6 * v) for v in full["seconds_per_draw"]],
            "predicted best L": interval_column(full, "predicted", 1),
            "best L of the grid": [f"{best} at {three_digits(cost)} s"] * len(full),
        }
    )
    notes = [
        "Variances: traces over all parameters for one image, at the weights of the runs with L=1. In a given time the "
        "gradient's variance is least at L = sqrt(µs per image x Var_eps / (µs per draw x Var_x)); below 1 means 1.",
        "At equal decoder passes the variance goes as L Var_x + Var_eps, so one draw is best whatever the parts are.",
        SECONDS,
    ]
    return Table(full, shown, notes)
