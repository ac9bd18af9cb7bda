"""Table of the gradient's noise: all estimators measured at the same weights, at each stage of training.

The runs must have been made with the configuration field `gradient_estimators`, which names the estimators to measure.
vaestudy/training/gradient_noise.py defines the metrics.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from vaestudy.reporting.grouping import runs_by_level
from vaestudy.reporting.runs_frame import interval
from vaestudy.reporting.tables.formats import three_digits
from vaestudy.reporting.tables.summary import Table
from vaestudy.study.declaration import Study
from vaestudy.training.gradient_noise import STAGES

STAGE_WORDS = {"start": "at the start", "epoch_1": "after epoch 1", "end": "at the end"}


def noise(runs: pd.DataFrame, study: Study) -> Table | None:
    """The noise of each estimator at the same weights, those of the baseline's estimator"""
    cells = runs_by_level(runs, study, "samples")
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
    if not rows:  # the estimators were measured in other cells than those of the baseline's levels
        return None
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
        shown[title] = [three_digits(mean, half) for mean, half in pairs]
    notes = [
        "For one image with L draws; Var_eps: the noise of the draws, Var_x: that images differ, both traces of "
        "covariances; a minibatch's gradient has (Var_x + Var_eps) / M. Value: of the objective, nats^2.",
        "SNR: the length of an image's expected gradient over the noise of its draws, root mean square over images; "
        "0 where none was found above the noise of this measurement. ± over seeds, 95 %.",
    ]
    return Table(full, shown, notes)
