"""STUDY_TABLES: name -> a further table of a study, from its tidy runs (`tables.tidy`).

A member takes the tidy runs and the study and returns a `Table`, or None where the runs have nothing to say of it. The
first line of its docstring is the table's title.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from vaestudy.reporting import cost_curves
from vaestudy.reporting.grouping import all_cells, along_factor, levels_shown, plain, texts
from vaestudy.reporting.tables.classes import by_class, clarity, overlaps, same_plane
from vaestudy.reporting.tables.summary import Table, interval, significant
from vaestudy.study.declaration import Study, show
from vaestudy.training.gradient_noise import STAGES, best_samples

STAGE_WORDS = {"start": "at the start", "epoch_1": "after epoch 1", "end": "at the end"}
VALID = "Bounds along the way are ELBOs on valid, nats per image, one draw of z an image."
SECONDS = "Seconds are medians over seeds of runs that may have shared the machine: read them to a tenth or so."


def one_draw(runs: pd.DataFrame, study: Study) -> Table | None:
    """What L=1 loses against more draws, at the baseline's M"""
    cells = along_factor(runs, study, "samples")
    if 1 not in cells or len(cells) < 2 or not cost_curves.recorded(runs):
        return None
    rows = []
    for kind, words in ({"": "images seen"} | cost_curves.COSTS).items():
        curves = {L: cost_curves.curve(cell, kind or "images") for L, cell in cells.items()}
        cost = min(curve.end for curve in curves.values())
        values = {L: curve.at(cost) for L, curve in curves.items()}
        if not kind:
            values = {L: cell.set_index("seed")["test/elbo"] for L, cell in cells.items()}
        for L in list(cells)[1:]:
            loses, half = interval((values[L] - values[1]).dropna())
            excludes = bool(abs(loses) > half) if half == half else None
            rows.append({"split": "valid" if kind else "test", "equal": words, "cost": cost, "samples": L,
                         "elbo_one": values[1].mean(), "elbo": values[L].mean(), "one_loses": loses,
                         "one_loses_ci95": half, "excludes_0": excludes})  # fmt: skip
    full = pd.DataFrame(rows)
    verdict = {True: ", excludes 0", False: ", includes 0", None: ""}
    shown = pd.DataFrame(
        {
            "split": full["split"],
            "at equal": full["equal"],
            "namely": [significant(cost) for cost in full["cost"]],
            "L": full["samples"].astype(str),
            "ELBO, L=1": [plain(v) for v in full["elbo_one"]],
            "ELBO, this L": [plain(v) for v in full["elbo"]],
            "L=1 loses": [
                loss + verdict[excludes]
                for loss, excludes in zip(texts(full, "one_loses", sign="+"), full["excludes_0"], strict=True)
            ],
        }
    )
    fixed = ", ".join(f"{name}={show(value)}" for name, value in study.baseline.items() if name != "samples")
    notes = [
        f"At {fixed}; differences at the same seed with their 95 % interval over seeds. "
        "A cost is the largest that all of these cells came to.",
        VALID,
        SECONDS,
    ]
    return Table(full, shown, notes)


def pareto(runs: pd.DataFrame, study: Study) -> Table | None:
    """The Pareto set: which cell has the best bound for at most each cost"""
    if not cost_curves.recorded(runs):
        return None
    cells = all_cells(runs, study)
    baseline = tuple(study.baseline[name] for name in study.factors)
    rows = []
    for kind in ("passes", "seconds"):
        curves = {key: cost_curves.curve(cell, kind) for key, cell in cells.items()}
        for cost in _ladder(list(curves.values())):
            values = {key: curve.within(cost) for key, curve in curves.items()}
            means = {key: float(v.mean()) for key, v in values.items() if v.notna().all()}
            if not means:
                continue
            best = max(means, key=lambda key: means[key])
            own = values[baseline] if baseline in values else values[best] * np.nan
            gain, half = interval((values[best] - own).dropna())
            rows.append(dict(zip(study.factors, best, strict=True)) | {
                "kind": kind, "cost": cost, "elbo": means[best], "baseline_elbo": float(own.mean()),
                "gain": gain, "gain_ci95": half})  # fmt: skip
    if not rows:
        return None
    full = pd.DataFrame(rows)
    shown = pd.DataFrame(
        {
            "cost": [
                f"{significant(cost)} {cost_curves.COSTS[kind]}"
                for cost, kind in zip(full["cost"], full["kind"], strict=True)
            ]
        }
    )
    shown = shown.join(levels_shown(full, study))
    shown["ELBO"] = [f"{v:.2f}" for v in full["elbo"]]
    shown["baseline"] = [plain(v) for v in full["baseline_elbo"]]
    shown["gain"] = texts(full, "gain", sign="+")
    notes = [
        "The cell with the highest mean at each cost; of many cells the best is also the luckiest, so a small gain is "
        "none. A cell that had ended keeps its last bound; one without a milestone yet does not stand.",
        VALID,
        SECONDS,
    ]
    return Table(full, shown, notes)


