"""The table that every study has: one row per combination of levels, with the means over seeds and their intervals.

Each mean has the half-width of its 95 % interval over seeds, by Student's t. The interval answers the question which
values other seeds would give.

The difference to the baseline is the mean over seeds of (this row - baseline) at the same seed, with its own interval.
Runs with the same seed share the order of the minibatches and the noise. The interval of the difference is therefore
narrower than the two intervals of the means suggest.

This file computes with pandas only; it reads and writes no files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from vaestudy.config.compatibility import has_option
from vaestudy.config.registry import LIKELIHOODS
from vaestudy.reporting import common_target, improvement
from vaestudy.reporting.image_scores import RecordedScores
from vaestudy.reporting.runs_frame import interval, level_rank, require_comparable, runs_by_levels
from vaestudy.reporting.tables import ess, mixed
from vaestudy.reporting.tables.best import best_row, sign_of
from vaestudy.reporting.tables.formats import (
    ANY_SIZE,
    BOUNDS,
    format_of,
    interval_texts,
    label,
    number_text,
    three_digits,
)
from vaestudy.runtime.provenance import CodeRevision
from vaestudy.study.declaration import Study, level_text

FAILURES = 20  # the largest number of lines about failed runs below a table
LACKING = 3  # the largest number of rows that a line about lacking values names


@dataclass(frozen=True)
class Table:
    """A table of a study, as numbers and as text."""

    full: pd.DataFrame
    """The numbers without rounding, for further processing."""
    shown: pd.DataFrame
    """The same as text, as it is printed."""
    notes: list[str]
    """The lines printed below the table."""
    best: Mapping[str, int] = field(default_factory=dict)
    """Column of `shown` -> the position of the row that is the best of it, where the runs can tell (`best.py`)."""


def summarise(runs: pd.DataFrame, study: Study, scores: RecordedScores | None = None) -> Table:
    """Return the summary of a study from its tidy runs.

    Args:
        runs: the tidy runs of a sweep.
        study: the study that declares the table.
        scores: the scores of the runs for each test image; None to leave the difference over images out.

    Raises:
        Incomparable: see `runs_frame.require_comparable`.
    """
    metrics = [name for name in study.tabulate if name in runs]
    require_comparable(runs, metrics)
    factors = list(study.factors)
    finished = runs[runs["status"] == "FINISHED"]
    base = finished
    for name, value in study.baseline.items():
        base = base[base[name] == value]
    base = base.set_index("seed")
    rows = []
    groups = runs_by_levels(runs, factors)
    order = sorted(groups, key=lambda key: [level_rank(v, name, study) for v, name in zip(key, factors, strict=True)])
    for levels in order:
        group = groups[levels]
        done = group[group["status"] == "FINISHED"]
        row: dict[str, Any] = dict(zip(factors, levels, strict=True))
        is_compared = row != study.baseline and not base.empty
        for metric in metrics:
            row[metric], row[f"{metric}_ci95"] = interval(done[metric])
            paired = (done.set_index("seed")[metric] - base[metric]).dropna()
            if is_compared:
                row[f"{metric}_diff"], row[f"{metric}_diff_ci95"] = interval(paired)
                if metric == study.tabulate[0] and (sign := sign_of(metric)):
                    row |= improvement.numbers(done[metric].dropna().tolist(), base[metric].dropna().tolist(), sign)
                if metric == study.tabulate[0] and scores is not None:
                    row |= mixed.numbers(done, base.reset_index(), metric, scores)
        row |= ess.numbers(done, metrics, study)
        if common_target.EPOCHS in runs:
            row |= common_target.numbers(group)
        row["seeds"] = len(done)
        row["failed"] = len(group) - len(done)
        row["seconds"] = done["seconds/total"].mean() if "seconds/total" in done else math.nan
        row["run_ids"] = " ".join(done["run_id"])
        rows.append(row)
    full = pd.DataFrame(rows)
    best = {label(metric): best_row([groups[levels] for levels in order], metric) for metric in metrics}
    supported = {heading: row for heading, row in best.items() if row is not None}
    notes = _notes(runs, study, compared=not base.empty)
    if improvement.COLUMNS[0] in full:
        notes.append(improvement.NOTE.format(name=label(study.tabulate[0])))
    if scores is not None and f"{study.tabulate[0]}_diff" in full:
        notes += mixed.notes(full, finished, study.tabulate[:1], study, scores)
    return Table(full, _shown(full, study, metrics), notes, supported)


def factor_columns(full: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return the factors' columns of a table as text; a level is empty where the likelihood has no such option."""
    shown = pd.DataFrame(index=full.index)
    likelihoods = full.get("likelihood", [study.base.likelihood] * len(full))
    for name in study.factors:
        pairs = zip(likelihoods, full[name], strict=True)
        shown[name] = [level_text(value) if has_option(likelihood, name) else "" for likelihood, value in pairs]
    return shown


