"""The tracker's SQLite database on this machine: creating it, and repairing it after its folder was moved or copied.

MLflow creates and migrates its database itself, but not safely when a process is killed or when several start at once.
MLflow also stores absolute addresses of artifacts, which are wrong after a move. `Tracker` calls the functions of this
file under a file lock, before it uses a database.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from mlflow.tracking import MlflowClient

from vaestudy.runtime.addresses import database_uri


def make_database(path: Path) -> None:
    """Create an MLflow database at `path`.

    The database is created and migrated under a temporary name, then renamed. So a kill never leaves an incomplete
    database at `path`.
    """
    scratch = path.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    MlflowClient(database_uri(scratch)).search_experiments(max_results=1)
    scratch.replace(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # readers and the writer do not block each other


def update_artifact_addresses(database: Path) -> None:
    """Correct the artifact addresses in a database that was moved or copied together with its artifacts.

    MLflow stores absolute addresses and has no call that changes them. Without this correction, runs in a copy of a
    project would write into the original. Only experiments whose folder exists in `artifacts/` beside the database are
    changed; all other addresses stay as they are.
    """
    artifacts = database.parent / "artifacts"
    with closing(sqlite3.connect(database)) as connection, connection:
        experiments = connection.execute("SELECT experiment_id, artifact_location FROM experiments").fetchall()
        for experiment, old in experiments:
            folder, _, name = old.rpartition("/")
            here = artifacts / unquote(name)
            new, ours = here.as_uri(), old.startswith("file:") and folder.endswith("/artifacts")
            if new == old or not ours or not here.is_dir():
                continue
            connection.execute(
                "UPDATE runs SET artifact_uri = :new || substr(artifact_uri, :length + 1) "
                "WHERE experiment_id = :experiment AND substr(artifact_uri, 1, :length) = :old",
                {"new": new, "old": old, "length": len(old), "experiment": experiment},
            )
            connection.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (new, experiment)
            )
