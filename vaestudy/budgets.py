"""Cells at equal cost: what was recorded along the way, as curves of the bound on valid against what it cost.

A cost is one of COSTS: images seen, decoder passes (images times L) or training seconds. Seconds of runs that share a
machine are noisy, so a cell's are the medians over its seeds; images and decoder passes are exact. Between milestones
the bound is interpolated in the logarithm of the cost; before the first and after the last it is not known (nan).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

COSTS = {"images": "images seen", "passes": "decoder passes", "seconds": "training seconds"}


def milestones(runs: pd.DataFrame) -> list[int]:
    """The milestones that any of the runs has, in order."""
    names = [str(c).split("/")[1] for c in runs if str(c).startswith("along/") and str(c).endswith("/elbo")]
    return sorted(map(int, names))


def samples(runs: pd.DataFrame) -> Array:
    """L of each run, whether it is a factor or not."""
    found: Array = np.array([float(text) for text in runs["params.samples"]], dtype=np.float64)
    return found


def bounds(cell: pd.DataFrame) -> Array:
    """[seeds, milestones] the bound on valid of each run of a cell."""
    return np.array(cell[[f"along/{m}/elbo" for m in milestones(cell)]], dtype=np.float64)


def costs(cell: pd.DataFrame, kind: str) -> Array:
    """[milestones] what each milestone cost the cell."""
    images: Array = np.array([cell[f"along/{m}/images"].max() for m in milestones(cell)], dtype=np.float64)
    if kind == "images":
        return images
    if kind == "passes":
        return images * samples(cell)[0]
    seconds: Array = np.array([cell[f"along/{m}/seconds"].median() for m in milestones(cell)], dtype=np.float64)
    return seconds


def at(cell: pd.DataFrame, kind: str, cost: float) -> pd.Series[float]:
    """The bound on valid of each run of a cell at a cost, by seed; nan where the cell did not come that far."""
    x = costs(cell, kind)
    there = ~np.isnan(x)
    # A milestone below M is passed in the same step as the next: equal costs, equal bounds, one of them enough.
    x, first = np.unique(x[there], return_index=True)
    values = []
    for row in bounds(cell)[:, there][:, first]:
        known = bool(len(x)) and x[0] <= cost * (1 + 1e-9) and cost <= x[-1] * (1 + 1e-9)
        values.append(float(np.interp(np.log(cost), np.log(x), row)) if known else np.nan)
    return pd.Series(values, index=cell["seed"].to_numpy(), dtype=float)


def largest(cell: pd.DataFrame, kind: str) -> float:
    """What the cell's last milestone cost."""
    return float(np.nanmax(costs(cell, kind)))


def step_cost(cells: list[pd.DataFrame]) -> tuple[float, float]:
    """(seconds per image, seconds per draw of it) in seconds = a + b L per image, fitted to cells that differ in L.

    By least squares of relative errors, as a large L would else decide alone; a is not let below 0.
    """
    L = np.array([samples(cell)[0] for cell in cells])
    seconds = np.array([largest(cell, "seconds") / largest(cell, "images") for cell in cells])
    design = np.stack((1 / seconds, L / seconds), axis=1)
    a, b = np.linalg.lstsq(design, np.ones(len(cells)), rcond=None)[0]
    return max(float(a), 0.0), float(b)