def _shown(full: pd.DataFrame, study: Study, metrics: Sequence[str]) -> pd.DataFrame:
    """Return the table as text, as it is printed."""
    shown = factor_columns(full, study)
    for metric in metrics:
        if metric.startswith(ANY_SIZE):
            pairs = zip(full[metric], full[f"{metric}_ci95"], strict=True)
            shown[label(metric)] = [three_digits(mean, half) for mean, half in pairs]
            continue
        form = format_of(metric)
        shown[label(metric)] = interval_texts(full, metric, f"{metric}_ci95", form)
        if metric == study.tabulate[0] and f"{metric}_diff" in full:
            shown[f"Δ {label(metric)}"] = interval_texts(full, f"{metric}_diff", f"{metric}_diff_ci95", form, sign="+")
            if mixed.has_column(full, metric):
                shown[mixed.heading(metric)] = mixed.texts(full, metric)
            if improvement.COLUMNS[0] in full:
                shown[improvement.HEADING] = improvement.texts(full)
        if (column := f"{metric}{ess.SUFFIX}") in full and full[column].notna().any():
            shown[ess.heading(metric)] = ess.texts(full[column])
        if metric == common_target.RELATIVE and common_target.EPOCHS in full:
            shown[label(common_target.EPOCHS)] = common_target.texts(full)
    shown["seeds"] = full["seeds"].astype(str)
    shown["failed"] = full["failed"].astype(str)
    shown["s/run"] = [f"{value:.1f}" if value == value else "" for value in full["seconds"]]
    return shown


def _failures(runs: pd.DataFrame, study: Study) -> list[str]:
    """Return a line for each combination of levels with failed runs.

    A line contains the number of failed runs and the epoch and reason of each failure from the runs' records.
    """
    lines: list[str] = []
    for levels, group in runs_by_levels(runs, list(study.factors)).items():
        failed = group[group["status"] != "FINISHED"]
        if len(failed):
            cell = ", ".join(f"{name}={level_text(level)}" for name, level in zip(study.factors, levels, strict=True))
            reasons = failed.get("tags.failure", pd.Series(dtype=str)).dropna().unique()
            lines.append(
                f"{cell}: {len(failed)} of {len(group)} failed: {'; '.join(reasons) or 'no reason on record'}."
            )
    return lines if len(lines) <= FAILURES else [*lines[:FAILURES], f"... and {len(lines) - FAILURES} more such cells."]


def _partly_lacking(finished: pd.DataFrame, study: Study) -> list[str]:
    """Return a line for each metric that some runs of a combination of levels lack, and others have.

    A value that is nan is not recorded, such as that of a bound that overflows.
    """
    lines = []
    for metric in (name for name in study.tabulate if name in finished):
        groups = runs_by_levels(finished, list(study.factors))
        known = {levels: group[metric].notna() for levels, group in groups.items()}
        counts = {
            levels: f"{(~has).sum()} of {len(has)}" for levels, has in known.items() if has.any() and not has.all()
        }
        if counts:
            named = [f"{count} runs of {ess.cell_text(levels, study)}" for levels, count in counts.items()]
            more = f"; and {len(named) - LACKING} more rows" if len(named) > LACKING else ""
            lines.append(f"No {label(metric)} in {'; '.join(named[:LACKING])}{more}: its mean is over the other runs.")
    return lines


def _test_image_notes(finished: pd.DataFrame, study: Study) -> list[str]:
    """Return the notes on the test images, which are the same for all rows.

    They are the shares of certain grey values among the test pixels, and the standard error of one run's score that
    comes from the choice of test images: the largest mean over the seeds of a row, and which row this is.
    """
    notes = []
    own = {"test/mass_at_0": "level 0", "test/mass_near_1": "levels 250 to 255"}
    shares = {name: finished.get(f"{metric}_data") for metric, name in own.items() if metric in study.tabulate}
    if texts := [f"{share.iloc[0]:.3f} on {name}" for name, share in shares.items() if share is not None]:
        notes.append(f"Of the test pixels themselves: {', '.join(texts)}.")
    for metric in ("test/elbo", "test/bits_per_dim"):
        errors = finished.get(f"{metric}_se")
        if errors is not None and errors.notna().any() and metric in study.tabulate:
            groups = runs_by_levels(finished[errors.notna()], list(study.factors))
            means = {levels: errors[group.index].mean() for levels, group in groups.items()}
            worst = max(means, key=lambda levels: means[levels])
            most = f"{number_text(means[worst], format_of(metric))} ({ess.cell_text(worst, study)})"
            notes.append(
                f"Standard error of one run's {label(metric)} over the test images: at most {most}; all rows share the "
                "images."
            )
    return notes


