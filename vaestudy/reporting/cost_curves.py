"""Curves of the bound on valid against its cost, to compare combinations of levels at equal cost.

The points of a curve are the milestones. A cell here is one combination of levels with the runs of all its seeds.

A cost is one of COSTS: images seen, decoder passes (images times L) or training seconds. Seconds are noisy where runs
share a machine, so the seconds of a cell are medians over its seeds. Images and decoder passes are exact. Between two
milestones the bound is interpolated linearly in the logarithm of the cost. A cell is in the Pareto set if, for some
cost, it has the best bound of all cells at no more than that cost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
Key = TypeVar("Key")

COSTS = {"images": "images seen", "passes": "decoder passes", "seconds": "training seconds"}


@dataclass(frozen=True)
class CostCurve:
    """The bound of one cell against one kind of cost."""

    cost: Array
    """[K], the cost at each milestone, in rising order."""
    bounds: Array
    """[seeds, K], the bound of each run on valid, nats per image."""
    seeds: list[int]

    @property
    def end(self) -> float:
        """Return the cost at the last milestone."""
        return float(self.cost[-1])

    @property
    def mean(self) -> Array:
        """Return the mean bound over seeds, [K]."""
        mean: Array = self.bounds.mean(0)
        return mean

    def at(self, cost: float) -> pd.Series[float]:
        """Return the bound of each run at a cost, by seed; nan before the first milestone and after the last."""
        known = self.cost[0] <= cost * (1 + 1e-9) and cost <= self.end * (1 + 1e-9)
        log_cost, x = math.log(cost), np.log(self.cost)
        values = [float(np.interp(log_cost, x, row)) if known else math.nan for row in self.bounds]
        return pd.Series(values, index=self.seeds, dtype=float)

    def at_most(self, cost: float) -> pd.Series[float]:
        """Return the bound of each run at no more than a cost: after the last milestone it keeps its last value."""
        return self.at(min(cost, self.end))


def cost_curve(cell: pd.DataFrame, kind: str) -> CostCurve:
    """Return the bound of a cell's runs against a cost, at the milestones that all of its runs reached.

    Args:
        cell: the tidy runs of one cell.
        kind: the kind of cost, a key of COSTS.
    """
    names = [f"along/{m}" for m in _milestones(cell)]
    reached = [name for name in names if cell[f"{name}/elbo"].notna().all()]
    cost: Array = np.array([cell[f"{name}/images"].iloc[0] for name in reached], dtype=np.float64)
    if kind == "passes":
        cost = cost * float(cell["params.samples"].iloc[0])
    elif kind == "seconds":
        cost = np.array([cell[f"{name}/seconds"].median() for name in reached], dtype=np.float64)
    bounds: Array = np.array(cell[[f"{name}/elbo" for name in reached]], dtype=np.float64)
    # Milestones closer together than M images fall into one step and have the same cost: keep one of them.
    cost, first = np.unique(cost, return_index=True)
    return CostCurve(cost, bounds[:, first], cell["seed"].tolist())


def cost_curves(cells: Mapping[Key, pd.DataFrame], kind: str) -> dict[Key, CostCurve]:
    """Return the curve of each cell whose runs have a milestone in common; other cells are left out."""
    curves = {key: cost_curve(cell, kind) for key, cell in cells.items()}
    return {key: curve for key, curve in curves.items() if len(curve.cost)}


def step_cost(cells: list[pd.DataFrame]) -> tuple[float, float]:
    """Fit the seconds per image as a + b L to cells that differ in L; return (a, b).

    a is the cost of an image without its draws, b the cost of each draw. The fit is by least squares of the relative
    errors: with absolute errors the cells with a large L would decide alone. A negative a is set to 0.
    """
    L = np.array([float(cell["params.samples"].iloc[0]) for cell in cells])
    seconds = np.array([cost_curve(cell, "seconds").end / cost_curve(cell, "images").end for cell in cells])
    design = np.stack((1 / seconds, L / seconds), axis=1)
    a, b = np.linalg.lstsq(design, np.ones(len(cells)), rcond=None)[0]
    return max(float(a), 0.0), float(b)


def _milestones(runs: pd.DataFrame) -> list[int]:
    """Return the milestones that any of the runs recorded, in rising order."""
    names = [str(c).split("/")[1] for c in runs if str(c).startswith("along/") and str(c).endswith("/elbo")]
    return sorted(map(int, names))
