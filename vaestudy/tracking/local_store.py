"""TODO"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from mlflow.tracking import MlflowClient

from vaestudy.runtime.paths import database_uri


def make_database(path: Path) -> None:
    """Make and migrate a database under another name first: a kill in the midst leaves nothing half made."""
    scratch = path.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    MlflowClient(database_uri(scratch)).search_experiments(max_results=1)
    scratch.replace(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # readers and the writer do not wait


def update_artifact_addresses(database: Path) -> None:
    """Where a database was moved or copied, point its records at the artifacts that came along.

    MLflow keeps absolute addresses and has no call that changes them; left alone, runs in a copy of a project would
    write into the original. Artifacts that are not beside the database stay where the records say.
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
