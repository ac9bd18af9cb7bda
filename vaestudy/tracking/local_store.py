"""The tracker's SQLite database on this machine: creating it, checking it, and repairing it after it was moved.

MLflow creates and migrates its database itself, but not safely when a process is killed or when several start at once.
MLflow also stores absolute addresses of artifacts, which are wrong after a move. `Tracker` calls the functions of this
file under a file lock, before it uses a database.

mlflow is imported only where a database is created, so that a wrong database is refused at once.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from vaestudy.errors import NoTracker, TrackerUnavailable
from vaestudy.runtime.addresses import database_uri

LOCK_SECONDS = 5
"""How long to wait for another process that has locked the database."""
ASSIGNMENT = re.compile(r"^(revision|down_revision)\b[^=\n]*= *[\"']?(\w+)", re.MULTILINE)
"""The lines of a migration file that name its schema version and the one before it."""
MLFLOW_TABLES = {"experiments", "runs", "experiment_tags", "latest_metrics"}
"""Tables that only MLflow's databases have together; other programs have some tables of these names."""


def make_database(path: Path) -> None:
    """Create an MLflow database at `path`.

    The database is created and migrated under a temporary name, then renamed. So a kill never leaves an incomplete
    database at `path`.
    """
    from mlflow.tracking import MlflowClient

    scratch = path.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    MlflowClient(database_uri(scratch)).search_experiments(max_results=1)
    scratch.replace(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # readers and the writer do not block each other


def require_tracking_database(path: Path) -> None:
    """Raise unless a file is a tracking database that the installed MLflow can use. An empty file is one.

    MLflow itself does not check this: it adds its tables to the database of another program.

    Raises:
        NoTracker: the file is damaged, or another program's, or of another version of MLflow.
        TrackerUnavailable: another process has locked it.
    """
    try:
        with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            query = "SELECT version_num FROM alembic_version"
            versions = [str(v) for (v,) in connection.execute(query)] if "alembic_version" in tables else []
    except sqlite3.OperationalError as error:
        raise TrackerUnavailable(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise NoTracker(f"{path} is damaged, or is no database: {error}") from error
    if tables:
        require_mlflow_tables(tables, versions, str(path))


def require_mlflow_tables(tables: set[str], versions: list[str], shown: str) -> None:
    """Raise unless a database has MLflow's tables, in a version that the installed MLflow knows.

    Args:
        tables: the names of the database's tables.
        versions: what its table `alembic_version` contains; other programs have such a table, too.
        shown: the database's address for the message.

    Raises:
        NoTracker: it is another program's, or of another version of MLflow.
    """
    if not tables >= MLFLOW_TABLES:
        raise NoTracker(f"{shown} is the database of another program, not of MLflow")
    known = schema_versions()
    for version in versions:
        if version not in known:
            raise NoTracker(f"{shown} was written by another version of MLflow: its schema {version} is not known here")
        if version in known.values():  # a later schema follows it
            raise NoTracker(f"{shown} was written by an earlier MLflow; copy it, then run `mlflow db upgrade ADDRESS`")


@functools.cache
def schema_versions() -> dict[str, str]:
    """Return the schema versions that the installed MLflow knows: version -> the version before it.

    They are read from MLflow's migration files, as importing MLflow takes a second.
    """
    spec = importlib.util.find_spec("mlflow")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package mlflow is not installed")
    folder = Path(spec.origin).parent / "store" / "db_migrations" / "versions"
    found = {}
    for path in folder.glob("[0-9a-f]*_*.py"):
        named = dict(ASSIGNMENT.findall(path.read_text(encoding="utf-8")))
        found[named["revision"]] = named["down_revision"]
    return found


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
