"""The tracked runs as rows of plain values: facts, configuration fields and metrics (`study/run_query.py`)."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput, unknown_name
from vaestudy.reporting.tables.formats import number_text
from vaestudy.study.levels import level_text
from vaestudy.study.run_query import Condition
from vaestudy.tracking.destination import study_experiments
from vaestudy.tracking.mlflow_tracker import Tracker
from vaestudy.tracking.recorded_run import param_value

TAGS = {"sweep": "sweep", "role": "role", "key": "config.key", "revision": "code.revision"} | {
    "fingerprint": "data.fingerprint"
}
"""Fact about a run -> the tag that has it."""
MAIN = (
    "id",
    "started",
    "study",
    "sweep",
    "varies",
    "status",
    "test/elbo",
    "test/log_likelihood",
    "test/kl",
    "test/iwae_100",
    "test/bits_per_dim",
    "test/active_units",
)
"""The columns of a list, unless the user names others. Those that no run has are left out."""
ID_DIGITS = 8
NO_COLUMNS = ("started_ms", "experiment", "tags")
"""What rows have beside their columns: the start in milliseconds, the experiment's id, and all tags."""

Rows = list[dict[str, Any]]
"""One dictionary for each run: column -> value. What a run does not have is missing."""


def run_rows(tracker: Tracker, study: str | None = None) -> Rows:
    """Return all tracked runs of models, or those of a study, the newest last.

    Raises:
        BadInput: no such study is tracked.
    """
    tracked = study_experiments(tracker)
    if study is not None and study not in tracked:
        raise BadInput(unknown_name("study", study, sorted(tracked)))
    rows: Rows = []
    for name, experiments in tracked.items():
        if study in (None, name):
            runs = tracker.runs(experiments)
            rows += [_row(name, record) for record in _records(runs) if "tags.config.key" in record]
    _add_varies(rows)
    return sorted(rows, key=lambda row: (row["started_ms"], row["id"]))


def run_row(tracker: Tracker, run_id: str) -> dict[str, Any]:
    """Return the row of one run, without the column `varies`.

    Raises:
        BadInput: there is no such run, or it is not the run of one model.
    """
    record = tracker.get(run_id)
    if "tags.config.key" not in record:
        raise BadInput(f"run {run_id} is not the run of one model")
    return _row(tracker.experiment_tags().get(record["experiment"], {}).get("study", ""), record)


def _records(runs: Any) -> list[dict[str, Any]]:
    """Return the runs of a frame without the columns that they do not have."""
    return [{str(k): v for k, v in row.items() if v is not None and v == v} for row in runs.to_dict("records")]


def _row(study: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a run."""
    params = {name: record.get(f"params.{name}") for name in RunConfig.model_fields}
    # A run that is older than a field has no value of it; it was made with what is now the field's default.
    config = {
        name: RunConfig.model_fields[name].default if text is None else param_value(name, str(text))
        for name, text in params.items()
    }
    metrics = {name.removeprefix("metrics."): value for name, value in record.items() if name.startswith("metrics.")}
    started = float(record["start_time"])
    facts = {
        "id": record["run_id"],
        "study": study,
        "name": record["name"],
        "status": record["status"],
        "started": datetime.fromtimestamp(started / 1000, UTC).strftime("%Y-%m-%d %H:%M"),
        "started_ms": started,
        "experiment": record["experiment"],
        "tags": {k.removeprefix("tags."): str(v) for k, v in record.items() if k.startswith("tags.")},
    }
    facts |= {fact: record[f"tags.{tag}"] for fact, tag in TAGS.items() if f"tags.{tag}" in record}
    return facts | config | metrics


def _add_varies(rows: Rows) -> None:
    """Add the column `varies`: the fields in which the runs of a sweep differ, and the seed."""
    sweeps: dict[tuple[Any, Any], Rows] = defaultdict(list)
    for row in rows:
        sweeps[row["study"], row.get("sweep")].append(row)
    for group in sweeps.values():
        names = [
            name for name in RunConfig.model_fields if name == "seed" or len({level_text(r[name]) for r in group}) > 1
        ]
        for row in group:
            row["varies"] = ", ".join(f"{name}={level_text(row[name])}" for name in names)


def selected(rows: Iterable[dict[str, Any]], condition: Condition | None) -> Rows:
    """Return the rows for which a condition holds; without one, all."""
    return [row for row in rows if condition is None or condition.holds(row)]


def columns_shown(rows: Rows, named: Sequence[str] | None) -> list[str]:
    """Return the columns of a list: those that the user named, else those of `MAIN` that some run has."""
    return list(named) if named else [c for c in MAIN if any(row.get(c) is not None for row in rows)]


def known_values(rows: Rows, column: str, most: int = 8) -> str:
    """Return the values of a column that occur, for the message that no run matches."""
    found = sorted({row[column] for row in rows if isinstance(row.get(column), int | float)})
    if found:
        return f"{column} is {shown(found[0], column)} to {shown(found[-1], column)}"
    texts = sorted({level_text(row[column]) for row in rows if row.get(column) is not None})
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return f"{column} is {', '.join(texts[:most])}{more}" if texts else f"no run has {column}"


def shown(value: Any, column: str) -> str:
    """Return a value as the list in the terminal has it: an id with few digits, a metric with few decimals."""
    if value is None:
        return ""
    if column == "id":
        return str(value)[:ID_DIGITS]
    if isinstance(value, float) and column not in RunConfig.model_fields:
        return number_text(value, ".0f" if value.is_integer() else ".4g" if abs(value) < 1 else ".2f")
    return level_text(value)


def csv_text(rows: Rows, columns: Sequence[str]) -> str:
    """Return a CSV file with full precision."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if row.get(c) is None else _exact(row[c]) for c in columns])
    return file.getvalue()


def all_columns(rows: Rows) -> list[str]:
    """Return every column that some run has: facts, configuration, metrics."""
    facts = [*MAIN[:6], "name", "role", "key", "revision", "fingerprint"]
    metrics = {name for row in rows for name in row} - {*facts, *RunConfig.model_fields, *NO_COLUMNS}
    return [*facts, *RunConfig.model_fields, *sorted(metrics)]


def _exact(value: Any) -> str:
    """Return a value as text without a loss: a number with all its digits, a list as `level_text` has it."""
    return repr(value) if isinstance(value, float) else level_text(value)
