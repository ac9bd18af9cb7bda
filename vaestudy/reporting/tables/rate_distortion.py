"""Table of the fronts of rate and distortion: for each likelihood and D, the beta of the best ELBO and the collapse."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from vaestudy.reporting import selection
from vaestudy.reporting.rate_distortion import (
    COLLAPSED_RATE,
    ELBO,
    Key,
    arm_label,
    front_point,
    is_collapsed,
    runs_by_front,
)
from vaestudy.reporting.tables.formats import bound_text, interval_column
from vaestudy.reporting.tables.summary import Table
from vaestudy.study.declaration import Study, level_text


def front(runs: pd.DataFrame, study: Study) -> Table | None:
    """The beta with the best ELBO of each likelihood and D, and the betas at which the posterior collapses"""
    found = runs_by_front(runs, study)
    if not found or ELBO not in runs:
        return None
    seeds = selection.choosing_seeds(
        {(*key, beta): cell for key, cells in found.items() for beta, cell in cells.items()}
    )
    full = pd.DataFrame([_row(key, cells, study, seeds) for key, cells in found.items()])
    at_edge = zip(full["best_beta"], full["on_edge"], strict=True)
    reference = level_text(study.baseline["beta"])
    shown = pd.DataFrame(
        {
            "arm": full["arm"],
            "D": full["latent_dim"].astype(str),
            "best beta": [f"{level_text(beta)}{' (edge)' if edge else ''}" for beta, edge in at_edge],
            "ELBO": [bound_text(v) for v in full["elbo"]],
            f"gain over beta={reference}": interval_column(full, "gain", sign="+"),
            "fresh seeds": full["fresh_seeds"].astype(str),
            "rate": interval_column(full, "rate"),
            "distortion": interval_column(full, "distortion"),
            "active units": interval_column(full, "active", 1),
            "collapsed at beta": full["collapsed"],
        }
    )
    notes = [
        "All columns but the last are of the beta with the highest mean ELBO on test, scored at beta = 1. (edge): it "
        "is the lowest or the highest beta.",
        selection.selection_note(max(map(len, found.values())), "betas", seeds),
        f"Rate: KL, distortion: -log-lik., nats per image. Gain: difference to beta={reference} at the same seed; ± is "
        "the half-width of the 95 % t-interval over seeds.",
        f"Collapsed: a run without an active unit and with a rate below {COLLAPSED_RATE:g} nats; the number of such "
        "runs is given where not all of a cell are.",
    ]
    return Table(full, shown, notes)


def _row(key: Key, cells: dict[float, pd.DataFrame], study: Study, seeds: list[int]) -> dict[str, Any]:
    """Return the row of one arm and D.

    Args:
        key: the arm and D.
        cells: the runs of each beta.
        seeds: the seeds that choose the best beta.
    """
    arm, D = key
    choosing = selection.with_seeds(cells, seeds)
    means = {beta: float(cell[ELBO].mean()) for beta, cell in (choosing or cells).items()}
    best = max(means, key=lambda beta: means[beta])
    point = front_point(best, cells[best])
    elbos = {beta: cell.set_index("seed")[ELBO] for beta, cell in cells.items()}
    reference = study.baseline["beta"]
    gain, half, fresh = math.nan, math.nan, 0
    if reference in elbos and reference != best:
        each = (elbos[best] - elbos[reference]).dropna()
        chosen = each.index.isin(seeds)
        gain, half, fresh = selection.confirmed_gain(each[chosen], each[~chosen])
    numbers = {"elbo": (means[best], math.nan), "gain": (gain, half), "rate": point.rate,
               "distortion": point.distortion, "active": point.active}  # fmt: skip
    row: dict[str, Any] = {"arm": arm_label(arm, study), "latent_dim": D, "best_beta": best,
                           "on_edge": len(cells) > 1 and best in (min(cells), max(cells))}  # fmt: skip
    for name, (mean, half) in numbers.items():
        row |= {name: mean, f"{name}_ci95": half}
    return row | {"fresh_seeds": fresh, "collapsed": _collapsed(cells)}


def _collapsed(cells: dict[float, pd.DataFrame]) -> str:
    """Return the betas of which some run is collapsed, as text; "none" if there is none."""
    texts = []
    for beta, cell in cells.items():
        if count := int(is_collapsed(cell).sum()):
            texts.append(level_text(beta) + (f" ({count} of {len(cell)})" if count < len(cell) else ""))
    return ", ".join(texts) or "none"
