"""The tracked runs as a data frame: what `vaestudy.runs` returns."""

from __future__ import annotations

import pandas as pd

from vaestudy.reporting import run_list
from vaestudy.reporting.run_list import Rows
from vaestudy.runtime import addresses
from vaestudy.study.run_query import parse_condition
from vaestudy.tracking.database_checks import require_records
from vaestudy.tracking.mlflow_tracker import Tracker


def runs(study: str | None = None, where: str | None = None, *, tracking_uri: str | None = None) -> pd.DataFrame:
    """Return tracked runs as a tidy data frame: one row for each run, the newest last, one column for each variable.

    The columns are facts about the run (`id`, `started`, `study`, `sweep`, `status`, ...), all fields of its
    configuration, and all metrics (`test/elbo`, ...). A metric that a run does not have is nan.

    Args:
        study: the name of a study; "train" for single runs [default: all runs].
        where: only runs for which this condition holds, such as "latent_dim>5 and elbo > -110" (docs/commands.md).
        tracking_uri: the address of the tracker [default: MLFLOW_TRACKING_URI, else mlruns/mlflow.db].

    Raises:
        BadInput: nothing is tracked yet, or no such study, or the condition cannot be read.
    """
    condition = None if where is None else parse_condition(where)
    uri = addresses.tracking_uri(tracking_uri)
    require_records(uri)
    rows = run_list.run_rows(Tracker(uri), None if study is None else study.replace("_", "-"))
    return frame_of(run_list.selected(rows, condition))


def frame_of(rows: Rows) -> pd.DataFrame:
    """Return the rows of `run_list.run_rows` as a data frame.

    The start of a run is a time in UTC, and a list such as `hidden` is a tuple, so that rows can be grouped by it.
    """
    columns = run_list.all_columns(rows)
    values = [[tuple(v) if isinstance(v := row.get(name), list) else v for name in columns] for row in rows]
    frame = pd.DataFrame(values, columns=columns)
    frame["started"] = pd.to_datetime([row["started_ms"] for row in rows], unit="ms", utc=True)
    return frame
