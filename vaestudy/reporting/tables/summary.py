"""Runs -> one row per cell, with intervals. Pure pandas: nothing is read or written here.

mean ± half-width of the 95 % interval over seeds, by Student's t: it answers «what would other seeds give?»
difference to the baseline: the mean over seeds of (cell - baseline) at the same seed, with its own interval;
arms that share a seed share minibatch order and noise, so this is tighter than the two intervals suggest
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vaestudy.config.compatibility import has_option
from vaestudy.config.registry import LIKELIHOODS
from vaestudy.reporting.runs_frame import interval, level_rank, require_comparable
from vaestudy.reporting.tables.formats import ANY_SIZE, BOUNDS, format_of, interval_texts, label, three_digits
from vaestudy.study.declaration import Study, level_text

FAILURES = 20  # lines of them below a table


@dataclass(frozen=True)
class Table:
    """A study's result: `full` for machines, `shown` for people, and the lines that belong beside it."""

    full: pd.DataFrame
    shown: pd.DataFrame
    notes: list[str]


def summarise(runs: pd.DataFrame, study: Study) -> Table:
    """The table of a study from its tidy runs.

    Raises:
        Incomparable: see `check_comparable`.
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
    groups = dict(list(runs.groupby(factors, sort=False)))
    for levels in sorted(
        groups, key=lambda key: [level_rank(v, name, study) for v, name in zip(key, factors, strict=True)]
    ):
        group = groups[levels]
        done = group[group["status"] == "FINISHED"]
        row: dict[str, Any] = dict(zip(factors, levels, strict=True))
        is_baseline = row == study.baseline
        for metric in metrics:
            row[metric], row[f"{metric}_ci95"] = interval(done[metric])
            paired = (done.set_index("seed")[metric] - base[metric]).dropna()
            if not is_baseline:
                row[f"{metric}_diff"], row[f"{metric}_diff_ci95"] = interval(paired)
        row["seeds"] = len(done)
        row["failed"] = len(group) - len(done)
        row["seconds"] = done["seconds/total"].mean() if len(done) else math.nan
        row["run_ids"] = " ".join(done["run_id"])
        rows.append(row)
    full = pd.DataFrame(rows)
    return Table(full, _shown(full, study, metrics), _notes(runs, study))


def _shown(full: pd.DataFrame, study: Study, metrics: Sequence[str]) -> pd.DataFrame:
    """The table as text, as it is printed."""
    shown = pd.DataFrame()
    likelihoods = full.get("likelihood", [study.base.likelihood] * len(full))
    for name in study.factors:
        pairs = zip(likelihoods, full[name], strict=True)
        shown[name] = [level_text(value) if has_option(likelihood, name) else "" for likelihood, value in pairs]
    for metric in metrics:
        if metric.startswith(ANY_SIZE):
            pairs = zip(full[metric], full[f"{metric}_ci95"], strict=True)
            shown[label(metric)] = [three_digits(mean, half) for mean, half in pairs]
            continue
        form = format_of(metric)
        shown[label(metric)] = interval_texts(full, metric, f"{metric}_ci95", form)
        if metric == study.tabulate[0] and f"{metric}_diff" in full:
            shown[f"Δ {label(metric)}"] = interval_texts(full, f"{metric}_diff", f"{metric}_diff_ci95", form, sign="+")
    shown["seeds"] = full["seeds"].astype(str)
    shown["failed"] = full["failed"].astype(str)
    shown["s/run"] = [f"{value:.1f}" if value == value else "" for value in full["seconds"]]
    return shown


def _failures(runs: pd.DataFrame, study: Study) -> list[str]:
    """A line for each cell with failed runs: how many, and what their records say of epoch and reason."""
    lines: list[str] = []
    for levels, group in runs.groupby(list(study.factors), sort=False):
        failed = group[group["status"] != "FINISHED"]
        if len(failed):
            cell = ", ".join(f"{name}={level_text(level)}" for name, level in zip(study.factors, levels, strict=True))
            reasons = failed.get("tags.failure", pd.Series(dtype=str)).dropna().unique()
            lines.append(
                f"{cell}: {len(failed)} of {len(group)} failed: {'; '.join(reasons) or 'no reason on record'}."
            )
    return lines if len(lines) <= FAILURES else [*lines[:FAILURES], f"... and {len(lines) - FAILURES} more such cells."]


def _of_the_images(finished: pd.DataFrame, study: Study) -> list[str]:
    """What the test images alone decide: their own masses, and how far a run's score depends on which they are."""
    notes = []
    own = {"test/mass_at_0": "level 0", "test/mass_near_1": "levels 250 to 255"}
    shares = {words: finished.get(f"{metric}_data") for metric, words in own.items() if metric in study.tabulate}
    if told := [f"{share.iloc[0]:.3f} on {words}" for words, share in shares.items() if share is not None]:
        notes.append(f"Of the test pixels themselves: {', '.join(told)}.")
    for metric in ("test/elbo", "test/bits_per_dim"):
        errors = finished.get(f"{metric}_se")
        if errors is not None and metric in study.tabulate:
            error = f"{errors.mean():{format_of(metric)}}"
            notes.append(
                f"Standard error of one run's {label(metric)} over the test images: {error} on average; "
                "all rows share the images."
            )
    return notes


def _notes(runs: pd.DataFrame, study: Study) -> list[str]:
    finished = runs[runs["status"] == "FINISHED"]
    if finished.empty:
        return ["No run has finished."]
    first = finished.iloc[0]
    sizes = ", ".join(f"{int(first[f'tags.data.{part}']):,} {part}" for part in ("train", "valid", "test"))
    likelihood = str(study.baseline.get("likelihood", study.base.likelihood))
    levels = {name: value for name, value in study.baseline.items() if has_option(likelihood, name)}
    baseline = ", ".join(f"{name}={level_text(value)}" for name, value in levels.items())
    bounds = [label(m) for m in study.tabulate if m.removeprefix("test/").startswith(BOUNDS)]
    notes = [
        f"Data: {first['tags.data.name']} ({sizes} images), {first['params.pixels']} pixels, "
        f"fingerprint {first['tags.data.fingerprint'][:12]}.",
        "± is the half-width of the 95 % t-interval over seeds; without it there was one seed.",
        f"Δ: mean difference to {baseline} at the same seed.",
    ]
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
    notes += _of_the_images(finished, study)
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
    revisions = [f"{revision[:10]} ({state})" for revision, state in states.itertuples(index=False)]
    notes.append(f"Code: {', '.join(revisions)}.")
    return notes
