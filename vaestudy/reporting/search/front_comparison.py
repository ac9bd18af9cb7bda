"""The front of rate and distortion that a search found, beside the grid's: points, hypervolumes, and intervals.

Both are compared by the validation images: no trial is scored on test. rate = valid/kl, distortion =
-valid/log_likelihood, nats per image, both minimised. The grid's part is its cells that are like the trials in all that
is not searched.

**Equal numbers of trainings.** A front of more points has a larger hypervolume, and of many points with noise the best
are also the luckiest. So each seed of the grid alone, with one training a cell, is compared with as many of the
search's first trainings.

**Intervals**, all of 95 %, over the seeds of trainings:

* each seed of the grid alone: Student's t of the hypervolumes of the seeds;
* the mean points of all seeds: the jackknife, which leaves out one seed at a time from all cells;
* the search: the bootstrap of residuals. Each trial moves by the residual of a random seed of the nearest cell of the
  grid, times sqrt(S / (S - 1)) for S seeds. The interval is 1.96 standard deviations of the hypervolume. It does not
  contain the spread over repeated searches, as there is only one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from optuna.trial import TrialState

from vaestudy.config.compatibility import has_option
from vaestudy.reporting.grouping import runs_by_cell
from vaestudy.reporting.runs_frame import interval
from vaestudy.reporting.search.hypervolume import Array, hypervolume, pareto_front
from vaestudy.reporting.search.outcomes import outcome_of
from vaestudy.reporting.search.searched import Searched
from vaestudy.study.search_space import Choices

RATE, LOG_LIKELIHOOD = "valid/kl", "valid/log_likelihood"
TRAINED = ("complete", "pruned", "diverged")
"""Outcomes of trials that cost a training."""
DRAWS = 400
"""Number of draws of the bootstrap."""
NORMAL = 1.96

Pair = tuple[float, float]
"""A value and the half-width of its 95 % interval, nan if it is not known."""


@dataclass(frozen=True)
class FrontComparison:
    """The points of the grid and those of the search."""

    grid: Array
    """[seeds, cells, 2]: rate and distortion of each run, of the seeds that have all cells."""
    trials: Array
    """[trials, 2]: the mean over the trial's seeds; nan where a trial has no value. In the order of the trials."""
    nearest: list[int]
    """For each trial the number of the grid's cell with the nearest levels, on the scales of the space."""
    cells: list[dict[str, float]]
    """The searched levels of each cell."""
    seeds_per_trial: int
    fixed: dict[str, str] = field(default_factory=dict)
    """The levels that all of these cells and trials share, as text."""

    @property
    def mean(self) -> Array:
        """Return the mean of each cell over seeds, [cells, 2]."""
        found: Array = self.grid.mean(axis=0)
        return found

    @property
    def per_seed(self) -> int:
        """Return the number of runs that the grid has for one seed."""
        return int(self.grid.shape[1])

    @property
    def equal_trials(self) -> int | None:
        """Return the number of trials that cost as many trainings as one seed of the grid; None if there are fewer."""
        count = self.per_seed // self.seeds_per_trial
        return count if 0 < count <= len(self.trials) else None

    def first(self, count: int) -> Array:
        """Return the points of the first trials that have a value, [n, 2]."""
        points = self.trials[:count]
        found: Array = points[~np.isnan(points).any(axis=1)]
        return found

    @cached_property
    def reference(self) -> Array:
        """Return the worst rate and the worst distortion on the fronts of the search and of each seed of the grid."""
        fronts = [pareto_front(points) for points in (*self.grid, self.mean, self.first(len(self.trials)))]
        found: Array = np.concatenate(fronts).max(axis=0)
        return found

    @cached_property
    def lowest_rate(self) -> float:
        """Return the lowest rate of all points."""
        return float(min(self.grid[..., 0].min(), self.first(len(self.trials))[:, 0].min()))

    @property
    def width(self) -> float:
        """Return the range of rates, nats: a hypervolume divided by it is a mean over this range of distortions."""
        return float(self.reference[0]) - self.lowest_rate

    def grid_one_seed(self) -> Pair:
        """Return the mean hypervolume of the grid with one seed."""
        return interval(pd.Series([hypervolume(points, self.reference) for points in self.grid]))

    def grid_mean(self) -> Pair:
        """Return the hypervolume of the mean points of the grid, with the jackknife's interval over seeds."""
        whole, seeds = hypervolume(self.mean, self.reference), len(self.grid)
        if seeds < 2:
            return whole, math.nan
        left = [hypervolume(np.delete(self.grid, seed, axis=0).mean(axis=0), self.reference) for seed in range(seeds)]
        return whole, interval(pd.Series([seeds * whole - (seeds - 1) * value for value in left]))[1]

    def search(self, count: int) -> Pair:
        """Return the hypervolume of the search's first trials, with the half-width of its interval (bootstrap)."""
        value, seeds = hypervolume(self.first(count), self.reference), len(self.grid)
        if seeds < 2:
            return value, math.nan
        scale = math.sqrt(seeds / (seeds - 1) / self.seeds_per_trial)
        residuals = (self.grid - self.mean)[:, self.nearest[:count]] * scale  # [seeds, trials, 2]
        known = ~np.isnan(self.trials[:count]).any(axis=1)
        rng, drawn = np.random.default_rng(0), []
        for _ in range(DRAWS):
            chosen = residuals[rng.integers(seeds, size=count), np.arange(count)]
            drawn.append(hypervolume((self.trials[:count] + chosen)[known], self.reference))
        return value, NORMAL * float(np.std(drawn, ddof=1))

    def gap(self, search: Pair, grid: Pair) -> Pair:
        """Return how much lower the distortion of the search is than that of the grid, as a mean over rates, in nats.

        The mean is over the rates from `lowest_rate` to that of `reference`. Both intervals are added as independent.
        It is nan if all points have the same rate.
        """
        if self.width <= 0:
            return math.nan, math.nan
        return (search[0] - grid[0]) / self.width, math.hypot(search[1], grid[1]) / self.width


