"""Cells at equal cost: what was recorded along the way, as curves of the bound on valid against what it cost.

A cost is one of COSTS: images seen, decoder passes (images times L) or training seconds. Seconds of runs that share a
machine are noisy, so a cell's are the medians over its seeds; images and decoder passes are exact. Between milestones
the bound is interpolated in the logarithm of the cost. A cell is in the Pareto set if it has the best bound of all for
at most some cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

COSTS = {"images": "images seen", "passes": "decoder passes", "seconds": "training seconds"}


@dataclass(frozen=True)
class CostCurve:
    """A cell's bound against one cost."""

    cost: Array
    """[K], rising."""
    bounds: Array
    """[seeds, K] of each run, on valid."""
    seeds: list[int]

    @property
    def end(self) -> float:
        return float(self.cost[-1])

    @property
    def mean(self) -> Array:
        """[K] over seeds."""
        mean: Array = self.bounds.mean(0)
        return mean

    def at(self, cost: float) -> pd.Series[float]:
        """The bound of each run at a cost, by seed; nan where the cell has no milestone yet, or had ended."""
        known = self.cost[0] <= cost * (1 + 1e-9) and cost <= self.end * (1 + 1e-9)
        where, x = math.log(cost), np.log(self.cost)
        values = [float(np.interp(where, x, row)) if known else math.nan for row in self.bounds]
        return pd.Series(values, index=self.seeds, dtype=float)

    def at_most(self, cost: float) -> pd.Series[float]:
        """The same for at most that cost: a cell that had ended by then keeps its last bound."""
        return self.at(min(cost, self.end))


def has_milestones(runs: pd.DataFrame) -> bool:
    """Whether anything was recorded along the way."""
    return bool(_milestones(runs))


def cost_curve(cell: pd.DataFrame, kind: str) -> CostCurve:
    """The bound of a cell's runs against a cost, one of COSTS, at the milestones that all of them came to."""
    names = [f"along/{m}" for m in _milestones(cell)]
    reached = [name for name in names if cell[f"{name}/elbo"].notna().all()]
    cost: Array = np.array([cell[f"{name}/images"].iloc[0] for name in reached], dtype=np.float64)
    if kind == "passes":
        cost = cost * float(cell["params.samples"].iloc[0])
    elif kind == "seconds":
        cost = np.array([cell[f"{name}/seconds"].median() for name in reached], dtype=np.float64)
    bounds: Array = np.array(cell[[f"{name}/elbo" for name in reached]], dtype=np.float64)
    # A milestone below M is passed in the same step as the next: one of them is enough.
    cost, first = np.unique(cost, return_index=True)
    return CostCurve(cost, bounds[:, first], cell["seed"].tolist())


def step_cost(cells: list[pd.DataFrame]) -> tuple[float, float]:
    """(seconds per image, seconds per draw of it) in seconds = a + b L per image, fitted to cells that differ in L.

    By least squares of relative errors, as a large L would else decide alone; a is not let below 0.
    """
    L = np.array([float(cell["params.samples"].iloc[0]) for cell in cells])
    seconds = np.array([cost_curve(cell, "seconds").end / cost_curve(cell, "images").end for cell in cells])
    design = np.stack((1 / seconds, L / seconds), axis=1)
    a, b = np.linalg.lstsq(design, np.ones(len(cells)), rcond=None)[0]
    return max(float(a), 0.0), float(b)


def _milestones(runs: pd.DataFrame) -> list[int]:
    """Those that any of the runs has, in order."""
    names = [str(c).split("/")[1] for c in runs if str(c).startswith("along/") and str(c).endswith("/elbo")]
    return sorted(map(int, names))