def _ladder(curves: list[cost_curves.Curve]) -> list[float]:
    """Costs of 1, 2 and 5 times powers of ten between the first milestone and the last of all."""
    low, high = min(float(curve.cost[0]) for curve in curves), max(curve.end for curve in curves)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [cost for power in powers for step in (1, 2, 5) if low <= (cost := step * 10.0**power) <= high]


def predicted_samples(runs: pd.DataFrame, study: Study) -> Table | None:
    """The best L that the gradient's variance predicts for the measured cost of a step"""
    cells = along_factor(runs, study, "samples")
    if 1 not in cells or len(cells) < 2 or "gradient/end/all/var_x" not in runs or not cost_curves.recorded(runs):
        return None
    fixed, each = cost_curves.step_cost(list(cells.values()))
    curves = {L: cost_curves.curve(cell, "seconds") for L, cell in cells.items()}
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
            "Var_x": [significant(v) for v in full["var_x"]],
            "Var_eps, L=1": [significant(v) for v in full["var_eps"]],
            "µs per image": [significant(1e6 * v) for v in full["seconds_per_image"]],
            "µs per draw": [significant(1e6 * v) for v in full["seconds_per_draw"]],
            "predicted best L": texts(full, "predicted", 1),
            "best L of the grid": [f"{best} at {significant(cost)} s"] * len(full),
        }
    )
    notes = [
        "Variances: traces over all parameters for one image, at the weights of the runs with L=1. In a given time the "
        "gradient's variance is least at L = sqrt(µs per image x Var_eps / (µs per draw x Var_x)); below 1 means 1.",
        "At equal decoder passes the variance goes as L Var_x + Var_eps, so one draw is best whatever the parts are.",
        SECONDS,
    ]
    return Table(full, shown, notes)


def noise(runs: pd.DataFrame, study: Study) -> Table | None:
    """The noise of each estimator at the same weights, those of the baseline's estimator"""
    cells = along_factor(runs, study, "samples")
    beside = sorted({str(c).split("/")[2] for c in runs if str(c).count("/") == 4 and str(c).startswith("gradient/")})
    if not beside or not cells:
        return None
    known = [str(name) for name in study.factors.get("estimator", ())]
    rows = []
    for stage in STAGES:
        for L, cell in cells.items():
            for name in sorted(beside, key=lambda name: known.index(name) if name in known else len(known)):
                head = f"gradient/{stage}/{name}"
                if f"{head}/all/var_eps" not in cell or cell[f"{head}/all/var_eps"].isna().all():
                    continue
                row: dict[str, Any] = {"stage": stage, "samples": L, "estimator": name}
                measured = ("value/var_eps", "encoder/var_eps", "all/var_x", "all/var_eps", "encoder/snr_draws")
                for metric in measured:
                    row[metric], row[f"{metric}_ci95"] = interval(cell[f"{head}/{metric}"].dropna())
                rows.append(row)
    full = pd.DataFrame(rows)
    columns = {
        "value: Var_eps": "value/var_eps",
        "encoder: Var_eps": "encoder/var_eps",
        "encoder: SNR": "encoder/snr_draws",
        "all: Var_x": "all/var_x",
        "all: Var_eps": "all/var_eps",
    }
    shown = pd.DataFrame(
        {
            "weights": [STAGE_WORDS[str(stage)] for stage in full["stage"]],
            "L": full["samples"].astype(str),
            "estimator": full["estimator"],
        }
    )
    for title, metric in columns.items():
        pairs = zip(full[metric], full[f"{metric}_ci95"], strict=True)
        shown[title] = [significant(mean, half) for mean, half in pairs]
    notes = [
        "For one image with L draws; Var_eps: the noise of the draws, Var_x: that images differ, both traces of "
        "covariances; a minibatch's gradient has (Var_x + Var_eps) / M. Value: of the objective, nats^2.",
        "SNR: the length of an image's expected gradient over the noise of its draws, root mean square over images; "
        "0 where none was found above the noise of this measurement. ± over seeds, 95 %.",
    ]
    return Table(full, shown, notes)


STUDY_TABLES: dict[str, Callable[[pd.DataFrame, Study], Table | None]] = {
    "one_draw": one_draw,
    "pareto": pareto,
    "predicted_samples": predicted_samples,
    "noise": noise,
    "by_class": by_class,
    "overlaps": overlaps,
    "clarity": clarity,
    "same_plane": same_plane,
}
