"""The points of a front of rate and distortion: one for each combination of levels, with intervals over seeds.

rate = KL(q(z|x) || p(z)), distortion = -E_q[log p(x|z)], both in nats per image on test, so rate + distortion = -ELBO
(Alemi et al. 2018). A run is collapsed if z says nothing about x: no unit is active, and the rate is near 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from vaestudy.config.compatibility import has_option
from vaestudy.reporting.grouping import metric_interval, runs_by_cell
from vaestudy.study.declaration import Study, level_text

RATE, LOG_LIKELIHOOD, ELBO, ACTIVE = "test/kl", "test/log_likelihood", "test/elbo", "test/active_units"
COLLAPSED_RATE = 0.1
"""Nats per image. A run with no active unit counts as collapsed below this rate."""

Pair = tuple[float, float]
"""A mean over seeds and the half-width of its 95 % interval, nan with one seed."""
Key = tuple[tuple[Any, ...], int]
"""The key of a curve: the levels of its arm, and its D."""


@dataclass(frozen=True)
class FrontPoint:
    """One point of a front: a combination of levels, or a configuration that was found in another way."""

    beta: float
    rate: Pair
    """Nats per image."""
    distortion: Pair
    """Nats per image."""
    active: Pair
    """Active units."""
    runs: int
    """Number of finished runs (seeds)."""
    collapsed: int
    """Number of them that are collapsed."""

    @property
    def elbo(self) -> float:
        """Return the mean ELBO, nats per image."""
        return -(self.rate[0] + self.distortion[0])


def is_collapsed(runs: pd.DataFrame) -> pd.Series[bool]:
    """Return for each run whether it is collapsed: no active unit, and a rate below `COLLAPSED_RATE`."""
    mask: pd.Series[bool] = (runs[ACTIVE] == 0) & (runs[RATE] < COLLAPSED_RATE)
    return mask


def front_point(beta: float, runs: pd.DataFrame) -> FrontPoint:
    """Return the point of the finished runs of one cell."""
    mean, half = metric_interval(runs, LOG_LIKELIHOOD)
    return FrontPoint(
        beta,
        rate=metric_interval(runs, RATE),
        distortion=(-mean, half),
        active=metric_interval(runs, ACTIVE),
        runs=len(runs),
        collapsed=int(is_collapsed(runs).sum()),
    )


def arm_names(study: Study) -> list[str]:
    """Return the factors other than beta and D. An arm, with a panel of its own, is a combination of their levels."""
    return [name for name in study.factors if name not in ("beta", "latent_dim")]


def runs_by_front(runs: pd.DataFrame, study: Study) -> dict[Key, dict[float, pd.DataFrame]]:
    """Return (levels of the arm, D) -> beta -> the runs that have the three metrics, each in rising order.

    There are none if the study has no factor `beta`, or no finished run has the metrics.
    """
    metrics = [RATE, LOG_LIKELIHOOD, ACTIVE]
    if "beta" not in study.factors or not set(metrics) <= set(runs):
        return {}
    known, names = runs.dropna(subset=metrics), arm_names(study)
    found: dict[Key, dict[float, pd.DataFrame]] = {}
    order = [*names, *(name for name in ("latent_dim", "beta") if name in study.factors)]
    for levels, cell in runs_by_cell(known, study, order).items():
        row = dict(zip(order, levels, strict=True))
        D = int(row.get("latent_dim", study.base.latent_dim))  # type: ignore[arg-type]
        key = tuple(row[name] for name in names), D
        found.setdefault(key, {})[float(row["beta"])] = cell  # type: ignore[arg-type]
    return found


def fronts(runs: pd.DataFrame, study: Study) -> dict[str, dict[int, list[FrontPoint]]]:
    """Return label of the arm -> D -> the points in rising order of beta."""
    found: dict[str, dict[int, list[FrontPoint]]] = {}
    for (arm, D), cells in runs_by_front(runs, study).items():
        points = [front_point(beta, cell) for beta, cell in cells.items()]
        found.setdefault(arm_label(arm, study), {})[D] = points
    return found


def arm_label(arm: tuple[Any, ...], study: Study) -> str:
    """Return the levels of an arm as text, without the options that its likelihood does not have."""
    levels = dict(zip(arm_names(study), arm, strict=True))
    likelihood = str(levels.get("likelihood", study.base.likelihood))
    shown = {name: level for name, level in levels.items() if has_option(likelihood, name) and name != "likelihood"}
    short = {"likelihood_sigma": "σ="}
    return ", ".join([likelihood, *(f"{short.get(name, '')}{level_text(level)}" for name, level in shown.items())])
