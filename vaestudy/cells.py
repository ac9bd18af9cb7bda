"""Tidy runs by cell, and columns of means as text: what further tables and pictures are made of."""

from __future__ import annotations

from typing import Any

import pandas as pd

from vaestudy.design import Level, Study
from vaestudy.tables import rank


def along_factor(runs: pd.DataFrame, study: Study, factor: str) -> dict[Any, pd.DataFrame]:
    """Level of one factor -> its finished runs at the baseline's levels of all others, in order."""
    mine = runs[runs["status"] == "FINISHED"]
    for name, value in study.baseline.items():
        if name != factor:
            mine = mine[mine[name] == value]
    levels = sorted(mine[factor].unique(), key=lambda level: rank(level, factor, study))
    return {level: mine[mine[factor] == level] for level in levels}


def all_cells(runs: pd.DataFrame, study: Study) -> dict[tuple[Level, ...], pd.DataFrame]:
    """Levels of all factors -> the cell's finished runs, in order."""
    finished = runs[runs["status"] == "FINISHED"]
    groups: dict[Any, pd.DataFrame] = dict(list(finished.groupby(list(study.factors), sort=False)))
    ordered = sorted(groups, key=lambda key: [rank(v, n, study) for v, n in zip(key, study.factors, strict=True)])
    return {key: groups[key] for key in ordered}


def plain(value: float) -> str:
    """A bound as it is printed; nothing where there is none."""
    return f"{value:.2f}" if value == value else ""


def texts(full: pd.DataFrame, column: str, digits: int = 2, sign: str = "") -> list[str]:
    """A column of means with their half-widths as it is printed; nothing where there is no mean."""

    def text(mean: float, half: float) -> str:
        if mean != mean:
            return ""
        return f"{mean:{sign}.{digits}f} ± {half:.{digits}f}" if half == half else f"{mean:{sign}.{digits}f}"

    return [text(mean, half) for mean, half in zip(full[column], full[f"{column}_ci95"], strict=True)]