def compare_fronts(searched: Searched, runs: pd.DataFrame) -> FrontComparison | None:
    """Return the comparison of a search with the grid of the same study.

    Return None if the search has other objectives, searches something that is no factor, or one of both has no points.

    Args:
        searched: the search.
        runs: the tidy runs of the grid.
    """
    search, study = searched.search, searched.study.factors
    trials = [] if "" not in searched.studies else searched.studies[""].get_trials(deepcopy=False)
    trials = [trial for trial in trials if outcome_of(trial) in TRAINED]
    if (
        set(search.objectives) != {RATE, LOG_LIKELIHOOD}
        or not {*search.space} <= {*study}
        or any(isinstance(dimension, Choices) for dimension in search.space.values())
        or not any(trial.state is TrialState.COMPLETE for trial in trials)
        or not {RATE, LOG_LIKELIHOOD} <= {*runs}
    ):
        return None
    likelihood = str(searched.base["likelihood"])
    fixed = {n: searched.base[n] for n in study if n not in search.space and has_option(likelihood, n)}
    alike = runs.dropna(subset=[RATE, LOG_LIKELIHOOD])
    for name, level in fixed.items():
        alike = alike[alike[name] == level]
    if not (alike["status"] == "FINISHED").any():
        return None
    cells, grid = _grid(searched, alike)
    if not cells:
        return None
    rate, log_likelihood = search.objectives.index(RATE), search.objectives.index(LOG_LIKELIHOOD)
    points = [
        (t.values[rate], -t.values[log_likelihood]) if t.state is TrialState.COMPLETE else (math.nan, math.nan)
        for t in trials
    ]
    nearest = [_nearest(searched, trial.params, cells) for trial in trials]
    shown = {name: str(level) for name, level in fixed.items()}
    return FrontComparison(grid, np.array(points), nearest, cells, search.seeds, shown)


def _grid(searched: Searched, runs: pd.DataFrame) -> tuple[list[dict[str, float]], Array]:
    """Return the searched levels of each cell, and rate and distortion of the seeds that have all cells.

    A cell that few seeds have, as its other runs diverged or are not made yet, does not cost the others their seeds:
    the seeds are those with the most cells, and the cells are those that all of these seeds have. There may be none.
    """
    names = list(searched.search.space)
    by_cell = {levels: c.set_index("seed") for levels, c in runs_by_cell(runs, searched.study, names).items()}
    counts = pd.Series([seed for cell in by_cell.values() for seed in cell.index]).value_counts()
    seeds = sorted(counts[counts == counts.max()].index)
    full = {levels: cell.loc[seeds] for levels, cell in by_cell.items() if set(seeds) <= set(cell.index)}
    if not full:
        return [], np.empty((len(seeds), 0, 2))
    values = [np.stack([cell[RATE], -cell[LOG_LIKELIHOOD]], axis=-1) for cell in full.values()]
    cells = [dict(zip(names, map(float, levels), strict=True)) for levels in full]  # type: ignore[arg-type]
    return cells, np.stack(values, axis=1).astype(np.float64)


def _nearest(searched: Searched, params: dict[str, float], cells: list[dict[str, float]]) -> int:
    """Return the number of the cell whose levels are nearest to a trial's, each as a part of its range in the space."""

    def distance(cell: dict[str, float]) -> float:
        total = 0.0
        for name, dimension in searched.search.space.items():
            assert not isinstance(dimension, Choices)  # `compare_fronts` has left these out
            ends = [float(dimension.low), float(dimension.high), float(params[name]), cell[name]]
            low, high, mine, other = map(math.log, ends) if dimension.log else ends
            total += ((mine - other) / (high - low)) ** 2
        return total

    return min(range(len(cells)), key=lambda number: distance(cells[number]))
