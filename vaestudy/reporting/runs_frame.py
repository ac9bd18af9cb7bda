"""TODO"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from vaestudy.config.registry import LIKELIHOODS
from vaestudy.study.declaration import Study, is_nats_of_pixels

CONFIDENCE = 0.95


class Incomparable(ValueError):
    """Runs whose numbers may not stand in one column."""


def tidy_runs(runs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """One row per cell and seed, factors as typed columns, metrics under their own names.

    Where a cell was run more than once (a crash, then a retry) its finished run counts, else its newest.
    """
    level_rank = {"FINISHED": 0, "FAILED": 1}
    runs = runs[runs["status"].isin(list(level_rank))].copy()
    runs["rank"] = runs["status"].map(level_rank)
    runs = runs.sort_values(["rank", "start_time"], ascending=[True, False]).drop_duplicates("tags.config.key")
    for name in (*study.factors, "seed"):
        runs[name] = [_parsed_level(text) for text in runs[f"params.{name}"]]
    metrics = {c: c.removeprefix("metrics.") for c in runs.columns if c.startswith("metrics.")}
    order = [*study.factors, "seed"]
    return runs.rename(columns=metrics).sort_values(order, kind="stable").reset_index(drop=True)


def _parsed_level(text: str) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return tuple(value) if isinstance(value, list) else value


def require_comparable(runs: pd.DataFrame, metrics: Sequence[str]) -> None:
    """Refuse runs whose metrics measure different things.

    Raises:
        Incomparable: they saw different images or pixel protocols, or nats of different kinds of likelihood meet.
    """
    finished = runs[runs["status"] == "FINISHED"]
    same = {"tags.data.fingerprint": "data sets", "params.subset": "subsets", "params.pixels": "pixel protocols"}
    for column, words in same.items():
        if len(found := sorted(finished[column].unique())) > 1:
            raise Incomparable(f"one table cannot hold different {words}: {', '.join(found)}")
    families = sorted({LIKELIHOODS[name].family for name in finished["params.likelihood"].unique()})
    nats = [metric for metric in metrics if is_nats_of_pixels(metric)]
    if len(families) > 1 and nats:
        raise Incomparable(f"nats of {' and '.join(families)} likelihoods cannot share a column ({', '.join(nats)})")


def interval(values: pd.Series[float]) -> tuple[float, float]:
    """(mean, half-width of its 95 % interval over the values); the half-width of fewer than two is nan."""
    n = len(values)
    if n < 2:
        return (float(values.mean()) if n else math.nan), math.nan
    return float(values.mean()), float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * values.std(ddof=1) / math.sqrt(n))


def level_rank(level: Any, factor: str, study: Study) -> tuple[float, str]:
    """Where a level stands among a factor's: numbers by their size, others in the order of the declaration."""
    if isinstance(level, int | float | np.number):
        return float(level), ""
    known = [*study.factors[factor], *study.full.get(factor, ())]
    return (known.index(level) if level in known else len(known)), str(level)