def _notes(runs: pd.DataFrame, study: Study, compared: bool) -> list[str]:
    """Return the lines printed below the table of a study.

    Args:
        runs: tidy runs.
        study: the study that declares the table.
        compared: whether the table has differences to the baseline.
    """
    likelihood = str(study.baseline.get("likelihood", study.base.likelihood))
    levels = {name: value for name, value in study.baseline.items() if has_option(likelihood, name)}
    baseline = ", ".join(f"{name}={level_text(value)}" for name, value in levels.items())
    reading = [
        "± is the half-width of the 95 % t-interval over seeds; without it there was one seed.",
        f"Δ: mean difference to {baseline} at the same seed."
        if compared
        else f"There is no Δ: no run of the baseline, {baseline}, has finished.",
    ]
    return notes_below(runs, study, reading)


def notes_below(runs: pd.DataFrame, study: Study, reading: Sequence[str]) -> list[str]:
    """Return the lines below a table of scores: data, meaning of the columns, failures and revision of the code.

    Args:
        runs: tidy runs, those in the table.
        study: the study; its field `tabulate` names the metrics in the table.
        reading: the lines that say what ± and Δ are.
    """
    finished = runs[runs["status"] == "FINISHED"]
    if finished.empty:
        return ["No run has finished."]
    first = finished.iloc[0]
    sizes = ", ".join(f"{int(first[f'tags.data.{part}']):,} {part}" for part in ("train", "valid", "test"))
    bounds = [label(m) for m in study.tabulate if m.removeprefix("test/").startswith(BOUNDS)]
    notes = [
        f"Data: {first['tags.data.name']} ({sizes} images), {first['params.pixels']} pixels, "
        f"fingerprint {first['tags.data.fingerprint'][:12]}.",
        *reading,
    ]
    if absent := [metric for metric in study.tabulate if metric not in finished]:
        notes.append(f"Not in the table, as no run has it: {', '.join(absent)}.")
    if bounds:
        notes.insert(
            1,
            f"Nats per image on test. {' and '.join(bounds)}: lower bounds on log p(x), higher is better; "
            "log-lik. and KL are the ELBO's two parts (ELBO = log-lik. - KL), neither is a bound.",
        )
    if "test/bits_per_dim" in study.tabulate:
        notes.insert(
            1,
            f"bits/dim: of dequantised test pixels, from IWAE {max(study.base.iwae)}, lower is better; of bernoulli, "
            "which is no density, those of the continuous Bernoulli that its decoder implies.",
        )
    if study.base.changes_kl or {"beta", "kl_warmup", "free_bits"} & set(study.factors):
        notes.append("beta, kl_warmup and free_bits change the KL in training alone; every score is at beta = 1.")
    if common_target.EPOCHS in runs:
        notes.append(common_target.note(runs, study))
    notes += _partly_lacking(finished, study)
    notes += _test_image_notes(finished, study)
    notes += ess.notes(finished, study)
    if (
        bounds
        and first["params.pixels"] in ("grey", "dequantised")
        and LIKELIHOODS[first["params.likelihood"]].family == "bernoulli"
    ):
        notes.append(
            "Bernoulli on grey pixels is no normalised likelihood: these values bound the expected log p of pixels "
            "drawn as Bernoulli(x), and may not be ranked against densities."
        )
    if "tags.notices" in finished:
        notes += [str(line) for line in finished["tags.notices"].dropna().unique()]
    if (failed := len(runs) - len(finished)) > 0:
        notes.append(f"{failed} runs failed and are in no mean.")
        notes += _failures(runs, study)
    states = finished[["tags.code.revision", "tags.code.state"]].drop_duplicates()
    revisions = [str(CodeRevision(*revision)) for revision in states.itertuples(index=False)]
    notes.append(f"Code: {', '.join(revisions)}.")
    return notes
