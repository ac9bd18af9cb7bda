"""Checks that a database is MLflow's, or can become MLflow's, before MLflow adds its tables to it.

mlflow is not imported here, so a wrong database is refused at once.
"""

from __future__ import annotations

import functools
import importlib.util
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from vaestudy.errors import BadInput, NoTracker, TrackerUnavailable
from vaestudy.runtime import project
from vaestudy.runtime.addresses import database_file, public_address

LOCK_SECONDS = 5
"""The number of seconds to wait if another process has locked the database."""
ASSIGNMENT = re.compile(r"^(revision|down_revision)\b[^=\n]*= *[\"']?(\w+)", re.MULTILINE)
"""The lines of a migration file that name its schema version and the one before it."""
MLFLOW_TABLES = {"experiments", "runs", "experiment_tags", "latest_metrics"}
"""Tables that only MLflow's databases have together; other programs have some tables of these names."""

RUN_OF_A_MODEL = "vaestudy.config.key"
"""A tag that all runs of models have, and no run of another program."""


def require_tracking_database(path: Path) -> None:
    """Raise an error if the installed MLflow cannot use a file as its database. An empty file can be used.

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


def require_records(uri: str) -> None:
    """Raise if nothing is tracked yet, so that reading does not make an empty store.

    Raises:
        BadInput: there is no database.
        NoTracker: the file is not MLflow's database.
    """
    if (database := database_file(uri)) is None:
        return
    if not database.exists():
        raise BadInput(f"nothing is tracked at {database} yet; {project.first_steps()}")
    require_tracking_database(database)


def runs_beginning_with(path: Path, digits: str) -> list[str]:
    """Return the ids of the runs of models in MLflow's database whose ids begin with `digits`; deleted runs, too.

    Args:
        path: the database; if there is none, there are no runs.
        digits: the first digits of an id, without characters that mean something in a pattern of SQL.

    Raises:
        NoTracker: the file is not MLflow's database.
        TrackerUnavailable: another process has locked it.
    """
    if not path.exists():
        return []
    require_tracking_database(path)
    query = "SELECT DISTINCT run_uuid FROM tags WHERE key = ? AND run_uuid LIKE ?"
    try:
        with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as connection:
            has_tags = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'tags'").fetchone()
            found = connection.execute(query, (RUN_OF_A_MODEL, f"{digits}%")).fetchall() if has_tags else []
    except sqlite3.DatabaseError as error:
        raise TrackerUnavailable(f"{path}: {error}") from error
    return [str(run_id) for (run_id,) in found]


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


def require_free_database(uri: str) -> None:
    """Raise unless a database of a server is MLflow's, or has no tables that MLflow would take for its own.

    Raises:
        NoTracker: it is the database of another program, for example that of Optuna's trials.
        SQLAlchemyError: the database cannot be reached.
    """
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    try:
        with engine.connect() as connection:
            tables = set(sqlalchemy.inspect(connection).get_table_names())
            query = sqlalchemy.text("select version_num from alembic_version")
            versions = [str(v) for v in connection.scalars(query)] if "alembic_version" in tables else []
    finally:
        engine.dispose()
    if {"alembic_version", "experiments", "runs"} & tables:
        require_mlflow_tables(tables, versions, public_address(uri))
