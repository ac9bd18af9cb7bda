"""The column of a table with the difference over seeds and test images, made of the scores of each image.

The mean is that of the column Δ, as far as all its runs have such scores. The interval is another one: Δ is over seeds
on just these test images, and this column is over seeds and images (`reporting/mixed_difference.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from vaestudy.reporting.image_scores import RecordedScores, image_differences, is_by_image
from vaestudy.reporting.mixed_difference import BOTH, IMAGES, SEEDS, mixed_difference
from vaestudy.reporting.runs_frame import Incomparable
from vaestudy.reporting.tables.ess import cell_text
from vaestudy.reporting.tables.formats import format_of, interval_texts, label
from vaestudy.study.declaration import Study

SUFFIX = "_mixed"
"""The end of the column of differences, after the name of the metric; the other columns begin with both."""
REFUSED = "_mixed_refused"
"""The end of the column that says why images could not be paired."""
SHOWN_ROWS = 3


def numbers(row: pd.DataFrame, other: pd.DataFrame, metric: str, scores: RecordedScores) -> dict[str, Any]:
    """Return the numbers of a row: the difference, its interval, what this varies over, and the parts of the variance.

    Args:
        row: the tidy runs of the row that have finished.
        other: those of the cell that is subtracted. Only seeds are used that both have.
        metric: the metric.
        scores: the scores of the runs for each image.

    Returns:
        <metric>_mixed, <metric>_mixed_ci95 and further columns; empty if the metric is not recorded for each image, or
        no seed has such scores of both.
    """
    if not is_by_image(metric):
        return {}
    ids, others = (
        {int(seed): run_id for seed, run_id in zip(cell["seed"], cell["run_id"], strict=True)} for cell in (row, other)
    )
    common = [(ids[seed], others[seed]) for seed in sorted(set(ids) & set(others))]
    pairs = [pair for pair in common if all(scores.has(run_id, metric) for run_id in pair)]
    name = f"{metric}{SUFFIX}"
    try:
        differences = image_differences(pairs, metric, scores)
    except Incomparable as error:
        return {f"{metric}{REFUSED}": str(error)}
    if differences is None:
        return {}
    found = mixed_difference(differences)
    return {
        name: found.value,
        f"{name}_ci95": found.half,
        f"{name}_over": found.over,
        f"{name}_seeds": found.seeds,
        f"{name}_other_seeds": len(set(ids) | set(others)) - len(pairs),
        f"{name}_images": found.images,
        f"{name}_df": found.df,
        f"{name}_var_seeds": found.seed_variance,
        f"{name}_var_images": found.image_variance,
        f"{name}_var_rest": found.residual_variance,
        f"{name}_zeroed": ", ".join(found.zeroed),
    }


def heading(metric: str) -> str:
    """Return the heading of the column, which stands beside «Δ ELBO»."""
    return f"Δ {label(metric)} mixed"


def has_column(full: pd.DataFrame, metric: str) -> bool:
    """Return whether a table has the difference of a metric over seeds and images."""
    return f"{metric}{SUFFIX}" in full


def texts(full: pd.DataFrame, metric: str) -> list[str]:
    """Return the column as text."""
    name = f"{metric}{SUFFIX}"
    return interval_texts(full, name, f"{name}_ci95", format_of(metric), sign="+")


def notes(
    full: pd.DataFrame, finished: pd.DataFrame, metrics: Sequence[str], study: Study, scores: RecordedScores
) -> list[str]:
    """Return the lines that say what the columns vary over, and what could not be given.

    Args:
        full: the table as numbers.
        finished: its tidy runs that have finished, also those that are subtracted.
        metrics: the metrics that have a difference.
        study: the study that declares the factors.
        scores: the scores of the runs for each image.
    """
    metrics = [metric for metric in metrics if is_by_image(metric)]
    if not metrics:
        return []
    given = [metric for metric in metrics if has_column(full, metric)]
    lines = [_reading(given)] if given else []
    for metric in given:
        lines += _about(full, metric, study)
    for metric in metrics:
        if (column := f"{metric}{REFUSED}") in full and len(why := full[column].dropna()):
            lines.append(f"{heading(metric)} is not given in {len(why)} rows: {why.iloc[0]}.")
    lacking = [sum(not scores.has(str(run_id), metric) for run_id in finished["run_id"]) for metric in metrics]
    if (most := max(lacking)) and not given:
        lines.append(f"No per-image scores in {most} runs: difference over images not given.")
    elif most:
        lines.append(f"No per-image scores in {most} of {len(finished)} runs, which are not in the mixed differences.")
    if scores.unreadable:
        lines.append(f"Per-image scores of {len(scores.unreadable)} runs cannot be read: {scores.unreadable[0]}.")
    return lines


def _reading(metrics: Sequence[str]) -> str:
    """Return the line that says what the columns are."""
    named = " and ".join(heading(metric) for metric in metrics)
    return (
        f"{named}: the difference at the same seed on the same image. ± is the half-width of its 95 % interval over "
        f"{BOTH}: what other seeds and other images of the same kind may give (crossed random effects, Satterthwaite)."
    )


def _about(full: pd.DataFrame, metric: str, study: Study) -> list[str]:
    """Return the lines that name rows with one seed, rows with fewer seeds, and rows with a variance set to 0."""
    name, lines = f"{metric}{SUFFIX}", []
    rows = full[full[name].notna()]
    if len(one := rows[rows[f"{name}_over"] == IMAGES]):
        lines.append(f"{heading(metric)} is over {IMAGES} alone in {_rows(one, len(rows), study)}: one seed.")
    if len(fewer := rows[rows[f"{name}_other_seeds"] > 0]):
        counts = sorted({int(count) for count in fewer[f"{name}_seeds"]})
        shown = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        lines.append(
            f"{heading(metric)} uses {shown} seeds in {_rows(fewer, len(rows), study)}: those of which both runs have "
            "per-image scores."
        )
    for effect in (SEEDS, IMAGES):
        if len(zero := rows[[effect in str(text).split(", ") for text in rows[f"{name}_zeroed"]]]):
            lines.append(
                f"{heading(metric)}: the estimated variance over {effect} is negative and set to 0 in "
                f"{_rows(zero, len(rows), study)}."
            )
    return lines


def _rows(some: pd.DataFrame, count: int, study: Study) -> str:
    """Return which rows of a table these are."""
    if len(some) == count:
        return "all rows"
    cells = some[list(study.factors)].itertuples(index=False, name=None)
    named = [cell_text(cell, study) for cell in cells]
    more = f"; and {len(named) - SHOWN_ROWS} more" if len(named) > SHOWN_ROWS else ""
    return f"{len(named)} of {count} rows ({'; '.join(named[:SHOWN_ROWS])}{more})"
