"""Group tidy runs by levels, for the tables and figures of a study.

A cell here is one combination of levels with the runs of all its seeds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from vaestudy.reporting.runs_frame import interval, level_rank, runs_by_levels
from vaestudy.study.declaration import Level, Study


def runs_by_level(runs: pd.DataFrame, study: Study, factor: str) -> dict[Any, pd.DataFrame]:
    """Return the finished runs at each level of one factor, with all other factors at the baseline's level.

    The levels are in the order of `level_rank`. There are none if the study has no such factor.
    """
    if factor not in study.factors:
        return {}
    mine = at_baseline(runs[runs["status"] == "FINISHED"], study, {factor})
    levels = sorted(mine[factor].unique(), key=lambda level: level_rank(level, factor, study))
    return {level: mine[mine[factor] == level] for level in levels}


def at_baseline(runs: pd.DataFrame, study: Study, free: Collection[str]) -> pd.DataFrame:
    """Return the runs whose factors, but for those in `free`, have the baseline's levels."""
    for name, value in study.baseline.items():
        if name not in free:
            runs = runs[runs[name] == value]
    return runs


def runs_by_cell(
    runs: pd.DataFrame, study: Study, names: Sequence[str] | None = None
) -> dict[tuple[Level, ...], pd.DataFrame]:
    """Return the finished runs of each combination of levels, in the order of `level_rank`.

    Args:
        runs: tidy runs.
        study: the study that declares the factors.
        names: the factors to group by; all factors of the study by default.
    """
    names = list(study.factors if names is None else names)
    finished = runs[runs["status"] == "FINISHED"]
    groups = runs_by_levels(finished, names)
    ordered = sorted(groups, key=lambda key: [level_rank(v, n, study) for v, n in zip(key, names, strict=True)])
    return {key: groups[key] for key in ordered}


def metric_interval(cell: pd.DataFrame, column: str) -> tuple[float, float]:
    """Return (mean, half-width of its 95 % interval) of a metric over the runs; nan where no run has it."""
    return interval(cell[column].dropna() if column in cell else pd.Series(dtype=float))
