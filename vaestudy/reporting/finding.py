"""What a study found, in three sentences that follow from its table by rule: no sentence is typed by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from vaestudy.reporting.tables.formats import ANY_SIZE, format_of, label, three_digits
from vaestudy.reporting.tables.summary import Table
from vaestudy.study.declaration import Study, level_text
from vaestudy.study.metrics import lower_is_better


@dataclass(frozen=True)
class BestCell:
    """The cell of a study with the best mean of the main metric."""

    name: str
    """Its levels as text."""
    row: Mapping[str, Any]
    """Its row of the table."""
    metric: str
    is_baseline: bool

    @property
    def numbers(self) -> dict[str, float]:
        """The metrics that the sweep run gets: the best mean, its interval, and its difference to the baseline."""
        metric, row = self.metric, self.row
        found = {f"best/{metric}": row[metric], f"best/{metric}_ci95": row[f"{metric}_ci95"]}
        if not self.is_baseline:
            found |= {f"best/{metric}{end}": row.get(f"{metric}{end}", math.nan) for end in ("_diff", "_diff_ci95")}
        return {name: float(value) for name, value in found.items() if value == value}


def best_cell(table: Table, study: Study) -> BestCell | None:
    """Return the best cell of a table; None if of the study's main metric neither less nor more is better."""
    metric = study.tabulate[0]
    lower = lower_is_better(metric)
    if lower is None or metric not in table.full or table.full[metric].dropna().empty:
        return None
    (row,) = table.full.sort_values(metric, ascending=lower, kind="stable").head(1).to_dict("records")
    named = {str(name): value for name, value in row.items()}
    return BestCell(_cell(named, study), named, metric, _is_baseline(named, study))


def finding(table: Table, study: Study) -> str:
    """Return the finding of a study; empty if its main metric has no best value."""
    if (best := best_cell(table, study)) is None:
        return ""
    row, metric = best.row, best.metric
    count, seeds, cells = len(table.full), int(row["seeds"]), _plural(len(table.full), "cell")
    mean = _number(metric, row[metric], row[f"{metric}_ci95"])
    first = f"Of {cells}, {best.name} has the best {label(metric)}: {mean} ({_plural(seeds, 'seed')})."
    if count < 2:
        return first
    return " ".join([first, _against_baseline(best, study), _others(table.full, metric, study)]).strip()


def _against_baseline(best: BestCell, study: Study) -> str:
    """Return the sentence on the best cell and the baseline."""
    baseline = ", ".join(f"{name}={level_text(level)}" for name, level in study.baseline.items())
    if best.is_baseline:
        return "It is the baseline itself."
    difference, half = (best.row.get(f"{best.metric}{end}", math.nan) for end in ("_diff", "_diff_ci95"))
    if difference != difference:
        return f"No run of the baseline, {baseline}, has finished, so there is no difference to it."
    shown = _number(best.metric, difference, half, sign="+")
    if half != half:
        return f"Its difference to the baseline, {baseline}, is {shown}, from one seed and so without an interval."
    means = "does not contain zero" if abs(difference) > half else "contains zero, so no difference is shown"
    return f"Its difference to the baseline, {baseline}, is {shown} at the same seeds; this 95 % interval {means}."


def _others(full: pd.DataFrame, metric: str, study: Study) -> str:
    """Return the sentence on how all cells compare with the baseline, each by the interval of its difference."""
    if f"{metric}_diff" not in full or full[f"{metric}_diff_ci95"].dropna().empty:
        return ""
    difference, half = full[f"{metric}_diff"], full[f"{metric}_diff_ci95"]
    better = -difference if lower_is_better(metric) else difference
    known = half.notna()
    above, below = int((better[known] > half[known]).sum()), int((better[known] < -half[known]).sum())
    rest = int(known.sum()) - above - below
    return (
        f"Of the {_plural(int(known.sum()), 'cell')} compared with the baseline, {above} are better, {below} worse and "
        f"{rest} not told apart from it (each by its own 95 % interval)."
    )


def _number(metric: str, mean: float, half: float, sign: str = "") -> str:
    """Return a mean and its half-width as the table shows them."""
    if metric.startswith(ANY_SIZE):
        return three_digits(mean, half)
    form = format_of(metric)
    return f"{mean:{sign}{form}}" + (f" ± {half:{form}}" if half == half else "")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _cell(row: Mapping[str, Any], study: Study) -> str:
    return ", ".join(f"{name}={level_text(row[name])}" for name in study.factors)


def _is_baseline(row: Mapping[str, Any], study: Study) -> bool:
    return bool(study.baseline) and all(row[name] == level for name, level in study.baseline.items())
