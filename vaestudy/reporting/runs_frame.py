"""Turn the tracker's runs of a sweep into tidy runs, the table from which all tables and figures of a study are made.

Tidy runs have one row per combination of levels and seed. This file also contains what all tables need: the
check that runs may share a table, the confidence interval of a mean, and the order of a factor's levels.
"""

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
    """Error for runs whose numbers must not share a column of a table."""


def tidy_runs(runs: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return one row per combination of levels and seed, sorted by them.

    Factors become columns with typed values, and metrics lose the prefix "metrics.". Where a cell was run more than
    once (for example a retry after a crash), the finished run is kept, or the newest if none has finished.

    Args:
        runs: the tracker's runs of one sweep, as `Tracker.runs` returns them.
        study: the study that declares the factors.
    """
    status_rank = {"FINISHED": 0, "FAILED": 1}
    runs = runs[runs["status"].isin(list(status_rank))].copy()
    runs["rank"] = runs["status"].map(status_rank)
    runs = runs.sort_values(["rank", "start_time"], ascending=[True, False]).drop_duplicates("tags.config.key")
    for name in (*study.factors, "seed"):
        runs[name] = [_parsed_level(text) for text in runs[f"params.{name}"]]
    metrics = {c: c.removeprefix("metrics.") for c in runs.columns if c.startswith("metrics.")}
    order = [*study.factors, "seed"]
    return runs.rename(columns=metrics).sort_values(order, kind="stable").reset_index(drop=True)


def _parsed_level(text: str) -> Any:
    """Return the level that the tracker stored as text: the value of its JSON, or the text itself if it is no JSON."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return tuple(value) if isinstance(value, list) else value


def require_comparable(runs: pd.DataFrame, metrics: Sequence[str]) -> None:
    """Raise unless the metrics of all finished runs measure the same quantities.

    Raises:
        Incomparable: the runs used different images or pixel protocols, or a metric in nats is compared between
            likelihoods of different families.
    """
    finished = runs[runs["status"] == "FINISHED"]
    same = {"tags.data.fingerprint": "data sets", "params.subset": "subsets", "params.pixels": "pixel protocols"}
    for column, what in same.items():
        if len(found := sorted(finished[column].unique())) > 1:
            raise Incomparable(f"one table cannot hold different {what}: {', '.join(found)}")
    families = sorted({LIKELIHOODS[name].family for name in finished["params.likelihood"].unique()})
    nats = [metric for metric in metrics if is_nats_of_pixels(metric)]
    if len(families) > 1 and nats:
        raise Incomparable(f"nats of {' and '.join(families)} likelihoods cannot share a column ({', '.join(nats)})")


def interval(values: pd.Series[float]) -> tuple[float, float]:
    """Return (mean, half-width of its 95 % interval) of the values, by Student's t.

    A value of nan is left out: the run lacks the metric. With fewer than two values the half-width is nan; with none
    the mean is nan, too.
    """
    values = values.dropna()
    n = len(values)
    if n < 2:
        return (float(values.mean()) if n else math.nan), math.nan
    return float(values.mean()), float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * values.std(ddof=1) / math.sqrt(n))


def runs_by_levels(runs: pd.DataFrame, names: Sequence[str]) -> dict[tuple[Any, ...], pd.DataFrame]:
    """Return combination of levels -> its runs, in the order in which the combinations occur.

    The level of an option that a likelihood does not have may be None. pandas reads it as nan, and would leave its runs
    out.
    """
    found: dict[tuple[Any, ...], pd.DataFrame] = {}
    for levels, group in runs.groupby(list(names), sort=False, dropna=False):
        key = levels if isinstance(levels, tuple) else (levels,)
        found[tuple(None if level != level else level for level in key)] = group
    return found


def level_rank(level: Any, factor: str, study: Study) -> tuple[float, str]:
    """Return the sort key of a level of a factor.

    Numbers are sorted by size, other levels in the order in which the study declares them.
    """
    if isinstance(level, int | float | np.number):
        return float(level), ""
    known = [*study.factors[factor], *study.full.get(factor, ())]
    return (known.index(level) if level in known else len(known)), str(level)
