"""Tidy runs by cell, and columns of means as text: what further tables and pictures are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from vaestudy.reporting.runs_frame import interval, level_rank
from vaestudy.study.declaration import Level, Study, level_text


def runs_by_level(runs: pd.DataFrame, study: Study, factor: str) -> dict[Any, pd.DataFrame]:
    """Level of one factor -> its finished runs at the baseline's levels of all others, in order."""
    mine = runs[runs["status"] == "FINISHED"]
    for name, value in study.baseline.items():
        if name != factor:
            mine = mine[mine[name] == value]
    levels = sorted(mine[factor].unique(), key=lambda level: level_rank(level, factor, study))
    return {level: mine[mine[factor] == level] for level in levels}


def runs_by_cell(
    runs: pd.DataFrame, study: Study, names: Sequence[str] | None = None
) -> dict[tuple[Level, ...], pd.DataFrame]:
    """Levels of all factors, or of some by name -> their finished runs, in order."""
    names = list(study.factors if names is None else names)
    finished = runs[runs["status"] == "FINISHED"]
    groups: dict[Any, pd.DataFrame] = dict(list(finished.groupby(names, sort=False)))
    ordered = sorted(groups, key=lambda key: [level_rank(v, n, study) for v, n in zip(key, names, strict=True)])
    return {key: groups[key] for key in ordered}


def runs_by_cell_name(runs: pd.DataFrame, study: Study, names: Sequence[str] | None = None) -> dict[str, pd.DataFrame]:
    """«latent_dim=2, sigma=raw» -> the runs of `all_cells`."""
    names = list(study.factors if names is None else names)
    cells = runs_by_cell(runs, study, names)
    return {
        ", ".join(f"{n}={level_text(v)}" for n, v in zip(names, levels, strict=True)): c for levels, c in cells.items()
    }


def metric_interval(cell: pd.DataFrame, column: str) -> tuple[float, float]:
    """(mean, half-width of its 95 % interval) of a metric over a cell's runs; nan where none has it."""
    return interval(cell[column].dropna() if column in cell else pd.Series(dtype=float))
