"""Table of the fronts of rate and distortion: for each likelihood and D, the beta of the best ELBO and the collapse."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from vaestudy.reporting.rate_distortion import (
    COLLAPSED_RATE,
    ELBO,
    Key,
    arm_label,
    front_point,
    is_collapsed,
    runs_by_front,
)
from vaestudy.reporting.runs_frame import interval
from vaestudy.reporting.tables.formats import interval_column
from vaestudy.reporting.tables.summary import Table
from vaestudy.study.declaration import Study, level_text


def front(runs: pd.DataFrame, study: Study) -> Table | None:
    """The beta with the best ELBO of each likelihood and D, and the betas at which the posterior collapses"""
    found = runs_by_front(runs, study)
    if not found or ELBO not in runs:
        return None
    full = pd.DataFrame([_row(key, cells, study) for key, cells in found.items()])
    at_edge = zip(full["best_beta"], full["on_edge"], strict=True)
    reference = level_text(study.baseline["beta"])
    shown = pd.DataFrame(
        {
            "arm": full["arm"],
            "D": full["latent_dim"].astype(str),
            "best beta": [f"{level_text(beta)}{' (edge)' if edge else ''}" for beta, edge in at_edge],
            "ELBO": interval_column(full, "elbo"),
            f"gain over beta={reference}": interval_column(full, "gain", sign="+"),
            "rate": interval_column(full, "rate"),
            "distortion": interval_column(full, "distortion"),
            "active units": interval_column(full, "active", 1),
            "collapsed at beta": full["collapsed"],
        }
    )
    notes = [
        "All columns but the last are of the beta with the highest mean ELBO on test, scored at beta = 1. Of many "
        "betas the best is also the luckiest, so a small gain is none. (edge): it is the lowest or the highest beta.",
        f"Rate: KL, distortion: -log-lik., nats per image. Gain: difference to beta={reference} at the same seed; ± is "
        "the half-width of the 95 % t-interval over seeds.",
        f"Collapsed: a run without an active unit and with a rate below {COLLAPSED_RATE:g} nats; the number of such "
        "runs is given where not all of a cell are.",
    ]
    return Table(full, shown, notes)


def _row(key: Key, cells: dict[float, pd.DataFrame], study: Study) -> dict[str, Any]:
    """Return the row of one arm and D; `cells` has the runs of each beta."""
    arm, D = key
    means = {beta: float(cell[ELBO].mean()) for beta, cell in cells.items()}
    best = max(means, key=lambda beta: means[beta])
    point = front_point(best, cells[best])
    elbos = {beta: cell.set_index("seed")[ELBO] for beta, cell in cells.items()}
    reference = study.baseline["beta"]
    gain = (math.nan, math.nan)
    if reference in elbos and reference != best:
        gain = interval((elbos[best] - elbos[reference]).dropna())
    numbers = {"elbo": interval(elbos[best]), "gain": gain, "rate": point.rate, "distortion": point.distortion,
               "active": point.active}  # fmt: skip
    row: dict[str, Any] = {"arm": arm_label(arm, study), "latent_dim": D, "best_beta": best,
                           "on_edge": len(cells) > 1 and best in (min(cells), max(cells))}  # fmt: skip
    for name, (mean, half) in numbers.items():
        row |= {name: mean, f"{name}_ci95": half}
    return row | {"collapsed": _collapsed(cells)}


def _collapsed(cells: dict[float, pd.DataFrame]) -> str:
    """Return the betas of which some run is collapsed, as text; "none" if there is none."""
    texts = []
    for beta, cell in cells.items():
        if count := int(is_collapsed(cell).sum()):
            texts.append(level_text(beta) + (f" ({count} of {len(cell)})" if count < len(cell) else ""))
    return ", ".join(texts) or "none"
