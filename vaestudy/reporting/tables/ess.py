"""The effective number of draws (ESS) of each importance-weighted score of a table, and the note where it is small.

A score from K draws of q(z|x) is a tight bound on log p(x) only if many of the draws have a part in it. If few do, the
score tells more about q than about p(x).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from vaestudy.config.registry import LIKELIHOODS
from vaestudy.reporting.runs_frame import runs_by_levels
from vaestudy.reporting.tables.formats import label
from vaestudy.study.declaration import Study, level_text

SMALL = 10
"""A note is printed if the effective number of draws is below this, or below K / 2 if that is less."""
SUFFIX = "_ess"
"""The end of the columns of a summary that `numbers` adds, after the name of the metric."""
IMPLIED, MATCHED = "continuous_bernoulli_", "mean_matched_"


def numbers(done: pd.DataFrame, metrics: Sequence[str], study: Study) -> dict[str, float]:
    """Return the mean ESS of each importance-weighted metric over the finished runs of one row.

    Args:
        done: the tidy runs of the row that have finished.
        metrics: the metrics of the table.
        study: the study; its configuration says which K is the largest, if the runs do not.

    Returns:
        <metric>_ess -> the mean, nan if no run of the row has it (as runs of earlier versions for a Bernoulli's bits
        per pixel). A metric that is not importance-weighted has no entry.
    """
    found = {}
    for metric in metrics:
        if (column := _column(metric, done, study)) is not None:
            found[f"{metric}{SUFFIX}"] = float(done[column].mean()) if column in done else float("nan")
    return found


def _column(metric: str, done: pd.DataFrame, study: Study) -> str | None:
    """Return the name of the ESS of the weights from which a metric is computed; None if there are no such weights.

    With K = 1 there is one draw, so there is nothing to tell.
    """
    name = metric.removeprefix("test/")
    if bound := re.fullmatch(rf"({IMPLIED})?iwae_(\d+)", name):
        return None if bound[2] == "1" else f"test/{bound[1] or ''}ess_{bound[2]}"
    if name not in ("bits_per_dim", f"{MATCHED}bits_per_dim"):
        return None
    first = done.iloc[0] if len(done) else pd.Series(dtype=object)
    ks = json.loads(first["params.iwae"]) if "params.iwae" in first else study.base.iwae
    if name != "bits_per_dim":
        return f"test/{MATCHED}ess_{max(ks)}"
    family = LIKELIHOODS[str(first.get("params.likelihood", study.base.likelihood))].family
    return f"test/{IMPLIED if family == 'bernoulli' else ''}ess_{max(ks)}"


def heading(metric: str) -> str:
    """Return the heading of a metric's ESS, such as "ESS 100" beside "IWAE 100"."""
    shown = label(metric)
    return shown.replace("IWAE", "ESS") if shown.startswith("IWAE") else f"ESS of {shown}"


def texts(values: Iterable[float]) -> list[str]:
    """Return a column of effective numbers as text; the text is empty where there is none."""
    return [f"{value:.1f}" if value == value else "" for value in values]


def notes(finished: pd.DataFrame, study: Study) -> list[str]:
    """Return the lines that explain the columns of effective numbers, and name the rows in which one is below SMALL.

    Args:
        finished: the tidy runs that have finished.
        study: the study that declares the table.
    """
    metrics = [metric for metric in study.tabulate if metric in finished]
    groups = runs_by_levels(finished, list(study.factors))
    rows = {levels: numbers(done, metrics, study) for levels, done in groups.items()}
    lines: list[str] = []
    some = next(iter(groups.values()), finished)
    for metric in metrics:
        known = {levels: row[f"{metric}{SUFFIX}"] for levels, row in rows.items() if f"{metric}{SUFFIX}" in row}
        known = {levels: value for levels, value in known.items() if value == value}
        if known and not lines:
            lines.append(
                "ESS: effective number of draws of the score before it, from 1 to K, mean over images and seeds."
            )
        if (column := _column(metric, some, study)) is None:
            continue
        limit = smallest(int(column.rpartition("_")[2]))
        low = [cell_text(levels, study) for levels, value in known.items() if value < limit]
        if line := low_line(heading(metric), label(metric), low, len(rows), limit):
            lines.append(f"{line} `vaestudy evaluate RUN --ais` measures how loose it is.")
    return lines


def smallest(K: int) -> float:
    """Return the number of effective draws of K below which a score says little about p(x)."""
    return min(SMALL, K / 2)


def low_line(heading: str, score: str, low: Sequence[str], count: int, limit: float) -> str | None:
    """Return the note that names the rows in which a score has a small ESS; None if there is no such row.

    Args:
        heading: the heading of the column of effective numbers.
        score: the heading of the score.
        low: the names of these rows.
        count: the number of all rows.
        limit: the number of effective draws below which a row is named.
    """
    if not low:
        return None
    named = f"{len(low)} of {count} rows ({'; '.join(low[:3])}{'; ...' if len(low) > 3 else ''})"
    where = "all rows" if len(low) == count else named
    return f"{heading} is below {limit:g} in {where}: there {score} says more about q(z|x) than about p(x)."


def cell_text(levels: Sequence[Any], study: Study) -> str:
    """Return the levels of a row as text, e.g. "latent_dim=2, sigma=raw"."""
    return ", ".join(f"{name}={level_text(level)}" for name, level in zip(study.factors, levels, strict=True))
