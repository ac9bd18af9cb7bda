"""The sweeps, cells and metrics of a study in a local database, read without MLflow.

Importing MLflow takes seconds. So a misspelt cell or metric is found here first; the tracker's own answer is checked
again afterwards.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from vaestudy.errors import TrackerUnavailable
from vaestudy.study.difference_request import RecordedCells, chosen_sweep
from vaestudy.study.levels import level_text
from vaestudy.tracking.database_checks import LOCK_SECONDS, require_tracking_database
from vaestudy.tracking.stored_form import metric_of

_SWEEPS = """
    SELECT run.run_uuid, sweep.value, factors.value FROM runs run
    JOIN experiments USING (experiment_id)
    JOIN experiment_tags study ON study.experiment_id = run.experiment_id AND study.key = 'vaestudy.study'
    JOIN tags role ON role.run_uuid = run.run_uuid AND role.key = 'vaestudy.role' AND role.value = 'study'
    JOIN tags sweep ON sweep.run_uuid = run.run_uuid AND sweep.key = 'vaestudy.sweep'
    JOIN tags factors ON factors.run_uuid = run.run_uuid AND factors.key = 'vaestudy.factors'
    WHERE study.value = ? AND run.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active'
    ORDER BY run.start_time DESC
"""
_FINISHED = """
    SELECT run.run_uuid FROM runs run
    JOIN tags parent ON parent.run_uuid = run.run_uuid AND parent.key = 'mlflow.parentRunId'
    JOIN tags role ON role.run_uuid = run.run_uuid AND role.key = 'vaestudy.role' AND role.value = 'trial'
    WHERE parent.value = ? AND run.lifecycle_stage = 'active' AND run.status = 'FINISHED'
"""


def recorded_cells(path: Path, study: str, sweep: str) -> RecordedCells | None:
    """Return the names that the finished runs of a sweep know.

    Args:
        path: MLflow's database.
        study: the study's name.
        sweep: the sweep's name; the newest that is not quick if empty.

    Returns:
        the names; None if the study has no sweep here that this file can read, so that the tracker must be asked.

    Raises:
        BadInput: the study has no sweep of this name.
        TrackerUnavailable: the database cannot be read now.
    """
    require_tracking_database(path)
    try:
        with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as connection:
            rows = connection.execute(_SWEEPS, (study,)).fetchall()
            if not rows:
                return None
            newest: dict[str, tuple[str, str]] = {}
            for run_id, name, factors in rows:
                newest.setdefault(str(name), (run_id, factors))
            parent, factors = newest[chosen_sweep(study, list(newest), sweep)]
            params = connection.execute(
                f"SELECT run_uuid, key, value FROM params WHERE run_uuid IN ({_FINISHED})", (parent,)
            ).fetchall()
            metrics = connection.execute(
                f"SELECT DISTINCT key FROM latest_metrics WHERE run_uuid IN ({_FINISHED})", (parent,)
            ).fetchall()
    except sqlite3.DatabaseError as error:
        raise TrackerUnavailable(f"{path}: {error}") from error
    names = tuple(map(str, json.loads(factors)))
    cells: dict[str, dict[str, str]] = {}
    for run_id, key, value in params:
        if key in names:
            cells.setdefault(run_id, {})[key] = text_of_param(value)
    complete = [cell for cell in cells.values() if len(cell) == len(names)]
    return RecordedCells(study, names, complete, frozenset(metric_of(str(name)) for (name,) in metrics))


def text_of_param(value: str) -> str:
    """Return a level as `level_text` has it, from the text of MLflow's parameter."""
    try:
        return level_text(json.loads(value))
    except ValueError:
        return value
