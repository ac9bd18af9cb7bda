"""The work of `vaestudy runs`, after its flags have been checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from vaestudy.config.run_config import RunConfig
from vaestudy.errors import BadInput
from vaestudy.reporting import run_list
from vaestudy.reporting.run_list import Rows
from vaestudy.runtime.console import consoles, print_json, print_uncut
from vaestudy.study.run_query import FACTS, Condition, kind_of
from vaestudy.tracking.destination import SEARCH
from vaestudy.tracking.mlflow_tracker import Tracker

LATEST = 10
"""The number of runs that `show_latest` lists."""
LATEST_COLUMNS = ("id", "started", "study", "varies", "test/elbo")


def list_runs(
    uri: str,
    study: str | None,
    condition: Condition | None,
    columns: Sequence[str] | None,
    file: Path | None,
    as_json: bool,
) -> int:
    """List tracked runs; return the exit code.

    Args:
        uri: the address of the tracker.
        study: only the runs of this study.
        condition: only runs for which this holds.
        columns: the columns; None for the usual ones, and for all in a file or in JSON.
        file: the CSV file to write, if there is one.
        as_json: whether to print one JSON object in place of a table.

    Raises:
        BadInput: no such study is tracked, or the file cannot be written.
    """
    err, out = consoles()
    everything = run_list.run_rows(Tracker(uri), study)
    rows = run_list.selected(everything, condition)
    if condition is not None and not rows and everything:
        found = "; ".join(run_list.known_values(everything, column) for column in condition.columns)
        err.print(f"none of {len(everything)} runs: {condition.text}. Of these runs, {found}", style="yellow")
    named = columns or (run_list.all_columns(rows) if as_json or file else run_list.columns_shown(rows, None))
    if as_json:
        print_json({"runs": [{c: row[c] for c in named if row.get(c) is not None} for row in rows]})
    elif file is not None:
        try:
            file.write_text(run_list.csv_text(rows, named), encoding="utf-8")
        except OSError as error:
            raise BadInput(f"--csv {file}: cannot be written: {error.strerror}") from None
        out.print(f"wrote {file}: {len(rows)} runs, {len(named)} columns")
    elif rows:
        print_uncut(out, _table(rows, named))
        out.print(f"{len(rows)} runs" if condition is None else f"{len(rows)} of {len(everything)} runs")
    else:
        out.print("0 runs")
    return 0


def show_latest(uri: str) -> str:
    """List the latest finished runs of cells and single runs; return the id of the newest, cut as in the list.

    Returns:
        empty if no run has finished.
    """
    everything = [row for row in run_list.run_rows(Tracker(uri)) if row["status"] == "FINISHED"]
    rows = [row for row in everything if row.get("role") != SEARCH][-LATEST:]
    if not rows:
        return ""
    _, out = consoles()
    print_uncut(out, _table(rows, [name for name in LATEST_COLUMNS if any(row.get(name) is not None for row in rows)]))
    return run_list.shown(rows[-1]["id"], "id")


def _table(rows: Rows, columns: Sequence[str]) -> Table:
    """Return the list for a terminal."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        is_number = column not in FACTS and kind_of(column) == "number"
        heading = column if column in RunConfig.model_fields else column.removeprefix("test/")
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(run_list.shown(row.get(column), column) for column in columns))
    return table
